"""What the machine itself must have: a Python, a compiler, EGL; installed with apt if need be."""

import ctypes
import glob
import os
import shlex
import shutil
import sys

from shell import output_of, run_step, SetupError

OLDEST, NEWEST = (3, 10), (3, 13)  # every pinned wheel exists for these


def python_version(command):
    """Return (major, minor) of a Python command, or None if it does not run."""
    text = output_of(command, '-I', '-S', '-c', 'import sys; print(*sys.version_info[:2])')
    return tuple(int(part) for part in text.split()) if text else None


def choose_python(wanted=None):
    """Return the command of a supported Python: `wanted`, else the running one, else on PATH.

    Raises:
        SetupError: If there is none.
    """
    running = getattr(sys, '_base_executable', sys.executable)  # not that of an active .venv
    names = [wanted] if wanted else [running, 'python3.12', 'python3.11', 'python3.13',
                                     'python3.10']
    for name in names:
        if OLDEST <= (python_version(name) or (0, 0)) <= NEWEST:
            return shutil.which(name)
    oldest, newest = ('.'.join(map(str, version)) for version in (OLDEST, NEWEST))
    raise SetupError(f'no Python {oldest} to {newest} among: {", ".join(names)}\n'
                     f'Install one, then run: make setup PYTHON=python{newest}')


def missing_packages(python):
    """List the Debian packages that would bring what this machine lacks for this Python."""
    version = '.'.join(map(str, python_version(python)))
    missing = []
    if output_of(python, '-c', 'import ensurepip, venv') is None:
        missing.append(f'python{version}-venv')
    if not has_headers(python):
        missing.append(f'python{version}-dev')
    missing += [tool for tool in ('gcc', 'g++', 'make') if not shutil.which(tool)]
    if not has_egl():
        missing += ['libegl1', 'libegl-mesa0', 'libgl1', 'libgl1-mesa-dri']
    return missing


def has_headers(python):
    """Say whether C extensions can be compiled for this Python."""
    folder = output_of(python, '-c', 'import sysconfig; print(sysconfig.get_path("include"))')
    return os.path.isfile(os.path.join((folder or '').strip(), 'Python.h'))


def has_egl():
    """Say whether MuJoCo will find an EGL driver: NVIDIA's, or Mesa's for rendering on a CPU."""
    try:
        ctypes.CDLL('libEGL.so.1')
        ctypes.CDLL('libGL.so.1')  # PyOpenGL, under MuJoCo, needs it too
    except OSError:
        return False
    vendors = ' '.join(glob.glob('/usr/share/glvnd/egl_vendor.d/*.json')
                       + glob.glob('/etc/glvnd/egl_vendor.d/*.json'))
    mesa_driver = glob.glob('/usr/lib/*/dri/*_dri.so') + glob.glob('/usr/lib/*/libgallium*.so')
    return 'nvidia' in vendors or ('mesa' in vendors and bool(mesa_driver))


def root_prefix():
    """Return the words that make a command run as root, or None if that takes a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which('sudo') and output_of('sudo', '-n', 'true') is not None:
        return ['sudo', '-n']
    return None


def install_packages(packages, log):
    """Install Debian packages in one go, refreshing apt's lists only if they turn out stale.

    Raises:
        SetupError: Without apt or without the right to use it; the message has the command.
    """
    by_hand = f'sudo apt-get update && sudo apt-get install -y {" ".join(packages)}'
    if not shutil.which('apt-get'):
        raise SetupError(f'this machine lacks what these Debian packages bring: '
                         f'{" ".join(packages)}\nInstall their like, then run: make setup')
    prefix = root_prefix()
    if prefix is None:
        raise SetupError(f'this machine lacks {", ".join(packages)}\n'
                         f'Run: {by_hand}\nThen run: make setup')
    apt = [*prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q']
    install = [*apt, 'install', '-y', '--no-install-recommends', *packages]
    known = output_of('apt-cache', 'show', '--no-all-versions', *packages) is not None
    refresh = '' if known else f'{shlex.join([*apt, "update"])} && '
    run_step(f'system packages ({" ".join(packages)})',
             ['sh', '-c', f'{refresh}{shlex.join(install)}'], log,
             advice=f'Try by hand: {by_hand}\nThen run: make setup')
