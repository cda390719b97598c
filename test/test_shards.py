"""A set in many files is the set in one file, on every machine, or says why it cannot be."""

import tracemalloc
from types import SimpleNamespace

import h5py
from lewm_model.data.clips import ClipLoader, Clips, split_episodes
from lewm_model.data.measured_states import measured_states, STATES
from lewm_model.data.rows import JoinedRows
from lewm_model.data.shards import find_shards, open_data
from lewm_model.errors import DatasetError
from lewm_model.preprocess import ActionNormalizer
from lewm_model.quantities import Quantity, to_json
from lewm_sim.cli import build_parser, main
import numpy as np
import pytest

LENGTHS = (24, 31, 22, 40, 27, 23)
FACTS = {'robot': 'arm', 'interface': 'joint_velocity', 'control_dt_s': 0.05,
         'action_names': ['shoulder', 'wrist'], 'action_min': [-1., -1.], 'action_max': [1., 1.],
         'task': 'reach', 'ingest_command': 'lewm ingest a'}


def write(path, episodes=range(6), *, packed=False, names=True, sha=None, without=(),
          size=(6, 8), facts=None):
    """Write some of the episodes, each the same wherever it is written."""
    parts = [np.random.default_rng(episode) for episode in episodes]
    lengths = np.array([LENGTHS[episode] for episode in episodes])
    rows = {
        'pixels': [rng.integers(0, 256, (length, *size, 3)).astype(np.uint8)
                   for rng, length in zip(parts, lengths, strict=True)],
        'action': [rng.normal(size=(length, 2)).astype(np.float32)
                   for rng, length in zip(parts, lengths, strict=True)],
        'qpos': [rng.normal(size=(length, 3))
                 for rng, length in zip(parts, lengths, strict=True)],
        'episode_idx': [np.full(length, index) for index, length in enumerate(lengths)]}
    with h5py.File(path, 'w') as file:
        for name, values in rows.items():
            if name not in without:
                options = {'chunks': (1, *size, 3), 'compression': 'gzip'} if (
                    packed and name == 'pixels') else {}
                file.create_dataset(name, data=np.concatenate(values), **options)
        file['ep_len'], file['ep_offset'] = lengths, np.cumsum(lengths) - lengths
        if names:
            file['ep_id'] = np.array([f'bag_{episode}/0'.encode() for episode in episodes])
        if sha:
            file['ep_sha256'] = np.array([sha(episode).encode() for episode in episodes])
        file.attrs.update({**FACTS, **(facts or {})})
    return path


@pytest.fixture
def shards(tmp_path):
    """Three files of two, one and three episodes, one of them compressed."""
    folder = tmp_path / 'shards'
    folder.mkdir()
    write(folder / '0.h5', [0, 1])
    write(folder / '1.h5', [2], packed=True)
    write(folder / '2.h5', [3, 4, 5])
    return folder


def test_many_files_are_the_one_file(shards, tmp_path):
    """Rows, episodes, columns, clips and both sides of the split are those of one file."""
    many, one = open_data(str(shards / '*.h5')), open_data(write(tmp_path / 'one.h5'))

    assert (many.ep_id, many.ep_recording) == (one.ep_id, one.ep_recording)
    assert (len(many), many.num_episodes) == (sum(LENGTHS), 6)
    assert [path.name for path in many.shards] == ['0.h5', '1.h5', '2.h5']
    for name in ('action', 'ep_len', 'ep_offset'):
        np.testing.assert_array_equal(getattr(many, name), getattr(one, name))
    assert list(many.columns) == list(one.columns) == ['episode_idx', 'qpos']
    for name in one.columns:
        np.testing.assert_array_equal(many.columns[name], one.columns[name])
    assert {name: np.asarray(value).tolist() for name, value in many.attributes.items()} == {
        name: np.asarray(value).tolist() for name, value in one.attributes.items()}
    np.testing.assert_array_equal(many.in_memory().pixels, one.pixels)
    kept, held_out = split_episodes(many.ep_id, 0.3)
    assert [kept.tolist(), held_out.tolist()] == [
        side.tolist() for side in split_episodes(one.ep_id, 0.3)]
    loaders = [ClipLoader(Clips(file, ActionNormalizer.fit(file.action), kept), 5, seed=7)
               for file in (many, one)]
    for _ in range(2 * loaders[0].batches_per_epoch):
        first, second = map(next, loaders)
        np.testing.assert_array_equal(first.frames, second.frames)
        np.testing.assert_array_equal(first.actions, second.actions)
        np.testing.assert_array_equal(first.rows, second.rows)


