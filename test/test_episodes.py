import fcntl
import hashlib
import json

from bag_factory import BagFactory, DT_NS, robot, START_NS
import h5py
from lewm_model.config import DataConfig
from lewm_model.data.alignment import action_lag
from lewm_model.data.describe_data import contact_sheet, describe_data_set
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import BagError, DatasetError
from lewm_model.ingest.ingest import ingest
import numpy as np
import pytest

CONFIG = DataConfig(image_size=8, min_rows=2)


@pytest.fixture
def bags(tmp_path):
    """Two bags of one episode, and one that a lost frame splits into two."""
    folder = tmp_path / 'bags'
    folder.mkdir()
    BagFactory().steps(6).write(folder / 'b')
    BagFactory().steps(4, first=50).write(folder / 'a')
    BagFactory().steps(3, first=100).steps(5, first=110).write(folder / 'c')
    return folder


def make(bags, tmp_path, **options):
    out = tmp_path / 'set.h5'
    return ingest([bags], robot(), out, CONFIG, **options), EpisodeFile.open(out)


def test_rows_hold_frame_joints_and_leaving_action(bags, tmp_path):
    """Every column of every row is what was recorded at that control step, episodes by name."""
    report, file = make(bags, tmp_path)

    steps = np.array([*range(50, 54), *range(6), *range(100, 103), *range(110, 115)])
    last = [3, 9, 12, 17]
    np.testing.assert_array_equal(file.pixels, np.broadcast_to(
        steps[:, None, None, None], (18, 8, 8, 3)))
    np.testing.assert_array_equal(file.columns['proprio'], np.stack([steps, -steps], axis=1))
    np.testing.assert_array_equal(file.columns['stamp_ns'], START_NS + DT_NS * steps)
    expected = np.stack([steps, steps / 2], axis=1)
    expected[last] = np.nan
    np.testing.assert_array_equal(file.action, expected)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(file.action[:, 0])), last)
    assert file.ep_id == ('a/0', 'b/0', 'c/0', 'c/1')
    assert file.ep_len.tolist() == [4, 6, 3, 5]
    assert (report.frames, report.rows, report.episodes, report.dropped) == (18, 18, 4, {})


def test_file_has_the_public_layout(bags, tmp_path):
    """Other readers of LeWM data find flat columns with the agreed names and types."""
    make(bags, tmp_path)
    with h5py.File(tmp_path / 'set.h5') as file:
        types = {name: str(file[name].dtype) for name in file if file[name].dtype.kind != 'S'}
        assert types == {
            'pixels': 'uint8', 'action': 'float32', 'proprio': 'float32', 'qpos': 'float64',
            'qvel': 'float64', 'stamp_ns': 'int64', 'episode_idx': 'int32', 'step_idx': 'int32',
            'ep_len': 'int32', 'ep_offset': 'int64', 'ep_first_ns': 'int64',
            'ep_last_ns': 'int64'}
        assert file['pixels'].chunks is None
        assert file['episode_idx'][()].tolist() == [0] * 4 + [1] * 6 + [2] * 3 + [3] * 5
        assert file['step_idx'][()].tolist() == [*range(4), *range(6), *range(3), *range(5)]
        assert file['ep_offset'][()].tolist() == [0, 4, 10, 13]
        content = (tmp_path / 'bags' / 'b' / 'b.mcap').read_bytes()
        assert file['ep_sha256'][1].decode() == hashlib.sha256(content).hexdigest()
        assert list(file.attrs['action_names']) == ['shoulder', 'wrist']
        assert file.attrs['control_dt_s'] == 0.05


def test_workers_do_not_change_the_file(bags, tmp_path):
    """Parallel conversion gives the same columns in the same order."""
    ingest([bags], robot(), tmp_path / 'one.h5', CONFIG)
    ingest([bags], robot(), tmp_path / 'two.h5', CONFIG, workers=2)

    with h5py.File(tmp_path / 'one.h5') as one, h5py.File(tmp_path / 'two.h5') as two:
        assert list(one) == list(two)
        for name in one:
            np.testing.assert_array_equal(one[name][()], two[name][()])


def test_unreadable_bags_are_reported_and_left_out(bags, tmp_path):
    """One damaged recording does not cost the others, and is not forgotten."""
    (bags / 'b' / 'b.mcap').write_bytes(b'no recording')
    BagFactory().steps(1).write(bags / 'd')
    report, file = make(bags, tmp_path)

    assert file.ep_id == ('a/0', 'c/0', 'c/1')
    assert [bag.bag for bag in report.failed] == ['b', 'd']
    assert 'b.mcap is no MCAP file' in report.text()
    stored = json.loads((tmp_path / 'set.h5.report.json').read_text())
    assert (stored['rows'], stored['failed']) == (12, 2)
    assert [bag['lengths'] for bag in stored['bags']] == [[4], [], [3, 5], []]


def test_existing_files_are_not_replaced_by_accident(bags, tmp_path):
    """Only --force replaces a set that ingest cannot add to; nothing else stays in the folder."""
    with h5py.File(tmp_path / 'set.h5', 'w') as file:
        file['thesis'] = [1, 2, 3]
    with pytest.raises(DatasetError, match='set.h5 exists and does not say how .*--force'):
        make(bags, tmp_path)
    _, file = make(bags, tmp_path, force=True)

    assert len(file) == 18
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'bags', 'set.h5', 'set.h5.report.json']


