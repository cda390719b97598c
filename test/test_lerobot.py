"""LeRobot data sets become data set files: the right frames beside the right actions."""

from dataclasses import replace
import json
import os

from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError, DatasetError
import numpy as np
import pytest

pytest.importorskip('pyarrow')
pytest.importorskip('av')

import lerobot_factory as factory  # noqa: E402
from lerobot_factory import convert, edit_info, LENGTHS, SMALL  # noqa: E402
from lewm_model.data.measured_states import measured_states  # noqa: E402
from lewm_model.data.robot_facts import require_robot  # noqa: E402
from lewm_model.lerobot.convert import import_lerobot, LeRobotConfig  # noqa: E402
from lewm_model.lerobot.episode import combine  # noqa: E402
from lewm_model.lerobot.meta import LeRobotSet  # noqa: E402
from lewm_model.lerobot.video import frames_at  # noqa: E402
from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_sim.cli import main  # noqa: E402


def require_rows(file: EpisodeFile, lengths: list[int], every: int = 1) -> None:
    """Every row has its own frame, state, action and stamp."""
    assert file.ep_len.tolist() == [-(-length // every) for length in lengths]
    for episode, (offset, rows) in enumerate(zip(file.ep_offset, file.ep_len, strict=True)):
        part = slice(offset, offset + rows)
        steps = np.arange(rows) * every
        assert [factory.decode(rgb) for rgb in file.pixels[part]] == [
            (episode, step) for step in steps]
        assert np.isnan(file.action[part][-1]).all()
        np.testing.assert_array_equal(file.action[part][:-1, 0], episode)
        np.testing.assert_array_equal(file.columns['proprio'][part][:, 1], steps + 100)
        np.testing.assert_array_equal(file.columns['stamp_ns'][part], steps * 100_000_000)


@pytest.mark.parametrize('kind', ['video', 'image'])
@pytest.mark.parametrize('version', ['v2.0', 'v2.1', 'v3.0'])
def test_every_row_gets_its_own_frame_and_action(tmp_path, version, kind):
    """Videos with B-frames, episodes in mid-file, embedded pictures: no frame is off."""
    report, file = convert(factory.make(tmp_path / 'set', LENGTHS, version=version, kind=kind),
                           tmp_path)

    require_rows(file, LENGTHS)
    for offset, rows in zip(file.ep_offset, file.ep_len, strict=True):
        np.testing.assert_array_equal(file.action[offset:offset + rows - 1, 1],
                                      np.arange(rows - 1))
    assert (report.rows, [one.error for one in report.episodes]) == (sum(LENGTHS), [''] * 4)


@pytest.mark.parametrize(('fps', 'codec'), [(30, 'libx264'), (15, 'libx264'), (29.97, 'libx264'),
                                            (50, 'libsvtav1')])
def test_frames_are_exact_at_other_rates_and_codecs(tmp_path, fps, codec):
    """Stamps that are not whole ticks, and the codec that LeRobot uses, hit every frame."""
    path, scheduler = tmp_path / 'video.mp4', os.sched_getscheduler(0)
    factory.write_video(path, [factory.frame(1, number) for number in range(120)], fps,
                        codec=codec)
    assert os.sched_getscheduler(0) == scheduler    # the other tests do not run in real time
    for first, step in ((0, 1), (5, 1), (37, 1), (100, 1), (3, 7)):
        wanted = np.arange(first, 120, step)
        found = [factory.decode(rgb) for rgb in frames_at(path, wanted / fps, fps)]
        assert found == [(1, number) for number in wanted]


@pytest.mark.parametrize('version', ['v2.1', 'v3.0'])
def test_what_the_set_says_is_kept(tmp_path, version):
    """Names, rate, tasks, where an episode comes from; limits are called observed."""
    _, file = convert(factory.make(tmp_path / 'set', LENGTHS, version=version), tmp_path)

    facts = file.attributes
    assert file.ep_id == tuple(f'lab/toy/{index}' for index in range(4))
    assert len(set(file.ep_recording)) == 4
    assert (list(facts['action_names']), list(facts['state_names'])) == (
        ['who', 'when'], ['a', 'b', 'c'])
    assert (facts['robot'], facts['control_dt_s'], facts['task']) == ('toy', 0.1, 'task 0; task 1')
    assert (facts['source'], facts['source_format']) == ('lab/toy', f'LeRobot {version}')
    assert facts['action_limits'] == 'observed'
    assert require_robot(file) is file      # all that training asks for
    np.testing.assert_allclose(facts['action_min'], [0, 0])
    np.testing.assert_allclose(facts['action_max'], [3, max(LENGTHS) - 2])


def lab_robot(**changes):
    """Return the simulated arm with the names of the toy set, in another order."""
    return replace(RobotDescription.from_yaml('sim_reacher'), **{
        'joint_names': ('when', 'who'), 'min_command': [0, 0], 'max_command': [50, 9], **changes})


def test_a_robot_file_states_the_limits(tmp_path):
    """With a robot its limits hold; one of another rate is refused."""
    folder = factory.make(tmp_path / 'set', LENGTHS, fps=20)
    import_lerobot(folder, tmp_path / 'out.h5', SMALL, robot=lab_robot())
    facts = EpisodeFile.open(tmp_path / 'out.h5').attributes
    assert (facts['robot'], facts['action_limits']) == ('sim_reacher', 'robot sim_reacher')
    np.testing.assert_array_equal(facts['action_max'], [50, 9])

    with pytest.raises(DatasetError, match=r"robot 'sim_reacher' has 2 actions .* every 0.05 s, "
                                           r'the data set has 2 \(who, when\) every 0.1 s'):
        import_lerobot(folder, tmp_path / 'b.h5', LeRobotConfig(
            image_size=16, every=2, combine='mean', min_rows=5), robot=lab_robot())


@pytest.mark.parametrize('names', [
    ['who', 'when'], ['who.pos', 'when.pos'], {'motors': ['who', 'when']}, {'when': 1, 'who': 0}])
def test_columns_follow_the_names_of_the_robot(tmp_path, names):
    """The set has (episode, frame), the robot (frame, episode): columns change places."""
    folder = factory.make(tmp_path / 'set', [25, 30], fps=20)
    rename(folder, 'action', names)
    import_lerobot(folder, tmp_path / 'out.h5', SMALL, robot=lab_robot())
    file = EpisodeFile.open(tmp_path / 'out.h5')
    assert list(file.attributes['action_names']) == ['when', 'who']
    np.testing.assert_array_equal(file.action[25:54], [[number, 1] for number in range(29)])


def test_columns_with_other_names_are_refused_and_none_are_taken_in_order(tmp_path):
    """Two names that the robot does not have say so; a set without names leaves the order."""
    folder = factory.make(tmp_path / 'set', [25], fps=20)
    robot = RobotDescription.from_yaml('sim_reacher')
    with pytest.raises(DatasetError, match=r"robot 'sim_reacher' has 2 actions \(shoulder, wrist"
                                           r'\), the column action has 2 \(who, when\); columns '
                                           r'are taken by name and never renamed'):
        import_lerobot(folder, tmp_path / 'out.h5', SMALL, robot=robot)
    rename(folder, 'action', None)
    import_lerobot(folder, tmp_path / 'out.h5', SMALL, robot=robot)
    np.testing.assert_array_equal(EpisodeFile.open(tmp_path / 'out.h5').action[3], [0, 3])


def test_states_are_what_the_robot_file_says_by_name(tmp_path):
    """A and c are known to the robot; b is a number, as all are without a robot file."""
    folder = factory.make(tmp_path / 'set', [25], fps=20)
    robot = lab_robot(state_joint_names=('c', 'a'), state_kinds=('position mm', 'angle'))
    import_lerobot(folder, tmp_path / 'out.h5', SMALL, robot=robot)
    import_lerobot(folder, tmp_path / 'mute.h5', SMALL)
    states, mute = (measured_states(EpisodeFile.open(tmp_path / name))[0]
                    for name in ('out.h5', 'mute.h5'))
    assert [(one.name, one.kind, one.unit) for one in states] == [
        ('a', 'angle', 'rad'), ('b', 'number', ''), ('c', 'position', 'mm')]
    assert [(one.name, one.kind) for one in mute] == [(name, 'number') for name in 'abc']


def rename(folder, key, names):
    """Let meta/info.json give a column other names."""
    features = json.loads((folder / 'meta' / 'info.json').read_text())['features']
    edit_info(folder, features={**features, key: {**features[key], 'names': names}})


def test_an_action_that_never_changes_still_has_limits(tmp_path):
    """A bundle needs room between the limits; the report names the action."""
    report, file = convert(factory.make(tmp_path / 'set', [25]), tmp_path)
    assert (file.attributes['action_min'] < file.attributes['action_max']).all()
    assert 'actions that never change: who' in report.text()


@pytest.mark.parametrize(('how', 'expected'), [('last', [2, 5]), ('mean', [1, 4]),
                                               ('sum', [3, 12])])
def test_actions_of_skipped_frames_are_combined(how, expected):
    """Row r stands for the frames until row r + 1; the last row leads nowhere."""
    rows = combine(np.arange(8.0)[:, None], 3, how)
    np.testing.assert_array_equal(rows[:, 0], [*expected, np.nan])


def test_every_third_frame(tmp_path):
    """Frames, states and stamps are those of frames 0, 3, 6, ...; every frame is accounted for."""
    report, file = convert(factory.make(tmp_path / 'set', LENGTHS, version='v3.0'), tmp_path,
                           every=3, combine='last', min_rows=5)

    require_rows(file, LENGTHS, every=3)
    rows = int(file.ep_len[0])
    np.testing.assert_array_equal(file.action[:rows - 1, 1], 3 * np.arange(rows - 1) + 2)
    assert file.attributes['control_dt_s'] == pytest.approx(0.3)
    assert f'{sum(LENGTHS) - file.ep_len.sum()} frames skipped between rows' in report.text()


def test_skipping_needs_a_meaning_of_actions():
    """No data set says whether actions are targets or velocities, so nothing is guessed."""
    with pytest.raises(ConfigError, match=r'--combine.*last: the last of them: absolute targets'):
        LeRobotConfig(every=2)


def test_interrupted_import_goes_on(tmp_path):
    """Finished episodes are not converted again, and no file appears before all are done."""
    folder = factory.make(tmp_path / 'set', LENGTHS)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / 'out.h5'
    with pytest.raises(KeyboardInterrupt):
        import_lerobot(folder, out, SMALL, on_episode=stop)
    assert not out.exists()
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / '.out.h5.parts').glob('*.h5')}
    seen = {}

    def look(done, total):
        seen.update({path: path.stat().st_mtime_ns for path in parts})

    import_lerobot(folder, out, SMALL, on_episode=look)
    assert len(parts) == 2
    assert seen == parts
    assert not (tmp_path / '.out.h5.parts').exists()
    require_rows(EpisodeFile.open(out), LENGTHS)


