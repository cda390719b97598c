"""A camera that sends the same picture again and again."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from bag_factory import robot  # noqa: E402
from lewm_model.robot import JOINT_TRAJECTORY  # noqa: E402
from lewm_ros.planner.frozen import FrozenWatch  # noqa: E402
from lewm_ros.planner.robot_side import RobotSide  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402

STILL, MOVED = np.zeros(2), np.array([0.0, 0.3])   # a quarter of a full step can be seen


def test_the_third_equal_picture_after_the_robot_was_told_to_move_is_frozen():
    """Those from before do not count, however many."""
    watch = FrozenWatch(3)
    assert not any(watch.update(b'same', STILL) for _ in range(100))
    found = [bool(watch.update(b'same', MOVED)) for _ in range(4)]
    assert found == [False, False, True, True]


def test_it_stays_frozen_when_the_robot_has_stopped_until_the_picture_changes():
    """The robot stops because of it, so that it moves no longer says nothing."""
    watch = FrozenWatch(1)
    watch.update(b'same', STILL)
    assert watch.update(b'same', MOVED).code is Code.FRAME_FROZEN
    assert watch.update(b'same', STILL)
    assert not watch.update(b'other', STILL)
    assert not watch.update(b'other', STILL)


def test_a_person_who_enables_motion_again_is_believed():
    """A robot that could not move in a scene without noise is not stopped for ever."""
    watch = FrozenWatch(1)
    watch.update(b'same', STILL)
    assert watch.update(b'same', MOVED)
    watch.forgive()
    assert not watch.update(b'same', MOVED)


def test_motion_too_slow_to_show_and_zero_are_never_frozen():
    """A tenth of a step in all; and a limit of 0 is never."""
    watch = FrozenWatch(3)
    assert not any(watch.update(b'same', np.full(2, k / 1000)) for k in range(100))
    never = FrozenWatch(0)
    assert not any(never.update(b'same', np.full(2, k)) for k in range(100))


@pytest.mark.parametrize(('description', 'commands'), [
    (robot(interface='joint_velocity', min_command=[-2, -4], max_command=[2, 4]),
     [[2, 2], [1, 0], [0, -4]]),
    (robot(interface='joint_position', command_type=JOINT_TRAJECTORY, min_command=[-3, -3],
           max_command=[3, 3], max_rate=[1, 2]),
     [[1, 1], [1.05, 1.05], [1.075, 1.05], [1.075, 0.95]])])
def test_travel_is_told_in_what_the_robot_may_move_in_a_step(description, commands):
    """Speeds add up, positions are compared: 1.5 steps of one axis, 0.5 back of the other."""
    side = RobotSide(description)
    for command in commands:
        side.executed(np.array(command, float), 0.0)
    assert side.travel == pytest.approx([1.5, -0.5])


@pytest.mark.parametrize(('captured_s', 'travel'), [
    (0.9, 0.0), (1.0, 1.0), (1.05, 1.0), (1.1, 1.5), (9.0, 1.5)])
def test_a_picture_shows_what_was_told_before_its_capture(captured_s, travel):
    """A camera that is 0.3 s late is not frozen because the robot was told to move 0.2 s ago."""
    side = RobotSide(robot(interface='joint_velocity', min_command=[-2, -4], max_command=[2, 4]))
    side.executed(np.array([2.0, 0.0]), 1.0)
    side.executed(np.array([1.0, 0.0]), 1.1)
    assert side.travel_until(captured_s)[0] == pytest.approx(travel)
