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
