from bag_factory import robot
from lewm_model.errors import ConfigError
from lewm_ros.simulation.motor_drive import Drive, drive_of, HoldingDrive, PositionDrive
import numpy as np
import pytest

STOP_RATE = np.array([10.0, 20.0])


def test_the_newest_command_is_obeyed_until_it_times_out():
    """A command counts up to its timeout, then each joint ramps down at its own rate."""
    drive = Drive(STOP_RATE, timeout_s=0.2)
    drive.receive(np.array([1.0, -1.0]), now_s=5.0)
    np.testing.assert_allclose(drive.output(5.0, 0.01), [1.0, -1.0])
    assert drive.output(5.19, 0.01) is None     # the last one goes on
    np.testing.assert_allclose(drive.output(5.21, 0.01), [0.9, -0.8])
    ramp = [drive.output(5.22 + 0.01 * k, 0.01) for k in range(20)]
    np.testing.assert_array_equal([output for output in ramp if output is not None][-1], [0, 0])
    assert ramp[-1] is None     # it stands: there is nothing to say


def test_without_a_timeout_a_command_counts_for_ever():
    """Zero turns the timeout off."""
    drive = Drive(STOP_RATE, timeout_s=0.0)
    drive.receive(np.array([1.0, 1.0]), now_s=0.0)
    np.testing.assert_array_equal(drive.output(1e6, 0.01), [1.0, 1.0])


def test_a_reset_stands_still_at_once_and_the_caller_cannot_change_the_command():
    """Clearing forgets the command; arrays given and returned are not shared."""
    drive = Drive(STOP_RATE, timeout_s=0.2)
    command = np.array([1.0, 1.0])
    drive.receive(command, now_s=0.0)
    command[:] = 9.0
    drive.output(0.0, 0.01)[:] = 9.0
    drive.receive(np.array([1.0, 1.0]), now_s=0.0)
    np.testing.assert_array_equal(drive.output(0.0, 0.01), [1.0, 1.0])
    drive.clear()
    assert drive.output(0.0, 0.01) is None
    assert not drive.timed_out(100.0)


def test_a_position_drive_goes_where_it_was_told_and_stays():
    """At its speed limit first, then slower, and at the target for ever; a reset lets it stand."""
    drive = PositionDrive(np.array([2.0, 2.0]))
    place = np.array([0.5, 0.0])
    np.testing.assert_array_equal(drive.output(0.0, 0.01, place), [0.0, 0.0])
    drive.receive(np.array([1.5, 0.0]), now_s=0.0)
    np.testing.assert_array_equal(drive.output(0.0, 0.01, place), [2.0, 0.0])
    for k in range(200):
        place = place + 0.01 * drive.output(0.01 * k, 0.01, place)
    np.testing.assert_allclose(place, [1.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(drive.output(1e6, 0.01, place), [0.0, 0.0], atol=1e-5)
    drive.clear()
    np.testing.assert_array_equal(drive.output(1e6, 0.01, place + 1), [0.0, 0.0])


def test_a_holding_drive_says_every_command_once():
    """Two equal commands are two actions, as of a target relative to where the robot is."""
    drive = HoldingDrive()
    for _ in range(2):
        drive.receive(np.array([0.5, 0.5]), now_s=0.0)
        np.testing.assert_array_equal(drive.output(0.0, 0.01), [0.5, 0.5])
        assert drive.output(0.01, 0.01) is None
    assert not drive.timed_out(1e6)


def test_the_interface_chooses_the_drive():
    """A scene takes its own interface; joints that take speeds can be behind position servos."""
    speeds, places, efforts = (robot(interface=f'joint_{name}')
                               for name in ('velocity', 'position', 'effort'))
    assert isinstance(drive_of(speeds, speeds, 0.2), Drive)
    assert isinstance(drive_of(efforts, efforts, 0.2), Drive)
    assert isinstance(drive_of(places, places, 0.2), HoldingDrive)
    assert isinstance(drive_of(places, speeds, 0.2), PositionDrive)
    with pytest.raises(ConfigError, match='has interface joint_effort, the scene takes joint_vel'):
        drive_of(efforts, speeds, 0.2)
    with pytest.raises(ConfigError, match='is commanded by shoulder, wrist, the scene by a, b'):
        drive_of(speeds, robot(joint_names=['a', 'b']), 0.2)
