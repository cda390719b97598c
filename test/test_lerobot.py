"""LeRobot data sets become data set files: the right frames beside the right actions."""

import json
import os
from pathlib import Path
import random
import re
import shutil

from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError, DatasetError
import numpy as np
import pytest

pytest.importorskip('pyarrow')
pytest.importorskip('av')

import lerobot_factory as factory  # noqa: E402
from lewm_model.data.robot_facts import require_robot  # noqa: E402
from lewm_model.lerobot.convert import import_lerobot, LeRobotConfig  # noqa: E402
from lewm_model.lerobot.episode import combine  # noqa: E402
from lewm_model.lerobot.meta import LeRobotSet  # noqa: E402
from lewm_model.lerobot.video import frames_at  # noqa: E402
from lewm_model.robot import RobotDescription  # noqa: E402
from lewm_sim.cli import main  # noqa: E402
import pyarrow  # noqa: E402
from pyarrow import parquet  # noqa: E402

LENGTHS = [25, 31, 22, 40]
SMALL = LeRobotConfig(image_size=16, name='lab/toy')


def convert(folder: Path, tmp_path: Path, **changes) -> tuple:
    settings = {'image_size': 16, 'name': 'lab/toy', **changes}
    report = import_lerobot(folder, tmp_path / 'out.h5', LeRobotConfig(**settings))
    return report, EpisodeFile.open(tmp_path / 'out.h5')


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
    path = tmp_path / 'video.mp4'
    factory.write_video(path, [factory.frame(1, number) for number in range(120)], fps,
                        codec=codec)
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


def test_a_robot_file_states_the_limits(tmp_path):
    """With a robot its names and limits hold; one of another rate is refused."""
    folder = factory.make(tmp_path / 'set', LENGTHS, fps=20)
    robot = RobotDescription.from_yaml('sim_reacher')
    import_lerobot(folder, tmp_path / 'out.h5', SMALL, robot=robot)
    facts = EpisodeFile.open(tmp_path / 'out.h5').attributes
    assert (facts['robot'], facts['action_limits']) == ('sim_reacher', 'robot sim_reacher')
    np.testing.assert_array_equal(facts['action_max'], robot.max_command)

    with pytest.raises(DatasetError, match=r"robot 'sim_reacher' has 2 actions .* every 0.05 s, "
                                           r'the data set has 2 \(who, when\) every 0.1 s'):
        import_lerobot(folder, tmp_path / 'b.h5', LeRobotConfig(
            image_size=16, every=2, combine='mean', min_rows=5), robot=robot)


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


def damage(folder: Path, how: str) -> None:
    video = folder / 'videos' / 'chunk-000' / factory.CAMERA / 'episode_000001.mp4'
    rows = folder / 'data' / 'chunk-000' / 'episode_000001.parquet'
    if how == 'no video':
        video.unlink()
    elif how == 'cut video':
        video.write_bytes(video.read_bytes()[:-400])
    elif how == 'zeros in video':
        content = bytearray(video.read_bytes())
        content[200:len(content) // 2] = bytes(len(content) // 2 - 200)
        video.write_bytes(bytes(content))
    elif how == 'short video':
        factory.write_video(video, [factory.frame(1, step) for step in range(20)], 10)
    elif how == 'frame missing':
        factory.write_video(video, [factory.frame(1, step) for step in range(31)], 10, skip=(9,))
    elif how == 'no rows':
        rows.unlink()
    elif how == 'cut rows':
        rows.write_bytes(rows.read_bytes()[:-100])
    elif how == 'row missing':
        table = parquet.read_table(rows)
        parquet.write_table(table.take([*range(5), *range(6, 31), 30]), rows)
    elif how == 'no action':
        parquet.write_table(parquet.read_table(rows).drop_columns(['action']), rows)


@pytest.mark.parametrize(('how', 'reason'), [
    ('no video', 'lacks videos/.*episode_000001.mp4; the download is not complete'),
    ('cut video', 'episode_000001.mp4 cannot be decoded: .*damaged'),
    ('zeros in video', r'episode_000001.mp4(: the frame at .* is damaged| cannot be decoded)'),
    ('short video', r'has no frame at 2.0000 s, the nearest is at 1.9000 s'),
    ('frame missing', r'has no frame at 0.9000 s'),
    ('no rows', 'lacks data/chunk-000/episode_000001.parquet'),
    ('cut rows', 'episode_000001.parquet cannot be read as Parquet'),
    ('row missing', r'row 5 of episode 1 has frame_index 6 and timestamp 0.6 s; 5 and 0.5 s'),
    ('no action', 'has no column action; it has observation.state, timestamp'),
])
def test_a_damaged_episode_is_left_out_and_reported(tmp_path, how, reason):
    """The others are converted, nothing of the damaged one is, and the numbers add up."""
    folder = factory.make(tmp_path / 'set', LENGTHS)
    damage(folder, how)
    report, file = convert(folder, tmp_path)

    assert file.ep_id == ('lab/toy/0', 'lab/toy/2', 'lab/toy/3')
    assert [one.index for one in report.episodes if one.error] == [1]
    assert re.search(reason, report.episodes[1].error), report.episodes[1].error
    assert f'{LENGTHS[1]} frames in 1 episodes left out' in report.text()
    written = json.loads((tmp_path / 'out.h5.report.json').read_text())
    assert sum(one['rows'] for one in written['episodes']) == len(file)


def test_rows_do_not_run_into_the_next_episode(tmp_path):
    """In 3.0, an episode with fewer frames than rows would show the start of the next one."""
    folder = factory.make(tmp_path / 'set', LENGTHS, version='v3.0')
    path = folder / 'meta' / 'episodes' / 'chunk-000' / 'file-000.parquet'
    rows = parquet.read_table(path).to_pylist()
    rows[0][f'videos/{factory.CAMERA}/to_timestamp'] -= 0.3
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)

    report, _ = convert(folder, tmp_path)
    assert 'episode 0 has 22.0 frames here and 25 rows' in report.episodes[0].error


