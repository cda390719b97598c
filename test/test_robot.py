from bag_factory import robot
from lewm_model.errors import ConfigError
from lewm_model.robot import RobotDescription
import numpy as np
import pytest


def test_shipped_robot_is_found_by_name():
    """The simulated arm has two velocity joints at 20 Hz, limited to 2 rad/s."""
    arm = RobotDescription.from_yaml('sim_reacher')

    assert (arm.joint_names, arm.interface) == (('shoulder', 'wrist'), 'joint_velocity')
    assert arm.control_dt_ns == 50_000_000
    np.testing.assert_array_equal(arm.max_command, [2, 2])
    with pytest.raises(ValueError, match='read-only'):
        arm.max_command[0] = 3


@pytest.mark.parametrize(('changes', 'message'), [
    ({'joint_names': ['a', 'a']}, 'joint_names must be a list of different names'),
    ({'max_command': [2]}, 'max_command must be 2 finite numbers, one for each of shoulder, wr'),
    ({'max_command': [2, float('nan')]}, 'max_command must be 2 finite numbers'),
    ({'min_command': [-2, 2]}, r'min_command must be below max_command=\[2.0, 2.0\]'),
    ({'stop_rate': [0, 1]}, 'stop_rate must be positive'),
    ({'interface': 'joint_torque'}, "one of joint_position, .*, got 'joint_torque'"),
    ({'control_dt_s': 0}, r'control_dt_s must be a number of seconds in \(0, 10\), got 0'),
    ({'image_topic': ''}, 'image_topic must be a text that is not empty'),
])
def test_nonsense_is_refused(changes, message):
    """A wrong description fails when it is read, not when the robot moves."""
    with pytest.raises(ConfigError, match=message):
        robot(**changes)


def test_unknown_and_missing_keys_are_named(tmp_path):
    """A typing error in a robot file names the key and the file."""
    path = tmp_path / 'arm.yaml'
    path.write_text('robot: arm\nmax_speed: 3\n')

    with pytest.raises(ConfigError, match=r'arm.yaml: unknown keys: max_speed; missing keys: '
                                          r'control_dt_s, '):
        RobotDescription.from_yaml(path)
