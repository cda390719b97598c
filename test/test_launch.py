"""The launch files, where ros2 launch is installed: the same table, started for real."""

from dataclasses import fields
import os
from pathlib import Path
import re
import shlex
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
from lewm_model.images.decode import write_image  # noqa: E402
from lewm_ros.msg import ControllerState  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
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
    assert plan['bundle'] == ''        # that of the task
    assert set(arguments_of('sim.launch.py')) < set(plan)
    record = arguments_of('record.launch.py')
    assert set(record) < set(plan)
    assert (record['episodes'], record['root']) == ('10', 'recordings')
    assert (record['source'], plan['source']) == ('', 'planner')


def test_show_args_lists_what_the_readme_promises(tmp_path):
    """`ros2 launch ... --show-args` has every option with its default, and its choices."""
    with Graph() as graph:
        launched = Launched(graph, tmp_path, 'plan.launch.py', '--show-args')
        assert graph.wait_for_exit(launched.process, 60.0) == 0
    for item in fields(SystemOptions):
        assert f"'{item.name}':" in launched.text
    assert "valid choices are: ['planner', 'explore', 'teleop', 'none']" in (
        launched.text.lower().replace('one of:', 'valid choices are:'))
    readme = (ROOT / 'README.md').read_text()
    named = re.findall(r'`([a-z_]+):=', readme) + re.findall(r' ([a-z_]+):=', readme)
    assert set(named) <= {item.name for item in fields(SystemOptions)}


def test_a_wrong_argument_ends_the_launch():
    """Nonsense is refused before any process starts."""
    service = LaunchService()
    service.include_launch_description(LaunchDescription([
        IncludeLaunchDescription(PythonLaunchDescriptionSource(str(FOLDER / 'plan.launch.py')),
                                 launch_arguments={'sim': 'perhaps'}.items()),
        Shutdown(reason='not reached')]))
    assert service.run() == 1


