from __future__ import annotations

import importlib
import os
from pathlib import Path
import sys

from import_rules import ROOT
from lewm_sim.tasks import TaskFacts
import pytest
from test_packaging import requirements

MODULES = ('environment', 'host', 'ros', 'shell', 'workspace')


@pytest.fixture
def tools(monkeypatch):
    """The modules of tools/setup, which run without being installed."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools' / 'setup'))
    yield type('Tools', (), {name: importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def distribution(tmp_path):
    """The environment of a shell that has sourced a ROS distribution."""
    package = tmp_path / 'ros' / 'jazzy' / 'lib' / 'python' / 'rclpy'
    package.mkdir(parents=True)
    (package / '__init__.py').write_text('')
    return {'ROS_DISTRO': 'jazzy', 'AMENT_PREFIX_PATH': str(tmp_path / 'ros' / 'jazzy'),
            'PYTHONPATH': str(package.parent)}


@pytest.fixture
def python(tmp_path):
    """A Python command that has no packages at all."""
    path = tmp_path / 'python3'
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_a_sourced_distribution_is_used(tools, distribution, python):
    """ROS_DISTRO, AMENT_PREFIX_PATH and an rclpy that imports: that ROS is taken."""
    assert tools.ros.sourced_distribution(python, distribution) == 'jazzy'


@pytest.mark.parametrize('missing', ['ROS_DISTRO', 'AMENT_PREFIX_PATH'])
def test_without_a_sourced_distribution_wheels_are_used(tools, distribution, python, missing):
    """Sourcing only this workspace, or nothing, is not a distribution."""
    del distribution[missing]
    assert tools.ros.sourced_distribution(python, distribution) is None


def test_a_distribution_of_another_python_is_refused(tools, distribution, python):
    """An rclpy that cannot be imported stops the set-up and says how to go on."""
    distribution['PYTHONPATH'] = ''
    with pytest.raises(tools.shell.SetupError, match='make setup PYTHON=/usr/bin/python3'):
        tools.ros.sourced_distribution(python, distribution)


def test_a_distribution_keeps_its_numpy_and_the_tested_torch_is_added(tools, python, tmp_path):
    """NumPy and torch stay as they are; a torch that is missing comes in the tested version."""
    (tmp_path / 'numpy-1.26.4.dist-info').mkdir()
    (tmp_path / 'numpy-1.26.4.dist-info' / 'METADATA').write_text('Name: numpy\nVersion: 1.26.4\n')
    tested = tmp_path / 'constraints.txt'
    tested.write_text('torch==2.13.0\nnumpy==2.4.6\nmujoco==4.0.0\n')
    sees_it = Path(python)
    sees_it.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} -S "$@"\n')
    assert tools.ros.distribution_constraints(python, tested) == 'numpy==1.26.4\ntorch==2.13.0\n'


def test_foreign_include_folders_are_replaced(tools, tmp_path):
    """The folders of the machine that built the wheels give way to those of this one."""
    (tmp_path / 'bin').mkdir()
    exported = tmp_path / 'share' / 'std_msgs' / 'cmake' / 'std_msgsExport.cmake'
    exported.parent.mkdir(parents=True)
    build = '/opt/python/cp311-cp311'
    exported.write_text(f'"${{_PREFIX}}/include;{build}/include/python3.11;'
                        f'{build}/lib/python3.11/site-packages/numpy/_core/include"')
    (tmp_path / 'bin' / 'python').write_text(
        '#!/bin/sh\ncase "$*" in *numpy*) echo /here/numpy;; *) echo /here/python;; esac\n')
    (tmp_path / 'bin' / 'python').chmod(0o755)
    tools.ros.complete_wheels(tmp_path)
    assert exported.read_text() == '"${_PREFIX}/include;/here/python;/here/numpy"'
    assert f'AMENT_PREFIX_PATH="{tmp_path}' in (tmp_path / 'local_setup.bash').read_text()


@pytest.fixture
def installed(tmp_path):
    """An installed distribution: a module, an empty file and their RECORD."""
    (tmp_path / 'thing').mkdir()
    (tmp_path / 'thing' / '__init__.py').write_text('value = 1\n')
    (tmp_path / 'thing' / 'py.typed').write_text('')
    info = tmp_path / 'thing-1.0.dist-info'
    info.mkdir()
    (info / 'RECORD').write_text('thing/__init__.py,sha256=x,10\nthing/py.typed,sha256=x,0\n'
                                 'thing/__pycache__/gone.pyc,,\nthing-1.0.dist-info/RECORD,,\n')
    return info


def test_an_intact_distribution_is_complete(tools, installed):
    """Compiled files may be missing and empty files may be empty."""
    assert tools.environment.is_complete(installed)


@pytest.mark.parametrize('damage', ['file deleted', 'file emptied', 'RECORD deleted'])
def test_a_damaged_distribution_is_noticed(tools, installed, damage):
    """A lost file, one cut to nothing by a kill, and a half-finished install are seen."""
    module = installed.parent / 'thing' / '__init__.py'
    if damage == 'file deleted':
        module.unlink()
    elif damage == 'file emptied':
        module.write_text('')
    else:
        (installed / 'RECORD').unlink()
    assert not tools.environment.is_complete(installed)


@pytest.fixture
def project(tmp_path, tools):
    """A small checkout and its workspace, without anything built."""
    root = tmp_path / 'checkout'
    for name, text in {'CMakeLists.txt': 'project(x)', 'package.xml': '<package/>',
                       'msg/A.msg': 'int32 a', 'lewm_ros/node.py': 'x = 1'}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    environment = type('Environment', (), {'identity': lambda self: {'python': [3, 11]}})()
    return root, tools.workspace.Workspace(root, environment)


@pytest.mark.parametrize('name, text, rebuilds', [
    ('msg/A.msg', 'int32 b', True), ('CMakeLists.txt', 'project(y)', True),
    ('srv/B.srv', '---', True), ('lewm_ros/new_node.py', '', True),
    ('lewm_ros/node.py', 'x = 2', False), ('README.md', 'hello', False),
])
def test_what_makes_a_new_build_necessary(project, name, text, rebuilds):
    """Interfaces and build files by content, linked files by name, nothing else."""
    root, workspace = project
    before = workspace._key()
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)
    assert (workspace._key() != before) == rebuilds


def test_a_build_that_lost_a_file_is_noticed(project):
    """Every installed file has to be there, also behind its link into the build folder."""
    root, workspace = project
    (root / 'install').mkdir()
    (root / 'install' / 'setup.bash').write_text('')
    made, link = root / 'build' / 'lewm_ros' / 'a.so', root / 'install' / 'a.so'
    made.parent.mkdir(parents=True)
    made.write_text('binary')
    link.symlink_to(made)
    (made.parent / 'symlink_install_manifest.txt').write_text(f'{link}\n')
    assert not workspace._is_complete()  # the second manifest is still missing
    (made.parent / 'install_manifest.txt').write_text('')
    assert workspace._is_complete()
    made.unlink()
    assert not workspace._is_complete()


def test_a_failing_step_shows_its_log_and_the_advice(tools, tmp_path, capfd):
    """Whoever sees the failure learns why, where the log is, and what to type."""
    with pytest.raises(tools.shell.SetupError) as failure:
        tools.shell.run_step('a step', ['sh', '-c', 'echo the reason; exit 3'],
                             tmp_path / 'step.log', advice='Run: make it')
    assert 'exit code 3' in str(failure.value)
    assert str(tmp_path / 'step.log') in str(failure.value)
    assert str(failure.value).endswith('Run: make it')
    assert 'the reason' in capfd.readouterr().err


def test_a_killed_write_leaves_the_old_stamp(tools, tmp_path):
    """A stamp is complete or it counts as missing."""
    tools.shell.write_json(tmp_path / 'stamp.json', {'key': 'old'})
    (tmp_path / 'stamp.json.new').write_text('{"key": "ne')
    assert tools.shell.read_json(tmp_path / 'stamp.json') == {'key': 'old'}
    (tmp_path / 'stamp.json').write_text('{"key": "ne')
    assert tools.shell.read_json(tmp_path / 'stamp.json') == {}


def test_missing_tools_are_named_as_debian_packages(tools, monkeypatch):
    """No compiler, no headers and no EGL become the packages that bring them."""
    monkeypatch.setattr(tools.host.shutil, 'which', lambda tool: None)
    monkeypatch.setattr(tools.host, 'has_headers', lambda python: False)
    monkeypatch.setattr(tools.host, 'has_egl', lambda: False)
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    assert tools.host.missing_packages(sys.executable) == [
        f'python{version}-dev', 'gcc', 'g++', 'make',
        'libegl1', 'libegl-mesa0', 'libgl1', 'libgl1-mesa-dri']


def test_without_root_the_command_is_printed(tools, monkeypatch, tmp_path):
    """Who may not install packages is told what to ask for."""
    monkeypatch.setattr(tools.host, 'root_prefix', lambda: None)
    monkeypatch.setattr(tools.host.shutil, 'which', lambda tool: f'/usr/bin/{tool}')
    with pytest.raises(tools.shell.SetupError, match='sudo apt-get install -y g[+][+] make\n'):
        tools.host.install_packages(['g++', 'make'], tmp_path / 'log')


def test_an_unsupported_python_is_refused(tools, tmp_path):
    """A Python that is too old is named, with the range that works and the way out."""
    old = tmp_path / 'python3.9'
    old.write_text('#!/bin/sh\necho 3 9\n')
    old.chmod(0o755)
    with pytest.raises(tools.shell.SetupError, match=r'no Python 3\.10 to 3\.13 among: .*'
                                                     r'python3\.9\n.*make setup PYTHON='):
        tools.host.choose_python(str(old))


def test_the_requirements_are_pinned(tools):
    """Every wheel that ROS, the build and the tasks ask for has its version written down."""
    names = required('ros') | required('tasks')
    pinned = {line.split('==')[0] for line in
              (ROOT / 'tools' / 'requirements' / 'constraints.txt').read_text().splitlines()
              if '==' in line}
    assert names <= pinned
    assert 'torch' in pinned


def required(name):
    """Return the packages that a file of requirements asks for."""
    lines = (ROOT / 'tools' / 'requirements' / f'{name}.txt').read_text().splitlines()
    return {line.split('#')[0].strip().split('[')[0] for line in lines} - {''}


def test_what_a_shipped_task_needs_is_set_up():
    """From a clean clone to any of our tasks; users of pip have an extra that bears its name."""
    extras = requirements()
    needs = {path.parent.name: TaskFacts.from_yaml(path).needs
             for path in (ROOT / 'lewm_sim' / 'tasks').glob('*/task.yaml')}
    assert needs['cube'] == 'ogbench'
    for name, package in needs.items():
        assert not package or package in extras[name], name
    assert required('tasks') == set(needs.values()) - {''}


def test_fingerprints_do_not_depend_on_the_run(tools):
    """The hash of the same facts is the same in every process, whatever the order of keys."""
    assert tools.shell.fingerprint({'a': 1, 'b': 2}) == tools.shell.fingerprint({'b': 2, 'a': 1})
    assert tools.shell.fingerprint({'a': 1}) != tools.shell.fingerprint({'a': 2})


@pytest.mark.parametrize('lists, expected', [('fresh', ['install']),
                                             ('stale', ['update', 'install'])])
def test_apt_runs_once_and_updates_only_if_needed(tools, monkeypatch, tmp_path, lists, expected):
    """All packages come in one call; the lists are fetched first if they do not know them."""
    log = tmp_path / 'calls'
    for name, code in {'apt-get': f'echo "$@" >> {log}',
                       'apt-cache': 'exit 0' if lists == 'fresh' else 'exit 100'}.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n{code}\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    monkeypatch.setattr(tools.host, 'root_prefix', list)
    tools.host.install_packages(['g++', 'make'], tmp_path / 'log')
    calls = log.read_text().splitlines()
    assert [word for call in calls for word in call.split() if word in expected] == expected
    assert calls[-1].endswith('g++ make')
