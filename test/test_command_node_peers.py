"""The command node among others: who commands, who listens, e-stops, speed, robot_description.

Over real DDS, with the node as a process of its own.
"""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from command_rig import Planner, Robot, start_planner  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.motion import joints_to_msg  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.reports import CommandState  # noqa: E402
import numpy as np  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Bool, Float64, String  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from timed import timed, undisturbed  # noqa: E402

URDF = ('<robot name="arm"><joint name="shoulder" type="revolute">'
        '<limit lower="-1" upper="1" velocity="0.5"/></joint></robot>')


def enable(graph):
    return graph.call(SetBool, '/command_node/enable', SetBool.Request(data=True))


def test_motion_is_not_enabled_beside_another_publisher_of_commands(graph, tmp_path):
    """Refused with the other one's name, also in diagnostics; allowed once it is gone."""
    robot = Robot(graph, tmp_path)
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
    [(topic, kind)] = robot.interface.outputs
    other = graph.node.create_publisher(kind, topic, 1)
    graph.wait_for(lambda: '/test_node also publishes on' in enable(graph).message, 'the refusal')
    graph.wait_for(lambda: diagnostics and any(
        'also publishes' in one.message and one.level == DiagnosticStatus.ERROR
        for one in diagnostics[-1][1].status), 'the word in diagnostics')
    graph.node.destroy_publisher(other)
    graph.wait_for(lambda: enable(graph).success, 'enabling')


@pytest.mark.parametrize('comes_back', [False, True])
def test_a_robot_whose_controller_goes_away_is_stopped_and_has_to_be_enabled_again(
        graph, tmp_path, comes_back):
    """Its subscription vanishes in motion, or another one takes its place: DISABLED, and why.

    Where nobody listens any more, diagnostics say so and enabling is refused.
    """
    robot = Robot(graph, tmp_path)
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
    [(topic, kind)] = robot.interface.outputs
    planner = graph.spawn('fake_planner', '0.5')
    graph.wait_for(lambda: enable(graph).success, 'enabling')
    graph.wait_for(lambda: robot.state is CommandState.TRACKING, 'motion')
    for subscription in list(graph.node.subscriptions):   # the rig listens as a controller would
        if subscription.topic_name.endswith(topic):
            graph.node.destroy_subscription(subscription)
    if comes_back:
        graph.node.create_subscription(kind, topic, lambda message: None, qos.RECORD)
    graph.wait_for(lambda: robot.state is CommandState.DISABLED, 'the stop')
    reason = robot.states[-1][1].reason
    assert reason.code == Code.NO_LISTENER
    assert 'when the motion began and is gone or was started again' in reason.text
    assert planner.poll() is None
    since = len(diagnostics)
    graph.wait_for(lambda: enable(graph).success == comes_back, 'the answer to enable')
    if not comes_back:
        assert 'nobody listens' in enable(graph).message
        graph.wait_for(lambda: any(
            'nobody listens' in one.message and one.level == DiagnosticStatus.ERROR
            for _, array in diagnostics[since:] for one in array.status), 'the word')


@pytest.mark.parametrize('profile', [qos_profile_sensor_data, qos.LATEST, qos.LATCHED])
def test_every_button_is_heard_and_released_by_itself_only(graph, tmp_path, profile):
    """Best effort, reliable or latched; another button that is not pressed changes nothing."""
    robot = Robot(graph, tmp_path)
    button = graph.node.create_publisher(Bool, 'e_stop', profile)
    other = graph.node.create_publisher(Bool, 'e_stop', qos.LATEST)
    graph.wait_for(lambda: button.get_subscription_count() and other.get_subscription_count(),
                   'the readers')

    def pressed() -> bool:
        return robot.states[-1][1].e_stop

    graph.send_until(lambda: (button.publish(Bool(data=True)), other.publish(Bool(data=False))),
                     pressed, 'the pressed button')
    graph.spin(0.3)
    assert pressed()
    assert 'the e-stop is pressed (1 button)' in enable(graph).message
    graph.send_until(lambda: button.publish(Bool(data=False)), lambda: not pressed(),
                     'the release')


def test_a_pressed_button_that_is_unplugged_stays_pressed_until_people_clear_it(graph, tmp_path):
    """The way out is a service of its own; enable names it."""
    robot = Robot(graph, tmp_path)
    button = graph.node.create_publisher(Bool, 'e_stop', qos.LATCHED)
    button.publish(Bool(data=True))
    graph.wait_for(lambda: robot.states[-1][1].e_stop, 'the pressed button')
    refused = graph.call(Trigger, '/command_node/clear_e_stop', Trigger.Request())
    assert not refused.success and 'release it first' in refused.message
    graph.node.destroy_publisher(button)
    graph.wait_for(lambda: '~/clear_e_stop' in enable(graph).message, 'the refusal')
    assert robot.states[-1][1].e_stop
    assert graph.call(Trigger, '/command_node/clear_e_stop', Trigger.Request()).success
    graph.wait_for(lambda: not robot.states[-1][1].e_stop, 'the release')
    graph.wait_for(lambda: enable(graph).success, 'enabling')


