"""The command node as a process of its own, over real DDS: its topics, services, parameters."""

import time

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from command_rig import Planner, Robot, start_planner  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lewm_ros.node.run_node import REFUSED  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.reports import CommandState  # noqa: E402
from lewm_ros.wire.stamps import header_stamp_ns  # noqa: E402
import numpy as np  # noqa: E402
from rcl_interfaces.msg import (  # noqa: E402
    Parameter as ParameterMsg,  # noqa: E402
    ParameterType,
    ParameterValue,
)
from rcl_interfaces.srv import SetParameters  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from timed import timed, undisturbed  # noqa: E402


@pytest.fixture
def planner(graph):
    """Publish from the test's own node, at will."""
    return Planner(graph)


@timed
def test_one_command_per_control_step_right_at_the_grid_points(graph, tmp_path):
    """One second of a plan: each step has its command at its grid point, or is counted missed.

    On a machine that is not overloaded none is missed; a command arrives here within 10 ms.
    """
    planner = Planner(graph)
    robot = Robot(graph, tmp_path, require_enable=False)
    planner.keep_beating()
    planner.wait_for_reader()
    graph.spin(0.1)
    start_ns = planner.plan(0.5, rows=20)
    offset_s = time.monotonic() - planner.now_ns() / 1e9
    undisturbed(graph.spin_until(lambda: robot.executed, 2.0), 'no command for 2 s')
    graph.wait_for(lambda: robot.state is CommandState.STOPPED, 'the end of the plan')

    steps = [(at, message) for at, message in robot.executed if not message.overridden]
    undisturbed(steps, 'no step of the plan was followed')
    rows = [message.step for _, message in steps]
    missed = sorted(set(range(rows[0], 20)) - set(rows))
    stamps = [header_stamp_ns(message) for _, message in steps]
    assert rows == sorted(set(rows))
    assert stamps == [start_ns + row * 50_000_000 for row in rows]
    undisturbed(rows[0] <= 1 and len(missed) <= 2, f'the rows that were sent: {rows}')
    assert robot.states[-1][1].deadline_misses == len([row for row in missed if row < rows[-1]])
    lateness = [at - (stamp / 1e9 + offset_s)
                for (at, _), stamp in zip(steps, stamps, strict=True)]
    print('seconds from grid point to arrival, median and max:',
          f'{np.median(lateness):.4f} {max(lateness):.4f}')
    assert np.median(lateness) > -0.005
    undisturbed(np.median(lateness) < 0.010, f'commands came {np.median(lateness):.3f} s late')


def test_services_and_e_stop(graph, planner, tmp_path):
    """Disabled at first; enable, stop, e-stop and fault each end or allow motion as documented."""
    robot = Robot(graph, tmp_path)
    planner.keep_beating()
    planning = planner.node.create_timer(0.1, lambda: planner.plan(1.0))
    graph.spin(0.5)
    assert robot.state is CommandState.DISABLED
    assert robot.commands == []

    def enable(on=True):
        return graph.call(SetBool, '/command_node/enable', SetBool.Request(data=on))

    graph.wait_for(lambda: enable().success, 'a node that knows who listens')
    graph.wait_for(robot.moves, 'motion after enable')
    assert graph.call(Trigger, '/command_node/stop', Trigger.Request()).success
    graph.wait_for(lambda: not robot.moves() and robot.state is CommandState.DISABLED, 'stop')
    assert enable().success
    graph.wait_for(robot.moves, 'motion after the second enable')

    e_stop = graph.node.create_publisher(Bool, 'e_stop', qos.LATEST)
    graph.wait_for(e_stop.get_subscription_count, 'the e-stop subscription')
    e_stop.publish(Bool(data=True))
    graph.wait_for(lambda: robot.states[-1][1].e_stop and not robot.moves(), 'e-stop')
    refused = enable()
    assert not refused.success and 'e-stop' in refused.message
    e_stop.publish(Bool(data=False))
    graph.wait_for(lambda: not robot.states[-1][1].e_stop, 'release')
    assert robot.state is CommandState.DISABLED
    assert enable().success
    graph.wait_for(robot.moves, 'motion after release and enable')

    planning.cancel()
    planner.plan(1.0, names=['wrist', 'shoulder'])
    graph.wait_for(lambda: robot.state is CommandState.FAULT and not robot.moves(), 'fault')
    assert 'wrist, shoulder' in robot.states[-1][1].reason.text
    assert not enable().success
    assert graph.call(Trigger, '/command_node/clear_fault', Trigger.Request()).success
    graph.wait_for(lambda: robot.state is CommandState.DISABLED, 'fault cleared')


