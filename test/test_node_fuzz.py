"""Nothing that arrives on any topic or service ends a node, or moves the robot."""


import contextlib
from dataclasses import replace
from pathlib import Path
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]
sys.path.insert(0, str(Path(__file__).parents[1] / 'tools'))

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from graph_rights import assert_allowed  # noqa: E402
from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.system import supervisor  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.robot_interface import RobotInterface  # noqa: E402
from message_fuzz import has_numbers_only  # noqa: E402
from node_fuzz import Attack  # noqa: E402
from rcl_interfaces.srv import ListParameters  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from system_specs import every_spec  # noqa: E402
import topic_docs as docs  # noqa: E402
from wire_samples import samples_of  # noqa: E402

COMMANDERS = ('command_node', 'guard_node')
# Each group runs by itself. A node that is in none of them is in 'rest', so new ones are attacked.
GROUPS = {'commanders': COMMANDERS, 'explore': ('explore_node',),
          'simulation': ('sim_node', 'teleop_node')}
ROBOTS = ('sim_reacher', 'joint_trajectory_arm', 'diff_drive')


def without_sim_time(spec):
    return replace(spec, parameters={**spec.parameters, 'use_sim_time': False})


def assert_documented(made: Attack) -> None:
    """Hold docs/topics.md against the running graph, for the nodes of an attack."""
    graph, nodes = made.graph, set(made.processes)
    page = docs.PAGE.read_text(encoding='utf-8')
    assert docs.render(docs.read(page)) == page, 'run: python tools/topic_docs.py'
    assert docs.TABLE.read_text(encoding='utf-8') == docs.access(docs.read(page))
    told = {item for item in docs.read(page) if item.node in nodes}

    def same() -> bool:
        made.check_alive()
        return docs.endpoints(graph.node, nodes) == told

    with contextlib.suppress(TimeoutError):
        graph.wait_for(same, 'the graph of the page', 30.0)
    found = docs.endpoints(graph.node, nodes)
    assert found == told, (f'docs/topics.md is out of date: not in it {sorted(found - told)}, '
                           f'not there any more {sorted(told - found)}; '
                           f'run: python tools/topic_docs.py')


def attack(graph, folder, specs, *, rounds: int, seed: int, robot='sim_reacher', spared=()):
    """Attack some nodes and hold what must hold for all of them."""
    made = Attack(graph, tuple(specs), folder, seed, samples_of(robot), spared)
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
    for topic in docs.VIEWED:
        graph.collect(Image, topic, qos.IMAGE)
    made.start()
    if robot == 'sim_reacher':
        assert_documented(made)
    assert_allowed(graph, made.specs, folder, robot)
    made.run(rounds)

    def told() -> set[str]:
        return {status.name.partition(':')[0] for _, array in diagnostics
                for status in array.status if status.level != DiagnosticStatus.OK}

    with contextlib.suppress(TimeoutError):   # once a second
        graph.wait_for(lambda: told() >= {spec.executable for spec in made.specs}, 'all', 60.0)
    for spec in made.specs:
        name = spec.executable
        log = made.log(name).read_text(errors='replace')
        assert 'ERROR' in log or 'WARN' in log, f'{name} has not logged a reason: {log[-2000:]}'
        assert name in told(), f'{name} has told no reason in its diagnostics; {told()} have'
        if spec.lifecycle:
            made.recover(name)
            made.restart(name)
        answer = graph.call(ListParameters, f'/{name}/list_parameters', ListParameters.Request())
        assert answer.result.names
    made.check_alive()


def attack_group(group: str, folder, *, rounds: int, seed: int) -> None:
    """Attack the nodes of a group; 'rest' includes the commanders, for a whole system."""
    named = {name for names in GROUPS.values() for name in names}
    specs = [spec for name, spec in every_spec(folder).items()
             if name in GROUPS.get(group, ()) or group == 'rest' and (
                 name not in named or name in (*COMMANDERS, 'sim_node'))]
    interface = RobotInterface(RobotDescription.from_yaml('sim_reacher'))
    # sent there, commands would move the simulated robot, as they should
    spared = ('/joint_velocity_controller/commands',) if group == 'rest' else ()
    with Graph(use_sim_time='sim_node' in {spec.executable for spec in specs}) as graph:
        commands = [graph.collect(kind, topic, qos.SENSOR)
                    for topic, kind in interface.outputs if group == 'rest']
        attack(graph, folder, specs, rounds=rounds, seed=seed, spared=spared)
        for output, received in enumerate(commands):   # goals that were taken may move it
            for _, message in received:
                _, values = interface.read(output, message)
                assert (values >= interface.robot.min_command).all(), message
                assert (values <= interface.robot.max_command).all(), message


