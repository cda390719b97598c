from __future__ import annotations

from import_rules import (
    arrows_up,
    circle,
    FLOORS,
    folder_graphs,
    FORBIDDEN,
    import_graph,
    loaded_by,
    model_room,
    room_violations,
    ROOT,
    sources,
    violations,
)
import pytest

HEAVY = {'torch', 'mujoco', 'rclpy', 'h5py', 'matplotlib', 'cv2'}


@pytest.mark.parametrize('package', FORBIDDEN)
def test_imports_go_one_way(package):
    """lewm_ros may use lewm_sim, lewm_sim may use lewm_model; nothing runs the other way."""
    assert sources(package), f'no modules found in {package}'
    wrong = {str(path.relative_to(ROOT)): names for path in sources(package)
             if (names := violations(package, path.read_text(encoding='utf-8')))}
    assert not wrong


@pytest.mark.parametrize('package, line', [
    ('lewm_model', 'import rclpy.node'),
    ('lewm_model', 'from lewm_sim.world import World'),
    ('lewm_model', 'import numpy, mujoco'),
    ('lewm_sim', 'from lewm_ros import qos'),
    ('lewm_sim', 'from std_msgs.msg import Header'),
    ('lewm_ros', 'import mujoco as mj'),
])
def test_the_check_of_imports_can_fail(package, line):
    """A forbidden import is seen, also when it hides inside a function."""
    assert violations(package, line)
    assert violations(package, f'def late():\n    {line}\n')


def test_the_check_of_imports_is_not_too_strict():
    """What goes the right way, and relative imports, pass."""
    assert not violations('lewm_ros', 'import rclpy, lewm_sim.world\nfrom lewm_model import types')
    assert not violations('lewm_sim', 'import mujoco\nfrom . import tasks')


def test_no_room_of_lewm_ros_imports_another():
    """Rooms meet on the ground (wire, node, limits); startup knows them, trials stand above."""
    modules = [path.relative_to(ROOT / 'lewm_ros') for path in sources('lewm_ros')]
    wrong = {str(path): names for path in modules if len(path.parts) > 1 and (
        names := room_violations(path.parts[0],
                                 (ROOT / 'lewm_ros' / path).read_text(encoding='utf-8')))}
    assert not wrong
    assert [str(path) for path in modules if len(path.parts) == 1] == ['__init__.py']


def test_rooms_of_lewm_model_stand_on_the_rooms_below():
    """Images at the ground, analysis on top: no import leads up, so rooms make no circle."""
    graph = import_graph('lewm_model')
    assert {model_room(name) for name in graph} - {''} >= set(FLOORS) - {''}
    assert not arrows_up(graph)


@pytest.mark.parametrize('module, other', [
    ('lewm_model.planning.policy', 'lewm_model.engines.registry'),
    ('lewm_model.bundles.card', 'lewm_model.analysis.sections'),
    ('lewm_model.world_model', 'lewm_model.data.clips'),
    ('lewm_model.training.run', 'lewm_model.analysis.probes'),
    ('lewm_model.engines.torch.eager', 'lewm_model.held_out'),
    ('lewm_model.images.decode', 'lewm_model.robots.robot'),
])
def test_the_check_of_floors_can_fail(module, other):
    """A way up is seen, the same way down is none."""
    assert arrows_up({module: {other}}) == {(module, other)}
    assert not arrows_up({other: {module}})


@pytest.mark.parametrize('room, line', [
    ('goals', 'from lewm_ros.planner.setup import prepare'),
    ('goals', 'from lewm_ros import planner'),
    ('goals', 'import lewm_ros.command.safety as safety'),
    ('goals', 'from ..recording import topics'),
    ('wire', 'from lewm_ros.command.safety import Limits'),
    ('node', 'from lewm_ros.startup.lifecycle import LifecycleClient'),
    ('limits', 'import lewm_ros.simulation'),
    ('command', 'from lewm_ros.startup import system'),
    ('command', 'from lewm_ros.trials.client import DemoClient'),
    ('startup', 'from lewm_ros.trials import demo'),
    ('a_new_room', 'from lewm_ros.command.safety import Limits'),
    ('command', 'from lewm_ros.a_new_room import idea'),
])
def test_the_check_of_rooms_can_fail(room, line):
    """A way into another room, or up the stairs, is seen, also from inside a function."""
    assert room_violations(room, line)
    assert room_violations(room, f'def late():\n    {line}\n')


