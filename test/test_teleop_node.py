"""A person drives the simulated robot through the command node; real processes, real DDS."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from lewm_ros.msg import ControllerState, ExecutedCommand  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.reports import CommandState  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402


def test_a_person_drives_through_all_limits(tmp_path):
    """Commands move the robot and are published as executed, clipped; silence stops it."""
    with Graph(use_sim_time=True) as graph:
        graph.spawn('lewm_ros.sources.teleop_node',
                    parameters={'use_sim_time': True, 'timeout_s': 1.0})
        graph.spawn('lewm_ros.command.command_node',
                    parameters={'use_sim_time': True, 'require_enable': False})
        graph.spawn('lewm_ros.simulation.sim_node')
        states = graph.collect(ControllerState, 'controller_state', qos.RECORD)
        executed = graph.collect(ExecutedCommand, 'executed_command', qos.RECORD)
        joints = graph.collect(JointState, 'joint_states', qos.SENSOR)
        person = graph.node.create_publisher(Float64MultiArray, 'teleop_command', qos.LATEST)
        graph.transition('command_node', 'configure', 'activate')
        graph.wait_for(lambda: person.get_subscription_count() and joints, 'everybody')
        start = np.array(joints[-1][1].position)

        def state() -> CommandState:
            return CommandState(states[-1][1].state) if states else CommandState.IDLE

        def driven() -> bool:
            person.publish(Float64MultiArray(data=[1.0, 9.0]))  # the wrist's limit is 2
            graph.spin(0.05)
            return state() is CommandState.TRACKING and len(executed) > 20

        graph.wait_for(driven, 'TRACKING', 30.0)
        tracked = [message for _, message in executed if not message.overridden]
        assert list(tracked[-1].requested) == [1.0, 9.0]
        assert list(tracked[-1].executed) == [1.0, 2.0]
        assert tracked[-1].clipped
        stamps = np.array([message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
                           for message in tracked])
        assert (np.diff(stamps) % 50_000_000 == 0).all()   # one grid as long as the person drives
        graph.wait_for(lambda: state() is CommandState.STOPPED, 'STOPPED')
        assert joints[-1][1].position[0] > start[0] + 0.1
        assert list(executed[-1][1].executed) == [0.0, 0.0]
