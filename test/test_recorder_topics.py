"""Which topics the recorder takes, with which types and qualities of service."""

import json
import os
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.bags.bag import Bag  # noqa: E402
from lewm_model.bags.interfaces import import_rosbags  # noqa: E402
from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_ros.msg import ExecutedCommand  # noqa: E402
from lewm_ros.recording.message_definitions import message_definition  # noqa: E402
from lewm_ros.recording.topics import (  # noqa: E402
    Depths,
    reader_qos,
    required_topics,
    wanted_topics,
)
from lewm_ros.srv import StartEpisode, StopEpisode  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402
from recorder_rig import Rig, SUCCESS  # noqa: E402
from ros_helpers import Graph, ROOT  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402


@pytest.fixture
def rig(tmp_path):
    with Graph() as graph:
        yield Rig(graph, tmp_path / 'root')


@pytest.mark.parametrize('name', ['sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo',
                                  'lewm_ros/msg/Goal', 'diagnostic_msgs/msg/DiagnosticArray',
                                  'rosgraph_msgs/msg/Clock'])
def test_definitions_are_complete(name):
    """From the text alone an offline reader gets the very type that the middleware has."""
    package, _, kind = name.split('/')
    encoding, text = message_definition(name)
    typesys = import_rosbags()
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    store.register(typesys.get_types_from_msg(text, name))
    share = next(path for path in (Path(prefix, 'share', package, 'msg', f'{kind}.json')
                                   for prefix in os.environ['AMENT_PREFIX_PATH'].split(':'))
                 if path.is_file())
    hashes = {item['type_name']: item['hash_string']
              for item in json.loads(share.read_text())['type_hashes']}
    assert encoding == 'ros2msg'
    assert store.hash_rihs01(name) == hashes[name]


def test_readers_match_their_publishers(rig):
    """Best effort where one publisher is, reliable and latched only where all are."""
    graph = rig.graph

    def profile(name):
        infos = graph.wait_for(lambda: graph.node.get_publishers_info_by_topic(name), name)
        return reader_qos(infos, infos[0].topic_type, Depths(500, 40))

    assert profile('/image').reliability == ReliabilityPolicy.BEST_EFFORT
    assert profile('/image').depth == 40
    assert profile('/joint_states').reliability == ReliabilityPolicy.RELIABLE
    assert profile('/joint_states').depth == 500
    assert profile('/goal').durability == DurabilityPolicy.TRANSIENT_LOCAL
    graph.node.create_publisher(JointState, 'joint_states', qos.SENSOR)
    graph.wait_for(lambda: len(graph.node.get_publishers_info_by_topic('/joint_states')) == 2,
                   'the second publisher')
    assert profile('/joint_states').reliability == ReliabilityPolicy.BEST_EFFORT


def test_every_camera_and_command_topic_of_a_robot_file_is_recorded(tmp_path):
    """Two cameras with their infos, two command topics: all are wanted, pictures are required."""
    camera = {'topic': 'front/image', 'info_topic': 'front/info'}
    commands = [{'topic': f'{part}/commands', 'type': 'std_msgs/msg/Float64MultiArray',
                 'joints': [joint]} for part, joint in (('arm', 'shoulder'), ('hand', 'wrist'))]
    values = yaml.safe_load((ROOT / 'config/robots/sim_reacher.yaml').read_text())
    for name in ('image_topic', 'camera_info_topic', 'command_topic', 'command_type'):
        values.pop(name)
    (tmp_path / 'two.yaml').write_text(yaml.safe_dump(
        {**values, 'cameras': [camera, {'topic': 'hand/image'}], 'commands': commands}))
    robot = RobotDescription.from_yaml(str(tmp_path / 'two.yaml'))
    wanted = wanted_topics(robot, '')
    assert {'front/image', 'hand/image', 'front/info', 'arm/commands', 'hand/commands'} <= set(
        wanted)
    assert required_topics(robot)[:2] == ['front/image', 'hand/image']
    with Graph() as graph:
        graph.spawn('lewm_ros.recording.recorder_node', parameters={
            'robot': str(tmp_path / 'two.yaml'), 'root': str(tmp_path / 'root'),
            'min_free_mb': 0})
        node = graph.node
        image, array = Image, Float64MultiArray
        publishers = {f'/{name}': node.create_publisher(kind, name, qos.RECORD) for name, kind in (
            ('front/image', image), ('hand/image', image), ('arm/commands', array),
            ('hand/commands', array), ('joint_states', JointState),
            ('executed_command', ExecutedCommand))}
        graph.wait_for(lambda: all(item.get_subscription_count() for item in publishers.values()),
                       'the recorder')
        assert graph.call(StartEpisode, '/recorder_node/start_episode',
                          StartEpisode.Request()).success
        for publisher in publishers.values():
            publisher.publish(publisher.msg_type())
        graph.spin(0.3)
        answer = graph.call(StopEpisode, '/recorder_node/stop_episode',
                            StopEpisode.Request(outcome=SUCCESS))
        assert answer.success and not answer.message
    with Bag(Path(answer.bag_uri)) as bag:
        counts = {topic.name: topic.count for topic in bag.topics}
    assert {name: counts.get(name) for name in publishers} == dict.fromkeys(publishers, 1)


def test_the_stock_recorder_is_told_the_same_topics():
    """The argument file lists what our recorder records, and the overrides know each of them."""
    words = (ROOT / 'config/record/ros2_bag_record.args').read_text().split()
    listed = words[words.index('--topics') + 1:]
    ours = {'/' + name.strip('/') for name in
            wanted_topics(RobotDescription.from_yaml('sim_reacher'), '')} | {'/episode_info'}
    assert set(listed) == ours
    overrides = yaml.safe_load((ROOT / 'config/qos/record_qos_overrides.yaml').read_text())
    assert set(overrides) == ours
    known = {'history', 'depth', 'reliability', 'durability'}
    assert all(set(profile) == known for profile in overrides.values())
