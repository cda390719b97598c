"""Simulated exploration, recorded by the running system and ingested; real processes, real DDS."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from lewm_model.bags.bag import Bag  # noqa: E402
from lewm_sim.tasks import load_task  # noqa: E402
from ros_helpers import free_domain, Graph, ROOT  # noqa: E402

STEPS = 30


def environment() -> dict[str, str]:
    return {**os.environ, 'ROS_DOMAIN_ID': str(free_domain()), 'OMP_NUM_THREADS': '1',
            'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}


@pytest.fixture(scope='module')
def recordings(tmp_path_factory):
    """Two episodes, recorded by the command in docs/recording.md.

    A machine that has too much to do misses a control step, or loses a picture: one of three
    recordings counts.
    """
    for _ in range(3):
        bags = record(tmp_path_factory.mktemp('explore'))
        if all(len(executed(bag)) == STEPS and about_of(bag)['recorder']['lost'] == 0
               for bag in bags):
            break
    return bags


def record(folder):
    """Explore, and return the bags."""
    result = subprocess.run(
        [sys.executable, '-m', 'lewm_ros.startup.bringup', '--sim', '--record',
         '--source', 'explore', '--episodes', '2', '--steps', str(STEPS),
         '--root', str(folder / 'root'), '--log-folder', str(folder / 'log')],
        env=environment(), cwd=ROOT, timeout=200, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return sorted(path for path in (folder / 'root').iterdir() if not path.name.startswith('.'))


def executed(path) -> np.ndarray:
    with Bag(path) as bag:
        commands = [bag.decode(raw, 'lewm_ros/msg/ExecutedCommand')
                    for _, _, raw in bag.raw_messages('/executed_command')]
    return np.array([command.requested for command in commands if not command.overridden])


def about_of(path) -> dict:
    """Return what the last mark of a bag says about it."""
    with Bag(path) as bag:
        *_, last = (raw for _, _, raw in bag.raw_messages('/episode_info'))
        return json.loads(bag.decode(last, 'lewm_ros/msg/EpisodeInfo').metadata_json)


def test_an_episode_is_what_collect_would_have_drawn(recordings):
    """Start and commands of episode i come from (seed, i); every command was executed."""
    task = load_task('reacher')
    world = task.make_world()
    assert len(recordings) == 2
    for number, path in enumerate(recordings):
        rng = np.random.default_rng([0, number])
        world.start(rng)
        act, truth = task.policy('random', rng), world.truth()
        start, commands = world.sensed().positions, [act(truth) for _ in range(STEPS)]
        with Bag(path) as bag:
            first = next(bag.decode(raw, 'sensor_msgs/msg/JointState')
                         for _, _, raw in bag.raw_messages('/joint_states'))
        about = about_of(path)
        assert (about['number'], about['recorder']['lost']) == (number, 0)
        np.testing.assert_allclose(first.position, start, atol=1e-3)
        np.testing.assert_allclose(executed(path), commands, atol=1e-6)


def test_ingest_takes_every_step(recordings, tmp_path):
    """One episode a bag with a row per command, and the action explains the motion it leads to."""
    out = tmp_path / 'set.h5'
    ingest = subprocess.run(
        [sys.executable, '-m', 'lewm_sim.cli', 'ingest', *map(str, recordings), '--robot',
         'sim_reacher', '--out', str(out)], env=environment(), cwd=ROOT, timeout=100,
        capture_output=True, text=True, check=False)
    assert ingest.returncode == 0, ingest.stderr
    import h5py

    with h5py.File(out) as file:
        rows = file['ep_len'][:]
        assert len(rows) == 2
        assert (rows >= STEPS + 1).all()
        for start, length in zip(file['ep_offset'][:], rows, strict=True):
            action = file['action'][start:start + length - 1]
            motion = np.diff(file['qpos'][start:start + length], axis=0) / 0.05
            # the command of a step begins to act within a tick, so most of it is seen
            here = np.corrcoef(action[1:-1].ravel(), motion[1:-1].ravel())[0, 1]
            before = np.corrcoef(action[:-2].ravel(), motion[1:-1].ravel())[0, 1]
            after = np.corrcoef(action[2:].ravel(), motion[1:-1].ravel())[0, 1]
            assert here > max(before, after)
            assert here > 0.9


def test_without_a_recorder_it_says_so(tmp_path):
    """It ends with status 1 and names what it waited for."""
    with Graph() as graph:
        log = tmp_path / 'log'
        graph.spawn('lewm_ros.simulation.sim_node')
        process = graph.spawn('hasty_explore_node', output=log)
        assert graph.wait_for_exit(process, timeout_s=60.0) == 1
    assert 'in vain for the service to start' in log.read_text()