def edit_info(folder: Path, **changes) -> Path:
    path = folder / 'meta' / 'info.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


@pytest.mark.parametrize(('changes', 'options', 'message'), [
    ({'codebase_version': 'v1.6'}, {}, 'version v1.6, v2.0, v2.1, v3.0 are read'),
    ({'fps': 0}, {}, 'fps must be a number in'),
    ({}, {'camera': 'wrist'}, "no camera 'wrist'; name one of observation.images.top"),
    ({}, {'action': 'act'}, "no column of numbers 'act'; it has observation.state, action, "),
    ({}, {'state': 'pose'}, "no column of numbers 'pose'.*--no-state"),
    ({'data_path': '../../{episode_index:06d}.parquet'}, {}, 'leads out of the folder'),
    ({'data_path': '/etc/{episode_index:06d}'}, {}, 'leads out of the folder'),
    ({'data_path': '{episode_index.real}'}, {}, 'cannot be understood'),
    ({'data_path': '{secret:03d}'}, {}, 'has {secret}, allowed are episode_chunk'),
])
def test_what_cannot_be_converted_says_why(tmp_path, changes, options, message):
    """Versions, columns and paths are checked; messages list what there is."""
    folder = edit_info(factory.make(tmp_path / 'set', [22]), **changes)
    with pytest.raises(DatasetError, match=message):
        convert(folder, tmp_path, **options)
    assert not (tmp_path / 'out.h5').exists()


def test_links_out_of_the_folder_are_refused_but_not_those_of_a_cache(tmp_path):
    """A download cache keeps files beside the snapshot and links to them; others may not."""
    folder = factory.make(tmp_path / 'cache' / 'snapshots' / 'abc', [22])
    rows = folder / 'data' / 'chunk-000' / 'episode_000000.parquet'
    (tmp_path / 'cache' / 'blobs').mkdir()
    for target, works in ((tmp_path / 'cache' / 'blobs' / 'x', True), (tmp_path / 'x', False)):
        os.replace(rows.resolve(), target)
        rows.unlink(missing_ok=True)
        rows.symlink_to(target)
        if works:
            import_lerobot(folder, tmp_path / 'out.h5', SMALL)
        else:
            with pytest.raises(DatasetError, match='is a link to .*, which is not in the folder'):
                import_lerobot(folder, tmp_path / 'b.h5', SMALL)


def test_not_a_data_set(tmp_path):
    """A wrong folder, or broken metadata, is said plainly."""
    with pytest.raises(DatasetError, match='has no meta/info.json; give the folder that holds'):
        LeRobotSet(tmp_path)
    folder = factory.make(tmp_path / 'set', [22])
    (folder / 'meta' / 'episodes.jsonl').write_text('{"episode_index": 0}\nnot json\n')
    with pytest.raises(DatasetError, match="meta is damaged: KeyError 'length'"):
        convert(folder, tmp_path)
    (folder / 'meta' / 'episodes.jsonl').write_text('not json\n')
    with pytest.raises(DatasetError, match='episodes.jsonl, line 1: cannot be read as JSON'):
        convert(folder, tmp_path)
    (folder / 'meta' / 'info.json').write_text('[]')
    with pytest.raises(DatasetError, match='must hold a JSON object'):
        LeRobotSet(folder)


def mutated(value, rng):
    """Replace something in a JSON value by something else."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        return {**value, key: mutated(value[key], rng)}
    return rng.choice([None, -1, 0, 10 ** 30, 1.5, float('nan'), '', '../x', '{x}', [], {}, [None],
                       {'a': {}}, True, 'v3.0', '\0'])


@pytest.mark.parametrize(('version', 'kind'), [('v2.1', 'video'), ('v2.1', 'image'),
                                               ('v3.0', 'video'), ('v3.0', 'image')])
def test_whatever_is_damaged_is_a_clear_error(tmp_path, version, kind):
    """Random damage to any file gives a set, a report or a DatasetError, and nothing else."""
    rng = random.Random(f'{version} {kind}')
    source = factory.make(tmp_path / 'source', [22, 25], version=version, kind=kind)
    for case in range(40):
        folder = tmp_path / f'case {case}'
        shutil.copytree(source, folder)
        path = rng.choice(sorted(path for path in folder.rglob('*') if path.is_file()))
        if path.suffix in ('.json', '.jsonl') and rng.random() < 0.8:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            place = rng.randrange(len(lines))
            lines[place] = mutated(lines[place], rng)
            path.write_text('\n'.join(map(json.dumps, lines)))
        else:
            content = bytearray(path.read_bytes())
            for _ in range(rng.choice([1, 3, 20])):
                content[rng.randrange(len(content))] = rng.randrange(256)
            path.write_bytes(content[:rng.choice([None, rng.randrange(len(content))])])
        try:
            import_lerobot(folder, tmp_path / 'out.h5', SMALL, force=True)
        except DatasetError:
            assert not (tmp_path / '.out.h5.parts').exists() or list(
                (tmp_path / '.out.h5.parts').glob('*.h5'))


def test_a_video_of_an_unknown_codec_is_an_error(tmp_path):
    """The name of the codec in the file means nothing to the decoder."""
    path = tmp_path / 'video.mp4'
    factory.write_video(path, [factory.frame(0, number) for number in range(30)], 10)
    path.write_bytes(path.read_bytes().replace(b'avc1', b'zzz9'))
    with pytest.raises(DatasetError, match='has a codec that is not known here'):
        next(frames_at(path, np.arange(3) / 10, 10))


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
