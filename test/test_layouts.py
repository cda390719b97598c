"""Data sets as others write them open here, mean what they say, and are refused if they lie."""

import logging
import os
import sys

import h5py
from lewm_model.data.clips import Clips, split_episodes
from lewm_model.data.describe_data import describe_data_set
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.repack import repack
from lewm_model.data.robot_facts import require_robot, with_robot
from lewm_model.data.shards import open_data
from lewm_model.errors import DatasetError, MissingPackageError
from lewm_model.preprocess import ActionNormalizer
from lewm_model.robots.robot import RobotDescription
import numpy as np
import pytest
from worker_jobs import elsewhere, row_of

LENGTHS = np.array([25, 22, 30])
OFFSETS = np.array([0, 25, 47])
ROWS = 77


def columns(seed=0):
    """Draw the columns that the public sets have, actions NaN in last rows as in Reacher."""
    rng = np.random.default_rng(seed)
    action = rng.normal(size=(ROWS, 2))
    action[OFFSETS + LENGTHS - 1] = np.nan
    return {
        'pixels': rng.integers(0, 256, (ROWS, 16, 16, 3)).astype(np.uint8), 'action': action,
        'observation': rng.normal(size=(ROWS, 10)), 'terminated': np.zeros(ROWS, bool),
        'ep_idx': np.repeat(np.arange(3), LENGTHS).astype(np.int32),
        'step_idx': np.concatenate([np.arange(length) for length in LENGTHS]),
        'ep_len': LENGTHS.astype(np.int32), 'ep_offset': OFFSETS}


def write(path, without=(), pixels_options=None, **changed):
    """Write a set; `changed` columns replace or add, `pixels_options` go to h5py."""
    with h5py.File(path, 'w') as file:
        for name, values in {**columns(), **changed}.items():
            if name not in without:
                file.create_dataset(name, data=values,
                                    **(pixels_options or {} if name == 'pixels' else {}))
    return path


def write_as_stable_worldmodel(path):
    """Write as its `HDF5Writer` does: growing columns, one row per chunk, no names, no facts."""
    content = columns()
    with h5py.File(path, 'w', libver='latest') as file:
        for name in ('pixels', 'action', 'observation', 'terminated', 'step_idx', 'ep_idx'):
            shape = content[name].shape[1:]
            file.create_dataset(name, shape=(0, *shape), maxshape=(None, *shape),
                                dtype=content[name].dtype, chunks=(1, *shape))
        for name, dtype in (('ep_len', np.int32), ('ep_offset', np.int64)):
            file.create_dataset(name, shape=(0,), maxshape=(None,), dtype=dtype)
        for offset, length in zip(OFFSETS, LENGTHS, strict=True):
            for name in ('pixels', 'action', 'observation', 'terminated', 'step_idx', 'ep_idx'):
                file[name].resize(offset + length, axis=0)
                file[name][offset:] = content[name][offset:offset + length]
            for name, value in (('ep_len', length), ('ep_offset', offset)):
                file[name].resize(len(file[name]) + 1, axis=0)
                file[name][-1] = value
    return path


def one_frame(**filters):
    return {'chunks': (1, 16, 16, 3), **filters}


def blosc():
    plugin = pytest.importorskip('hdf5plugin')
    return one_frame(**plugin.Blosc(cname='lz4', clevel=5))