def test_the_file_does_not_depend_on_the_number_of_workers(tmp_path):
    """Several processes give the same episodes in the same order."""
    folder = factory.make(tmp_path / 'set', LENGTHS, version='v3.0')
    import_lerobot(folder, tmp_path / 'out.h5', SMALL, workers=2)
    require_rows(EpisodeFile.open(tmp_path / 'out.h5'), LENGTHS)



def test_names_that_occur_twice_are_told_apart(tmp_path):
    """Some sets call two motors alike; columns of ours have different names."""
    folder = factory.make(tmp_path / 'set', [22])
    features = json.loads((folder / 'meta' / 'info.json').read_text())['features']
    features['action']['names'] = {'motors': ['gripper', 'gripper']}
    features['observation.state']['names'] = None
    edit_info(folder, features=features)
    opened = LeRobotSet(folder)
    assert opened.features['action'].names == ('gripper_0', 'gripper_1')
    assert opened.features['observation.state'].names == tuple(
        f'observation.state_{place}' for place in range(3))


def test_depth_videos_are_no_cameras(tmp_path):
    """A depth map is not a colour picture, so it is not taken for the only camera."""
    folder = factory.make(tmp_path / 'set', [22])
    features = json.loads((folder / 'meta' / 'info.json').read_text())['features']
    features['observation.images.depth'] = {
        'dtype': 'video', 'shape': [64, 64, 1], 'info': {'video.is_depth_map': True}}
    opened = LeRobotSet(edit_info(folder, features=features))
    assert opened.choose_camera(None).key == factory.CAMERA


def test_the_command(tmp_path, capsys):
    """`lewm import-lerobot` writes the file and says what became of every frame."""
    folder = factory.make(tmp_path / 'set', [*LENGTHS, 5], version='v3.0')
    words = ['import-lerobot', str(folder), '--out', str(tmp_path / 'a.h5'), '--camera', 'top',
             '--image-size', '32', '--no-state']
    assert main(words) == 0
    text = capsys.readouterr().out
    assert '123 frames in 5 episodes' in text
    assert '118 rows in 4 episodes' in text
    assert 'episode 4: shorter than 20 rows (--min-rows)' in text
    file = EpisodeFile.open(tmp_path / 'a.h5')
    assert (file.pixels.shape[1:], 'proprio' in file.columns) == ((32, 32, 3), False)
    assert file.attributes['ingest_command'].startswith('lewm import-lerobot')

    assert main(words) == 2
    assert 'exists; choose another name, or replace it with --force' in capsys.readouterr().err