def test_rows_are_indexed_like_an_array():
    """Integers, slices, masks, negative rows, rows of any shape, further axes, none at all."""
    whole = np.random.default_rng(0).integers(0, 256, (11, 4, 5, 3)).astype(np.uint8)
    rows = JoinedRows([whole[:3], whole[3:4], whole[4:]])

    for key in (0, -1, np.int64(5), slice(None), slice(2, 9, 3), slice(9, 2, -2), [],
                [10, 0, 3, 3, -11], np.array([[4, 2], [3, 10]]), np.arange(11) % 2 == 0,
                (slice(None), 1), (5, 2), ([1, 7], slice(1, 3), ..., 0)):
        np.testing.assert_array_equal(rows[key], whole[key], err_msg=str(key))
    np.testing.assert_array_equal(np.array(rows), whole)
    assert (rows.shape, rows.ndim, rows.dtype, len(rows)) == (whole.shape, 4, np.uint8, 11)
    for key in (11, -12, [0, 11], np.ones(10, bool)):
        with pytest.raises(IndexError):
            rows[key]


def test_folders_patterns_and_lists_name_files(shards):
    """Always in one order; hidden files are unfinished work."""
    (shards / '.3.h5.tmp').write_bytes(b'')
    (shards / '.3.h5').write_bytes(b'')
    expected = [shards / f'{index}.h5' for index in range(3)]

    assert find_shards([shards]) == find_shards([f'{shards}/*.h5']) == expected
    assert find_shards([expected[2], f'{shards}/[01].h5']) == [expected[2], *expected[:2]]
    for paths, message in (([f'{shards}/*.hdf5'], r'matches .*/\*.hdf5'), ([], 'no data set was'),
                           ([shards, expected[1]], '1.h5 is given twice')):
        with pytest.raises(DatasetError, match=message):
            find_shards(paths)
    with pytest.raises(DatasetError, match='9.h5 does not exist'):
        open_data([expected[0], shards / '9.h5'])


@pytest.mark.parametrize(('changed', 'message'), [
    ({'facts': {'robot': 'leg'}}, 'the robot is arm in the first and leg in the second'),
    ({'facts': {'control_dt_s': 0.1}}, 'the control_dt_s is 0.05 in the first and 0.1 in the sec'),
    ({'facts': {'action_names': ['wrist', 'shoulder']}}, r"action_names is \['shoulder', 'wrist'"),
    ({'facts': {'action_max': [1., 2.]}}, r'action_max is \[1.0, 1.0\] in the first and \[1.0, 2'),
    ({'facts': {'joint_names': ['a', 'b']}}, 'the joint_names is not given in the first'),
    ({'size': (8, 6)}, 'the frame size is 8x6 px in the first and 6x8 px in the second'),
    ({'without': ['action']}, 'has no column action'),
])
def test_files_that_do_not_fit_are_refused(tmp_path, changed, message):
    """Robots, rates or sizes must not be mixed; the message has both files and both values."""
    files = [write(tmp_path / 'a.h5', [0]), write(tmp_path / 'b.h5', [1], **changed)]
    with pytest.raises(DatasetError, match=message) as error:
        open_data(files)
    assert 'b.h5' in str(error.value)


def test_an_episode_in_two_files_is_refused(tmp_path):
    """By name, by content where there are no names, and by hash of the bag under another name."""
    one, two = tmp_path / 'one.h5', tmp_path / 'two.h5'
    for names in (True, False):
        write(one, [0, 1, 2], names=names)
        write(two, [3, 1], names=names)
        with pytest.raises(DatasetError, match='is in .*one.h5 and in .*two.h5'):
            open_data([one, two])
    write(one, [0], sha=lambda episode: 'abc')
    write(two, [1], sha=lambda episode: 'abc')
    with pytest.raises(DatasetError, match="episode 'bag_1/0' is in .*one.h5 and in .*two.h5"):
        open_data([one, two])


def test_robots_may_use_the_same_names_for_their_bags(tmp_path):
    """Two bags of one name and different content are two episodes, on one side of the split."""
    one = write(tmp_path / 'one.h5', [0, 1], sha=lambda episode: f'first {episode}')
    two = write(tmp_path / 'two.h5', [0, 1], sha=lambda episode: f'second {episode}')
    data = open_data([one, two])

    assert data.num_episodes == 4
    _, held_out = split_episodes(data.ep_id, 0.5)
    assert set(held_out) in ({0, 2}, {1, 3})


def test_results_tell_episodes_of_two_files_apart(tmp_path):
    """By the file where both have the name; by its number too where files are called alike."""
    (tmp_path / 'b').mkdir()
    one, two, three = (
        write(tmp_path / name, episodes, sha=lambda episode, name=name: f'{name} {episode}')
        for name, episodes in (('one.h5', [0, 1]), ('two.h5', [1, 2]), ('b/one.h5', [1])))
    assert open_data(one).ep_name == open_data(one).ep_id == ('bag_0/0', 'bag_1/0')
    assert open_data([one, two]).ep_name == ('bag_0/0', 'one:bag_1/0', 'two:bag_1/0', 'bag_2/0')
    assert open_data([one, three]).ep_name == ('bag_0/0', 'one-1:bag_1/0', 'one-2:bag_1/0')


