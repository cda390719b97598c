"""Ingest loses nothing: cut off, run again, added to; and it says what became of every frame."""

import hashlib
import json
from pathlib import Path
import resource
import signal
import subprocess
import sys

from bag_factory import BagFactory, DT_NS, robot, START_NS
import h5py
from killed_ingest import CONFIG, MOMENTS
from lewm_model.config import DataConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError
from lewm_model.ingest import convert_bag
from lewm_model.ingest.ingest import ingest
from lewm_model.ingest.scratch import scratch_folder
import numpy as np
import pytest

from bench._camera_bag import write_camera_bag

HERE = Path(__file__).parent


def make_bags(folder: Path, *names: str) -> list[Path]:
    """Record bags of six rows each; the first letter of the name decides what is in them."""
    folder.mkdir(exist_ok=True)
    return [BagFactory().steps(6, first=20 * (ord(name[0]) - ord('a'))).write(folder / name)
            for name in names]


@pytest.fixture
def old(tmp_path):
    """Return the bags of a set that exists, `set.h5`."""
    bags = make_bags(tmp_path / 'bags', 'b', 'd')
    ingest(bags, robot(), tmp_path / 'set.h5', CONFIG)
    return bags


def content(path: Path) -> dict[str, np.ndarray]:
    """Return every column of a set."""
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


def assert_same(one: dict, other: dict) -> None:
    """Compare all columns, NaN equal to NaN."""
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def watch_conversions(monkeypatch) -> list[str]:
    """Return a list that the name of every bag is added to when its frames are decoded."""
    converted, write = [], convert_bag._write

    def watched(part, bag, *arguments):
        converted.append(bag.name)
        return write(part, bag, *arguments)

    monkeypatch.setattr(convert_bag, '_write', watched)
    return converted


def listed(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_new_bags_are_added_behind_the_old_ones(old, tmp_path, monkeypatch):
    """Old episodes keep their place and every value; known bags are not converted again."""
    before = content(tmp_path / 'set.h5')
    new = make_bags(tmp_path / 'bags', 'a', 'c')
    converted = watch_conversions(monkeypatch)
    report = ingest([tmp_path / 'bags'], robot(), tmp_path / 'set.h5', CONFIG)

    after = content(tmp_path / 'set.h5')
    assert converted == ['a', 'c'] == [path.name for path in new]
    assert EpisodeFile.open(tmp_path / 'set.h5').ep_id == ('b/0', 'd/0', 'a/0', 'c/0')
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][:len(values)], values, err_msg=name)
    assert after['pixels'][12:18, 0, 0, 0].tolist() == [*range(6)]
    assert after['episode_idx'].tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    assert (report.before, report.episodes, report.frames, report.rows) == (('b', 'd'), 4, 24, 24)
    assert listed(tmp_path) == ['bags', 'set.h5', 'set.h5.report.json']


def test_nothing_new_leaves_the_file_alone(old, tmp_path):
    """The same command twice is harmless, whatever the number of workers."""
    before = (tmp_path / 'set.h5').read_bytes()
    for workers in (1, 2):
        report = ingest(old, robot(), tmp_path / 'set.h5', CONFIG, workers=workers)
        assert (report.before, report.rows) == (('b', 'd'), 12)
    assert (tmp_path / 'set.h5').read_bytes() == before
    assert listed(tmp_path) == ['bags', 'set.h5', 'set.h5.report.json']


def test_another_bag_of_the_same_name_is_refused(old, tmp_path, monkeypatch):
    """The error names both hashes, comes before any work, and nothing changes."""
    before = (tmp_path / 'set.h5').read_bytes()
    make_bags(tmp_path / 'bags', 'a')
    BagFactory().steps(9).write(tmp_path / 'other' / 'd')
    hashes = [hashlib.sha256((folder / 'd' / 'd.mcap').read_bytes()).hexdigest()
              for folder in (tmp_path / 'bags', tmp_path / 'other')]
    converted = watch_conversions(monkeypatch)
    with pytest.raises(DatasetError, match=f'called d with other content .sha256 {hashes[0]} '
                                           f'there, {hashes[1]} in .*--force'):
        ingest([tmp_path / 'bags' / 'a', tmp_path / 'other'], robot(), tmp_path / 'set.h5', CONFIG)
    assert converted == []
    assert (tmp_path / 'set.h5').read_bytes() == before


