"""The groups of fuzz cases: what each damages, and the public calls that then must cope."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
import copy
from functools import partial
from pathlib import Path
import shutil
from typing import Any

from bag_factory import BagFactory, DT_NS, robot, START_NS
import cv2
from fuzz_mutations import damaged_bytes, damaged_yaml, disturb_folder, odd_fields
from lewm_model.bags.bag import Bag
from lewm_model.bags.interfaces import default_typestore
from lewm_model.base import resources
from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.folder import SETTINGS_FILE
from lewm_model.config import DataConfig, load_yaml, PlanConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import BagError, LewmError
from lewm_model.ingest.convert_bag import convert_bag
from lewm_model.recordings.describe_bag import describe_bag
from lewm_model.recordings.suggest_robot import suggest_robot
from lewm_model.robots.robot import ODOMETRY, RobotDescription, TWIST_STAMPED
from lewm_model.training.run import Recipe
from lewm_sim.tasks.facts import FACTS_FILE, TaskFacts
from lewm_sim.tasks.registry import task_folders
from mcap_builder import build
from nano import tiny_bundle
import numpy as np
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosbags.serde.errors import SerdeError

Steps = Iterator[Callable[[], Any]]
CONFIG = DataConfig(image_size=8, min_rows=2)
ROBOTS = (robot(), robot(
    interface='twist', joint_names=['linear.x', 'angular.z'], command_type=TWIST_STAMPED,
    executed_topic='', state_type=ODOMETRY, joint_state_topic='odom', command_topic='cmd_vel',
    image_topic='camera/compressed'))


def arm(steps: int = 6) -> BagFactory:
    """Return a recording of the first robot."""
    factory = BagFactory()
    factory.episode(START_NS - DT_NS, 'one')
    return factory.steps(steps)


def rover(steps: int = 6) -> BagFactory:
    """Return a recording of the second robot: JPEG, odometry, stamped twists."""
    factory = BagFactory()
    kind = {name.rsplit('/', 1)[1]: found for name, found in factory.types.items()
            if name.startswith('geometry_msgs')}
    jpeg = cv2.imencode('.jpg', np.full((12, 16, 3), 90, np.uint8))[1]
    covariance = np.zeros(36)
    for step in range(steps):
        stamp_ns = START_NS + step * DT_NS
        twist = kind['Twist'](linear=kind['Vector3'](x=0.1 * step, y=0.0, z=0.0),
                              angular=kind['Vector3'](x=0.0, y=0.0, z=-0.1))
        pose = kind['Pose'](position=kind['Point'](x=step * 1.0, y=0.0, z=0.0),
                            orientation=kind['Quaternion'](x=0.0, y=0.0, z=0.0, w=1.0))
        factory.add('/camera/compressed', 'sensor_msgs/msg/CompressedImage', stamp_ns,
                    format='jpeg', data=jpeg.ravel())
        factory.add('/odom', ODOMETRY, stamp_ns, child_frame_id='base',
                    pose=kind['PoseWithCovariance'](pose=pose, covariance=covariance),
                    twist=kind['TwistWithCovariance'](twist=twist, covariance=covariance))
        factory.add('/cmd_vel', TWIST_STAMPED, stamp_ns, twist=twist)
    return factory


def read_bag(path: Path, description: RobotDescription, out: Path) -> Steps:
    """Yield everything that is done with a bag."""
    def messages() -> None:
        with Bag(path) as bag:
            for topic in bag.topics:
                for _, _, raw in bag.raw_messages(topic):
                    try:
                        bag.decode(raw, topic.type)
                    except LewmError as error:
                        if not str(error):
                            raise AssertionError('an error without words') from error
            bag.sha256()

    def suggestion() -> None:
        with Bag(path) as bag:
            suggest_robot(bag, 'robot')

    def conversion() -> None:
        report = convert_bag(path, description, CONFIG, out / 'part.h5', 'fuzz')
        if report.error:     # so that other bags go on
            raise BagError(report.error)
        report.to_dict()

    yield messages
    yield partial(describe_bag, path)   # what `lewm inspect` prints; below, what it suggests
    yield suggestion
    yield conversion
    if (out / 'part.h5').exists():
        yield partial(EpisodeFile.open, out / 'part.h5')


class BagFiles:
    """Whole bags of every storage, with damaged files, metadata or folders."""

    def __init__(self, seeds: Path) -> None:
        seeds.mkdir()
        self._seeds = [
            arm().write(seeds / 'mcap'),
            arm().write(seeds / 'db3', storage=StoragePlugin.SQLITE3),
            arm().write(seeds / 'db3_message', storage=StoragePlugin.SQLITE3,
                        compression=CompressionMode.MESSAGE),
            rover().write(seeds / 'db3_file', storage=StoragePlugin.SQLITE3,
                          compression=CompressionMode.FILE)]
        for name, options in {'plain': {'packing': '', 'per_chunk': None},
                              'lz4': {'packing': 'lz4'},
                              'bare': {'summary': False, 'crc': False, 'packing': ''}}.items():
            (seeds / name).mkdir()
            (seeds / name / f'{name}_0.mcap').write_bytes(build(arm().serialized(), **options))
            self._seeds.append(seeds / name)
        self._path = seeds

    def prepare(self, folder: Path, around: Path, rng: np.random.Generator) -> None:
        """Damage a copy of one bag."""
        self._path = folder / 'bag'
        shutil.copytree(self._seeds[rng.integers(len(self._seeds))], self._path)
        kind = rng.random()
        metadata = self._path / 'metadata.yaml'
        if kind < 0.65 or kind < 0.8 and not metadata.exists():
            files = sorted(path for path in self._path.iterdir() if path != metadata)
            file = files[rng.integers(len(files))]
            file.write_bytes(damaged_bytes(file.read_bytes(), rng))
            if rng.random() < 0.2:
                self._path = file
        elif kind < 0.8:
            metadata.write_bytes(damaged_yaml(metadata.read_text(encoding='utf-8'), rng))
        else:
            disturb_folder(self._path, around, rng)

    def steps(self, folder: Path, out: Path) -> Steps:
        """Read it."""
        return read_bag(self._path, ROBOTS['db3_file' in str(self._path)], out)


class Messages:
    """Whole files with messages that no driver should send."""

    def __init__(self, seeds: Path) -> None:
        self._messages = arm().messages, rover().messages
        self._robot = 0

    def prepare(self, folder: Path, around: Path, rng: np.random.Generator) -> None:
        """Write a bag with one to four odd messages, or odd at the level of bytes."""
        self._robot = int(rng.integers(2))
        store, written = default_typestore(), []
        messages = list(self._messages[self._robot])
        chosen = set(rng.integers(len(messages), size=rng.integers(1, 5)).tolist())
        for number, (topic, kind, time_ns, message) in enumerate(messages):
            raw = bytes(store.serialize_cdr(message, kind))
            if number in chosen and rng.random() < 0.7:
                odd = copy.deepcopy(message)
                odd_fields(odd, rng)
                with suppress(SerdeError, OverflowError):   # there is no such message
                    raw = bytes(store.serialize_cdr(odd, kind))
            if number in chosen and rng.random() < 0.4:
                raw = damaged_bytes(raw, rng)
            if number in chosen and rng.random() < 0.2:
                time_ns = [0, 1, time_ns - 10 ** 12, 2 ** 63, time_ns + 10 ** 12][rng.integers(5)]
            if number in chosen and rng.random() < 0.05:
                topic = ['', '\0', '/' * 500, topic + '/'][rng.integers(4)]
            written.append((topic, kind, time_ns, raw))
        (folder / 'bag.mcap').write_bytes(build(written))

    def steps(self, folder: Path, out: Path) -> Steps:
        """Read it."""
        return read_bag(folder / 'bag.mcap', ROBOTS[self._robot], out)


class Settings:
    """Damaged robot descriptions, recipes, planner and task settings."""

    def __init__(self, seeds: Path) -> None:
        readers = {'robots': RobotDescription.from_yaml, 'train': Recipe.from_yaml,
                   'plan': PlanConfig.from_yaml}
        self._files = [(path.read_text(encoding='utf-8'), reader)
                       for name, reader in readers.items()
                       for path in sorted(resources.find(f'config/{name}').glob('*.yaml'))]
        self._files += [((folder / FACTS_FILE).read_text(encoding='utf-8'), TaskFacts.from_yaml)
                        for folder in task_folders().values()]
        self._reader: Callable[[Path], Any] = load_yaml

    def prepare(self, folder: Path, around: Path, rng: np.random.Generator) -> None:
        """Damage one file, or put something else in its place."""
        text, self._reader = self._files[rng.integers(len(self._files))]
        (folder / 'a.yaml').write_bytes(damaged_yaml(text, rng))
        if rng.random() < 0.05:
            disturb_folder(folder, around, rng)

    def steps(self, folder: Path, out: Path) -> Steps:
        """Read it."""
        yield partial(self._reader, folder / 'a.yaml')


class Bundles:
    """Bundles with damaged settings or weights."""

    def __init__(self, seeds: Path) -> None:
        self._seed = tiny_bundle().save(seeds)

    def prepare(self, folder: Path, around: Path, rng: np.random.Generator) -> None:
        """Damage a copy."""
        shutil.copytree(self._seed, folder / 'bundle')
        file = folder / 'bundle' / SETTINGS_FILE
        kind = rng.random()
        if kind < 0.75:
            file.write_bytes(damaged_yaml(file.read_text(encoding='utf-8'), rng))
        elif kind < 0.9:
            file = file.with_name('weights.safetensors')
            file.write_bytes(damaged_bytes(file.read_bytes(), rng))
        else:
            disturb_folder(folder / 'bundle', around, rng)

    def steps(self, folder: Path, out: Path) -> Steps:
        """Load it."""
        yield partial(Bundle.load, folder / 'bundle')


class DataSets:
    """Damaged HDF5 files.

    What is checked here is checked after libhdf5 has parsed the file. If that crashes, the process
    dies, and the test fails with the number of the case; Python cannot turn it into an error.
    """

    def __init__(self, seeds: Path) -> None:
        seeds.mkdir()
        path = arm(8).write(seeds / 'bag')
        if convert_bag(path, ROBOTS[0], CONFIG, seeds / 'set.h5', 'fuzz').error:
            raise AssertionError('the whole bag does not convert')
        self._data = (seeds / 'set.h5').read_bytes()

    def prepare(self, folder: Path, around: Path, rng: np.random.Generator) -> None:
        """Damage it."""
        (folder / 'set.h5').write_bytes(damaged_bytes(self._data, rng))

    def steps(self, folder: Path, out: Path) -> Steps:
        """Open it and read all of it."""
        def everything() -> None:
            data = EpisodeFile.open(folder / 'set.h5')
            np.array(data.pixels).sum()
            for name in data.columns:
                np.array(data.columns[name])

        yield everything


GROUPS = {'bags': BagFiles, 'messages': Messages, 'settings': Settings, 'bundles': Bundles,
          'datasets': DataSets}
