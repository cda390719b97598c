"""The virtual environment: made, filled by pip, and checked for what got lost since."""

import csv
import os
from pathlib import Path
import shutil

from host import python_version
import ros
from shell import fingerprint, read_json, run_step, say, SetupError, write_json

REQUIREMENTS = Path(__file__).resolve().parent.parent / 'requirements'
# Optional packages that only tests and those who ask for them need; 250 MB to download.
TEST_EXTRAS = 'blosc,lerobot,onnx,openvino,tensorrt'
START_OVER = 'If that does not help, start over with: rm -rf .venv && make setup'
TRY_AGAIN = ('Often the network or a full disk (4 GB are needed); what is there is kept.\n'
             f'Try again with: make setup\n{START_OVER}')


class Environment:
    """The virtual environment of one checkout, `.venv`.

    Args:
        root: The checkout.
        python: The Python to make it from.
        exact: Whether a working environment of another Python version has to give way.
        distribution: Name of the sourced ROS distribution, or None for ROS 2 from wheels.
    """

    def __init__(self, root, python, *, exact, distribution):
        self.root = root
        self.folder = root / '.venv'
        self.python = self.folder / 'bin' / 'python'
        self.distribution = distribution
        self._base_python = python
        self._exact = exact
        self._logs = root / '.setup'
        self._origin_file = self.folder / 'lewm-origin.json'
        self._stamp_file = self.folder / 'lewm-installed.json'

    @property
    def site_packages(self):
        """Where pip puts packages."""
        found = sorted(self.folder.glob('lib/python3.*/site-packages'))
        if not found:
            raise SetupError(f'{self.folder} has no site-packages folder\n{START_OVER}')
        return found[0]

    def identity(self):
        """Say what a build on this environment depends on."""
        return {'folder': str(self.folder), 'python': python_version(self.python),
                'distribution': self.distribution}

    def works(self):
        """Say whether the environment was made here, for the same ROS, and Python and pip run."""
        made_for = {'folder': str(self.folder), 'distribution': self.distribution}
        version = python_version(self.python)
        return (read_json(self._origin_file) == made_for and version is not None
                and (not self._exact or version == python_version(self._base_python))
                and any(is_complete(path) for path in self.site_packages.glob('pip-*.dist-info')))

    def ensure(self, *, for_tests=False):
        """Bring the environment up to date; return whether anything had to be done.

        Args:
            for_tests: Also install `TEST_EXTRAS`. Where that fails, tests that need them skip.
        """
        if not self.works():
            self._create()
        if self.distribution is None:
            ros.add_ament_package(self.site_packages, self._logs / 'apt.log')
        key = self._key()
        stamp = read_json(self._stamp_file)
        changed = stamp.get('key') != key or self._incomplete(stamp['distributions']) != []
        if changed:
            if self._stamp_file.exists():
                self._stamp_file.unlink()
            self._install()
            self._write_stamp(key)
        if for_tests and read_json(self._stamp_file).get('test_key') != key:
            self._install_test_extras()
            self._write_stamp(key, test_key=key)
            changed = True
        if self.distribution is None:
            ros.complete_wheels(self.folder)
        return changed

    def _write_stamp(self, key, **more):
        """Remember what is installed, for the next run to compare with."""
        names = sorted(path.name for path in self.site_packages.glob('*.dist-info'))
        write_json(self._stamp_file, {'key': key, 'distributions': names, **more})

    def _install_test_extras(self):
        """Let pip install what only some tests need; not having it is no error."""
        constraints = REQUIREMENTS / 'constraints.txt'
        if self.distribution is not None:
            constraints = self.folder / 'constraints.txt'
        try:
            self._pip('optional packages that tests use (once)', '-c', constraints,
                      '-e', f'{self.root}[{TEST_EXTRAS}]')
        except SetupError as error:
            say(f'some optional packages are missing, tests that need them are skipped: {error}')

    def _key(self):
        """Hash everything that decides what has to be installed."""
        files = [*sorted(REQUIREMENTS.iterdir()), self.root / 'pyproject.toml',
                 self.root / 'setup.py']
        return fingerprint(self.identity(), *(path.read_text() for path in files))

    def _create(self):
        """Make an empty environment, in place of a broken or foreign one."""
        if self.folder.exists():
            say(f'{self.folder.name} is broken, incomplete or was made elsewhere: made anew')
            shutil.rmtree(self.folder)
        system = [] if self.distribution is None else ['--system-site-packages']
        run_step('virtual environment',
                 [self._base_python, '-m', 'venv', *system, self.folder], self._logs / 'venv.log',
                 advice=START_OVER)
        write_json(self._origin_file, {'folder': str(self.folder),
                                       'distribution': self.distribution})

    def _install(self):
        """Let pip install what is asked for, and anew what lost files."""
        for name in self._incomplete():
            say(f'{name} lost files: installed again')
            shutil.rmtree(self.site_packages / name)  # for pip it is not installed now
        self._pip('pip itself', '--upgrade', 'pip>=24.2')  # older ones resolve for minutes
        tested = REQUIREMENTS / 'constraints.txt'
        if self.distribution is None:
            choice = ['-c', tested, '-r', REQUIREMENTS / 'ros.txt']
        else:
            constraints = self.folder / 'constraints.txt'
            constraints.write_text(ros.distribution_constraints(self.python, tested))
            choice = ['-c', constraints]
        self._pip('Python packages (about 2 minutes, once)', *choice,
                  '-e', f'{self.root}[dev,train,video]')
        self._pip('files that simulated tasks are made of', '--no-deps', '-c', tested,
                  '-r', REQUIREMENTS / 'tasks.txt')
        broken = self._incomplete()
        if broken:
            raise SetupError(f'files are missing from {", ".join(broken)}\n{START_OVER}')

    def _pip(self, title, *arguments):
        pip = [self.python, '-m', 'pip', 'install', '--progress-bar', 'off']
        run_step(title, [*pip, *arguments], self._logs / 'pip.log', advice=TRY_AGAIN,
                 env={'PYTHONPATH': None, 'PIP_USER': '0'})

    def _incomplete(self, expected=()):
        """List the installed distributions that lost a file, or are gone though expected."""
        folder = self.site_packages
        present = {path.name for path in folder.glob('*.dist-info')}
        lost = {*expected} - present
        return sorted(lost | {name for name in present if not is_complete(folder / name)})


def is_complete(distribution):
    """Say whether every file of an installed distribution is there and none was cut to nothing.

    Args:
        distribution: Its `.dist-info` folder; the list of files is in RECORD.
    """
    record = distribution / 'RECORD'
    if not record.is_file():
        return False
    with record.open(newline='') as stream:
        for name, _, size in csv.reader(stream):
            if name.endswith('.pyc'):
                continue
            try:
                # Sizes are not compared: a few wheels overwrite each other's files on purpose.
                if os.stat(os.path.join(distribution.parent, name)).st_size == 0 < int(size or 0):
                    return False
            except OSError:
                return False
    return True
