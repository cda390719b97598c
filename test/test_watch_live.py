"""`lewm watch` beside running nodes, over real DDS: what it says, and what it says of the dead."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from graph_rights import used_by  # noqa: E402
from import_rules import loaded_by  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.policies import policies  # noqa: E402
from lewm_ros.watch.program import watch  # noqa: E402
from lewm_ros.watch.screen import Level, Row, Screen  # noqa: E402
from rich.console import Console  # noqa: E402
from ros_helpers import Graph, ROOT  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402
from system_specs import every_spec, start  # noqa: E402

NAMES = ('command_node', 'guard_node', 'sim_node', 'teleop_node')


def watched(graph: Graph, *options: str, wait: float = 40.0) -> subprocess.CompletedProcess:
    """Run `lewm watch --once` in the domain of a graph."""
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(graph.domain), 'COLUMNS': '100',
                   'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
    return subprocess.run(
        [sys.executable, '-m', 'lewm_sim.cli', 'watch', '--once', '--wait', str(wait), *options],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_the_program_needs_no_torch():
    """It starts fast, and runs on a machine without a model."""
    heavy = {'torch', 'mujoco', 'cv2', 'h5py', 'rclpy'}
    assert loaded_by('import lewm_ros.watch.program', heavy) <= {'rclpy', 'cv2'}


def test_one_screen_hears_everybody_first():
    """A node that says later than the others that it is not well counts; one moment does not."""
    kinds = {True: Screen((Row('robot', 'well'),)),
             False: Screen((Row('robot', 'not well', Level.ERROR),))}
    for healthy_looks, status in ((3, 1), (10**9, 0)):
        looks = iter(range(10**9))

        def look(seconds, healthy_looks=healthy_looks, looks=looks):
            time.sleep(seconds)
            return kinds[next(looks) < healthy_looks]

        console = Console(file=io.StringIO())
        assert watch(look, console, once=True, wait_s=4.0, end=lambda: False) == status


def test_an_empty_network_is_unhealthy(graph):
    """It ends by itself, with status 1, and names what is missing."""
    done = watched(graph, wait=1.0)
    assert done.returncode == 1, done.stderr
    assert 'command_node is not there' in ' '.join(done.stdout.split())
    assert not done.stderr


def test_a_system_is_watched_until_its_parts_die(tmp_path):
    """Healthy, disabled, without a driver, without a command node; elsewhere nothing of it."""
    specs = [spec for name, spec in every_spec(tmp_path).items() if name in NAMES]
    with Graph(use_sim_time=True) as graph:
        running = start(graph, specs, tmp_path)
        for _ in range(3):    # on a busy machine a node may be found later than the others
            done = watched(graph)
            said = ' '.join(done.stdout.split())
            if 'nodes 4 are well' in said:
                break
        assert done.returncode == 0, done.stdout + done.stderr
        assert 'teleop_node is there' in said or 'driver teleop_node' in said
        assert 'guard WATCHING' in said
        assert 'nodes 4 are well' in said
        assert 's old' in said

        graph.call(SetBool, '/command_node/enable', SetBool.Request(data=False))
        done = watched(graph)
        assert done.returncode == 0, done.stdout
        assert 'not enabled, DISABLED' in ' '.join(done.stdout.split())

        elsewhere = watched(graph, '--namespace', '/left', wait=2.0)
        assert elsewhere.returncode == 1
        assert 'command_node is not there' in ' '.join(elsewhere.stdout.split())

        running['teleop_node'].send_signal(signal.SIGSTOP)
        for wait_s in (3.0, 20.0):    # one screen; on a busy machine the nodes are found later
            done = watched(graph, wait=wait_s)
            if 'planner  nothing is heard of' in done.stdout:
                break
        running['teleop_node'].send_signal(signal.SIGCONT)
        assert done.returncode == 1
        assert 'planner  nothing is heard of' in done.stdout

        running['command_node'].kill()
        running['command_node'].wait()
        done = watched(graph, wait=2.0)
        assert done.returncode == 1
        assert 'command_node' in done.stdout.splitlines()[0]


def test_it_goes_on_until_it_is_interrupted(graph, tmp_path):
    """Screen after screen where there is no terminal; it does what a /watcher may, no more."""
    log = tmp_path / 'watch.log'
    process = graph.spawn('lewm_ros.watch.program', output=log)
    graph.wait_for(lambda: log.read_text().count('robot ') >= 2, 'two screens')
    spec = SimpleNamespace(executable=f'lewm_watch_{process.pid}', namespace='/')
    allowed = policies(SystemOptions(sim=True))['/watcher']

    def seen() -> bool:
        return (spec.executable in graph.node.get_node_names()
                and used_by(graph.node, spec) == allowed)

    with contextlib.suppress(TimeoutError):    # the graph becomes known piece by piece
        graph.wait_for(seen, 'all of the watcher')
    assert used_by(graph.node, spec) == allowed
    assert graph.interrupt(process) == 0