def test_nothing_to_write_is_an_error_with_the_reasons(bags, tmp_path):
    """An empty set would fail much later, in training."""
    with pytest.raises(DatasetError, match=r'(?s)at least 90 rows:.*dropped 18: episode shorter'):
        ingest([bags], robot(), tmp_path / 'set.h5', DataConfig(min_rows=90))
    with pytest.raises(BagError, match='does not exist'):
        ingest([tmp_path / 'nowhere'], robot(), tmp_path / 'set.h5', CONFIG)
    with pytest.raises(DatasetError, match="0.1 in the data settings and 0.05 for robot 'arm'"):
        ingest([bags], robot(), tmp_path / 'set.h5', DataConfig(control_dt_s=0.1))
    assert not (tmp_path / 'set.h5').exists()


def test_velocities_are_a_column_only_if_all_are_known(bags, tmp_path):
    """A robot that reports no velocity must not look like one that stands still."""
    factory = BagFactory().steps(3)
    factory.joints(START_NS + 3 * DT_NS, (3, -3), ())
    factory.image(START_NS + 3 * DT_NS, 3)
    factory.command(START_NS + 2 * DT_NS, (2, 1))
    factory.write(bags / 'd')
    _, file = make(bags, tmp_path)

    assert 'qvel' not in file.columns
    assert len(file.columns['qpos']) == len(file)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda file: file.__delitem__('action'), 'has no column action'),
    (lambda file: file['ep_len'].__setitem__(0, 5), 'ep_len adds up to 19 for 18 rows'),
    (lambda file: file['ep_offset'].__setitem__(1, 3), 'must lie end to end'),
    (lambda file: file.create_dataset('reward', data=np.zeros(7)), 'pixels has 18 rows, but rewa'),
    (lambda file: file.attrs.__setitem__('format_version', 2), 'format version 2, this release'),
])
def test_contradictory_files_are_refused(bags, tmp_path, change, message):
    """A file that lies about its episodes would train on frames of two episodes at once."""
    make(bags, tmp_path)
    with h5py.File(tmp_path / 'set.h5', 'r+') as file:
        change(file)
    with pytest.raises(DatasetError, match=message):
        EpisodeFile.open(tmp_path / 'set.h5')


def test_unreadable_files_say_how_to_get_one(tmp_path):
    """Missing and foreign files have different fixes."""
    with pytest.raises(DatasetError, match='does not exist; make one with "lewm ingest"'):
        EpisodeFile.open(tmp_path / 'a.h5')
    (tmp_path / 'b.h5').write_bytes(b'no')
    with pytest.raises(DatasetError, match='b.h5 is no HDF5 file; name a data set of "lewm ing'):
        EpisodeFile.open(tmp_path / 'b.h5')
    (tmp_path / 'c.h5').write_bytes(b'\x89HDF\r\n\x1a\n' + bytes(600))
    with pytest.raises(DatasetError, match='cannot be read as HDF5.*ingest it again'):
        EpisodeFile.open(tmp_path / 'c.h5')


def test_a_file_that_is_being_written_is_locked_not_damaged(tmp_path):
    """Another process has it open; making it anew would be the wrong advice."""
    h5py.File(tmp_path / 'a.h5', 'w').close()
    with (tmp_path / 'a.h5').open('rb') as other:
        fcntl.flock(other, fcntl.LOCK_EX)   # as HDF5 does while it writes
        with pytest.raises(DatasetError, match='is locked: another process has it open for wri'):
            EpisodeFile.open(tmp_path / 'a.h5')


def test_public_files_without_our_extras_are_read(tmp_path):
    """The reference's columns are enough; names of episodes are made up."""
    with h5py.File(tmp_path / 'public.h5', 'w') as file:
        file['pixels'] = np.zeros((5, 8, 8, 3), np.uint8)
        file['action'], file['ep_len'], file['ep_offset'] = np.zeros((5, 2)), [2, 3], [0, 2]
        file['ep_idx'] = [0, 0, 1, 1, 1]
    file = EpisodeFile.open(tmp_path / 'public.h5')

    assert (len(set(file.ep_id)), file.control_dt_s) == (2, None)
    assert 'public.h5: 5 rows in 2 episodes' in describe_data_set(file)


def test_shifted_actions_are_found(tmp_path):
    """The description notices when the actions of a set are one row late."""
    rng = np.random.default_rng(0)
    for shift in (-1, 0, 1):
        actions = np.repeat(rng.normal(size=(30, 2)), 2, axis=0)
        qpos = np.concatenate([np.zeros((1, 2)), np.cumsum(actions * 0.05, axis=0)])[:60]
        with h5py.File(tmp_path / f'{shift}.h5', 'w') as file:
            file['pixels'] = np.zeros((60, 8, 8, 3), np.uint8)
            file['action'], file['qpos'] = np.roll(actions, shift, axis=0), qpos
            file['ep_len'], file['ep_offset'] = [60], [0]
            file.attrs['interface'] = 'joint_velocity'
        opened = EpisodeFile.open(tmp_path / f'{shift}.h5')
        lags = action_lag(opened)
        assert max(lags, key=lags.get) == shift
        assert lags[shift] == pytest.approx(1)
        assert ('SHIFTED' in describe_data_set(opened)) == (shift != 0)


def test_contact_sheet_shows_episodes_in_lines(bags, tmp_path):
    """First and last frame of the first and last episode are at the borders of the sheet."""
    _, file = make(bags, tmp_path)
    sheet = contact_sheet(file, episodes=2, frames=3)

    assert sheet.shape == (2 * 10 + 2, 3 * 10 + 2, 3)
    assert (sheet[5, 5, 0], sheet[5, -5, 0]) == (50, 53)
    assert (sheet[-5, 5, 0], sheet[-5, -5, 0]) == (110, 114)