@pytest.mark.parametrize(('changes', 'config', 'message'), [
    ({'image_topic': 'wrist_camera'}, {}, "image_topic: 'image' there, 'wrist_camera' now"),
    ({'max_command': [2, 3]}, {}, r'max_command: \[2.0, 2.0\] there, \[2.0, 3.0\] now'),
    ({}, {'image_size': 16}, 'image_size: 8 there, 16 now'),
    ({}, {'min_rows': 3}, 'min_rows: 2 there, 3 now'),
])
def test_a_set_never_mixes_settings(old, tmp_path, changes, config, message):
    """Rows that mean different things do not get into one file."""
    with pytest.raises(DatasetError, match=f'other settings .*{message}'):
        ingest(old, robot(**changes), tmp_path / 'set.h5',
               DataConfig(**{'image_size': 8, 'min_rows': 2, **config}))


def test_settings_without_effect_on_rows_may_change(old, tmp_path):
    """How fast a live robot may be stopped is no reason to start a new set."""
    ingest(old, robot(stop_rate=[30, 30]), tmp_path / 'set.h5', CONFIG)


def test_a_new_bag_may_not_take_a_column_from_the_old_ones(old, tmp_path):
    """Without velocities it would either invent them or delete those of the others."""
    factory = BagFactory()
    for index in range(3):
        stamp_ns = START_NS + index * DT_NS
        factory.image(stamp_ns, index)
        factory.joints(stamp_ns, (index, 0), ())
        factory.command(stamp_ns, (0, 0))
    factory.write(tmp_path / 'bags' / 'e')
    before = (tmp_path / 'set.h5').read_bytes()
    with pytest.raises(DatasetError, match='has the column qvel, which e does not give'):
        ingest([tmp_path / 'bags'], robot(), tmp_path / 'set.h5', CONFIG)
    assert (tmp_path / 'set.h5').read_bytes() == before


@pytest.mark.parametrize('workers', [1, 2])
def test_an_interrupted_ingest_goes_on(old, tmp_path, monkeypatch, workers):
    """After Ctrl-C the old set is as it was; the finished bag is not converted again."""
    before = (tmp_path / 'set.h5').read_bytes()
    new = make_bags(tmp_path / 'bags', 'a', 'c', 'e')

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(new, robot(), tmp_path / 'set.h5', CONFIG, workers=workers, on_bag=interrupt)
    assert (tmp_path / 'set.h5').read_bytes() == before
    finished = len(list((tmp_path / '.set.h5.parts').glob('*.h5')))
    assert finished >= 1

    converted = watch_conversions(monkeypatch)
    ingest(new, robot(), tmp_path / 'set.h5', CONFIG)
    assert len(converted) == 3 - finished
    ingest([*old, *new], robot(), tmp_path / 'whole.h5', CONFIG)
    assert_same(content(tmp_path / 'set.h5'), content(tmp_path / 'whole.h5'))
    assert not (tmp_path / '.set.h5.parts').exists()


def test_finished_work_is_used_only_for_the_same_content_and_settings(tmp_path, monkeypatch):
    """A bag recorded anew under its name, or other settings, are converted afresh."""
    bags = make_bags(tmp_path / 'bags', 'a', 'b')

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(bags, robot(), tmp_path / 'set.h5', CONFIG, on_bag=interrupt)
    for file in bags[1].iterdir():
        file.unlink()
    bags[1].rmdir()
    BagFactory().steps(9).write(bags[1])
    converted = watch_conversions(monkeypatch)
    report = ingest(bags, robot(), tmp_path / 'set.h5', CONFIG)
    assert (converted, report.rows) == (['b'], 15)

    with pytest.raises(KeyboardInterrupt):
        ingest(bags, robot(), tmp_path / 'other.h5', CONFIG, on_bag=interrupt)
    converted.clear()
    ingest(bags, robot(), tmp_path / 'other.h5', DataConfig(image_size=16, min_rows=2))
    assert converted == ['a', 'b']


