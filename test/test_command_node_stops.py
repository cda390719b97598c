"""The command node stops the robot whatever dies or stands still, over real DDS."""

import os
from pathlib import Path
import signal
import time

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from command_rig import Planner, Robot, start_planner  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.reports import CommandState  # noqa: E402
from lewm_ros.wire.stamps import header_stamp_ns, ns_to_stamp  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402
from timed import in_time, timed, undisturbed  # noqa: E402


@pytest.mark.parametrize('kills', [3, pytest.param(10, marks=pytest.mark.slow)])
@timed
def test_killed_planner_means_zero_within_half_a_second_every_time(graph, tmp_path, kills):
    """SIGKILL in mid-motion, over real DDS between three processes: as many stops as kills."""
    robot = Robot(graph, tmp_path, require_enable=False)
    times = []
    for _ in range(kills):
        planner = start_planner(robot)
        graph.spin(0.3)
        graph.wait_for(robot.moves, 'motion')
        killed_at = time.monotonic()
        planner.kill()
        graph.wait_for(lambda: robot.state is CommandState.STOPPED and not robot.moves(),
                       'standstill')
        times.append(robot.last_motion() - killed_at)
        planner.wait()

    print('seconds from SIGKILL to zero:', ' '.join(f'{t:.3f}' for t in times))
    assert len(times) == kills
    in_time(max(times), 0.5, 'the stop')
    # the stop came from the watchdog, not from anything else
    undisturbed(min(times) > 0.05, 'the robot was stopped before its planner was killed')


@timed
def test_stopped_camera_means_zero_within_half_a_second(graph, tmp_path):
    """The planner lives but sees no frames: no heartbeat, no motion."""
    robot = Robot(graph, tmp_path, require_enable=False)
    planner = start_planner(robot)
    stopped_at = time.monotonic()
    planner.send_signal(signal.SIGUSR1)
    graph.wait_for(lambda: robot.state is CommandState.STOPPED and not robot.moves(), 'standstill')

    in_time(robot.last_motion() - stopped_at, 0.5, 'the stop')
    assert planner.poll() is None
    assert 'no plan_status' in robot.states[-1][1].reason.text


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted_node_says_zero_and_leaves_cleanly(graph, tmp_path, number):
    """Its last command is zero, its exit status 0, its log without a traceback, no child left."""
    robot = Robot(graph, tmp_path, require_enable=False)
    start_planner(robot)
    children = Path(f'/proc/{robot.process.pid}/task/{robot.process.pid}/children').read_text()
    robot.process.send_signal(number)
    status = graph.wait_for_exit(robot.process)
    graph.wait_for(lambda: not robot.moves(), 'the last command')
    graph.spin(0.3)

    assert status == 0
    assert list(robot.commands[-1][1].data) == [0.0, 0.0]
    assert 'Traceback' not in robot.log.read_text()
    graph.wait_for(lambda: not any(Path(f'/proc/{pid}').exists() for pid in children.split()),
                   'the end of its children')


def test_a_bug_in_a_callback_leaves_the_robot_standing(graph, tmp_path):
    """FAULT with the traceback in the log; the last command is zero, and the node goes on."""
    robot = Robot(graph, tmp_path, 'crashing_command_node', require_enable=False)
    start_planner(robot)
    e_stop = graph.node.create_publisher(Bool, 'e_stop', qos.LATCHED)
    e_stop.publish(Bool(data=True))
    graph.wait_for(lambda: robot.state is CommandState.FAULT, 'FAULT')
    graph.wait_for(lambda: not robot.moves(), 'the last command')

    assert list(robot.commands[-1][1].data) == [0.0, 0.0]
    assert 'a bug in a callback' in robot.states[-1][1].reason.text
    graph.wait_for(lambda: 'Traceback' in robot.log.read_text(), 'the traceback')
    assert graph.interrupt(robot.process) == 0


def test_latched_e_stop_pressed_before_the_node_starts_counts(graph, tmp_path):
    """A transient-local e-stop reaches a node that joins late."""
    graph.node.create_publisher(Bool, 'e_stop', qos.LATCHED).publish(Bool(data=True))
    robot = Robot(graph, tmp_path, require_enable=False)
    graph.wait_for(lambda: robot.states[-1][1].e_stop, 'the latched e-stop')
    assert robot.state is CommandState.DISABLED


@timed
def test_standing_sim_time_stops_the_robot(graph, tmp_path):
    """/clock stops in mid-motion: the steady clock brings the robot to zero all the same."""
    planner = Planner(graph)
    robot = Robot(graph, tmp_path, require_enable=False, use_sim_time=True)
    clock_pub = graph.node.create_publisher(Clock, '/clock', qos.IMAGE)
    sim_ns = 1_000_000_000

    def advance():
        nonlocal sim_ns
        sim_ns += 10_000_000
        clock_pub.publish(Clock(clock=ns_to_stamp(sim_ns)))
        if sim_ns % 50_000_000 == 0:
            planner.beat()
        if sim_ns % 500_000_000 == 0:
            planner.plan(1.0, rows=200)

    planner.now_ns = lambda: sim_ns
    ticking = graph.node.create_timer(0.01, advance)
    graph.wait_for(robot.moves, 'motion')
    graph.spin(0.7)
    steps = [header_stamp_ns(m) for _, m in robot.executed if not m.overridden]
    gaps = np.diff(steps) / 50_000_000  # one command per step of simulated time
    assert np.array_equal(gaps, gaps.round())
    undisturbed(np.median(gaps) == 1 and set(gaps) <= {1, 2, 3}, f'steps between commands: {gaps}')
    ticking.cancel()
    stopped_at = time.monotonic()
    graph.wait_for(lambda: not robot.moves(), 'standstill')
    in_time(robot.last_motion() - stopped_at, 0.5, 'the stop')


def test_no_process_is_left_behind():
    """Every process the graph started is gone when it is closed."""
    with Graph() as graph:
        processes = [graph.spawn('lewm_ros.command.command_node'),
                     graph.spawn('fake_planner', '1.0')]
    assert all(process.poll() is not None for process in processes)
    assert not any(os.path.exists(f'/proc/{process.pid}') for process in processes)