def test_the_check_of_rooms_is_not_too_strict():
    """Ground, interfaces and the own room are for everybody; startup and trials see below."""
    ground = ('from lewm_ros.wire import qos\nfrom lewm_ros.node.run_node import run_node\n'
              'from lewm_ros.msg import PlanStatus\nfrom lewm_ros.limits.limiter import Limiter')
    for room in ('command', 'wire', 'limits', 'startup', 'trials'):
        assert not room_violations(room, ground)
    assert not room_violations('command', 'from . import safety\nimport lewm_ros.command.sent')
    assert not room_violations('startup', 'from lewm_ros.planner.setup import prepare')
    assert not room_violations('trials', 'from lewm_ros.startup import bringup\n'
                               'from lewm_ros.planner.setup import prepare')


@pytest.mark.parametrize('package', ['lewm_sim', 'lewm_ros'])
def test_imports_make_no_circle(package):
    """No module of a package reaches itself through what it imports, early or late."""
    graph = import_graph(package)
    assert sum(map(len, graph.values())) > len(graph) / 2, 'the graph has hardly any arrows'
    assert not circle(graph)


def test_the_check_of_circles_can_fail():
    """A circle of three is named, however it is reached; a diamond is none."""
    assert circle({'a': {'b'}, 'b': {'c'}, 'c': {'d'}, 'd': {'b'}}) == ['b', 'c', 'd', 'b']
    assert not circle({'a': {'b', 'c'}, 'b': {'d'}, 'c': {'d'}, 'd': set()})
    assert import_graph('lewm_ros')['lewm_ros.startup.launch_actions'] >= {
        'lewm_ros.startup.system', 'lewm_ros.startup.params_file'}


@pytest.mark.parametrize('package', ['lewm_sim', 'lewm_ros'])
def test_folders_make_no_circle(package):
    """A folder as a whole is above or below what lies beside it, never both."""
    circles = {folder: found for folder, graph in folder_graphs(import_graph(package)).items()
               if (found := circle(graph))}
    assert not circles


def test_the_check_of_folders_can_fail():
    """Two folders use each other, though no module comes back to itself; one way is none."""
    there = {'a.b.one': {'a.c.one'}}
    back = {'a.c.two': {'a.b.two'}}
    assert not circle({**there, **back})
    assert circle(folder_graphs({**there, **back})['a']) == ['b', 'c', 'b']
    assert folder_graphs(there) == {'a': {'b': {'c'}}}
    assert not folder_graphs({'a.b': {'a.b.one'}, 'a.b.one': {'a'}})


@pytest.mark.parametrize('module', ['types', 'config', 'errors', 'images', 'base.resources'])
def test_light_modules_of_lewm_model_stay_light(module):
    """The command node and the simulator can use these without paying for torch."""
    found = loaded_by(f'import lewm_model.{module}', HEAVY)
    assert found <= ({'cv2'} if module == 'images' else set())


def test_lewm_model_itself_loads_nothing_heavy():
    """The package is lazy: importing it brings neither torch nor ROS nor the simulator."""
    assert loaded_by('import lewm_model', HEAVY | {'numpy'}) == set()


def test_lazy_names_of_lewm_model_exist():
    """Every name that lewm_model offers can be fetched from it."""
    assert loaded_by('import lewm_model\nfor name in lewm_model.__all__:\n'
                     '    getattr(lewm_model, name)', {'torch', 'rclpy', 'mujoco'}) == {'torch'}


def test_the_check_of_loaded_modules_can_fail():
    """A heavy module that is loaded is seen."""
    assert loaded_by('import torch', {'torch', 'mujoco'}) == {'torch'}
    with pytest.raises(AssertionError, match='no_such_module'):
        loaded_by('import no_such_module', set())


@pytest.mark.parametrize('module', ['lewm_sim.tasks', 'lewm_sim.world', 'lewm_sim.collect'])
def test_simulation_needs_no_torch_and_no_ros(module):
    """Recording episodes loads neither torch nor rclpy."""
    assert loaded_by(f'import {module}', {'torch', 'rclpy'}) == set()


@pytest.mark.ros
@pytest.mark.parametrize('module', [
    'command.command_node', 'goals.goal_node', 'guard.guard_node', 'recording.recorder_node',
    'simulation.sim_node', 'watch.program'])
def test_light_nodes_need_no_torch(module):
    """These nodes start fast and outlive the planner."""
    assert loaded_by(f'import lewm_ros.{module}', {'torch', 'rclpy'}) == {'rclpy'}


@pytest.mark.ros
@pytest.mark.parametrize('place', ['checkout', 'elsewhere'])
def test_messages_and_nodes_are_one_package(place, tmp_path):
    """`./lewm_ros` of the checkout does not hide the generated messages, nor they the nodes."""
    cwd = ROOT if place == 'checkout' else tmp_path
    modules = {'lewm_ros.msg', 'lewm_ros.srv', 'lewm_ros.command.command_node'}
    assert loaded_by(f'import {", ".join(modules)}', modules, cwd=cwd) == modules
