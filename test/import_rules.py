"""Which package may import what, and the two ways in which the tests look at it."""

from __future__ import annotations

import ast
import os
from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).resolve().parents[1]
ROS_ONLY = {'rclpy', 'launch', 'launch_ros', 'ament_index_python', 'cv_bridge', 'rosbag2_py'}
# Imports go one way: lewm_ros -> lewm_sim -> lewm_model.
FORBIDDEN = {
    'lewm_model': {'lewm_sim', 'lewm_ros', 'mujoco', *ROS_ONLY},
    'lewm_sim': {'lewm_ros', *ROS_ONLY},
    'lewm_ros': {'mujoco'},
}


def imported(source: str) -> set[str]:
    """Return the top-level names that a module imports anywhere, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition('.')[0])
    return names


def violations(package: str, source: str) -> set[str]:
    """Return what a module of `package` imports though it must not."""
    names = imported(source)
    messages = {name for name in names if name.endswith(('_msgs', '_srvs', '_interfaces'))}
    return names & FORBIDDEN[package] | (messages if package != 'lewm_ros' else set())


def sources(package: str) -> list[Path]:
    """Return every module of a package in the checkout."""
    return sorted((ROOT / package).rglob('*.py'))


def loaded_by(statement: str, candidates: set[str], *, cwd: Path = ROOT) -> set[str]:
    """Run a statement in a fresh Python and return which of the candidates it loaded."""
    code = (f'{statement}\nimport sys\n'
            f'print(*(name for name in {sorted(candidates)!r} if name in sys.modules))')
    done = subprocess.run([sys.executable, '-c', code], cwd=cwd, capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': python_path()}, timeout=120)
    if done.returncode:
        raise AssertionError(f'{statement!r} failed:\n{done.stderr}')
    return set(done.stdout.split())


def python_path() -> str:
    """Return a PYTHONPATH on which the checkout comes after what is installed."""
    return os.pathsep.join(filter(None, [os.environ.get('PYTHONPATH', ''), str(ROOT)]))


# The floors of lewm_ros, from the ground up. A folder that is not named here is a room: one
# process. The generated interfaces lie on the ground too.
GROUND = {'wire', 'node', 'limits', 'msg', 'srv', 'action'}
STAIRS = ('startup', 'trials')


def floor(room: str) -> int:
    """Return the floor of a folder of lewm_ros: 0 ground, 1 rooms, 2 startup, 3 trials."""
    if room in GROUND:
        return 0
    return 2 + STAIRS.index(room) if room in STAIRS else 1


def rooms_seen(room: str, source: str) -> set[str]:
    """Return the other folders of lewm_ros that a module in `room` imports, at any depth."""
    names = set()
    for module in modules_named(f'lewm_ros.{room}.module', source):
        top, _, rest = module.partition('.')
        if top == 'lewm_ros' and rest:
            names.add(rest.partition('.')[0])
    return names - {room}


def room_violations(room: str, source: str) -> set[str]:
    """Return the folders that a module in `room` imports though they are not below it."""
    return {other for other in rooms_seen(room, source) if floor(other) >= max(floor(room), 1)}


def modules_named(module: str, source: str) -> set[str]:
    """Return the dotted names that `module` imports; `from a import b` names a.b.

    Relative imports are resolved against the package of `module`.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module.split('.')[:-node.level] if node.level else []
            origin = '.'.join([*base, *filter(None, [node.module])])
            names |= {f'{origin}.{alias.name}' for alias in node.names}
    return names


def import_graph(package: str) -> dict[str, set[str]]:
    """Return which modules of a package each of its modules imports when it is loaded or later."""
    files = {'.'.join(path.relative_to(ROOT).with_suffix('').parts): path
             for path in sources(package)}
    files = {name.removesuffix('.__init__'): path for name, path in files.items()}
    graph = {}
    for name, path in files.items():
        inside = f'{name}.__init__' if path.name == '__init__.py' else name
        named = modules_named(inside, path.read_text(encoding='utf-8'))
        known = (each if each in files else each.rpartition('.')[0] for each in named)
        graph[name] = {each for each in known if each in files} - {name}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the names along one circle of a graph, first name repeated; empty if none."""
    finished: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name):], name]
        if name in finished:
            return []
        for other in sorted(graph.get(name, ())):
            if found := walk(other, [*path, name]):
                return found
        finished.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def folder_graphs(graph: dict[str, set[str]]) -> dict[str, dict[str, set[str]]]:
    """Return, for each folder, what lies in it and imports what else there.

    A folder in a folder counts as one thing. What folders import from their own parent does not
    count: that is a matter of modules.
    """
    levels: dict[str, dict[str, set[str]]] = {}
    for name, others in graph.items():
        for other in others:
            here, there = name.split('.'), other.split('.')
            depth = next((depth for depth, (one, two) in enumerate(zip(here, there, strict=False))
                          if one != two), None)
            if depth is not None:
                level = levels.setdefault('.'.join(here[:depth]), {})
                level.setdefault(here[depth], set()).add(there[depth])
    return levels


# The floors of lewm_model, from the ground up: a room may use those before it. What lies at the
# root of the package, the model itself and the types that travel, lies below all rooms but two,
# which it needs; four files there have floors of their own.
FLOORS = ('errors', 'base', 'images', '', 'robots', 'heads', 'bags', 'recordings', 'data',
          'ingest', 'lerobot', 'bundles', 'planning', 'engines', 'held_out', 'assemble',
          'training', 'analysis')


def model_room(module: str) -> str:
    """Return the room of a module of lewm_model; '' for its root."""
    parts = module.split('.')[1:]
    return parts[0] if len(parts) > 1 or parts and parts[0] in FLOORS else ''


def arrows_up(graph: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Return the imports of lewm_model that lead from a room to one that is not below it."""
    return {(module, other) for module, others in graph.items() if module != 'lewm_model'
            for other in others
            if (room := model_room(module)) != (used := model_room(other))
            and FLOORS.index(used) > FLOORS.index(room)}
