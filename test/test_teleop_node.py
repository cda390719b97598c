"""A person drives: the simulated robot through the command node, and robots of other kinds."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import Twist, Vector3  # noqa: E402
from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_ros.msg import ActionChunk, ControllerState, ExecutedCommand, PlanStatus  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reports import CommandState  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
from test_live_robots import file_of  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

PICTURE = np.zeros((8, 8, 3), np.uint8)
TWIST = Twist(linear=Vector3(x=0.2), angular=Vector3(z=-1.0))
TRAJECTORY = JointTrajectory(
    joint_names=[f'joint_{number}' for number in range(1, 7)],
    points=[JointTrajectoryPoint(positions=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])])


@pytest.mark.parametrize(('name', 'command', 'action'), [
    ('diff_drive', TWIST, [0.2, -1.0]),
    ('joint_trajectory_arm', TRAJECTORY, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])])
def test_other_robots_are_driven_by_their_pictures(tmp_path, name, command, action):
    """A base and an arm by position, without CameraInfo; impossible frames are survived."""
    robot = RobotDescription.from_yaml(file := file_of(name, tmp_path, camera_info_topic=''))
    if name == 'joint_trajectory_arm':
        command.joint_names = list(robot.joint_names)
        command.points[0].positions = action = action[:robot.action_dim]
    with Graph() as graph:
        process = graph.spawn('lewm_ros.sources.teleop_node', output=tmp_path / 'log',
                              parameters={'robot': file, 'timeout_s': 2.0})
        camera = graph.node.create_publisher(Image, robot.image_topic, qos.SENSOR)
        person = graph.node.create_publisher(type(command), 'teleop_command', qos.LATEST)
        chunks = graph.collect(ActionChunk, 'action_chunk', qos.LATEST)
        reports = graph.collect(PlanStatus, 'plan_status', qos.RECORD)
        diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
        frame = rgb_to_image(PICTURE, 0)

        def show(*, sec: int) -> None:
            frame.header.stamp.sec = sec
            camera.publish(frame)
            graph.spin(0.02)

        def alive() -> bool:
            show(sec=5)
            return bool(reports)

        graph.wait_for(alive, 'a heartbeat')
        assert not chunks

        graph.send_until(lambda: (person.publish(command), show(sec=-7), show(sec=6)),
                         lambda: len(chunks) > 3, 'chunks')
        np.testing.assert_allclose(chunks[-1][1].actions[:len(action)], action, rtol=1e-6)
        assert chunks[-1][1].session == reports[-1][1].session
        graph.wait_for(lambda: any('sec -7' in status.message for _, array in diagnostics
                                   for status in array.status), 'the reason in the diagnostics')
        assert process.poll() is None
        assert 'sec -7' in (tmp_path / 'log').read_text()


def test_a_leader_arm_is_followed_by_the_names_of_its_joints(tmp_path):
    """In any order, with joints that the robot does not have, in one message or in two."""
    robot = RobotDescription.from_yaml(file := file_of('joint_trajectory_arm', tmp_path,
                                                       camera_info_topic=''))
    wanted = dict(zip(robot.joint_names, np.arange(robot.action_dim) / 10, strict=True))
    first, *others = reversed(wanted.items())
    with Graph() as graph:
        graph.spawn('lewm_ros.sources.teleop_node', output=tmp_path / 'log', parameters={
            'robot': file, 'timeout_s': 1.0, 'leader_topic': 'leader/joint_states'})
        camera = graph.node.create_publisher(Image, robot.image_topic, qos.SENSOR)
        leader = graph.node.create_publisher(JointState, 'leader/joint_states', qos.SENSOR)
        chunks = graph.collect(ActionChunk, 'action_chunk', qos.LATEST)
        frame = rgb_to_image(PICTURE, 0)

        def lead(**joints) -> None:
            leader.publish(JointState(name=list(joints), position=list(joints.values())))
            frame.header.stamp.sec += 1
            camera.publish(frame)
            graph.spin(0.05)

        graph.wait_for(leader.get_subscription_count, 'the reader')
        for _ in range(10):
            lead(**dict(others), elsewhere=9.0)
        assert not chunks       # one joint has not been told yet
        graph.send_until(lambda: (lead(**dict([first])), lead(**dict(others))),
                         lambda: len(chunks) > 3, 'chunks')
        np.testing.assert_allclose(chunks[-1][1].actions[:robot.action_dim],
                                   list(wanted.values()), rtol=1e-6)
        refused = graph.spawn('lewm_ros.sources.teleop_node', output=tmp_path / 'refused',
                              parameters={'leader_topic': 'leader/joint_states'})
        assert graph.wait_for_exit(refused) == 2
        assert 'needs a robot commanded by joint_position' in (tmp_path / 'refused').read_text()


@pytest.mark.sim
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

        graph.send_until(
            lambda: person.publish(Float64MultiArray(data=[1.0, 9.0])),  # the wrist's limit is 2
            lambda: state() is CommandState.TRACKING and len(executed) > 20, 'TRACKING')
        tracked = [message for _, message in executed if not message.overridden]
        assert list(tracked[-1].requested) == [1.0, 9.0]
        assert list(tracked[-1].executed) == pytest.approx([2 / 9, 2.0])
        assert tracked[-1].clipped
        stamps = np.array([message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
                           for message in tracked])
        assert (np.diff(stamps) % 50_000_000 == 0).all()   # one grid as long as the person drives
        graph.wait_for(lambda: state() is CommandState.STOPPED
                       and list(executed[-1][1].executed) == [0.0, 0.0], 'STOPPED')
        assert joints[-1][1].position[0] > start[0] + 0.1
