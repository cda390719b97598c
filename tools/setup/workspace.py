"""The ROS workspace: interfaces generated and installed by colcon, checked for completeness."""

import os
import shutil

from shell import fingerprint, read_json, run_step, say, SetupError, write_json

PACKAGE = 'lewm_ros'
# A changed file here asks for a new build; elsewhere only added and removed files do, since
# --symlink-install links every file to the checkout.
BUILT_FROM = ('CMakeLists.txt', 'package.xml', 'cmake', 'msg', 'srv', 'action')
LINKED = ('config', 'launch', 'lewm_model', 'lewm_ros', 'lewm_sim', 'models')
# Reaches into the compiled part of the messages.
CHECK = ('import lewm_sim, lewm_ros.msg, rclpy.type_support as check;'
         'check.check_for_type_support(lewm_ros.msg.PlanStatus)')


class Workspace:
    """`build` and `install` of one checkout.

    Args:
        root: The checkout.
        environment: Its virtual environment.
    """

    def __init__(self, root, environment):
        self._root = root
        self._environment = environment
        self._stamp_file = root / 'install' / 'lewm-built.json'

    def ensure(self):
        """Build what changed, from scratch if the build is damaged; say whether it was needed."""
        # What was generated from an interface that is gone would stay: then from scratch.
        ground = fingerprint(self._environment.identity(), self._files(('msg', 'srv', 'action')))
        key = self._key()
        stamp = read_json(self._stamp_file)
        sound = stamp.get('ground') == ground and self._is_complete()
        if sound and stamp.get('key') == key:
            return False
        if not sound:
            self._clear()
        try:
            self._build()
        except SetupError:
            if not sound:
                raise
            say('the earlier build is in the way: building from scratch')
            self._clear()
            self._build()
        write_json(self._stamp_file, {'ground': ground, 'key': key})
        return True

    def _key(self):
        """Hash the contents of what is built and the names of what is linked."""
        contents = [(name, (self._root / name).read_text()) for name in self._files(BUILT_FROM)]
        return fingerprint(contents, self._files(LINKED))

    def _files(self, names):
        found = []
        for name in names:
            path = self._root / name
            inside = path.rglob('*') if path.is_dir() else [path]
            found += [str(file.relative_to(self._root)) for file in inside
                      if file.is_file() and file.suffix != '.pyc']
        return sorted(found)

    def _is_complete(self):
        """Say whether every file that the build installed is still there."""
        build = self._root / 'build'
        manifests = [build / PACKAGE / name for name in ('install_manifest.txt',
                                                         'symlink_install_manifest.txt')]
        if not all(path.is_file() for path in
                   (*manifests, self._root / 'install' / 'setup.bash')):
            return False
        names = [name for path in manifests for name in path.read_text().splitlines()]
        # A link to a file that has gone from the checkout is colcon's to remove; a link into the
        # build folder has to lead somewhere.
        return all(os.path.lexists(name) for name in names) and all(
            os.path.exists(name) for name in names
            if os.path.realpath(name).startswith(str(build)))

    def _clear(self):
        for name in ('build', 'install', 'log'):
            if (self._root / name).exists():
                shutil.rmtree(self._root / name)

    def _build(self):
        venv, distribution = self._environment.folder, self._environment.distribution
        environment = {'PATH': f'{venv / "bin"}{os.pathsep}{os.environ["PATH"]}'}
        if distribution is None:
            environment.update({name: str(venv) for name in ('AMENT_PREFIX_PATH',
                                                             'CMAKE_PREFIX_PATH')},
                               COLCON_PREFIX_PATH=None, PYTHONPATH=None)
        if self._stamp_file.exists():
            self._stamp_file.unlink()
        run_step('ROS interfaces (about 1 minute the first time)',
                 ['colcon', 'build', '--symlink-install', '--event-handlers', 'console_direct+',
                  '--cmake-args', f'-DPython3_EXECUTABLE={self._environment.python}',
                  '-DPython3_FIND_VIRTUALENV=ONLY'],
                 self._root / '.setup' / 'colcon.log', env=environment, cwd=self._root,
                 advice='Start over with: make clean && make setup')
        run_step('import of the result', ['bash', '-c', '. install/setup.bash && exec "$@"', '-',
                                          self._environment.python, '-c',
                                          CHECK],
                 self._root / '.setup' / 'import.log', env=environment, cwd=self._root,
                 advice='Start over with: rm -rf .venv && make clean && make setup')