def environment_of(graph: Graph, folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a program in the domain of a graph."""
    return {**os.environ, **more, 'ROS_DOMAIN_ID': str(graph.domain), 'OMP_NUM_THREADS': '1',
            'ROS_LOG_DIR': str(folder), 'PYTHONUNBUFFERED': '1',
            'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}


class Launched:
    """`ros2 launch` of one of our files in the domain of a graph."""

    def __init__(self, graph: Graph, folder: Path, name: str, *arguments: str,
                 environment: dict[str, str] | None = None) -> None:
        self._graph = graph
        self._log = folder / 'launch.log'
        environment = environment_of(graph, folder, **(environment or {}))
        with self._log.open('w') as log:
            self.process = subprocess.Popen(
                [shutil.which('ros2'), 'launch', str(FOLDER / name), *arguments], stdout=log,
                stderr=subprocess.STDOUT, env=environment, start_new_session=True)

    @property
    def text(self) -> str:
        return self._log.read_text()

    def pid(self, node: str) -> int:
        """Return the newest process id of a node, from what launch says."""
        lines = [line for line in self.text.splitlines()
                 if f'[{node}-' in line and 'process started with pid' in line]
        return int(lines[-1].rpartition('[')[2].rstrip(']'))

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def test_a_failed_configure_ends_launch_with_its_reason_and_a_status(tmp_path):
    """Nothing inert stays behind."""
    with Graph() as graph:
        launched = Launched(graph, tmp_path, 'plan.launch.py', 'sim:=true', 'bundle:=missing')
        assert graph.wait_for_exit(launched.process, 120.0) == 1
    assert re.search('planner_node refused to configure: .*missing', launched.text)
    assert 'supervisor ended (exit code 1), and the system with it' in launched.text


@pytest.mark.parametrize(('text', 'words'), [
    ('planner_node:\n  ros__parameters: {stall_s: soon}\n', 'planner_node refused to start'),
    ('planner_node:\n  ros__parameters: {stal_s: 4.0}\n', 'planner_node refused to start'),
    ('stall_s: 4.0\n', 'must have sections'),
])
def test_a_wrong_params_file_ends_launch(tmp_path, text, words):
    """With the reason, whether launch or the node finds out."""
    (tmp_path / 'p.yaml').write_text(text)
    with Graph() as graph:
        launched = Launched(graph, tmp_path, 'plan.launch.py', 'sim:=true',
                            f'params_file:={tmp_path / "p.yaml"}')
        assert graph.wait_for_exit(launched.process, 120.0) == 1
    assert words in launched.text


def test_argument_over_params_file_over_default(tmp_path):
    """In a namespace, with a substitution, and again after the planner was respawned."""
    tiny_bundle().save(tmp_path / 'tiny')
    (tmp_path / 'p.yaml').write_text(
        'planner_node: {ros__parameters: {stall_s: 1.0}}\n'   # of the root namespace: not ours
        '/**:\n  ros__parameters: {use_sim_time: true}\n'
        '/**/planner_node:\n  ros__parameters:\n'
        '    {bundle: $(env HOME)/nothing, stall_s: 7.5, plan: "$(env LEWM_TEST_PLAN)"}\n')
    with Graph() as graph:
        launched = Launched(graph, tmp_path, 'plan.launch.py', 'sim:=true', 'namespace:=cell',
                            f'bundle:={tmp_path / "tiny"}', 'use_respawn:=true',
                            f'params_file:={tmp_path / "p.yaml"}',
                            environment={'LEWM_TEST_PLAN': ''})
        try:
            for _ in range(2):
                graph.wait_until_active('/cell/planner_node')
                assert [graph.parameter('/cell/planner_node', name) for name in (
                    'bundle', 'stall_s', 'plan', 'backend')] == [
                        str(tmp_path / 'tiny'), 7.5, '', 'torch-tuned:fp32']
                pid = launched.pid('planner_node')
                os.kill(pid, signal.SIGKILL)
                graph.wait_for(lambda pid=pid: launched.pid('planner_node') != pid,
                               'another planner')
        finally:
            launched.end()


def test_somebody_elses_clock_and_a_device_that_is_not_there(tmp_path):
    """use_sim_time needs no simulator of ours; a device is asked for by launch and refused."""
    tiny_bundle().save(tmp_path / 'tiny')
    with Graph() as graph:
        launched = Launched(graph, tmp_path, 'plan.launch.py', 'robot:=sim_reacher',
                            'use_sim_time:=true', f'bundle:={tmp_path / "tiny"}')
        try:
            graph.wait_until_active('/command_node', '/planner_node')
            assert graph.parameter('/planner_node', 'use_sim_time') is True
        finally:
            launched.end()
        refused = Launched(graph, tmp_path, 'plan.launch.py', 'robot:=sim_reacher',
                           'device:=cuda:99', f'bundle:={tmp_path / "tiny"}')
        try:
            assert graph.wait_for_exit(refused.process, 120.0) == 1
        finally:
            refused.end()
        assert re.search('planner_node refused to configure: .*cuda', refused.text)


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
        assert 'command_node ended (exit code -9), and the system with it' in launched.text
        assert launched.process.returncode == 1


def test_the_action_of_the_readme_brings_the_arm_to_its_goal(tmp_path):
    """`ros2 action send_goal` as it stands there: taken, told how it goes, SUCCEEDED."""
    pytest.importorskip('ros2action')
    line, = re.findall(r'^ros2 action send_goal .*$', (ROOT / 'README.md').read_text(), re.M)
    with Graph() as graph:
        launched = Launched(graph, tmp_path, 'plan.launch.py', 'sim:=true',
                            f'goal_root:={ROOT / "models/reacher-nano/goals"}')
        try:
            graph.wait_until_active('/planner_node', '/command_node')
            said = tmp_path / 'action.log'
            with said.open('w') as log:
                done = subprocess.run(shlex.split(line), stdout=log, stderr=subprocess.STDOUT,
                                      env=environment_of(graph, tmp_path), timeout=120)
        finally:
            launched.end()
    text = said.read_text()
    assert done.returncode == 0, text
    places = [text.find(words) for words in (
        'Goal accepted', 'Feedback:', 'Result:', 'goals_reached: 1',
        'Goal finished with status: SUCCEEDED')]
    assert places == sorted(places) and places[0] >= 0, text


def test_the_simulator_can_be_launched_alone(tmp_path):
    """sim.launch.py makes time, in its namespace, and ends cleanly on Ctrl-C."""
    with Graph() as graph:
        clock = graph.collect(Clock, '/cell_1/clock', qos.SENSOR)
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
