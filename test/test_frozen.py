"""A camera that sends the same picture again and again."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from bag_factory import robot  # noqa: E402
from lewm_model.robots.robot import JOINT_TRAJECTORY  # noqa: E402
from lewm_ros.planner.frozen import FrozenWatch, Motion  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402

WHEELS = robot(interface='joint_velocity', min_command=[-2, -4], max_command=[2, 4])


def watch(limit: int) -> FrozenWatch:
    """Return one that saw a picture at 0."""
    made = FrozenWatch(limit, Motion(WHEELS))
    assert not made.update(b'same', 0)
    return made


def go(frozen: FrozenWatch, stamp_ns: int, speed: float = 1.2) -> None:
    """Tell the robot to move by 0.3 of what it may in a step: a quarter can be seen."""
    frozen.motion.add(stamp_ns, np.array([0.0, speed]))


def test_the_third_equal_picture_after_the_robot_was_told_to_move_is_frozen():
    """Those from before do not count, however many."""
    frozen = watch(3)
    assert not any(frozen.update(b'same', stamp) for stamp in range(100))
    go(frozen, 100)
    assert [bool(frozen.update(b'same', stamp)) for stamp in (101, 102, 103, 104)] == [
        False, False, True, True]


def test_commands_from_before_the_picture_do_not_count_however_late_they_are_heard():
    """A planner that was paused hears of them after it has seen the robot at rest.

    Nor do those from after its capture: a camera that is 0.3 s late shows nothing of them yet.
    """
    frozen = watch(1)
    assert not frozen.update(b'at rest', 50)
    go(frozen, 49)
    assert not any(frozen.update(b'at rest', stamp) for stamp in range(51, 100))
    go(frozen, 200)      # nor one that is newer than the picture
    assert not frozen.update(b'at rest', 150)
    assert frozen.update(b'at rest', 200)


def test_it_stays_frozen_when_the_robot_has_stopped_until_the_picture_changes():
    """The robot stops because of it, so that it moves no longer says nothing."""
    frozen = watch(1)
    go(frozen, 1)
    assert frozen.update(b'same', 2).code is Code.FRAME_FROZEN
    assert frozen.update(b'same', 10 ** 12)
    assert not frozen.update(b'other', 10 ** 12 + 1)
    assert not frozen.update(b'other', 10 ** 12 + 2)


def test_a_person_who_enables_motion_again_is_believed():
    """A robot that could not move in a scene without noise is not stopped for ever."""
    frozen = watch(1)
    go(frozen, 1)
    assert frozen.update(b'same', 2)
    frozen.forgive()
    assert not frozen.update(b'same', 3)


def test_motion_too_slow_to_show_and_zero_are_never_frozen():
    """A fifth of a step in all; and a limit of 0 is never."""
    frozen, never = watch(3), watch(0)
    for stamp in range(80):
        go(frozen, stamp, 0.01)
        go(never, stamp)
        assert not frozen.update(b'same', stamp)
        assert not never.update(b'same', stamp)


@pytest.mark.parametrize(('description', 'commands'), [
    (WHEELS, [[2, 2], [1, 0], [0, -4]]),
    (robot(interface='joint_position', command_type=JOINT_TRAJECTORY, min_command=[-3, -3],
           max_command=[3, 3], max_rate=[1, 2]),
     [[1, 1], [1.05, 1.05], [1.075, 1.05], [1.075, 0.95]])])
def test_what_the_robot_was_told_is_in_what_it_may_move_in_a_step(description, commands):
    """Speeds add up, positions are compared; the first commands move one axis by 1.5 steps."""
    told = Motion(description)
    for stamp, command in enumerate(commands):
        told.add(stamp, np.array(command, float))
    assert told.between(0, 9) == pytest.approx(1.5)
    assert told.between(len(commands) - 1, 9) == pytest.approx(1.0)
    assert told.between(8, 9) == 0.0


ARM = robot(interface='joint_position', command_type=JOINT_TRAJECTORY, min_command=[-3, -3],
            max_command=[3, 3], max_rate=[1, 2])
STEP_NS = 50_000_000


def joint_state(*positions: float, names=('shoulder', 'wrist')) -> SimpleNamespace:
    return SimpleNamespace(name=list(names), position=list(positions), velocity=[])


def test_a_place_after_a_gap_is_no_motion():
    """A new command node holds the arm where the guard stopped it; that is no sign of motion."""
    told = Motion(ARM)
    for stamp_ns, place in ((0, 1.0), (STEP_NS, 1.05), (60 * STEP_NS, 0.9), (61 * STEP_NS, 0.9)):
        told.add(stamp_ns, np.array([place, 0.0]))
    assert told.between(0, STEP_NS) == pytest.approx(1.0)
    assert told.between(2 * STEP_NS, 61 * STEP_NS) == 0.0
    told.add(62 * STEP_NS, np.array([0.95, 0.0]))
    assert told.between(61 * STEP_NS, 62 * STEP_NS) == pytest.approx(1.0)


@pytest.mark.parametrize(('share', 'moved'), [(0.0, 0.0), (0.02, 0.0), (0.03, 4.0), (1.0, 4.0)])
def test_what_an_arm_was_told_counts_only_where_it_is_measured_to_move(share, moved):
    """Told four steps of 0.05, and it moves by a share of that: a tenth of a step is motion."""
    motion = Motion(ARM)
    for step in range(5):
        motion.add(step * STEP_NS, np.array([0.05 * step, 0.0]))
        motion.measured(joint_state(0.05 * step * share, 1.5), step * STEP_NS)
    assert motion.between(0, 4 * STEP_NS) == pytest.approx(moved)
    blocked = FrozenWatch(1, motion)
    blocked.update(b'same', 0)
    assert bool(blocked.update(b'same', 4 * STEP_NS)) is (moved > 0)


def test_joints_that_nobody_measured_do_not_excuse_a_camera():
    """Silent, malformed, of another arm, or from before: what was told counts alone."""
    motion = Motion(ARM)
    motion.measured(joint_state(1.0, 2.0), 0)
    for message in (joint_state(1.0, 2.0, names=('knee', 'toe')), joint_state(1.0)):
        motion.measured(message, 11 * STEP_NS)
    for step in (11, 12):
        motion.add(step * STEP_NS, np.array([0.05 * step, 0.0]))
    assert motion.between(11 * STEP_NS, 12 * STEP_NS) == pytest.approx(1.0)


@pytest.mark.parametrize(('way', 'frozen'), [(0.0, False), (0.009, False), (0.011, True)])
def test_joints_that_are_told_speeds_count_where_they_move(way, frozen):
    """At 2 rad/s for 0.05 s a step is 0.1 rad, and a tenth of it motion."""
    motion = Motion(WHEELS)
    motion.add(0, np.array([1.0, 0.0]))
    motion.measured(joint_state(1.0, 2.0), 0)
    motion.measured(joint_state(1.0 + way, 2.0), STEP_NS)
    assert motion.listens
    assert (motion.between(0, STEP_NS) == pytest.approx(0.5)) is frozen
    if not frozen:
        assert motion.between(0, STEP_NS) == 0.0


def test_a_robot_without_joints_is_believed_what_it_was_told():
    """Of a base that is told a twist nobody measures joints."""
    base = robot(interface='twist', command_type='geometry_msgs/msg/Twist',
                 joint_names=['linear.x', 'angular.z'], state_type='nav_msgs/msg/Odometry',
                 joint_state_topic='odom')
    motion = Motion(base)
    assert not motion.listens
    motion.add(0, np.array([1.0, 2.0]))
    for stamp_ns in (0, STEP_NS):
        motion.measured(joint_state(1.0, 2.0, names=('linear.x', 'angular.z')), stamp_ns)
    assert motion.between(0, STEP_NS) == pytest.approx(1.0)