def test_people_slow_the_robot_down(graph, tmp_path):
    """Half speed by the latched topic; a number that cannot be changes nothing and is reported."""
    scale = graph.node.create_publisher(Float64, 'speed_scale', qos.LATCHED)
    scale.publish(Float64(data=0.5))
    robot = Robot(graph, tmp_path, require_enable=False)
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
    start_planner(robot, '1.0')
    graph.wait_for(lambda: np.allclose(robot.action(), 0.5), 'half the speed')
    graph.wait_for(lambda: robot.states[-1][1].speed_scale == 0.5, 'the scale in the state')
    graph.wait_for(lambda: robot.executed and robot.executed[-1][1].speed_scale == 0.5,
                   'the scale in the executed command')
    scale.publish(Float64(data=2.0))
    graph.wait_for(lambda: diagnostics and 'speed_scale must be in [0, 1], got 2.0'
                   in diagnostics[-1][1].status[0].message, 'the reason')
    assert robot.states[-1][1].speed_scale == 0.5
    scale.publish(Float64(data=1.0))
    graph.wait_for(lambda: np.allclose(robot.action(), 1.0), 'full speed')


def test_a_robot_description_limits_a_velocity_arm(graph, tmp_path):
    """Without joint states it does not move; with them at 0.5 rad/s, and not beyond the end."""
    description = graph.node.create_publisher(String, 'robot_description', qos.LATCHED)
    description.publish(String(data=URDF))
    robot = Robot(graph, tmp_path, require_enable=False)
    graph.wait_for(lambda: description.get_subscription_count(), 'the reader')
    graph.spawn('fake_planner', '1.5')
    graph.wait_for(lambda: robot.states[-1][1].reason.code == Code.NO_JOINT_STATE, 'the reason')
    assert robot.commands == []
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
    graph.wait_for(lambda: diagnostics and 'nothing is published on /joint_states; start the '
                   'driver' in diagnostics[-1][1].status[0].message, 'the fix')

    joints = graph.node.create_publisher(JointState, 'joint_states', qos.SENSOR)
    place = np.zeros(2)

    def measure() -> None:
        joints.publish(joints_to_msg(graph.node.get_clock().now().nanoseconds,
                                     robot.interface.names, place, np.zeros(2)))

    graph.node.create_timer(0.02, measure)
    graph.wait_for(robot.moves, 'motion')
    graph.wait_for(lambda: np.allclose(robot.action(), [0.5, 0.5]), 'the speed of the joint')
    for step in np.linspace(0, 1, 30):   # as fast as a joint may move
        place[0] = step
        graph.spin(0.05)
    graph.wait_for(lambda: robot.action()[0] == 0 and robot.action()[1] > 0
                   and robot.state is CommandState.TRACKING, 'the end')


@timed
def test_two_planners_are_an_error_and_the_first_is_followed(graph, tmp_path):
    """A second one that also drives: its chunks are refused, diagnostics say so."""
    robot = Robot(graph, tmp_path, require_enable=False)
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
    start_planner(robot, '0.5')
    second = Planner(graph)
    second.keep_beating()
    begin = len(robot.commands)
    graph.wait_for(lambda: diagnostics and 'two planners at once'
                   in diagnostics[-1][1].status[0].message, 'the word in diagnostics')
    assert diagnostics[-1][1].status[0].level == DiagnosticStatus.ERROR

    def second_is_followed() -> bool:    # as it should be if the first falls silent
        return any(message.session == 1 for _, message in robot.states)

    graph.send_until(lambda: second.plan(-1.0), lambda: second_is_followed() or
                     'is of session 1, followed is' in robot.log.read_text(), 'the refused chunk')
    graph.spin(0.5)
    undisturbed(not second_is_followed(), 'the first planner was silent for too long')
    graph.wait_for(lambda: robot.states[-1][1].reason.code == Code.SECOND_PLANNER, 'the reason')
    assert all(robot.action(index)[0] >= 0 for index in range(begin, len(robot.commands)))


def test_two_who_report_the_same_joints_are_named(graph, tmp_path):
    """A forgotten publisher of zeros beside the driver: the reason has both nodes."""
    robot = Robot(graph, tmp_path, robot='joint_trajectory_arm')
    described, names = robot.interface.robot, robot.interface.names
    forgotten = Node('forgotten', context=graph.node.context)
    reports = [(node.create_publisher(JointState, described.joint_state_topic, 10), place)
               for node, place in ((graph.node, 0.8), (forgotten, 0.0))]

    def report() -> None:
        for publisher, place in reports:
            positions = np.full(len(names), place)
            publisher.publish(joints_to_msg(graph.node.get_clock().now().nanoseconds, names,
                                            positions, np.zeros(len(names))))

    try:
        graph.send_until(report, lambda: '2 sources of these joints (/forgotten, /test_node)' in (
            robot.states[-1][1].reason.text), 'both names in the reason')
    finally:
        forgotten.destroy_node()