def test_texts_that_differ_are_all_kept_and_uncommon_columns_left_out(tmp_path, caplog):
    """Provenance names every command; a column that one file lacks is named."""
    files = [write(tmp_path / f'{index}.h5', [index], without=['qpos'] * (index == 1),
                   facts={'ingest_command': f'lewm ingest {index}'}) for index in range(5)]
    data = open_data(files)

    assert data.attributes['ingest_command'] == (
        'lewm ingest 0; lewm ingest 1; lewm ingest 2; lewm ingest 3; lewm ingest 4')
    assert (data.attributes['task'], list(data.columns)) == ('reach', ['episode_idx'])
    assert 'not all files have, or not in one shape: qpos' in caplog.text
    assert data.columns['episode_idx'][[0, 24, 60, -1]].tolist() == [0, 1, 2, 4]


def test_ranks_read_disjoint_parts_of_every_batch(shards):
    """Together, the ranks of a run see what one process would see, each clip on one of them."""
    def rows_of(rank, processes):
        data = open_data(shards)   # as every process and machine does for itself
        loader = ClipLoader(Clips(data, ActionNormalizer.fit(data.action)), 8, seed=1, rank=rank,
                            processes=processes)
        return [{tuple(rows) for rows in next(loader).rows.tolist()}
                for _ in range(2 * loader.batches_per_epoch)]

    for parts in zip(rows_of(0, 1), *(rows_of(rank, 4) for rank in range(4)), strict=True):
        assert sum(map(len, parts[1:])) == 8
        assert set.union(*parts[1:]) == parts[0]


def test_a_huge_index_costs_no_memory_per_clip():
    """A billion clips: the index stays far below a byte per clip."""
    huge = SimpleNamespace(path='huge', ep_len=np.array([500_000_019, 500_000_019]),
                           ep_offset=np.array([0, 500_000_019]), num_episodes=2)
    tracemalloc.start()
    clips = Clips(huge, ActionNormalizer(np.zeros(2), np.ones(2)))
    starts = clips._starts(np.arange(0, 10 ** 9, 10 ** 6))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(clips) == 10 ** 9
    assert len(set(starts.tolist())) == 1000
    assert (starts >= 5 * 10 ** 8).mean() == 0.5
    assert peak < 1 << 20


def test_commands_take_many_files(shards, tmp_path, capsys):
    """As words where the data set comes first, as a repeated option where the bundle does."""
    parser = build_parser('train')
    args = parser.parse_args(['train', 'a/*.h5', 'b.h5', '--out', 'model'])
    assert args.data == ['a/*.h5', 'b.h5']
    for command in ('evaluate', 'analyse', 'train-prior', 'goals'):
        out = ['--out', 'report'] if command == 'analyse' else []
        args = build_parser(command).parse_args(
            [command, '--data', 'a/*.h5', '--data', 'b.h5', 'bundle', *out])
        assert (args.data, args.bundle) == (['a/*.h5', 'b.h5'], 'bundle')
    with h5py.File(shards / '1.h5', 'a') as file:
        file.attrs['robot'] = 'leg'
    assert main(['train', f'{shards}/*.h5', '--out', str(tmp_path / 'model')]) == 2
    assert 'the robot is arm in the first and leg in the second' in capsys.readouterr().err
    for path in shards.iterdir():
        with h5py.File(path, 'a') as file:
            del file.attrs['robot'], file.attrs['action_max']
    assert main(['train', str(shards), '--out', str(tmp_path / 'model')]) == 2
    assert 'does not say robot, action_max' in capsys.readouterr().err


def test_files_agree_on_what_their_states_are(tmp_path):
    """Metres and angles are not one set; a file that says nothing has what it always had."""
    kinds = {name: to_json([Quantity(joint, kind) for joint in 'abc'])
             for name, kind in (('angle', 'angle'), ('metres', 'position'))}
    facts = {'state_names': list('abc')}
    write(tmp_path / '0.h5', [0], facts={**facts, STATES: kinds['angle']})
    write(tmp_path / '1.h5', [1], facts=facts)
    write(tmp_path / '2.h5', [2], facts={**facts, STATES: kinds['metres']})
    both = open_data([tmp_path / '0.h5', tmp_path / '1.h5'])
    assert [one.kind for one in measured_states(both)[0]] == ['angle'] * 3
    with pytest.raises(DatasetError, match=r'kind of measured states is a \(angle \[rad\]\), .* '
                                           r'in the first and a \(position \[m\]\), '):
        open_data([tmp_path / '0.h5', tmp_path / '2.h5'])
