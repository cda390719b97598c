"""A killed or paused command node does not leave the robot in motion; real processes, real DDS.

The robot in these tests is a controller that repeats its last command for ever, as most of
ros2_control's do: what it does is the newest message on its command topic.
"""

from pathlib import Path
import signal
import time

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from command_rig import Robot, start_planner  # noqa: E402
from lewm_ros.guard.guard_node import GuardNode  # noqa: E402
from lewm_ros.msg import GuardState  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.reports import CommandState, GuardPhase  # noqa: E402
import numpy as np  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from timed import in_time, timed, undisturbed  # noqa: E402
import yaml  # noqa: E402

GOAL = 0.6      # of the position arm, from 0.05 [rad]


class Guarded(Robot):
    """A command node with a guard beside it."""

    def __init__(self, graph: Graph, tmp_path, robot: str = 'sim_reacher') -> None:
        self.guard = graph.spawn('lewm_ros.guard.guard_node', output=tmp_path / 'guard.log',
                                 parameters={'robot': robot})
        self.guard_states = graph.collect(GuardState, 'guard_state', qos.LATCHED)
        graph.wait_for(lambda: self.guard_states, 'the guard')
        self._arguments = graph, tmp_path, robot
        self.start(0)

    def start(self, number: int) -> None:
        """Start a command node, in place of one that was killed.

        Under a name of its own: services of a killed process seem to exist for 20 s.
        """
        graph, tmp_path, robot = self._arguments
        super().__init__(graph, tmp_path, name=f'command_node_{number}', robot=robot,
                         require_enable=False)
        graph.wait_for(lambda: self.phase is GuardPhase.WATCHING, 'the guard hears the node')

    @property
    def phase(self) -> GuardPhase:
        return GuardPhase(self.guard_states[-1][1].phase)

    def has_spoken(self, times: int) -> bool:
        return self.stops == times and self.phase is GuardPhase.SPOKEN

    @property
    def stops(self) -> int:
        return self.guard_states[-1][1].stops


def position_arm(tmp_path) -> str:
    """Return the description of an arm commanded by positions, slow enough to be caught."""
    names = ['shoulder', 'wrist']
    path = tmp_path / 'position_arm.yaml'
    path.write_text(yaml.safe_dump({
        'robot': 'position_arm', 'control_dt_s': 0.05, 'image_topic': 'image',
        'camera_info_topic': '', 'joint_state_topic': 'joint_states',
        'command_topic': 'position_controller/commands',
        'command_type': 'std_msgs/msg/Float64MultiArray', 'executed_topic': 'executed_command',
        'interface': 'joint_position', 'joint_names': names, 'min_command': [-3.0, -3.0],
        'max_command': [3.0, 3.0], 'max_rate': [0.5, 0.5], 'stop_rate': [2.0, 2.0]}))
    return str(path)


@pytest.mark.slow
@timed
def test_a_killed_command_node_means_zero_within_three_tenths_of_a_second(graph, tmp_path):
    """SIGKILL in mid-motion, ten of ten; a new command node then drives as if nothing had been."""
    robot = Guarded(graph, tmp_path)
    planner = start_planner(robot)
    times = []
    for kill in range(1, 11):
        graph.wait_for(lambda robot=robot: robot.moves(), 'motion')
        graph.spin(0.3)
        graph.wait_for(lambda robot=robot: robot.moves(), 'motion')
        undisturbed(robot.stops == kill - 1, robot.guard_states[-1][1].reason)
        killed_at = time.monotonic()
        robot.process.kill()
        graph.wait_for(lambda robot=robot, kill=kill: robot.has_spoken(kill) and not robot.moves(),
                       'the end of the last word')
        times.append(robot.last_motion() - killed_at)
        robot.start(kill)
    planner.terminate()

    print('seconds from SIGKILL to zero:', ' '.join(f'{t:.3f}' for t in times))
    in_time(max(times), 0.4, 'the stop')    # the last word within 0.3 s, and the ramp after it


