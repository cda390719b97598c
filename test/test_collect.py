from dataclasses import replace
import errno
import os
from pathlib import Path
import subprocess
import sys

from lewm_model.bags.bag import Bag
from lewm_model.config import DataConfig
from lewm_model.data.alignment import action_lag
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import BagError, ConfigError, SimulationError
from lewm_model.ingest.ingest import ingest
from lewm_model.recordings.describe_bag import describe_bag
from lewm_model.recordings.streams import read_streams
from lewm_model.robots.robot import RobotDescription
import numpy as np
import pytest

pytest.importorskip('mujoco')
pytestmark = pytest.mark.sim

from lewm_sim.collect import collect, CollectConfig, EpisodeRecorder  # noqa: E402
from lewm_sim.tasks import load_task  # noqa: E402

CONFIG = CollectConfig(steps=24, image_size=32, seed=7)
ROBOT = RobotDescription.from_yaml('sim_reacher')


def contents(folder) -> dict[str, bytes]:
    """Return every recorded file."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
    """Three episodes."""
    out = tmp_path_factory.mktemp('bags') / 'reacher'
    assert collect(CONFIG, 3, out) == 3
    return out


def test_bags_have_the_topics_and_types_of_the_running_system(recorded):
    """Whoever reads recordings of the real system reads these; rates and stamps are simulated."""
    with Bag(recorded / 'episode_000001') as bag:
        topics = {topic.name: (topic.type, topic.count) for topic in bag.topics}
    assert topics == {
        '/camera_info': ('sensor_msgs/msg/CameraInfo', 25),
        '/clock': ('rosgraph_msgs/msg/Clock', 25),
        '/episode_info': ('lewm_ros/msg/EpisodeInfo', 1),
        '/executed_command': ('lewm_ros/msg/ExecutedCommand', 24),
        '/image': ('sensor_msgs/msg/Image', 25),
        '/joint_states': ('sensor_msgs/msg/JointState', 25),
        '/truth/state': ('lewm_ros/msg/SimState', 25)}
    text = describe_bag(recorded / 'episode_000001')
    assert "episode 'episode_000001' (index 1), task 'reacher', RECORDING" in text
    assert 'seed 7' in text
    assert 'image_size 32' in text
    assert '20.00 Hz  sensor_msgs/msg/Image' in text


def test_recorded_commands_reproduce_the_recorded_motion(recorded):
    """Driving the simulator with the bag's commands, from its start, gives its joints and frames.

    This holds only if command t is the one between frame t and frame t + 1.
    """
    out = recorded.parent / 'replay.h5'
    ingest([recorded], ROBOT, out, DataConfig(image_size=32), force=True)
    file = EpisodeFile.open(out)
    world = load_task('reacher').make_world(32)
    for offset, length in zip(file.ep_offset, file.ep_len, strict=True):
        world.reset(file.columns['sim_state'][offset])
        for row in range(offset, offset + length):
            np.testing.assert_allclose(world.sensed().positions, file.columns['qpos'][row],
                                       atol=1e-5)
            assert np.abs(world.render().astype(int) - file.pixels[row]).max() <= 8
            if row < offset + length - 1:
                world.apply(file.action[row])
                world.advance(0.05)
    world.close()
    lags = action_lag(file)
    assert max(lags, key=lags.get) == 0


def test_recordings_do_not_depend_on_workers_or_order(recorded, tmp_path):
    """Episode i is a function of settings and i: two processes write the same bytes."""
    collect(CONFIG, 3, tmp_path / 'set', workers=2)

    assert contents(tmp_path / 'set') == contents(recorded)


def test_episodes_differ_and_seeds_matter(recorded, tmp_path):
    """Start and commands are drawn anew for every episode and every seed."""
    collect(CollectConfig(steps=24, image_size=32, seed=8), 1, tmp_path / 'set')
    starts = []
    for path in (recorded / 'episode_000000', recorded / 'episode_000001',
                 tmp_path / 'set' / 'episode_000000'):
        with Bag(path) as bag:
            starts.append(read_streams(bag, ROBOT).positions[0])
    assert len({tuple(start) for start in starts}) == 3


def test_stamps_never_repeat_in_a_set(recorded):
    """Sim time runs on from episode to episode and is never zero."""
    stamps = []
    for path in sorted(recorded.glob('episode_*')):
        with Bag(path) as bag:
            stamps += read_streams(bag, ROBOT).frame_stamps_ns.tolist()
    assert stamps[0] > 0
    assert (np.diff(stamps) >= 50_000_000).all()


def test_an_interrupted_set_is_finished_by_the_same_command(recorded, tmp_path):
    """Complete episodes stay as they are, the half one starts over, the result is the same."""
    out = tmp_path / 'set'

    def interrupt(done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(CONFIG, 3, out, on_episode=interrupt)
    assert sorted(path.name for path in out.glob('episode_*')) == ['episode_000000']
    kept = os.stat(out / 'episode_000000' / 'episode_000000.mcap').st_mtime_ns
    (out / '.unfinished' / 'episode_000001').mkdir(parents=True)  # as after kill -9
    (out / '.unfinished' / 'episode_000001' / 'episode_000001.mcap').write_bytes(b'half')

    assert collect(CONFIG, 3, out) == 2
    assert os.stat(out / 'episode_000000' / 'episode_000000.mcap').st_mtime_ns == kept
    assert contents(out) == contents(recorded)
    assert collect(CONFIG, 3, out) == 0


def test_two_processes_never_record_into_one_folder(tmp_path):
    """Each removes what is unfinished when it begins: that would be the other's."""
    config, out = replace(CONFIG, steps=3), tmp_path / 'set'
    collect(config, 1, out)
    unfinished = out / '.unfinished' / 'episode_000001'
    unfinished.mkdir(parents=True)
    other = subprocess.Popen(
        [sys.executable, '-c', 'import fcntl, os, sys; '
         'fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(flush=True); '
         'sys.stdin.read()', str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(BagError, match='another process is recording into .*set; wait for it'):
        collect(config, 2, out)
    assert unfinished.exists()
    other.communicate(timeout=30)
    assert collect(config, 2, out) == 1


def test_other_settings_need_another_folder(recorded, tmp_path):
    """A set never mixes settings, and never moves into a folder that is not its own."""
    with pytest.raises(ConfigError, match=r'other settings \(steps: 24 before, 30 now; seed: 7 '):
        collect(CollectConfig(steps=30, image_size=32, seed=8), 3, recorded)
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(ConfigError, match='is not empty and has no collection.yaml'):
        collect(CONFIG, 1, tmp_path)
    with pytest.raises(ConfigError, match='CollectConfig.steps must be at least 1, got 0'):
        CollectConfig(steps=0)


def test_errors_of_workers_keep_their_message(tmp_path):
    """What cannot be simulated says so, in one process and in several."""
    for workers in (1, 2):
        with pytest.raises(SimulationError, match=r'image_size must be in \[8, 640\], got 2000'):
            collect(CollectConfig(image_size=2000), 2, tmp_path / 'set', workers=workers)


def test_recording_and_ingest_are_light():
    """Neither loads torch, and ingest does not need the simulator."""
    code = ('import sys, lewm_sim.collect, lewm_sim.episode_bag, lewm_model.ingest.ingest; '
            'print(*sorted({"torch", "mujoco"} & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True,
                          cwd=Path(__file__).parents[1])
    assert done.stdout.split() == []


def test_a_full_disk_stops_with_the_fix(tmp_path, monkeypatch):
    """No bag is left that looks complete, and the message says how to go on."""
    def full(self, stamp_ns):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    from lewm_sim.episode_bag import EpisodeBag
    monkeypatch.setattr(EpisodeBag, 'observe', full)
    with pytest.raises(BagError, match=r'No space left on device; free disk space and run the '
                                       r'command again'):
        collect(CONFIG, 2, tmp_path / 'set')
    assert list((tmp_path / 'set').glob('episode_*')) == []


def test_the_data_set_tells_where_it_came_from(recorded, tmp_path):
    """Task, robot and limits travel from the recording into the file."""
    report = ingest([recorded], ROBOT, tmp_path / 'set.h5', DataConfig(image_size=32),
                    provenance={'ingest_command': 'lewm ingest ...'})
    facts = EpisodeFile.open(tmp_path / 'set.h5').attributes

    assert (report.episodes, report.rows) == (3, 75)
    assert (facts['task'], facts['robot'], facts['ingest_command']) == (
        'reacher', 'sim_reacher', 'lewm ingest ...')
    assert facts['joint_names'] == ['shoulder', 'wrist']


def test_a_bag_appears_when_it_is_complete(tmp_path, monkeypatch):
    """A reader that looks at the folder during recording sees no half bag."""
    from lewm_sim.episode_bag import EpisodeBag
    observe, seen = EpisodeBag.observe, []

    def watch(self, stamp_ns):
        seen.append([path.name for path in tmp_path.glob('episode_*')])
        observe(self, stamp_ns)

    monkeypatch.setattr(EpisodeBag, 'observe', watch)
    recorder = EpisodeRecorder(CONFIG, tmp_path)
    path = recorder.record(4)
    recorder.close()

    assert seen == [[]] * 25
    assert sorted(file.name for file in path.iterdir()) == ['episode_000004.mcap', 'metadata.yaml']


def test_a_policy_that_has_arrived_ends_its_episode(tmp_path, monkeypatch):
    """None instead of an action: the frame that was seen last is kept, stamps stay apart."""
    def arriving(rng):
        steps = iter(range(21))
        return lambda truth: None if next(steps) == 20 else np.array([0.5, -0.5])

    monkeypatch.setattr(type(load_task('reacher')), 'policies', {'random': arriving})
    collect(CONFIG, 2, tmp_path / 'set')
    for path in sorted((tmp_path / 'set').glob('episode_*')):
        with Bag(path) as bag:
            streams = read_streams(bag, ROBOT)
        assert (len(streams.frame_stamps_ns), len(streams.actions)) == (21, 20)
