"""LeRobot data sets that are damaged or not what they say: left out or refused, and why."""

import json
import os
from pathlib import Path
import random
import re
import shutil

from lewm_model.errors import DatasetError
import numpy as np
import pytest

pytest.importorskip('pyarrow')
pytest.importorskip('av')

import lerobot_factory as factory  # noqa: E402
from lerobot_factory import convert, edit_info, LENGTHS, SMALL  # noqa: E402
from lewm_model.lerobot.convert import import_lerobot  # noqa: E402
from lewm_model.lerobot.meta import LeRobotSet  # noqa: E402
from lewm_model.lerobot.video import frames_at  # noqa: E402
import pyarrow  # noqa: E402
from pyarrow import parquet  # noqa: E402


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
