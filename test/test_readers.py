"""Readers that ask for what the publishers offer, against publishers of the test's own node."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import ConfigError  # noqa: E402
from lewm_ros.node.entities import Entities, JOINTS_DEPTH  # noqa: E402
from lewm_ros.node.guard import Guard  # noqa: E402
from lewm_ros.node.readers import hear_everyone, OfferedReader  # noqa: E402
import rclpy  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, JointState  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
LATCHED, VOLATILE = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE


def offer(reliability, durability=VOLATILE):
    return QoSProfile(depth=5, reliability=reliability, durability=durability)


@pytest.fixture
def drivers(graph):
    """Nodes with participants of their own, as drivers are; they end with the test."""
    nodes = []

    def make(name):
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=graph.domain)
        nodes.append(Node(name, context=context))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
        node.context.shutdown()


def test_it_is_reliable_if_all_publishers_are(graph, drivers):
    """Nothing yet: any offer; a reliable driver: reliable; a best-effort one beside it: that."""
    reader = OfferedReader(graph.node, Image, 'image', lambda message: None, depth=3)
    assert reader.profile.reliability == BEST_EFFORT
    first = drivers('first')
    first.create_publisher(Image, 'image', offer(RELIABLE, LATCHED))
    graph.wait_for(lambda: reader.profile.reliability == RELIABLE, 'a reliable reader')
    assert reader.profile.durability == VOLATILE   # an old picture is not wanted
    assert reader.profile.depth == 3
    second = drivers('second').create_publisher(Image, 'image', offer(BEST_EFFORT))
    graph.wait_for(lambda: reader.profile.reliability == BEST_EFFORT, 'a best-effort reader')
    graph.wait_for(second.get_subscription_count, 'the match')


def test_a_driver_that_restarts_with_another_offer_is_read_again(graph, drivers):
    """A reliable reader would get nothing from the best-effort driver that took the place."""
    got = []
    reader = OfferedReader(graph.node, Image, 'image', got.append, depth=3)
    driver = drivers('driver')
    old = driver.create_publisher(Image, 'image', offer(RELIABLE))
    graph.wait_for(lambda: reader.profile.reliability == RELIABLE, 'a reliable reader')
    driver.destroy_publisher(old)
    new = driver.create_publisher(Image, 'image', offer(BEST_EFFORT))

    graph.send_until(lambda: new.publish(Image(height=7)), lambda: got,
                     'a picture of the new driver')
    assert reader.silence() == ''
    reader.close()
    graph.wait_for(lambda: not new.get_subscription_count(), 'the end of the reader')


def test_standard_overrides_win(graph, drivers):
    """As every ROS node has them; what they keep apart is said by policy and publisher."""
    context = graph.node.context
    topic = 'qos_overrides./image.subscription'
    node = Node('reader', context=context, parameter_overrides=[
        Parameter(f'{topic}.reliability', value='reliable'), Parameter(f'{topic}.depth', value=7)])
    reader = OfferedReader(node, Image, 'image', lambda message: None, depth=3)
    assert (reader.profile.reliability, reader.profile.depth) == (RELIABLE, 7)
    drivers('driver').create_publisher(Image, 'image', offer(BEST_EFFORT))
    reader._newest_s -= 10
    graph.wait_for(lambda: '/driver offers reliability best_effort' in reader.silence(), 'why')
    assert f'{topic}.reliability asks for reliable' in reader.silence()
    assert reader.profile.reliability == RELIABLE
    again = OfferedReader(node, Image, 'image', lambda message: None, depth=3)
    assert again.profile.depth == 7
    node.destroy_node()


def test_states_are_read_best_effort_unless_a_parameter_says_otherwise(graph, drivers):
    """One that is sent again is old by then; so a reliable driver changes nothing."""
    context, got = graph.node.context, []
    driver = drivers('driver').create_publisher(JointState, 'joint_states', offer(RELIABLE))
    reader = Entities(graph.node, Guard(graph.node.get_logger())).joints(
        'joint_states', lambda message, info: got.append((message, info)))
    graph.send_until(lambda: driver.publish(JointState(name=['a'])), lambda: got, 'a state')
    assert got[0][0].name == ['a'] and got[0][1]['publisher_gid']
    assert (reader.profile.reliability, reader.profile.depth) == (BEST_EFFORT, JOINTS_DEPTH)
    node = Node('reader', context=context, parameter_overrides=[Parameter(
        'qos_overrides./joint_states.subscription.reliability', value='reliable')])
    other = Entities(node, Guard(node.get_logger())).joints('joint_states', got.append)
    assert other.profile.reliability == RELIABLE
    other.close()
    node.destroy_node()


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('reliability', 'perhaps', "one of best_available, .*reliable.*, got 'perhaps'"),
    ('depth', 0, 'at least 1, got 0'), ('durability', 3, 'must be of type str')])
def test_overrides_that_are_none_are_refused(graph, name, value, words):
    """By name, value and what is allowed."""
    node = Node('reader', context=graph.node.context, parameter_overrides=[
        Parameter(f'qos_overrides./image.subscription.{name}', value=value)])
    with pytest.raises(ConfigError, match=words):
        OfferedReader(node, Image, 'image', lambda message: None, depth=3)
    node.destroy_node()


def test_silence_says_why(graph, drivers):
    """No publisher, another type, publishers that send nothing: three different faults."""
    reader = OfferedReader(graph.node, Image, 'camera/image', lambda message: None, depth=3)
    assert reader.silence() == ''        # it may still come
    reader._newest_s -= 10
    assert 'nothing is published on /camera/image' in reader.silence()
    driver = drivers('driver')
    wrong = driver.create_publisher(CompressedImage, 'camera/image', 5)
    graph.wait_for(lambda: 'published as sensor_msgs/msg/CompressedImage, this node reads '
                           'sensor_msgs/msg/Image' in reader.silence(), 'the wrong type')
    driver.destroy_publisher(wrong)
    driver.create_publisher(Image, 'camera/image', offer(RELIABLE))
    graph.wait_for(lambda: 'has 1 publisher, but nothing has arrived' in reader.silence(),
                   'the silent publisher')
    assert 'docs/cameras.md' in reader.silence()


def test_everyone_is_heard_whatever_they_offer(graph, drivers):
    """Buttons: best effort, reliable, and latched before the reader was there."""
    kinds = {'best_effort': offer(BEST_EFFORT), 'reliable': offer(RELIABLE),
             'latched': offer(RELIABLE, LATCHED)}
    publishers = {name: drivers(name).create_publisher(Bool, 'e_stop', profile)
                  for name, profile in kinds.items()}
    publishers['latched'].publish(Bool(data=True))
    heard = []
    hear_everyone(graph.node, Bool, 'e_stop', heard.append)
    graph.wait_for(lambda: heard, 'the latched press')
    for name in ('best_effort', 'reliable'):
        graph.wait_for(publishers[name].get_subscription_count, name)
        count = len(heard)
        graph.send_until(lambda name=name: publishers[name].publish(Bool(data=True)),
                         lambda count=count: len(heard) > count, f'the press of {name}')
