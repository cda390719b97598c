"""The simulated robot: kinematics, servo, camera, determinism."""

import dataclasses

from lewm_model.errors import ConfigError, SimulationError
from lewm_sim.tasks import load_task, TASK_NAMES
from lewm_sim.world import World
import numpy as np
import pytest


@pytest.fixture(params=TASK_NAMES)
def task(request):
    return load_task(request.param)


@pytest.fixture
def world():
    made = World(load_task('reacher'), 64)
    yield made
    made.close()


def test_every_task_stays_finite_under_its_own_exploration(task):
    """Ten seconds of exploration from a random start: finite, within limits, moving."""
    world = World(task, 64)
    rng = np.random.default_rng(0)
    commands = task.explore(rng, 200)
    assert commands.shape == (200, len(task.joint_names))
    assert (commands >= task.min_command).all() and (commands <= task.max_command).all()
    start = world.joint_positions
    for command in commands:
        world.apply(command)
        world.advance(task.control_dt_s)
    assert np.isfinite(world.joint_positions).all()
    assert np.abs(world.joint_positions - start).max() > 0.1


def test_exploration_is_smooth_and_covers_the_command_range(task):
    """Neighbouring commands correlate (0.88 by the time constant); both signs are reached."""
    commands = task.explore(np.random.default_rng(1), 5000)
    for column, limit in zip(commands.T, task.max_command, strict=True):
        assert 0.8 < np.corrcoef(column[:-1], column[1:])[0, 1] < 0.95
        assert column.min() < -0.9 * limit and column.max() > 0.9 * limit


def test_the_tip_is_where_two_links_of_12_cm_put_it(world):
    """Forward kinematics of DM-Control's reacher at a pose worked out by hand."""
    world.reset(qpos=[0.0, np.pi / 2])
    tip = world._data.geom('tip').xpos
    np.testing.assert_allclose(tip[:2], [0.12, 0.12], atol=1e-6)
    world.reset(qpos=[np.pi / 2, 0.0])
    np.testing.assert_allclose(world._data.geom('tip').xpos[:2], [0.0, 0.24], atol=1e-6)


def test_joints_follow_velocity_commands(world):
    """After four time constants of the servo the joints run at the commanded speed."""
    world.reset(qpos=[0.0, 0.0])
    world.apply([1.5, -1.0])
    world.advance(0.2)
    np.testing.assert_allclose(world.joint_velocities, [1.5, -1.0], atol=0.03)
    before = world.joint_positions
    world.advance(0.5)
    np.testing.assert_allclose(world.joint_positions - before, [0.75, -0.5], atol=0.02)


def test_commands_beyond_the_limit_are_clipped(world):
    """The servo has a top speed of 2 rad/s."""
    world.apply([100.0, 0.0])
    world.advance(1.0)
    assert world.joint_velocities[0] == pytest.approx(2.0, abs=0.05)


def test_the_wrist_stops_at_160_degrees_and_the_shoulder_turns_freely(world):
    """The joint limits of DM-Control's reacher."""
    world.reset(qpos=[3.0, 2.7])
    world.apply([2.0, 2.0])
    world.advance(2.0)
    positions = world.joint_positions
    assert positions[0] > 6.5
    assert positions[1] == pytest.approx(2.7925, abs=0.05)


def test_the_same_start_and_commands_give_the_same_run(task):
    """Physics and pixels are deterministic."""
    frames, poses = [], []
    for _ in range(2):
        world = World(task, 64)
        world.reset(seed=5)
        for command in task.explore(np.random.default_rng(3), 10):
            world.apply(command)
            world.advance(task.control_dt_s)
        frames.append(world.render())
        poses.append(world.joint_positions)
        world.close()
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(poses[0], poses[1])


def test_time_runs_on_over_resets(world):
    """A reset must not send the clock of a running system backwards."""
    world.advance(0.5)
    world.reset(seed=1)
    assert world.time_s == pytest.approx(0.5)
    world.advance(0.25)
    assert world.time_s == pytest.approx(0.75)


@pytest.mark.sim
@pytest.mark.parametrize('size', [64, 224])
def test_every_joint_moves_enough_pixels(size):
    """Turning one joint by 0.1 rad changes what the camera sees, at every pose tried.

    At 64 px a joint that changes only a few pixels is lost in the latent.
    """
    world = World(load_task('reacher'), size)
    rng = np.random.default_rng(0)
    for _ in range(20):
        pose = world.task.sample_qpos(rng)
        pose[1] = np.clip(pose[1], -2.6, 2.6)
        world.reset(qpos=pose)
        before = world.render().astype(int)
        assert before.shape == (size, size, 3)
        for joint in range(2):
            moved = pose.copy()
            moved[joint] += 0.1
            world.reset(qpos=moved)
            changed = (np.abs(world.render() - before).max(axis=-1) > 10).mean()
            assert changed > 0.008, (pose, joint, changed)   # 33 of 4096 pixels
    world.close()


@pytest.mark.parametrize(('call', 'message'), [
    (lambda world: world.reset(qpos=[0.0]), r'2 finite numbers \(shoulder, wrist\), got \[0.0\]'),
    (lambda world: world.reset(qpos=[0.0, np.nan]), 'finite'),
    (lambda world: world.reset(qpos=[0.0, 3.1]), "joint 'wrist' must be in .*got 3.1"),
    (lambda world: world.apply([1.0, 2.0, 3.0]), '2 finite numbers, got'),
    (lambda world: world.apply([np.inf, 0.0]), 'finite'),
])
def test_bad_states_and_commands_are_refused(world, call, message):
    """The message has the allowed range and the value; nothing was changed."""
    before = world.joint_positions
    with pytest.raises(SimulationError, match=message):
        call(world)
    np.testing.assert_array_equal(world.joint_positions, before)


def test_success_is_the_rule_of_dm_control():
    """Every joint counts, and angles are not wrapped."""
    task = load_task('reacher')
    assert task.distance([0.04, 0.0], [0.0, 0.0]) == pytest.approx(0.04)
    assert task.distance([0.01, -0.3], [0.0, 0.0]) == pytest.approx(0.3)
    assert task.distance([2 * np.pi, 0.0], [0.0, 0.0]) == pytest.approx(2 * np.pi)
    assert dataclasses.is_dataclass(task) and task.tolerances[0] == 0.05


def test_unknown_tasks_and_sizes_are_refused():
    """The message lists what there is."""
    with pytest.raises(ConfigError, match="'walker' does not exist; known tasks: reacher"):
        load_task('walker')
    with pytest.raises(SimulationError, match=r'image_size must be in \[8, 640\], got 4'):
        World(load_task('reacher'), 4)