def test_deactivated_node_says_zero_first_and_can_be_activated_again(graph, tmp_path):
    """The last command before deactivation is zero; afterwards silence; then motion again."""
    robot = Robot(graph, tmp_path, require_enable=False)
    start_planner(robot)
    graph.transition('command_node', 'deactivate')
    graph.wait_for(lambda: not robot.moves(), 'the zero command')
    said = len(robot.commands)
    graph.spin(0.3)
    assert len(robot.commands) == said
    graph.transition('command_node', 'activate')
    graph.wait_for(robot.moves, 'motion')
    graph.transition('command_node', 'deactivate', 'cleanup', 'configure', 'activate')
    graph.wait_for(robot.moves, 'motion after a full round')


def test_parameters_are_checked_before_they_apply(graph, planner, tmp_path):
    """Out of range, wrong type and read-only are refused with a reason; a good value acts."""
    robot = Robot(graph, tmp_path, require_enable=False)

    def set_parameter(name, **value):
        kind = {'double_value': ParameterType.PARAMETER_DOUBLE,
                'string_value': ParameterType.PARAMETER_STRING}[next(iter(value))]
        request = SetParameters.Request(parameters=[
            ParameterMsg(name=name, value=ParameterValue(type=kind, **value))])
        return graph.call(SetParameters, '/command_node/set_parameters', request).results[0]

    for name, value in (('hold_s', {'double_value': 9.0}), ('hold_s', {'string_value': 'long'}),
                        ('robot', {'string_value': 'other'})):
        result = set_parameter(name, **value)
        assert not result.successful and result.reason

    assert set_parameter('planner_timeout_s', double_value=2.0).successful
    assert set_parameter('obs_max_age_s', double_value=5.0).successful
    planner.wait_for_reader()
    graph.send_until(lambda: (planner.beat(), planner.plan(1.0, rows=60)), robot.moves, 'motion')
    graph.spin(0.25)  # 0.2 s, the default, would have stopped it by now ...
    assert robot.moves()
    graph.wait_for(lambda: robot.state is CommandState.STOPPED, 'standstill')


@pytest.mark.parametrize(('parameters', 'reason'), [
    ({'hold_s': 9.0}, 'hold_s'), ({'hold_s': 1}, 'hold_s'), ({'planner_timeout_s': -0.1}, 'in')])
def test_bad_parameters_end_the_process_with_a_reason(graph, tmp_path, parameters, reason):
    """Exit status REFUSED, one message that names the parameter, no traceback."""
    log = tmp_path / 'log'
    process = graph.spawn('lewm_ros.command.command_node', output=log, parameters=parameters)
    assert graph.wait_for_exit(process) == REFUSED
    assert reason in log.read_text()
    assert 'Traceback' not in log.read_text()


def test_unknown_robot_fails_to_configure_with_a_reason(graph, tmp_path):
    """The node stays alive and unconfigured, and says which robots there are."""
    log = tmp_path / 'log'
    graph.spawn('lewm_ros.command.command_node', output=log, parameters={'robot': 'no_such_robot'})
    with pytest.raises(AssertionError, match='refused to configure'):
        graph.transition('command_node', 'configure')
    graph.wait_for(lambda: 'no_such_robot' in log.read_text(), 'the reason')
    assert 'sim_reacher' in log.read_text()


def test_diagnostics_follow_the_state(graph, planner, tmp_path):
    """Only the guard is missing while tracking; ERROR with the reason in a fault."""
    robot = Robot(graph, tmp_path, require_enable=False)
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
    start_planner(robot, '0.5')

    def newest():
        return diagnostics[-1][1].status[0] if diagnostics else None

    graph.wait_for(lambda: newest() and 'TRACKING' in newest().message, 'OK')
    assert newest().level == DiagnosticStatus.WARN and 'guard' in newest().message
    assert newest().name == 'command_node: commands'
    assert newest().hardware_id == 'sim_reacher'
    graph.send_until(lambda: planner.plan(1.0, actions=[float('nan')] * 80),   # beside the other
                     lambda: 'must be finite' in newest().message, 'the reason')
    assert newest().level == DiagnosticStatus.ERROR
