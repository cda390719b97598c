from __future__ import annotations

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ElementTree
import zipfile

from import_rules import imported, ROOT, sources
import lewm_model
import pytest

PACKAGES = ('lewm_model', 'lewm_sim', 'lewm_ros')
# installed program -> its module
PROGRAMS = {name: f'lewm_ros.{room}.{name}' for room, name in (
    ('command', 'command_node'), ('goals', 'goal_node'), ('guard', 'guard_node'),
    ('planner', 'planner_node'), ('recording', 'recorder_node'), ('show', 'imagination_node'),
    ('simulation', 'sim_node'), ('sources', 'explore_node'), ('sources', 'teleop_node'),
    ('startup', 'supervisor'), ('trials', 'demo'))}
# Import name -> name on the package index and rosdep key, where they are not alike.
PIP_NAMES = {'cv2': 'opencv-python-headless', 'yaml': 'pyyaml', 'PIL': 'pillow',
             'tensorrt_rtx': 'tensorrt-rtx', 'stable_worldmodel': 'stable-worldmodel'}
ROSDEP_KEYS = {'cv2': 'python3-opencv', 'PIL': 'python3-pil'}
# Not in package.xml: rosdep has no key for these (the comment there says so); pip brings them.
PIP_ONLY = {'torch', 'mujoco', 'rosbags', 'safetensors', 'rich', 'tensorboard', 'av', 'hdf5plugin',
            'pyarrow', 'onnx', 'onnxruntime', 'openvino', 'tensorrt', 'tensorrt_rtx',
            'stable_worldmodel', 'transformers', 'gymnasium'}
OF_SOME_ROBOTS = {'control_msgs'}    # only a robot file that names JointCommand needs it


