"""The simulator shows the scene as it would be, and tells viewers what it is made of."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from geometry_msgs.msg import TransformStamped  # noqa: E402
from lewm_ros.limits.urdf import JointLimits, read_joint_limits  # noqa: E402
from lewm_ros.msg import SimState  # noqa: E402
from lewm_ros.simulation.scene import SceneDescription  # noqa: E402
from lewm_ros.srv import RenderScene, ResetSim  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.frames import transform_message_type  # noqa: E402
from lewm_ros.wire.pictures import image_to_rgb  # noqa: E402
from lewm_ros.wire.stamps import header_stamp_ns, stamp_to_ns  # noqa: E402
from lewm_ros.wire.truth import msg_to_truth, TRUTH_TOPIC  # noqa: E402
from lewm_sim.tasks import load_task  # noqa: E402
import mujoco  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import code_name  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402


@pytest.fixture
def tf2_msgs(monkeypatch):
    """A stand-in with the field of tf2_msgs/TFMessage, whose package is not among our wheels."""
    class TFMessage:
        def __init__(self):
            self.transforms: list[TransformStamped] = []

    module = ModuleType('tf2_msgs.msg')
    module.TFMessage = TFMessage
    monkeypatch.setitem(sys.modules, 'tf2_msgs', ModuleType('tf2_msgs'))
    monkeypatch.setitem(sys.modules, 'tf2_msgs.msg', module)
    return TFMessage


class Outbox:
    """The publishers of a node, which keep what they got."""

    def __init__(self, listeners: int) -> None:
        self.topics, self._listeners = {}, listeners

    def create_publisher(self, kind, topic, profile):
        sent = self.topics.setdefault(topic, [])
        return SimpleNamespace(publish=sent.append,
                               get_subscription_count=lambda: self._listeners)


def test_a_picture_of_the_scene_as_it_would_be_changes_nothing(graph):
    """It is what the camera sees after a reset into that state; refusals have their reason."""
    graph.spawn('lewm_ros.simulation.sim_node')
    images = graph.collect(Image, 'image', qos.SENSOR)
    truths = graph.collect(SimState, TRUTH_TOPIC, qos.RECORD)
    graph.wait_for(lambda: images and truths, 'the simulator')
    at = graph.call(ResetSim, '/sim_node/reset', ResetSim.Request(
        state=[0.0, 0.5, 1.0, 0.0, 0.0]))
    assert at.success

    def pass_s(seconds: float, begin_ns: int) -> None:
        end_ns = begin_ns + round(seconds * 1e9)
        graph.wait_for(lambda: header_stamp_ns(truths[-1][1]) > end_ns, 'newer truth')

    def render(**wanted):
        return graph.call(RenderScene, '/sim_node/render', RenderScene.Request(
            names=list(wanted), values=list(wanted.values())))

    answer = render(shoulder=-2.0, wrist=0.3)
    assert answer.success, answer.message
    pass_s(0.0, stamp_to_ns(at.sim_time))
    pass_s(0.3, header_stamp_ns(truths[-1][1]))
    np.testing.assert_allclose(msg_to_truth(truths[-1][1]).values[:2], [0.5, 1.0], atol=1e-4)
    at = graph.call(ResetSim, '/sim_node/reset', ResetSim.Request(
        state=[0.0, -2.0, 0.3, 0.0, 0.0]))
    graph.wait_for(lambda: header_stamp_ns(images[-1][1]) > stamp_to_ns(at.sim_time), 'a picture')
    difference = image_to_rgb(answer.image).astype(int) - image_to_rgb(images[-1][1])
    assert np.abs(difference).max() <= 2

    tip = render(**{'tip x': 0.1, 'tip y': 0.1})
    assert tip.success and tip.image.width == 64
    for wanted, words in (({'tip x': 0.5}, 'cannot have tip x 0.5'), ({'elbow': 1.0}, 'no .elbow'),
                          ({'wrist': float('nan')}, 'must be finite')):
        refused = render(**wanted)
        assert code_name(refused) == 'BAD_ARGUMENT'
        assert words.replace('.elbow', "'elbow") in refused.message


def test_late_viewers_get_the_description(graph):
    """Latched; MuJoCo reads it; the robot's joints are in it by their names, without ranges."""
    graph.spawn('lewm_ros.simulation.sim_node', parameters={'task': 'push_t'})
    truths = graph.collect(SimState, TRUTH_TOPIC, qos.RECORD)
    graph.wait_for(lambda: truths, 'the simulator')
    described = graph.collect(String, 'robot_description', qos.LATCHED)
    graph.wait_for(lambda: described, 'robot_description')
    model = mujoco.MjModel.from_xml_string(described[0][1].data)
    names = {model.joint(number).name for number in range(model.njnt)}
    assert names == {'block_x', 'block_y', 'block_turn', 'pusher_x', 'pusher_y'}
    assert not model.jnt_limited.any()
    limits = read_joint_limits(described[0][1].data, names)
    assert set(limits) == names and set(limits.values()) == {JointLimits()}


def test_transforms_are_published_where_their_package_is(tf2_msgs):
    """What stands still once and latched, what moves with every picture while somebody looks."""
    task = load_task('push_t')
    world = task.make_world()
    out = Outbox(listeners=1)
    scene = SceneDescription(out, task, world)
    scene.publish(7_000_000_000)
    standing = {one.child_frame_id: one for one in out.topics['/tf_static'][0].transforms}
    assert set(standing) == {'camera_optical_frame'}
    assert standing['camera_optical_frame'].transform.translation.z == pytest.approx(1.463)
    moving = {one.child_frame_id: one for one in out.topics['/tf'][0].transforms}
    assert {'block', 'pusher'} <= set(moving)
    assert all(stamp_to_ns(one.header.stamp) == 7_000_000_000 for one in moving.values())
    assert {one.header.frame_id for one in moving.values()} <= {'world', *moving}
    at = task.named(world.truth())
    steps = [one for name, one in moving.items() if name.startswith('pusher')]
    assert sum(one.transform.translation.x for one in steps) == pytest.approx(at['pusher x'][0])

    quiet = Outbox(listeners=0)
    SceneDescription(quiet, task, world).publish(7_000_000_000)
    assert quiet.topics['/tf'] == [] and len(quiet.topics['robot_description']) == 1
    world.close()


def test_without_their_package_there_is_the_description_alone():
    """No transforms, no error: no viewer that needs them is there either."""
    if transform_message_type() is not None:
        pytest.skip('tf2_msgs is installed')
    task = load_task('reacher')
    world = task.make_world()
    out = Outbox(listeners=1)
    SceneDescription(out, task, world).publish(1_000_000_000)
    assert set(out.topics) == {'robot_description'}
    world.close()