@pytest.mark.parametrize('moment', list(MOMENTS))
def test_kill_minus_nine_never_costs_a_finished_set(old, tmp_path, moment):
    """At every moment the file is the old set or the new one, complete; the next run finishes."""
    before = content(tmp_path / 'set.h5')
    new = make_bags(tmp_path / 'bags', 'a', 'c')
    command = [sys.executable, HERE / 'killed_ingest.py', tmp_path / 'set.h5', moment, *new]
    environment = {'PYTHONPATH': f'{HERE.parent}:{HERE}', 'PATH': '/usr/bin:/bin'}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr

    after = content(tmp_path / 'set.h5')
    complete = len(after['ep_len']) == 4
    assert complete == (moment in ('joined', 'before the report'))
    if not complete:
        assert_same(before, after)
    report = ingest(new, robot(), tmp_path / 'set.h5', CONFIG)
    ingest([*old, *new], robot(), tmp_path / 'whole.h5', CONFIG)
    assert_same(content(tmp_path / 'set.h5'), content(tmp_path / 'whole.h5'))
    assert (report.rows, report.frames) == (24, 24)
    assert json.loads((tmp_path / 'set.h5.report.json').read_text())['rows'] == 24
    assert listed(tmp_path) == ['bags', 'set.h5', 'set.h5.report.json', 'whole.h5',
                                'whole.h5.report.json']


def test_a_full_disk_keeps_the_old_set_and_what_is_finished(old, tmp_path, monkeypatch):
    """A limit on file size stands in for the disk: parts fit below it, the joined set does not."""
    before = (tmp_path / 'set.h5').read_bytes()
    new = make_bags(tmp_path / 'bags', 'a', 'c')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
    try:
        with pytest.raises(DatasetError, match='cannot write .*set.h5.parts/whole: File too '
                                               'large; free disk .*run the command again'):
            ingest(new, robot(), tmp_path / 'set.h5', CONFIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / 'set.h5').read_bytes() == before

    converted = watch_conversions(monkeypatch)
    assert ingest(new, robot(), tmp_path / 'set.h5', CONFIG).rows == 24
    assert converted == []


def test_two_runs_do_not_write_one_set(old, tmp_path):
    """The second one is refused while the first is at work, and not afterwards."""
    make_bags(tmp_path / 'bags', 'a')
    with (scratch_folder(tmp_path / 'set.h5'),
          pytest.raises(DatasetError, match='another process is writing .*set.h5')):
        ingest([tmp_path / 'bags'], robot(), tmp_path / 'set.h5', CONFIG)
    assert ingest([tmp_path / 'bags'], robot(), tmp_path / 'set.h5', CONFIG).rows == 18


def test_the_report_adds_up_over_all_runs(tmp_path):
    """Bags without an episode, and damaged ones, are not forgotten when bags are added."""
    folder, config = tmp_path / 'bags', DataConfig(image_size=8, min_rows=3)
    make_bags(folder, 'a', 'b')
    BagFactory().steps(2).write(folder / 'short')
    (folder / 'torn').mkdir()
    (folder / 'torn' / 'torn.mcap').write_bytes(b'no recording')
    first = ingest([folder], robot(), tmp_path / 'set.h5', config)
    make_bags(folder, 'c')
    BagFactory().steps(2, first=90).write(folder / 'shorter')
    ingest([folder / 'shorter'], robot(), tmp_path / 'set.h5', config)   # gives no rows
    last = ingest([folder / 'c'], robot(), tmp_path / 'set.h5', config)

    assert first.frames == 14 == first.rows + sum(first.dropped.values())
    assert last.frames == 22 == last.rows + sum(last.dropped.values())
    assert [bag.bag for bag in last.bags] == ['a', 'b', 'c', 'short', 'torn', 'shorter']
    assert [bag.bag for bag in last.failed] == ['torn']
    stored = json.loads((tmp_path / 'set.h5.report.json').read_text())
    assert (stored['rows'], stored['frames'], stored['episodes'], stored['failed']) == (
        18, 22, 3, 1)
    assert len(EpisodeFile.open(tmp_path / 'set.h5')) == 18