def manifest() -> ElementTree.Element:
    """Return the root of package.xml."""
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def cmake() -> str:
    """Return CMakeLists.txt."""
    return (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')


def test_one_version():
    """package.xml and the Python packages carry the same version."""
    assert manifest().findtext('version') == lewm_model.__version__


def test_cmake_lists_every_interface():
    """A message or service file that is not built, or built but gone, is an error."""
    listed = set(re.findall(r'^\s+((?:msg|srv|action)/\S+)$', cmake(), re.MULTILINE))
    files = {f'{folder}/{path.name}' for folder in ('msg', 'srv', 'action')
             for path in (ROOT / folder).glob('*.*')}
    assert listed == files


def test_cmake_installs_every_program():
    """Each program is a module of lewm_ros with a main function."""
    listed = re.search(r'foreach\(program\s+([^)]*)\)', cmake()).group(1).split()
    assert [f'lewm_ros.{entry.replace("/", ".")}' for entry in listed] == list(PROGRAMS.values())
    for module in PROGRAMS.values():
        source = (ROOT / f'{module.replace(".", "/")}.py').read_text(encoding='utf-8')
        assert re.search(r'^def main\(', source, re.MULTILINE), f'{module} has no main()'


def test_every_import_is_declared():
    """What the code imports, also by its name alone, is asked for in package.xml and for pip."""
    asked_of_ros = {item.text for item in manifest() if item.tag.endswith('depend')}
    asked_of_pip = set().union(*requirements().values())
    for package in PACKAGES:
        texts = [path.read_text(encoding='utf-8') for path in sources(package)]
        names = set().union(*map(imported, texts)) | {
            name for text in texts for name in re.findall(r"import_module\('(\w+)", text)}
        assert package != 'lewm_ros' or {'tf2_msgs', 'cv_bridge', *OF_SOME_ROBOTS} <= names
        for name in names - sys.stdlib_module_names - {*PACKAGES, *PIP_ONLY, *OF_SOME_ROBOTS}:
            assert {name, ROSDEP_KEYS.get(name, f'python3-{name}')} & asked_of_ros, (
                f'{package} imports {name}, which package.xml does not ask for')
        for name in names - sys.stdlib_module_names - set(PACKAGES):
            assert package == 'lewm_ros' or PIP_NAMES.get(name, name) in asked_of_pip, (
                f'{package} imports {name}, which pyproject.toml does not ask for')


def requirements() -> dict[str, set[str]]:
    """Return the packages that pip installs, by extra; '' is without any."""
    text = (ROOT / 'pyproject.toml').read_text(encoding='utf-8')
    lists = re.findall(r'^(\w+) = \[([^]]*)\]$', text, re.MULTILINE)
    return {'' if name == 'dependencies' else name: set(re.findall(r'"([A-Za-z0-9_-]+)>=', items))
            for name, items in lists}


def test_a_missing_package_is_in_the_extra_that_its_error_names():
    """`pip install "lewm_ros[extra]"` really brings what the message says is missing."""
    known = requirements()
    found = 0
    for path in (path for package in PACKAGES for path in sources(package)):
        for name, extra in re.findall(r"MissingPackageError\('([^']+)', '([^']+)'",
                                      path.read_text(encoding='utf-8')):
            found += 1
            assert extra in known, f'{path.name}: no extra {extra!r}'
            assert PIP_NAMES.get(name, name) in known[extra] | known[''], f'{path.name}: {name}'
    assert found


@pytest.mark.ros
def test_installed_programs_have_the_right_interpreter():
    """`lib/lewm_ros/<program>` are executable by themselves, with a Python that finds them all."""
    interpreters = set()
    for program in PROGRAMS:
        path = Path(_install_prefix(), 'lib', 'lewm_ros', program)
        interpreters.add(path.read_text(encoding='utf-8').splitlines()[0].removeprefix('#!'))
        assert os.access(path, os.X_OK), program
    [interpreter] = interpreters
    code = 'from importlib import import_module\nfor name in {}: import_module(name).main'
    done = subprocess.run([interpreter, '-c', code.format(list(PROGRAMS.values()))], cwd='/',
                          capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr


@pytest.mark.ros
def test_installed_share_has_what_ships():
    """Launch files, settings and models lie in share/lewm_ros, where launch looks for them."""
    share = Path(_install_prefix(), 'share', 'lewm_ros')
    for name in ('launch/plan.launch.py', 'config/robots/sim_reacher.yaml', 'msg/PlanStatus.msg',
                 'package.xml'):
        assert (share / name).is_file(), name
    assert (share / 'models').is_dir()


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.parametrize('options', [(), ('--symlink-install',), ('--merge-install',)],
                         ids=['plain', 'symlink', 'merged'])
def test_colcon_builds_in_every_mode(tmp_path, options):
    """Messages, nodes and resources come out of each kind of build, seen from both places."""
    _colcon_build(tmp_path, *options)
    code = ('import lewm_ros.msg, lewm_ros.command.command_node, lewm_model, os;'
            'import lewm_model.base.resources as r;'
            'print(os.path.abspath(lewm_ros.msg.__file__)); lewm_ros.msg.PlanStatus();'
            'print(os.path.abspath(lewm_model.__file__));'
            'print(r.find("config/robots/sim_reacher.yaml"))')
    for cwd in (tmp_path, ROOT):
        done = subprocess.run(
            ['bash', '-c', f'. {tmp_path}/install/setup.bash && exec "$@"', '-', sys.executable,
             '-c', code], cwd=cwd, capture_output=True, text=True, timeout=200,
            env={**os.environ, 'PYTHONPATH': ''})
        assert done.returncode == 0, done.stderr
        messages, model, robot = done.stdout.splitlines()
        assert messages.startswith(str(tmp_path))
        if cwd == tmp_path:
            assert model.startswith(str(tmp_path))
            if options != ('--symlink-install',):  # links lead back to the checkout
                assert robot.startswith(str(tmp_path))


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_colcon_test_runs_the_tests_of_the_package(tmp_path):
    """One of them, by PYTEST_ADDOPTS: it ran, and where none is chosen the test fails."""
    _colcon_build(tmp_path)
    results = tmp_path / 'build/lewm_ros/test_results/lewm_ros/pytest.xunit.xml'
    for chosen, passes in (('test_one_version', True), ('test_that_is_not_there', False)):
        done = _colcon('test', tmp_path, '--return-code-on-test-failure',
                       PYTEST_ADDOPTS=f'-k {chosen} -p no:randomly')
        assert (done.returncode == 0) == passes, done.stdout + done.stderr
        ran = [case.get('name') for case in ElementTree.parse(results).iter('testcase')]
        assert (ran == [chosen]) == passes


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of the sources that builds may write into."""
    copy = tmp_path_factory.mktemp('checkout')
    for name in ('action', 'config', 'models', 'msg', 'srv', *PACKAGES):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('pyproject.toml', 'setup.py', 'package.xml', 'LICENSE'):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope='module')
def pip_environment(checkout, tmp_path_factory):
    """A virtual environment with this package by pip, and the other packages of this Python."""
    venv = tmp_path_factory.mktemp('pip') / 'venv'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', venv], check=True)
    site, = venv.glob('lib/python3*/site-packages')
    (site / 'borrowed.pth').write_text(sysconfig.get_path('purelib') + '\n')
    _pip(venv / 'bin' / 'python', 'install', '--no-deps', '--ignore-installed',
         '--no-build-isolation', checkout)
    return venv


def test_pip_install_gives_a_working_command(pip_environment, tmp_path):
    """`lewm` runs outside the checkout, without ROS, and says its version."""
    for arguments, expected in ((['--version'], f'lewm {lewm_model.__version__}'),
                                (['--help'], 'collect'), (['collect', '--help'], '--episodes')):
        done = _run(pip_environment / 'bin' / 'lewm', *arguments, cwd=tmp_path)
        assert expected in done.stdout, done.stderr


def test_pip_install_brings_the_shipped_files(pip_environment, tmp_path):
    """Robots, tasks, messages and models are found inside the installed package."""
    code = ('from lewm_model.base import resources\n'
            'for name in ("config/robots/sim_reacher.yaml", "config/robots/diff_drive.yaml",'
            ' "msg/PlanStatus.msg", "srv/SetGoal.srv"): print(resources.find(name))\n'
            'from lewm_sim.tasks import load_task\n'
            'for name in ("task.yaml", "task.py", "scene.xml"):\n'
            '    print((load_task("reacher").folder / name).resolve(strict=True))')
    done = _run(pip_environment / 'bin' / 'python', '-c', code, cwd=tmp_path)
    found = done.stdout.split()
    assert len(found) == 7, done.stderr
    assert all(Path(path).is_relative_to(pip_environment) for path in found)


def test_pip_install_leaves_ros_out(pip_environment, tmp_path):
    """Only the packages that work without ROS are installed."""
    code = ('import importlib.util as u;'
            'print(*[n for n in ("lewm_model", "lewm_sim", "lewm_ros") if u.find_spec(n)])')
    done = _run(pip_environment / 'bin' / 'python', '-c', code, cwd=tmp_path)
    assert done.stdout.split() == ['lewm_model', 'lewm_sim']


def test_source_distribution_is_complete(checkout, tmp_path):
    """A wheel made from the source distribution has the same files as one from the checkout."""
    _build('sdist', checkout, tmp_path)
    archive, = tmp_path.glob('*.tar.gz')
    subprocess.run(['tar', 'xzf', archive, '-C', tmp_path], check=True)
    files = []
    for source in (checkout, archive.with_name(archive.name.removesuffix('.tar.gz'))):
        wheels = tmp_path / f'wheels of {source.name}'
        wheels.mkdir()
        _build('wheel', source, wheels)
        wheel, = wheels.glob('*.whl')
        with zipfile.ZipFile(wheel) as opened:
            files.append({name for name in opened.namelist() if 'dist-info' not in name})
    assert files[0] == files[1]
    assert 'lewm_model/share/config/robots/sim_reacher.yaml' in files[0]
    shipped = {f'lewm_model/share/{path.relative_to(checkout)}' for folder in ('models', 'config')
               for path in (checkout / folder).rglob('*') if path.is_file()}
    assert shipped <= files[0]


def _colcon_build(folder: Path, *options: str) -> None:
    built = _colcon('build', folder, *options, '--cmake-args',
                    f'-DPython3_EXECUTABLE={sys.executable}', '-DPython3_FIND_VIRTUALENV=ONLY')
    assert built.returncode == 0, built.stdout + built.stderr


def _colcon(verb: str, folder: Path, *options: str, **environment: str
            ) -> subprocess.CompletedProcess:
    colcon = Path(sys.executable).with_name('colcon')
    return subprocess.run(
        [colcon if colcon.exists() else 'colcon', '--log-base', folder / 'log', verb,
         '--base-paths', ROOT, '--build-base', folder / 'build', '--install-base',
         folder / 'install', *options], cwd=folder, capture_output=True, text=True, timeout=280,
        env={**os.environ, **environment})


def _install_prefix() -> str:
    from ament_index_python.packages import get_package_prefix
    return get_package_prefix('lewm_ros')


def _build(kind: str, source: Path, output: Path) -> None:
    code = f'from setuptools import build_meta; build_meta.build_{kind}({str(output)!r})'
    done = _run(sys.executable, '-c', code, cwd=source)
    assert done.returncode == 0, done.stderr


def _pip(python: Path, *arguments: str | Path) -> None:
    done = subprocess.run([sys.executable, '-m', 'pip', '--python', python, '--quiet',
                           *arguments], capture_output=True, text=True, cwd='/',
                          env={**os.environ, 'PYTHONPATH': ''}, timeout=120)
    assert done.returncode == 0, done.stderr


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment,
                          timeout=120)
