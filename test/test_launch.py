"""The launch files, where ros2 launch is installed: the same table, started for real."""

import os
from pathlib import Path
import shutil
import signal
import subprocess

import pytest

pytest.importorskip('launch')
pytest.importorskip('launch_ros')
pytest.importorskip('rclpy')
pytestmark = [pytest.mark.launch, pytest.mark.ros, pytest.mark.sim]

from launch import LaunchDescription, LaunchService  # noqa: E402
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from lewm_model.images import write_image  # noqa: E402
from lewm_ros.msg import ControllerState  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.reports import CommandState  # noqa: E402
from nano import tiny_bundle  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import Graph, ROOT  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

FOLDER = ROOT / 'launch'


def arguments_of(name: str) -> dict[str, str]:
    description = PythonLaunchDescriptionSource(str(FOLDER / name)).get_launch_description(
        LaunchService().context)
    return {action.name: action.default_value[0].text for action in description.entities
            if isinstance(action, DeclareLaunchArgument)}


def test_the_arguments_are_those_of_the_table():
    """Every option is an argument with its default; the simulator has a part of them."""
    plan = arguments_of('plan.launch.py')
    assert plan['sim'] == 'false'
    assert plan['autostart'] == 'true'
    assert plan['bundle'] == 'reacher-nano'
    assert set(arguments_of('sim.launch.py')) < set(plan)
    record = arguments_of('record.launch.py')
    assert set(record) < set(plan)
    assert (record['episodes'], record['root']) == ('10', 'recordings')


def test_a_wrong_argument_ends_the_launch():
    """Nonsense is refused before any process starts."""
    service = LaunchService()
    service.include_launch_description(LaunchDescription([
        IncludeLaunchDescription(PythonLaunchDescriptionSource(str(FOLDER / 'plan.launch.py')),
                                 launch_arguments={'sim': 'perhaps'}.items()),
        Shutdown(reason='not reached')]))
    assert service.run() == 1


class Launched:
    """`ros2 launch` of one of our files in the domain of a graph."""

    def __init__(self, graph: Graph, folder: Path, name: str, *arguments: str) -> None:
        self._graph = graph
        self._log = folder / 'launch.log'
        environment = {**os.environ, 'ROS_DOMAIN_ID': str(graph.domain), 'OMP_NUM_THREADS': '1',
                       'ROS_LOG_DIR': str(folder), 'PYTHONUNBUFFERED': '1',
                       'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
        with self._log.open('w') as log:
            self.process = subprocess.Popen(
                [shutil.which('ros2'), 'launch', str(FOLDER / name), *arguments], stdout=log,
                stderr=subprocess.STDOUT, env=environment, start_new_session=True)

    @property
    def text(self) -> str:
        return self._log.read_text()

    def pid(self, node: str) -> int:
        """Return the process id of a node, from what launch says."""
        line = next(line for line in self.text.splitlines()
                    if f'[{node}-' in line and 'process started with pid' in line)
        return int(line.rpartition('[')[2].rstrip(']'))

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def test_a_dead_planner_stops_the_robot_and_a_dead_command_node_ends_everything(tmp_path):
    """The system comes up to TRACKING by itself; both ends are as promised."""
    tiny_bundle().save(tmp_path / 'tiny')
    write_image(tmp_path / 'goal.png', np.full((64, 64, 3), 128, np.uint8))
    with Graph() as graph:
        states = graph.collect(ControllerState, 'controller_state', qos.RECORD)
        launched = Launched(graph, tmp_path, 'plan.launch.py', 'sim:=true',
                            f'bundle:={tmp_path / "tiny"}', f'goal_image:={tmp_path / "goal.png"}')
        try:
            def state() -> CommandState:
                return CommandState(states[-1][1].state) if states else CommandState.DISABLED

            graph.wait_for(lambda: state() is CommandState.TRACKING, 'TRACKING', 60.0)
            os.kill(launched.pid('planner_node'), signal.SIGKILL)
            graph.wait_for(lambda: state() is CommandState.STOPPED, 'STOPPED')
            assert 'plan_status' in states[-1][1].reason.text
            assert launched.process.poll() is None
            os.kill(launched.pid('command_node'), signal.SIGKILL)
            graph.wait_for_exit(launched.process, 20.0)
        finally:
            launched.end()
        assert 'command_node ended' in launched.text


def test_the_simulator_can_be_launched_alone(tmp_path):
    """sim.launch.py makes time, in its namespace, and ends cleanly on Ctrl-C."""
    with Graph() as graph:
        clock = graph.collect(Clock, '/clock', qos.SENSOR)
        launched = Launched(graph, tmp_path, 'sim.launch.py', 'namespace:=cell_1')
        try:
            graph.wait_for(lambda: len(clock) > 10, 'the clock', 30.0)
            graph.wait_for(lambda: ('sim_node', '/cell_1') in
                           graph.node.get_node_names_and_namespaces(), 'the node name')
        finally:
            launched.end()
        assert 'process has finished cleanly' in launched.text


def test_exploration_is_recorded_and_ends_by_itself(tmp_path):
    """record.launch.py sim:=true leaves the asked number of bags and no process."""
    with Graph() as graph:
        launched = Launched(graph, tmp_path, 'record.launch.py', 'sim:=true', 'episodes:=2',
                            'steps:=20', f'root:={tmp_path / "root"}')
        try:
            graph.wait_for_exit(launched.process, 90.0)
        finally:
            launched.end()
        bags = [path for path in (tmp_path / 'root').iterdir() if not path.name.startswith('.')]
        assert len(bags) == 2, launched.text
        assert all((path / 'metadata.yaml').is_file() for path in bags)


def test_the_recorder_can_be_launched_for_another_robot(tmp_path):
    """Without sim it is alone, records nothing by itself and ends cleanly on Ctrl-C."""
    with Graph() as graph:
        launched = Launched(graph, tmp_path, 'record.launch.py', 'robot:=sim_reacher',
                            f'root:={tmp_path / "root"}')
        try:
            graph.wait_for(lambda: ('recorder_node', '/') in
                           graph.node.get_node_names_and_namespaces(), 'the recorder', 30.0)
        finally:
            launched.end()
        assert 'process has finished cleanly' in launched.text
        assert not (tmp_path / 'root').exists()
