"""Cube: the arm moves as it is told, success is the cube's place, the expert brings it there."""

from lewm_model.errors import ConfigError
from needed import skip_where_missing
import numpy as np
import pytest

pytest.importorskip('mujoco')
pytestmark = pytest.mark.sim

from lewm_sim.tasks import load_task  # noqa: E402
from lewm_sim.tasks.cube import expert, scene  # noqa: E402

HIGH = 0.25     # of a gripper that touches nothing [m]


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    """Everything else about the task is known without it."""
    monkeypatch.setattr(scene, 'PACKAGE', 'ogbench_that_is_not_there')
    task = load_task('cube')
    assert task.action_names[-1] == 'gripper'
    with pytest.raises(ConfigError, match=r"pip install 'lewm_ros\[cube\]'"):
        task.make_world(64)


@pytest.fixture(scope='module')
def task():
    return skip_where_missing(load_task('cube'))


@pytest.fixture(scope='module')
def world(task):
    made = task.make_world(64)
    yield made
    made.close()


def put(task, world, place, yaw=0.0, cube=(0.3, -0.3)):
    """Let the gripper stand somewhere, open, and the cube lie somewhere."""
    from lewm_sim.tasks.cube.arm import HOME

    arm = task._arm(world.model)
    qpos = world.model.qpos0.copy()
    qpos[arm.qpos] = arm.solve(np.array(place), yaw, HOME, 80)
    at = world.model.joint('cube/joint').qposadr[0]
    qpos[at:at + 2] = cube
    world.reset(world.state_at(qpos))


def drive(task, world, action, steps):
    """Repeat an action; return all truths."""
    truths = [world.truth()]
    for _ in range(steps):
        world.apply(np.asarray(action, float))
        world.advance(task.control_dt_s)
        truths.append(world.truth())
    return np.array(truths)


@pytest.mark.parametrize('action', [
    (0.2, 0, 0, 0, 0), (0, -0.4, 0, 0, 0), (0, 0, -0.3, 0, 0), (0, 0, 0, 2.0, 0),
    (-0.1, 0.2, 0.1, -1.0, 0)])
def test_a_commanded_twist_is_what_the_gripper_does(task, world, action):
    """From the second step on within 0.02 m/s and 0.05 rad/s on every axis, also those at rest."""
    put(task, world, (0.42, 0.0, HIGH))
    speeds = np.diff(drive(task, world, action, 8)[:, :4], axis=0)[1:] / task.control_dt_s
    np.testing.assert_allclose(speeds[:, :3], np.tile(action[:3], (7, 1)), atol=0.02)
    np.testing.assert_allclose(speeds[:, 3], action[3], atol=0.05)


def test_the_same_command_moves_the_same_however_often_it_is_sent(task, world):
    """A driver repeats commands 5 times a step; a speed is no step of a way."""
    put(task, world, (0.42, 0.0, HIGH))
    for _ in range(30):
        world.apply(np.array([0, 0.2, 0, 0, 0.0]))
        world.advance(0.01)
    assert world.truth()[1] == pytest.approx(0.06, abs=0.005)


def test_told_to_stand_still_it_stands_still(task, world):
    """Less than a millimetre in two seconds, also from a state that came without targets."""
    put(task, world, (0.5, 0.1, HIGH), yaw=1.0)
    truths = drive(task, world, np.zeros(5), 40)
    assert np.abs(truths[:, :3] - truths[0, :3]).max() < 1e-3


def test_the_gripper_opens_and_closes_at_its_speed(task, world):
    """0.1 m/s is 5 mm a step; closed on nothing it is closed, and opens at once."""
    put(task, world, (0.42, 0.0, HIGH))
    opening = drive(task, world, (0, 0, 0, 0, -0.1), 25)[:, 4]
    assert np.diff(opening)[2:10] == pytest.approx(-0.005, abs=0.0005)
    assert opening[-1] < 0.005
    opening = drive(task, world, (0, 0, 0, 0, 0.1), 6)[:, 4]
    assert opening[-1] - opening[0] > 0.02


def test_a_gripper_that_is_held_back_does_not_store_up_motion(task, world):
    """Two seconds against the table, then up: it leaves within three steps."""
    put(task, world, (0.42, 0.0, 0.06))
    down = drive(task, world, (0, 0, -0.4, 0, -0.15), 40)
    assert down[-1, 2] > 0.0
    up = drive(task, world, (0, 0, 0.4, 0, 0), 3)
    assert up[-1, 2] > down[-1, 2] + 0.015


def test_it_stays_in_the_workspace(task, world):
    """The gripper stops at OGBench's bounds, and comes back from them."""
    put(task, world, (0.5, 0.2, HIGH))
    truths = drive(task, world, (0.4, 0.4, 0.4, 0, 0), 20)
    assert (truths[:, :3] < np.array([0.6, 0.35, 0.35]) + 0.01).all()
    assert drive(task, world, (-0.4, 0, 0, 0, 0), 3)[-1, 0] < truths[-1, 0] - 0.04


def test_success_is_the_cubes_place_alone(task):
    """Within 0.04 m in space; the gripper and how the cube is turned do not count."""
    goal = np.array([0.4, 0, 0.2, 0, 0.08, 0.4, 0.1, 0.02, 1, 0, 0, 0])
    here = goal.copy()
    here[:5], here[8:] = 0.3, (0, 0, 0, 1)
    tolerance = task.facts.tolerance()
    for offset, solved in (((0, 0, 0), True), ((0.039, 0, 0), True), ((0.03, 0.03, 0), False),
                           ((0, 0, 0.041), False)):
        here[5:8] = goal[5:8] + offset
        assert task.outcome(here, goal).solved(tolerance) == solved, offset


def test_the_expert_brings_the_cube_to_its_place(task, world):
    """In at least 9 of 10 fixed starts within 90 steps, to 0.02 m, whatever the noise."""
    brought = {'expert': 0, 'noisy_expert': 0}
    for name in brought:
        for seed in range(10):
            rng = np.random.default_rng([7, seed])
            world.start(rng)
            act = task.policy('expert', rng)
            target = act.target.copy()
            noisy = act if name == 'expert' else expert.noisy(act, task.robot, rng)
            for _ in range(90):
                world.apply(noisy(world.truth()))
                world.advance(task.control_dt_s)
                if act.brought:
                    place = world.truth()[5:8]
                    brought[name] += np.linalg.norm(place - [*target, 0.02]) < 0.02
                    break
    assert brought['expert'] >= 9 and brought['noisy_expert'] >= 8, brought


def test_the_cube_is_seen_from_every_start(task):
    """At least 30 of 96 x 96 pixels are red, wherever it lies (41 to 58 with OGBench's camera)."""
    world = task.make_world(96)
    for seed in range(10):
        world.start(np.random.default_rng(seed))
        red, green, blue = world.render().astype(int).transpose(2, 0, 1)
        assert ((red > 90) & (red > 2 * green) & (red > 1.5 * blue)).sum() >= 30, seed
    world.close()