def attack_commanders(robot: str, folder, *, rounds: int, seed: int) -> None:
    """Attack what commands a robot while there is no plan: it hears nothing, or stand still."""
    interface = RobotInterface(RobotDescription.from_yaml(robot))
    specs = [without_sim_time(spec) for name, spec in every_spec(folder, robot=robot).items()
             if name in COMMANDERS]
    topics = tuple(f'/{topic.strip("/")}' for topic, _ in interface.outputs)
    with Graph() as graph:
        commands = [graph.collect(kind, topic, qos.SENSOR) for topic, kind in interface.outputs]
        attack(graph, folder, specs, rounds=rounds, seed=seed, robot=robot, spared=topics)
        for output, received in enumerate(commands):
            for _, message in received:
                assert has_numbers_only(message)
                assert interface.robot.interface != 'joint_position', f'was sent: {message}'
                _, values = interface.read(output, message)
                np.testing.assert_array_equal(values, 0.0)


def test_nothing_that_is_sent_ends_the_supervisor(tmp_path):
    """The system would end with it; it has no diagnostics, and goes on."""
    spec = supervisor(SystemOptions(sim=True), tuple(every_spec(tmp_path).values()))
    spec = replace(spec, parameters={**spec.parameters, 'nodes': '', 'respawned': ''})
    with Graph() as graph:
        made = Attack(graph, (spec,), tmp_path, seed=5)
        made.start()
        made.run(10)
        assert made.sent >= 10
        assert made.asked >= 10
        answer = graph.call(ListParameters, '/supervisor/list_parameters',
                            ListParameters.Request())
        assert 'nodes' in answer.result.names
        made.check_alive()


@pytest.mark.parametrize('robot', ROBOTS[:1])
def test_nothing_that_is_sent_moves_the_robot(robot, tmp_path):
    """Three of everything to what commands it; the long version has all kinds of robots."""
    attack_commanders(robot, tmp_path, rounds=3, seed=1)


@pytest.mark.parametrize('group', ['explore', 'simulation', 'rest'])
def test_nothing_that_is_sent_ends_a_node(group, tmp_path):
    """Random and damaged messages and requests: every node lives, says why, and goes on."""
    attack_group(group, tmp_path, rounds=3, seed=1)


def test_nothing_that_a_clock_says_ends_a_node_or_moves_the_robot(tmp_path):
    """Times before 1970, beyond the range of a stamp, back and forth, to who follows /clock."""
    specs = [spec for name, spec in every_spec(tmp_path).items()
             if name in (*COMMANDERS, 'goal_node', 'recorder_node')]
    assert all(spec.parameters['use_sim_time'] for spec in specs)
    with Graph() as graph:
        commands = [graph.collect(kind, topic, qos.SENSOR) for topic, kind in RobotInterface(
            RobotDescription.from_yaml('sim_reacher')).outputs]
        made = Attack(graph, tuple(specs), tmp_path, seed=4)
        made.start()
        clock = graph.node.create_publisher(Clock, '/clock', qos.SENSOR)
        graph.wait_for(lambda: clock.get_subscription_count() >= len(specs), 'the readers')

        def told() -> bool:
            return all('Seconds value must not be negative' in made.log(spec.executable).read_text(
                errors='replace') for spec in specs)

        for _ in range(200):
            clock.publish(made.fuzz.random_message(Clock))
            graph.spin(0.01)
            made.check_alive()
        graph.send_until(lambda: clock.publish(Clock(clock=Time(sec=-5))), told, 'the reason')
        for spec in specs:
            assert graph.call(ListParameters, f'{spec.path}/list_parameters',
                              ListParameters.Request()).result.names
        made.check_alive()
        assert not any(commands)


@pytest.mark.slow
@pytest.mark.parametrize('robot', ROBOTS)
def test_nothing_that_is_sent_moves_the_robot_for_long(robot, tmp_path):
    """The same, longer, for every shipped kind of robot."""
    attack_commanders(robot, tmp_path, rounds=40, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize('group', ['simulation', 'rest'])
def test_nothing_that_is_sent_ends_a_node_for_long(group, tmp_path):
    """The same, longer."""
    attack_group(group, tmp_path, rounds=25, seed=2)
