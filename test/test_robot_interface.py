"""Action vector to robot command and back."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import ConfigError, ShapeError  # noqa: E402
from lewm_model.robot import RobotDescription  # noqa: E402
from lewm_ros.msg import ActionChunk  # noqa: E402
from lewm_ros.robot_interface import RobotInterface  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

ROBOT = RobotDescription.from_yaml('sim_reacher')


def test_joint_velocities_as_forward_command_controller_takes_them():
    """One plain array in joint order, and back."""
    interface = RobotInterface(ROBOT)
    message = interface.to_msg(np.array([0.5, -1.25]))

    assert message == Float64MultiArray(data=[0.5, -1.25])
    assert interface.from_msg(message).tolist() == [0.5, -1.25]
    assert interface.zero() == Float64MultiArray(data=[0.0, 0.0])
    assert interface.topic == 'joint_velocity_controller/commands'
    assert interface.code == ActionChunk.JOINT_VELOCITY
    assert interface.names == ['shoulder', 'wrist']


@pytest.mark.parametrize('action', [[1.0], [1.0, 2.0, 3.0], [], [1.0, np.nan], [[1.0, 2.0]]])
def test_commands_of_another_size_or_not_finite_are_refused(action):
    """The message names the joints and the value, in both directions."""
    interface = RobotInterface(ROBOT)
    with pytest.raises(ShapeError, match=r'2 finite numbers \(shoulder, wrist\)'):
        interface.to_msg(np.array(action))
    if np.ndim(action) == 1:
        with pytest.raises(ShapeError, match='2 finite numbers'):
            interface.from_msg(Float64MultiArray(data=action))


@pytest.mark.parametrize('changes', [
    {'interface': 'joint_position'}, {'interface': 'joint_effort'},
    {'command_type': 'trajectory_msgs/msg/JointTrajectory'}])
def test_robots_we_cannot_command_are_refused_with_what_we_can(changes):
    """An unsupported robot fails when it is configured, not when it should move."""
    with pytest.raises(ConfigError, match='supported: interface joint_velocity with'):
        RobotInterface(replace(ROBOT, **changes))
