"""Recordings made with older interfaces are ingested as ever: a bag says what its bytes mean.

`old_interfaces/` has the definitions of d58b369: no session, an epoch of 64 bits, GoalImage.
"""

from functools import cache

from bag_factory import BagFactory, DT_NS, robot, START_NS
import h5py
from lewm_model.bags.bag import Bag
from lewm_model.bags.interfaces import import_rosbags
from lewm_model.config import DataConfig
from lewm_model.ingest.ingest import ingest
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from test_ingest import HERE

CONFIG = DataConfig(image_size=8, min_rows=4)
STORAGES = (StoragePlugin.MCAP, StoragePlugin.SQLITE3)


@cache
def old_store():
    """The standard types, and ours as they were."""
    typesys = import_rosbags()
    store = typesys.get_typestore(typesys.Stores.ROS2_KILTED)
    types = {}
    for path in sorted((HERE / 'old_interfaces').glob('*.msg')):
        types.update(typesys.get_types_from_msg(path.read_text(), f'lewm_ros/msg/{path.stem}'))
    store.register(types)
    return store


class OldBag(BagFactory):
    """A recording of that time: with its commands, its marks and its goal."""

    def __init__(self) -> None:
        super().__init__()
        self.types = old_store().types

    def command(self, stamp_ns, executed, names=('shoulder', 'wrist'), interface=2) -> None:
        """Add an executed command as it was."""
        executed = np.array(executed, float)
        self.add('/executed_command', 'lewm_ros/msg/ExecutedCommand', stamp_ns,
                 epoch=2**63 + 7, chunk_seq=0, step=0, interface=interface, names=list(names),
                 requested=executed + 100, executed=executed, clipped=False, slewed=False,
                 overridden=False, state=2, chunk_age_s=0.0)

    def episode(self, stamp_ns, episode_id, phase=1, task='reach') -> None:
        """Add an episode mark as it was."""
        self.add('/episode_info', 'lewm_ros/msg/EpisodeInfo', stamp_ns, episode_id=episode_id,
                 index=0, phase=phase, reset_count=3, task=task, goal_id='', operator_id='',
                 metadata_json='{}')

    def goal(self, stamp_ns) -> None:
        """Add a goal as it was."""
        header = self.header(stamp_ns)
        zero = self.types['geometry_msgs/msg/Point'](x=0.0, y=0.0, z=0.0)
        pose = self.types['geometry_msgs/msg/Pose'](
            position=zero,
            orientation=self.types['geometry_msgs/msg/Quaternion'](x=0.0, y=0.0, z=0.0, w=1.0))
        image = self.types['sensor_msgs/msg/Image'](
            header=header, height=1, width=1, encoding='rgb8', is_bigendian=0, step=3,
            data=np.array([1, 2, 3], np.uint8))
        self.add('/goal_image', 'lewm_ros/msg/GoalImage', stamp_ns, goal_id='red', source=4,
                 image=image, has_pose=False, sha256=np.zeros(32, np.uint8), task='reach',
                 pose=self.types['geometry_msgs/msg/PoseStamped'](header=header, pose=pose))

    def write(self, path, *, storage=StoragePlugin.MCAP):
        """Write the bag with the definitions of that time in it."""
        store, connections = old_store(), {}
        with Writer(path, version=9, storage_plugin=storage) as writer:
            for topic, kind, stamp_ns, message in self.messages:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=store)
                writer.write(connections[topic], stamp_ns, store.serialize_cdr(message, kind))
        return path


def columns(path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[name][()] for name in ('action', 'qpos', 'stamp_ns', 'ep_len')}


@pytest.mark.parametrize('storage', STORAGES)
def test_an_old_recording_gives_the_same_rows(tmp_path, storage):
    """Marks, states and executed commands: as from a bag of today with the same content."""
    bags = {}
    for name, factory in (('old', OldBag()), ('new', BagFactory())):
        factory.episode(START_NS, 'e')
        factory.steps(8)
        factory.episode(START_NS + 8 * DT_NS, 'e', phase=3)
        bags[name] = factory.write(tmp_path / name, storage=storage)
    for name, bag in bags.items():
        ingest([bag], robot(), tmp_path / f'{name}.h5', CONFIG)
    old, new = columns(tmp_path / 'old.h5'), columns(tmp_path / 'new.h5')
    assert len(old['action'])
    for name in old:
        np.testing.assert_array_equal(old[name], new[name], err_msg=name)


@pytest.mark.parametrize('storage', STORAGES)
def test_an_old_goal_can_be_read(tmp_path, storage):
    """Though GoalImage is no interface any more."""
    factory = OldBag()
    factory.goal(START_NS)
    with Bag(factory.write(tmp_path / 'bag', storage=storage)) as bag:
        ((_, _, raw),) = bag.raw_messages('/goal_image')
        goal = bag.decode(raw, 'lewm_ros/msg/GoalImage')
    assert (goal.goal_id, goal.source, goal.image.data.tolist()) == ('red', 4, [1, 2, 3])