def test_a_repaired_bag_gets_in_later(tmp_path):
    """What could not be read at first is tried again, and no longer reported as failed."""
    bags = make_bags(tmp_path / 'bags', 'a', 'b')
    kept = (bags[1] / 'b.mcap').read_bytes()
    (bags[1] / 'b.mcap').write_bytes(b'no recording')
    report = ingest(bags, robot(), tmp_path / 'set.h5', CONFIG)
    assert ([bag.bag for bag in report.failed], report.rows) == (['b'], 6)
    (bags[1] / 'b.mcap').write_bytes(kept)
    report = ingest(bags, robot(), tmp_path / 'set.h5', CONFIG)

    assert (report.failed, report.rows) == ((), 12)
    assert EpisodeFile.open(tmp_path / 'set.h5').ep_id == ('a/0', 'b/0')


def test_every_episode_tells_where_it_came_from(tmp_path):
    """Bag, hash of its file, first and last stamp; and the commands of all runs, once each."""
    bags = make_bags(tmp_path / 'bags', 'a', 'b')
    for bag, command in zip([*bags, bags[1]], ('first', 'second', 'second'), strict=True):
        ingest([bag], robot(), tmp_path / 'set.h5', CONFIG,
               provenance={'ingest_command': command})
    with h5py.File(tmp_path / 'set.h5') as file:
        assert file['ep_source'][()].tolist() == [b'a', b'b']
        assert file['ep_sha256'][()].tolist() == [
            hashlib.sha256((bag / f'{bag.name}.mcap').read_bytes()).hexdigest().encode()
            for bag in bags]
        assert file['ep_first_ns'][()].tolist() == [START_NS, START_NS + 20 * DT_NS]
        assert file['ep_last_ns'][()].tolist() == [START_NS + 5 * DT_NS, START_NS + 25 * DT_NS]
        assert file.attrs['ingest_command'] == 'first; second'


def test_a_bag_that_is_still_being_written_is_left_out(tmp_path, monkeypatch):
    """Its hash would be that of another content."""
    bags = make_bags(tmp_path / 'bags', 'a', 'b')
    reader = convert_bag.PictureReader

    def grow(bag, *arguments, **options):
        if bag.name == 'b':
            with (bags[1] / 'b.mcap').open('ab') as file:
                file.write(b'more')
        return reader(bag, *arguments, **options)

    monkeypatch.setattr(convert_bag, 'PictureReader', grow)
    report = ingest(bags, robot(), tmp_path / 'set.h5', CONFIG)
    assert [bag.error for bag in report.failed] == [
        f'{bags[1]} changed while it was read; ingest it when recording has ended']
    assert EpisodeFile.open(tmp_path / 'set.h5').ep_id == ('a/0',)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pictures(tmp_path):
    """Ten times the bag, 1.2 GB of pixels more, takes a fortieth of that at most."""
    peaks = []
    for frames in (900, 9000):
        bag = write_camera_bag(tmp_path / f'bag_{frames}', frames, joint_rate_hz=30, width=64,
                               height=48)
        done = subprocess.run([sys.executable, '-m', 'bench._one_ingest', bag,
                               tmp_path / 'set.h5', '224'], cwd=HERE.parent, check=True,
                              capture_output=True, text=True)
        peaks.append(json.loads(done.stdout))
    assert peaks[1]['rows'] - peaks[0]['rows'] == 8100
    assert peaks[1]['peak_mib'] - peaks[0]['peak_mib'] < 30
