"""The simulated robot: kinematics, servo, camera, determinism."""

from lewm_model.errors import ConfigError, SimulationError
from lewm_sim.tasks import load_task
import numpy as np
import pytest


@pytest.fixture
def world():
    made = load_task('reacher').make_world(64)
    yield made
    made.close()


def at(world, *qpos):
    """Put the arm at rest into a pose."""
    world.reset(world.state_at(np.array(qpos)))


def test_the_tip_is_where_two_links_of_12_cm_put_it(world):
    """Forward kinematics of DM-Control's reacher at a pose worked out by hand."""
    at(world, 0.0, np.pi / 2)
    np.testing.assert_allclose(world.truth(), [0.0, np.pi / 2, 0.12, 0.12], atol=1e-6)
    at(world, np.pi / 2, 0.0)
    np.testing.assert_allclose(world.truth(), [np.pi / 2, 0.0, 0.0, 0.24], atol=1e-6)


def test_joints_follow_velocity_commands(world):
    """After four time constants of the servo the joints run at the commanded speed."""
    at(world, 0.0, 0.0)
    world.apply([1.5, -1.0])
    world.advance(0.2)
    np.testing.assert_allclose(world.sensed().velocities, [1.5, -1.0], atol=0.03)
    before = world.sensed().positions
    world.advance(0.5)
    np.testing.assert_allclose(world.sensed().positions - before, [0.75, -0.5], atol=0.02)


def test_commands_beyond_the_limit_are_clipped(world):
    """The servo has a top speed of 2 rad/s."""
    world.apply([100.0, 0.0])
    world.advance(1.0)
    assert world.sensed().velocities[0] == pytest.approx(2.0, abs=0.05)


def test_the_wrist_stops_at_160_degrees_and_the_shoulder_turns_freely(world):
    """The joint limits of DM-Control's reacher."""
    at(world, 3.0, 2.7)
    world.apply([2.0, 2.0])
    world.advance(2.0)
    positions = world.sensed().positions
    assert positions[0] > 6.5
    assert positions[1] == pytest.approx(2.7925, abs=0.05)


def test_time_runs_on_over_resets(world):
    """A reset must not send the clock of a running system backwards."""
    world.advance(0.5)
    world.start(np.random.default_rng(1))
    assert world.time_s == pytest.approx(0.5)
    world.advance(0.25)
    assert world.time_s == pytest.approx(0.75)


@pytest.mark.sim
@pytest.mark.parametrize('size', [64, 224])
def test_every_joint_moves_enough_pixels(size):
    """Turning one joint by 0.1 rad changes what the camera sees, at every pose tried.

    At 64 px a joint that changes only a few pixels is lost in the latent.
    """
    world = load_task('reacher').make_world(size)
    rng = np.random.default_rng(0)
    for _ in range(20):
        pose = rng.uniform([-np.pi, -2.6], [np.pi, 2.6])
        at(world, *pose)
        before = world.render().astype(int)
        assert before.shape == (size, size, 3)
        for joint in range(2):
            moved = pose.copy()
            moved[joint] += 0.1
            at(world, *moved)
            changed = (np.abs(world.render() - before).max(axis=-1) > 10).mean()
            assert changed > 0.008, (pose, joint, changed)   # 33 of 4096 pixels
    world.close()


@pytest.mark.parametrize(('call', 'message'), [
    (lambda world: world.reset([0.0]), r"a state of task 'reacher' is 5 finite numbers .*got 1"),
    (lambda world: at(world, 0.0, np.nan), 'finite'),
    (lambda world: at(world, 0.0, 3.1), "joint 'wrist' must be in .* rad, got 3.1"),
    (lambda world: world.state_at([0.0]), r'qpos of task .* must be 2 numbers'),
    (lambda world: world.apply([1.0, 2.0, 3.0]), r'2 finite numbers \(shoulder, wrist\), got'),
    (lambda world: world.apply([np.inf, 0.0]), 'finite'),
])
def test_bad_states_and_commands_are_refused(world, call, message):
    """The message has the allowed range and the value; nothing was changed."""
    before = world.sensed().positions
    with pytest.raises(SimulationError, match=message):
        call(world)
    np.testing.assert_array_equal(world.sensed().positions, before)


def test_a_joint_may_be_a_little_behind_its_limit(world):
    """Limits are soft: a hand that closes on something was recorded 0.052 rad behind one."""
    high = world.model.joint('wrist').range[1]
    at(world, 0.0, high + 0.09)
    assert world.sensed().positions[1] == pytest.approx(high + 0.09)
    with pytest.raises(SimulationError, match="joint 'wrist' must be in"):
        at(world, 0.0, high + 0.11)


def test_success_asks_every_joint():
    """The rule of DM-Control, but the shoulder turns without end: 2 pi is the same picture."""
    task = load_task('reacher')

    def errors(*qpos):
        return task.outcome(np.array([*qpos, 0, 0]), np.zeros(4)).errors

    assert errors(0.04, 0.0) == pytest.approx({'shoulder': 0.04, 'wrist': 0.0})
    assert errors(2 * np.pi, 2 * np.pi) == pytest.approx({'shoulder': 0, 'wrist': 2 * np.pi})
    own = task.facts.tolerance()
    assert str(own) == '0.05 rad' and own.worst(errors(0.01, -0.3)) == 'wrist'
    outcome = task.outcome(np.array([0.01, -0.3, 0, 0]), np.zeros(4))
    assert outcome.distance(own) == pytest.approx(6) and not outcome.solved(own)
    assert task.outcome(np.array([0.04, 0.04, 0, 0]), np.zeros(4)).solved(own)


def test_unknown_tasks_and_sizes_are_refused():
    """The message lists what there is."""
    with pytest.raises(ConfigError, match="'walker' does not exist; known tasks: .*reacher"):
        load_task('walker')
    with pytest.raises(SimulationError, match=r'image_size must be in \[8, 640\], got 4'):
        load_task('reacher').make_world(4)