LAYOUTS = {
    'contiguous': write,
    'written by stable-worldmodel': write_as_stable_worldmodel,
    'Push-T: episode_idx': lambda path: write(
        path, ['ep_idx'], episode_idx=np.repeat(np.arange(3), LENGTHS).astype(np.int32)),
    'no ep_offset': lambda path: write(path, ['ep_offset']),
    'no ep_len': lambda path: write(path, ['ep_len']),
    'index column alone': lambda path: write(path, ['ep_len', 'ep_offset', 'step_idx']),
    'no index column': lambda path: write(path, ['ep_idx', 'step_idx']),
    'gzip, one frame per chunk': lambda path: write(path, (), one_frame(compression='gzip')),
    'gzip, several frames per chunk': lambda path: write(
        path, (), {'chunks': (7, 8, 16, 3), 'compression': 'gzip', 'shuffle': True}),
    'Blosc, one frame per chunk': lambda path: write(path, (), blosc()),
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_public_layout_gives_the_same_clips(layout, tmp_path):
    """Whatever the columns are called and however pixels are stored, training sees one thing."""
    file = EpisodeFile.open(LAYOUTS[layout](tmp_path / 'set.h5'))
    expected = columns()

    assert file.ep_len.tolist() == LENGTHS.tolist()
    assert file.ep_offset.tolist() == OFFSETS.tolist()
    assert file.action.dtype == np.float32
    np.testing.assert_array_equal(file.action, expected['action'].astype(np.float32))
    np.testing.assert_array_equal(np.array(file.pixels), expected['pixels'])
    np.testing.assert_array_equal(file.columns['observation'], expected['observation'])
    clips = Clips(file, ActionNormalizer.fit(file.action))
    assert len(clips) == 6 + 3 + 11
    batch = clips.batch(np.array([5, 6, 19, 6]))
    assert batch.rows[:, 0].tolist() == [5, 25, 57, 25]
    np.testing.assert_array_equal(batch.frames, expected['pixels'][batch.rows])
    assert np.isfinite(batch.actions.numpy()).all()
    assert f'{ROWS} rows in 3 episodes' in describe_data_set(file)


def test_chunked_rows_are_opened_by_each_process(tmp_path, monkeypatch):
    """Loading processes neither share an open file nor fail to receive a data set."""
    path = write(tmp_path / 'set.h5', (), one_frame(compression='gzip'))
    pixels = EpisodeFile.open(path).pixels
    before = pixels[3], pixels._open_dataset
    process, row = elsewhere(row_of, pixels, 3)
    assert process != os.getpid()
    np.testing.assert_array_equal(row, before[0])
    monkeypatch.setattr(os, 'getpid', lambda: -1)   # as in a forked process
    np.testing.assert_array_equal(pixels[3], before[0])
    assert pixels._open_dataset is not before[1]


def test_actions_without_nan_train_too(tmp_path):
    """Push-T has an action in every row; none of them is changed."""
    actions = np.random.default_rng(1).normal(size=(ROWS, 2)).astype(np.float32)
    file = EpisodeFile.open(write(tmp_path / 'set.h5', action=actions))

    np.testing.assert_array_equal(file.action, actions)


def test_other_columns_are_read_when_they_are_used(tmp_path):
    """Text, pictures of other sizes and odd shapes neither disturb nor cost memory."""
    rng = np.random.default_rng(0)
    goal = rng.integers(0, 256, (ROWS, 4, 6, 3)).astype(np.uint8)
    path = write(tmp_path / 'set.h5', goal=goal, task=np.array([b'reach'] * ROWS),
                 cube=rng.normal(size=(ROWS, 2, 3, 4, 5)), seeds=np.arange(3),
                 note=np.array('text', dtype=h5py.string_dtype()))
    with h5py.File(path, 'a') as file:
        file.create_group('info')['more'] = [1, 2]
    found = EpisodeFile.open(path).columns

    assert set(found) == {'goal', 'task', 'cube', 'observation', 'terminated', 'ep_idx',
                          'step_idx'}
    np.testing.assert_array_equal(found['goal'][[3, 70]], goal[[3, 70]])
    assert found.shape_of('cube') == found['cube'].shape == (ROWS, 2, 3, 4, 5)
    path.unlink()
    with pytest.raises(DatasetError, match='column task cannot be read'):
        found['task']


@pytest.mark.parametrize(('without', 'changed', 'message'), [
    (['ep_idx', 'ep_len', 'ep_offset', 'step_idx'], {}, 'no column ep_len, ep_offset, episode_id'),
    ([], {'ep_idx': np.repeat(np.arange(3), [24, 23, 30])},
     'at row 24 an episode begins by ep_idx, and one goes on by ep_len'),
    (['step_idx'], {'ep_idx': np.repeat([0, 1], [25, 52])},
     'at row 47 an episode goes on by ep_idx, and one begins by ep_len'),
    (['ep_len', 'ep_offset'], {'ep_idx': np.arange(ROWS) % 3, 'step_idx': np.arange(ROWS) // 3},
     'rows of ep_idx 0 lie in several places'),
    ([], {'ep_len': LENGTHS + [0, 1, 0]}, 'ep_len adds up to 78 for 77 rows'),
    (['ep_idx', 'ep_offset'], {'ep_len': np.array([30, 17, 30])},
     'step_idx goes from 24 to 0 at row 25, inside episode 0'),
    ([], {'pixels': np.zeros((ROWS, 3, 16, 16), np.uint8)}, r'must be uint8 \(N, H, W, 3\)'),
    ([], {'action': np.zeros(ROWS)}, r'action must be numbers \(N, A\)'),
    ([], {'observation': np.zeros((ROWS - 1, 2))}, 'pixels has 77 rows, but observation 76'),
    ([], {'ep_id': np.array([b'a', b'b'])}, 'ep_id have 3, 3 and 2 entries'),
])
def test_contradictions_are_named(without, changed, message, tmp_path):
    """A wrong border would train on frames of two episodes at once, without any complaint."""
    path = write(tmp_path / 'set.h5', without, **changed)
    with pytest.raises(DatasetError, match=message):
        EpisodeFile.open(path)


def test_merged_sets_may_use_an_index_twice_in_a_row(tmp_path):
    """The steps show the border that the index does not."""
    merged = np.repeat([0, 0, 1], LENGTHS)
    for without in ([], ['ep_len', 'ep_offset']):
        file = EpisodeFile.open(write(tmp_path / 'set.h5', without, ep_idx=merged))
        assert file.ep_len.tolist() == LENGTHS.tolist()


def test_episodes_without_names_are_named_by_their_content(tmp_path):
    """Name of the file, storage, order and neighbours change no name, so no side of the split."""
    names = EpisodeFile.open(write(tmp_path / 'a.h5')).ep_id
    packed = EpisodeFile.open(write(tmp_path / 'b.h5', (), one_frame(compression='gzip')))
    content = columns()
    last = {name: values[47:] for name, values in content.items() if len(values) == ROWS}
    alone = EpisodeFile.open(write(tmp_path / 'c.h5', ['ep_len', 'ep_offset'], **last))
    other = EpisodeFile.open(write(tmp_path / 'd.h5', **{
        'pixels': np.roll(content['pixels'], 1, axis=0)}))

    assert packed.ep_id == names
    assert alone.ep_id == names[2:]
    assert len({*names, *other.ep_id}) == 6   # same actions, another first frame
    assert all(name.startswith('content-') for name in names)
    assert [side.tolist() for side in split_episodes(names, 0.3)] == [
        side.tolist() for side in split_episodes(packed.ep_id, 0.3)]


def test_blosc_without_its_package_names_the_package(tmp_path, monkeypatch):
    """The error has the pip command; a fresh process without hdf5plugin would see it."""
    path = write(tmp_path / 'set.h5', (), blosc())
    monkeypatch.setattr(h5py.h5z, 'filter_avail', lambda code: code < 256)
    monkeypatch.setitem(sys.modules, 'hdf5plugin', None)
    with pytest.raises(MissingPackageError, match=r"'hdf5plugin'.*lewm_ros\[blosc\]"):
        EpisodeFile.open(path)


def test_slow_storage_is_said_once_with_the_fix(tmp_path, caplog):
    """A mapped set says nothing."""
    slow = [write(tmp_path / f'{name}.h5', (), one_frame(), action=np.full((ROWS, 2), index))
            for index, name in enumerate('ab')]
    with caplog.at_level(logging.WARNING):
        open_data(write(tmp_path / 'fast.h5'))
        assert not caplog.records
        open_data(slow)
    assert len(caplog.records) == 1
    assert f'{slow[0]} and 1 more are chunked' in caplog.text
    assert f'lewm convert-data {slow[0]} OUT --storage mapped' in caplog.text


def test_what_a_public_set_does_not_say_comes_from_the_robot(tmp_path):
    """Nothing is guessed: without a robot there is no bundle, with a wrong one neither."""
    robot = RobotDescription.from_yaml('sim_reacher')
    data = EpisodeFile.open(write(tmp_path / 'set.h5'))
    with pytest.raises(DatasetError, match='does not say robot, control_dt_s, .*--robot NAME'):
        require_robot(data)
    told = require_robot(with_robot(data, robot))

    assert told.attributes['action_names'] == ['shoulder', 'wrist']
    assert told.control_dt_s == 0.05
    three = EpisodeFile.open(write(tmp_path / 'three.h5', action=np.zeros((ROWS, 3))))
    with pytest.raises(DatasetError, match="3 action dimensions, robot 'sim_reacher' has 2"):
        with_robot(three, robot)
    with h5py.File(tmp_path / 'set.h5', 'a') as file:
        file.attrs['control_dt_s'] = 0.1
    with pytest.raises(DatasetError, match='says control_dt_s 0.1, robot .* 0.05'):
        with_robot(EpisodeFile.open(tmp_path / 'set.h5'), robot)


def test_sets_go_both_ways_with_stable_worldmodel(tmp_path):
    """Each side cuts the same clips from a file of the other: same frames, same actions."""
    swm = pytest.importorskip('stable_worldmodel.data', exc_type=ImportError)
    content = columns()
    theirs = tmp_path / 'theirs.h5'
    with swm.HDF5Writer(theirs) as writer:
        for offset, length in zip(OFFSETS, LENGTHS, strict=True):
            writer.write_episode({name: list(values[offset:offset + length])
                                  for name, values in content.items() if len(values) == ROWS})
    ours = tmp_path / 'ours.h5'
    repack(theirs, ours)
    for path in (theirs, ours):
        file = EpisodeFile.open(path)
        clips = Clips(file, ActionNormalizer(np.zeros(2), np.ones(2)))
        batch, count = clips.batch(np.arange(20)), len(clips)
        del clips, file   # HDF5 cannot open a file in its two ways of reading at once
        reference = swm.HDF5Dataset(path=path, frameskip=5, num_steps=4,
                                    keys_to_load=['pixels', 'action', 'observation'])
        assert count == len(reference) == 20
        for index, expected in enumerate(reference[index] for index in range(20)):
            assert (batch.frames[index].movedim(-1, 1) == expected['pixels']).all()
            np.testing.assert_allclose(batch.actions[index], expected['action'].nan_to_num(),
                                       rtol=1e-6)
    assert reference.column_names == ['pixels', 'action', 'observation']
    everything = swm.HDF5Dataset(path=ours)[3]   # not only the columns that it knows
    assert set(everything) == set(content) - {'ep_len', 'ep_offset'} | {'ep_id'}
