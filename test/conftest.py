"""Shared by all tests: a private ROS domain, and what this machine can and cannot run."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import ctypes
import fcntl
import importlib.util
import os
from pathlib import Path
import random
import re
import shutil
import tempfile
from typing import Any, TextIO

import pytest

# Before anything imports torch, MuJoCo or rclpy: they read these once.
os.environ.setdefault('OMP_NUM_THREADS', '1')  # many small processes on few cores
os.environ.setdefault('MUJOCO_GL', 'egl')
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'

# Mesa's renderer and triton (which torch for CUDA brings, and optimisers load) each come with an
# LLVM. Triton first, they get along; the other way round the process crashes. Only a test run
# renders and trains in one process.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401
# The renderer also brings a libzstd, and whoever is loaded first compresses for all: bags would
# have the same content and other bytes than those of a process that never rendered before.
with contextlib.suppress(ImportError):
    import rosbags.rosbag2  # noqa: F401


def _can_import(*names: str) -> bool:
    try:
        return all(importlib.util.find_spec(name) for name in names)
    except ModuleNotFoundError:  # the parent of a dotted name
        return False


def _has_egl() -> bool:
    try:
        ctypes.CDLL('libEGL.so.1')
        ctypes.CDLL('libGL.so.1')
    except OSError:
        return False
    return _can_import('mujoco')


# marker: whether it can run here, and what it takes
ABILITIES = {
    'ros': (_can_import('rclpy', 'lewm_ros.msg'), 'run: make setup, then source '
            'install/setup.bash; or simply: make test'),
    'sim': (_has_egl(), 'needs mujoco, libEGL and libGL'),
    'launch': (_can_import('launch', 'launch_ros'), 'needs ros2 launch (launch_ros)'),
    'gpu': (shutil.which('nvidia-smi') is not None, 'needs an NVIDIA GPU'),
}
_DOMAIN_LOCK = pytest.StashKey[TextIO]()
REQUIRED = set(filter(None, os.environ.get('LEWM_REQUIRE', '').split(',')))
# What tools/run_tests.py runs apart: 'plain' without the tests of ROS, 'ros' only them.
HALF = os.environ.get('LEWM_HALF', '')
_ONLY_ROS = re.compile(r'^pytestmark = .*pytest\.mark\.ros', re.MULTILINE)


def _claim_domain() -> tuple[str, TextIO]:
    """Claim a ROS domain for this test run while the returned lock file is open.

    1 to 9 only: tests that start processes take a domain of their own above these.
    """
    for domain in range(1, 10):
        lock = Path(tempfile.gettempdir(), f'lewm-test-domain-{domain}.lock').open('a')  # noqa: SIM115, held open
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
        else:
            return str(domain), lock
    raise pytest.UsageError('nine test runs are under way on this machine; wait for one to end')


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer another order of the tests."""
    parser.addoption('--shuffle', metavar='SEED', default='',
                     help='take files, and the tests of each file, in an order drawn from SEED')


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to skip silently what this run is there to test; keep to a private domain."""
    for name in sorted(REQUIRED):
        if name not in ABILITIES or not ABILITIES[name][0]:
            fix = ABILITIES[name][1] if name in ABILITIES else f'known: {sorted(ABILITIES)}'
            raise pytest.UsageError(f'LEWM_REQUIRE asks for {name!r} tests, which cannot run '
                                    f'here: {fix}')
    if HALF not in ('', 'plain', 'ros'):
        raise pytest.UsageError(f"LEWM_HALF must be 'plain' or 'ros', got {HALF!r}")
    if config.getoption('numprocesses', None) is None:   # with workers, they run the tests
        os.environ['ROS_DOMAIN_ID'], config.stash[_DOMAIN_LOCK] = _claim_domain()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the test's cache of engines and choices to itself; it does not exist yet."""
    monkeypatch.setenv('LEWM_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def graph() -> Iterator[Any]:
    """Lend a private ROS domain with a node: a `ros_helpers.Graph`."""
    from ros_helpers import Graph  # needs rclpy

    with Graph() as made:
        yield made


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out modules of ROS tests where their imports would fail, and of the other half."""
    if collection_path.suffix != '.py':
        return None
    text = collection_path.read_text(encoding='utf-8')
    if 'pytest.mark.ros' not in text:
        return HALF == 'ros' or None
    if HALF == 'plain' and _ONLY_ROS.search(text):
        return True
    return not ABILITIES['ros'][0] or None


def pytest_report_header() -> str:
    """Say what is left out."""
    missing = [f'{name} ({fix})' for name, (able, fix) in ABILITIES.items() if not able]
    return f'left out here: {"; ".join(missing) or "nothing"}'


@pytest.hookimpl(tryfirst=True)     # pytest then puts together what shares a dear fixture
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the other half out; shuffle; skip what this machine cannot run, with the reason."""
    if HALF:
        chosen, other = [], []
        for item in items:
            mine = (item.get_closest_marker('ros') is not None) == (HALF == 'ros')
            (chosen if mine else other).append(item)
        config.hook.pytest_deselected(items=other)
        items[:] = chosen
    if seed := config.getoption('shuffle'):
        _shuffle(items, seed)
    for item in items:
        for name, (able, fix) in ABILITIES.items():
            if not able and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=fix))


def _shuffle(items: list[pytest.Item], seed: str) -> None:
    """Change the order of files, and of tests in their file; the same for the same seed."""
    drawn = random.Random(seed)
    files = sorted({item.path for item in items})
    drawn.shuffle(files)
    drawn.shuffle(items)
    items.sort(key=lambda item: files.index(item.path))