@pytest.mark.slow
@timed
def test_a_position_arm_stays_where_it_was_when_its_command_node_is_killed(graph, tmp_path):
    """Ten kills on the way to the goal: the arm stops there, not at the goal, and holds."""
    path = position_arm(tmp_path)
    graph.spawn('fake_robot', path)
    places = []
    graph.node.create_subscription(
        JointState, 'joint_states',
        lambda message: places.append((time.monotonic(), np.array(message.position))), qos.SENSOR)
    robot = Guarded(graph, tmp_path, path)
    for kill in range(1, 11):
        goal = GOAL if kill % 2 else -GOAL
        planner = graph.spawn('fake_planner', str(goal), path)
        graph.wait_for(lambda goal=goal: abs(places[-1][1][0] - goal) < 0.4, 'a way to go')
        assert abs(places[-1][1][0] - goal) > 0.2
        killed_at = time.monotonic()
        robot.process.kill()
        graph.wait_for(lambda kill=kill: robot.has_spoken(kill), 'the end of the last word')
        graph.spin(0.5)
        at_rest = places[-1][1]
        moving_until = max(at for at, place in places if abs(place - at_rest).max() > 1e-3)
        in_time(moving_until - killed_at, 0.5, 'the stop')
        assert abs(at_rest[0] - goal) > 0.02
        planner.kill()
        planner.wait()
        robot.start(kill)


@timed
def test_a_paused_command_node_does_not_go_on_where_it_was(graph, tmp_path):
    """SIGSTOP: the guard stops the robot. SIGCONT: motion needs a plan made since then."""
    robot = Guarded(graph, tmp_path)
    planner = start_planner(robot)
    graph.spin(0.3)
    stopped_at = time.monotonic()
    robot.process.send_signal(signal.SIGSTOP)
    graph.wait_for(lambda: robot.phase in (GuardPhase.SPEAKING, GuardPhase.SPOKEN), 'the guard')
    graph.wait_for(lambda: not robot.moves(), 'standstill')
    in_time(robot.last_motion() - stopped_at, 0.4, 'the stop')
    planner.kill()
    planner.wait()
    graph.spin(0.5)
    paused = len(robot.commands)
    robot.process.send_signal(signal.SIGCONT)
    graph.wait_for(lambda: robot.phase is GuardPhase.WATCHING, 'the guard gives way')
    graph.wait_for(lambda: robot.state in (CommandState.IDLE, CommandState.DISABLED), 'its state')
    graph.spin(1.0)

    assert not any(robot.action(k).any() for k in range(paused, len(robot.commands)))
    assert robot.state in (CommandState.IDLE, CommandState.DISABLED)
    start_planner(robot)


@timed
def test_a_guard_has_nothing_to_say_while_all_is_well(graph, tmp_path):
    """Motion, a stop by the planner's death, a clean end of the command node: no word of it."""
    robot = Guarded(graph, tmp_path)
    planner = start_planner(robot)
    graph.spin(1.0)
    planner.kill()
    graph.wait_for(lambda: robot.state is CommandState.STOPPED, 'the stop')
    planner.wait()
    start_planner(robot)
    robot.process.send_signal(signal.SIGINT)
    assert graph.wait_for_exit(robot.process) == 0
    graph.spin(1.0)

    graph.wait_for(lambda: robot.phase is GuardPhase.WAITING, 'a guard without a node')
    undisturbed(robot.stops == 0, robot.guard_states[-1][1].reason)
    assert graph.interrupt(robot.guard) == 0


def test_motion_without_a_guard_is_refused_where_one_is_required(graph, tmp_path):
    """`require_guard`: ~/enable says why not, and works as soon as the guard is heard."""
    from std_srvs.srv import SetBool

    robot = Robot(graph, tmp_path, require_guard=True)
    answer = graph.call(SetBool, 'command_node/enable', SetBool.Request(data=True))
    assert not answer.success
    assert 'no guard_node' in answer.message
    graph.spawn('lewm_ros.guard.guard_node', parameters={'robot': 'sim_reacher'})
    graph.wait_for(lambda: graph.call(SetBool, 'command_node/enable',
                                      SetBool.Request(data=True)).success, 'enabling')
    graph.wait_for(lambda: robot.state is CommandState.IDLE, 'the enabled state')


def test_positions_of_a_slow_robot_count_longer(graph, tmp_path):
    """Two control steps, as in the command node: at 5 Hz 0.4 s, or the arm is not held there."""
    path = Path(position_arm(tmp_path))
    path.write_text(path.read_text().replace('control_dt_s: 0.05', 'control_dt_s: 0.2'))
    node = GuardNode(context=graph.node.context,
                     parameter_overrides=[Parameter('robot', value=str(path))])
    try:
        node._word.measure(np.array([0.3, -0.1]), 10.0)
        node._word._take_over()
        assert not node._word._standstill.measured.problem(10.39)
        assert '0.4 s' in str(node._word._standstill.measured.problem(10.41))
    finally:
        node.destroy_node()
