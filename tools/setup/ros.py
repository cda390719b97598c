"""Where ROS 2 comes from: the distribution that is sourced, else wheels in the environment."""

import os
from pathlib import Path
import re
import shutil
import tempfile

from host import install_packages
from shell import output_of, SetupError

DEBIAN_PACKAGES = Path('/usr/lib/python3/dist-packages')

# What sourcing a ROS distribution's setup file would do, for the wheels. Read by colcon, which
# sources it from install/setup.bash, so that one `source` gives people the whole environment.
LOCAL_SETUP = """\
# Written by `make setup`: ROS 2 from wheels, as an underlay of this workspace.
export AMENT_PREFIX_PATH="{prefix}${{AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}}"
export CMAKE_PREFIX_PATH="{prefix}${{CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}}"
export PATH="{prefix}/bin:$PATH"
"""


def sourced_distribution(python, environment=None):
    """Return the name of the ROS distribution that this shell has sourced, or None.

    Args:
        python: The Python that must be able to import rclpy.
        environment: Replaces `os.environ`.

    Raises:
        SetupError: If one is sourced whose rclpy this Python cannot import.
    """
    environment = os.environ if environment is None else environment
    name, prefixes = environment.get('ROS_DISTRO'), environment.get('AMENT_PREFIX_PATH')
    if not name or not prefixes:
        return None
    if output_of('env', f'PYTHONPATH={environment.get("PYTHONPATH", "")}', python, '-c',
                 'import rclpy') is None:
        raise SetupError(
            f'ROS 2 {name} is sourced, but {python} cannot import its rclpy\n'
            f'Use the Python it was built for: make setup PYTHON=/usr/bin/python3\n'
            f'or open a shell without it, and ROS 2 is installed from wheels: make setup')
    return name


def check_wheel_platform():
    """Raise SetupError where no ROS wheels exist."""
    system, machine = os.uname().sysname, os.uname().machine
    if (system, machine) != ('Linux', 'x86_64'):
        raise SetupError(f'ROS 2 wheels exist for Linux on x86-64 only, this is {system} on '
                         f'{machine}\nInstall ROS 2 (Jazzy or newer), source its setup.bash, '
                         f'then run: make setup')


def distribution_constraints(python, constraints):
    """Return the versions to keep where a ROS distribution brings its own Python packages.

    Its message modules are compiled against its NumPy, and a robot computer may have a torch
    built for its GPU: what is there stays. Only a torch that is missing comes in the tested one.

    Args:
        python: Python of the environment, which sees the packages of the system.
        constraints: The versions that were tested together.
    """
    kept = []
    for name in ('numpy', 'torch'):
        version = output_of(python, '-c', f'import importlib.metadata as m; '
                                          f'print(m.version("{name}"))')
        if version:
            kept.append(f'{name}=={version.strip()}')
        else:
            kept += [line for line in constraints.read_text().splitlines()
                     if line.startswith(f'{name}==')]
    return '\n'.join(kept) + '\n'


def add_ament_package(site_packages, log):
    """Copy ament_package (pure Python, no wheel) from Debian's package into the environment."""
    target = site_packages / 'ament_package'
    if (target / 'template' / 'prefix_level' / 'setup.sh.in').is_file():
        return
    with tempfile.TemporaryDirectory() as folder:
        source = DEBIAN_PACKAGES / 'ament_package'
        if not source.is_dir():  # downloading does not take root, installing does
            output_of('sh', '-c', f'cd {folder} && apt-get download python3-ament-package && '
                                  f'dpkg-deb -x *.deb .')
            source = Path(folder, *source.parts[1:])
        if not source.is_dir():
            install_packages(['python3-ament-package'], log)
            source = DEBIAN_PACKAGES / 'ament_package'
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))


def complete_wheels(venv):
    """Make the wheels a prefix of this machine, like /opt/ros; cheap and harmless to repeat."""
    foreign = [path for path in venv.glob('share/*/cmake/*Export.cmake')
               if '/opt/python/' in path.read_text()]
    if foreign:  # the include folders of the machine that built the wheels: CMake refuses them
        python, numpy = (output_of(venv / 'bin' / 'python', '-c', code).strip()
                         for code in ('import sysconfig; print(sysconfig.get_path("include"))',
                                      'import numpy; print(numpy.get_include())'))
        for path in foreign:
            text = re.sub(r'/opt/python/[^;"]*/include/python3\.\d+', python, path.read_text())
            path.write_text(re.sub(r'/opt/python/[^;"]*/numpy/_core/include', numpy, text))
    for shell in ('sh', 'bash', 'zsh'):
        (venv / f'local_setup.{shell}').write_text(LOCAL_SETUP.format(prefix=venv))
