"""Goals captured from cameras of all kinds, by the goal node as a process of its own."""

import json

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.base import resources  # noqa: E402
from lewm_model.base.yaml_text import read_yaml  # noqa: E402
from lewm_model.images.tiles import goal_sheet  # noqa: E402
from lewm_ros.srv import CaptureGoal  # noqa: E402
from lewm_ros.wire.pictures import image_to_rgb, rgb_to_image  # noqa: E402
from lewm_ros.wire.stamps import header_stamp_ns  # noqa: E402
import numpy as np  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from ros_helpers import code_name  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)


def capture(graph, tmp_path, stamped=True, **changes):
    """Let the goal node capture from this test's cameras, which offer what they like."""
    robot = {**read_yaml(resources.find_named('config/robots', 'sim_reacher', '.yaml')), **changes}
    robot = {name: value for name, value in robot.items() if value is not None}
    (tmp_path / 'robot.yaml').write_text(json.dumps(robot))
    topics = [camera['topic'] for camera in robot.get('cameras', [])] or [robot['image_topic']]
    cameras = [graph.node.create_publisher(Image, topic, QoSProfile(depth=3, reliability=offer))
               for topic, offer in zip(topics, (ReliabilityPolicy.RELIABLE,
                                                ReliabilityPolicy.BEST_EFFORT), strict=False)]

    def film():
        now_ns = graph.node.get_clock().now().nanoseconds if stamped else 0
        for camera, picture in zip(cameras, PICTURES, strict=False):
            camera.publish(rgb_to_image(picture, now_ns))

    graph.node.create_timer(0.05, film)
    graph.spawn('lewm_ros.goals.goal_node', parameters={'robot': str(tmp_path / 'robot.yaml')})
    return graph.call(CaptureGoal, '/goal_node/capture_goal',
                      CaptureGoal.Request(timeout_s=10.0))


def test_a_goal_of_two_cameras_holds_both_whole_pictures(graph, tmp_path):
    """A reliable and a best-effort camera: side by side, as the planner takes them apart."""
    answer = capture(graph, tmp_path, image_topic=None, camera_info_topic=None, cameras=[
        {'topic': 'front'}, {'topic': 'wrist', 'crop': [0, 0, 0.5, 1]}])
    assert answer.success, answer.message
    np.testing.assert_array_equal(image_to_rgb(answer.goal.image), goal_sheet(list(PICTURES)))


def test_a_goal_of_an_unstamped_camera_is_stamped_on_receipt(graph, tmp_path):
    """With `clocks: {image: receive}`; its frames would never be newer than the call."""
    begin_ns = graph.node.get_clock().now().nanoseconds
    answer = capture(graph, tmp_path, stamped=False, clocks={'image': 'receive'})
    assert answer.success, answer.message
    assert header_stamp_ns(answer.goal) > begin_ns
    np.testing.assert_array_equal(image_to_rgb(answer.goal.image), PICTURES[0])


def test_without_a_camera_the_answer_says_so(graph, tmp_path):
    """The topic on which nothing is published, not only that time is up."""
    graph.spawn('lewm_ros.goals.goal_node')
    answer = graph.call(CaptureGoal, '/goal_node/capture_goal', CaptureGoal.Request(timeout_s=2.0))
    assert code_name(answer) == 'NO_FRAME'
    assert 'nothing is published on /image' in answer.message


def test_a_frame_that_cannot_be_read_is_no_goal(graph):
    """The answer says so, not that there is none."""
    camera = graph.node.create_publisher(Image, 'image', 1)

    def film():
        frame = rgb_to_image(PICTURES[0], graph.node.get_clock().now().nanoseconds)
        frame.encoding = 'smell'
        camera.publish(frame)

    graph.node.create_timer(0.05, film)
    graph.spawn('lewm_ros.goals.goal_node')
    answer = graph.call(CaptureGoal, '/goal_node/capture_goal',
                        CaptureGoal.Request(timeout_s=10.0))
    assert code_name(answer) == 'FRAME_UNREADABLE' and 'smell' in answer.message
