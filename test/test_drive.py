from lewm_ros.simulation.motor_drive import Drive
import numpy as np

STOP_RATE = np.array([10.0, 20.0])


def test_the_newest_command_is_obeyed_until_it_times_out():
    """A command counts up to its timeout, then each joint ramps down at its own rate."""
    drive = Drive(STOP_RATE, timeout_s=0.2)
    drive.receive(np.array([1.0, -1.0]), now_s=5.0)
    np.testing.assert_allclose(drive.output(5.19, 0.01), [1.0, -1.0])
    np.testing.assert_allclose(drive.output(5.21, 0.01), [0.9, -0.8])
    for k in range(20):
        last = drive.output(5.22 + 0.01 * k, 0.01)
    np.testing.assert_array_equal(last, [0.0, 0.0])


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
    np.testing.assert_array_equal(drive.output(0.0, 0.01), [1.0, 1.0])
    drive.clear()
    np.testing.assert_array_equal(drive.output(0.0, 0.01), [0.0, 0.0])
    assert not drive.timed_out(100.0)
