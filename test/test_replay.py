"""A recording played into a planner in shadow mode: yesterday's bag as a test of the bundle."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from bag_factory import BagFactory, DT_NS, START_NS  # noqa: E402
from lewm_model.bags.bag import Bag  # noqa: E402
from lewm_ros.msg import ActionChunk, Goal, PlanStatus  # noqa: E402
from lewm_ros.srv import EncodeImage  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.goals import picture_goal_to_msg  # noqa: E402
from lewm_ros.wire.pictures import image_to_rgb  # noqa: E402
from lewm_ros.wire.reports import PlanState  # noqa: E402
from lewm_ros.wire.stamps import header_stamp_ns, ns_to_stamp, stamp_to_ns  # noqa: E402
from nano import tiny_bundle  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

FRAMES, GOAL = 60, 40


def record(folder):
    """Return a bag of frames that get brighter, and the pictures as ROS reads them."""
    factory = BagFactory()
    for number in range(FRAMES):
        factory.image(START_NS + number * DT_NS, 4 * number, size=64)
    path = factory.write(folder / 'yesterday')
    with Bag(path) as bag:
        return [(time_ns, raw) for _, time_ns, raw in bag.raw_messages('/image')]


def test_a_bag_is_answered_frame_by_frame_and_nothing_is_sent(tmp_path):
    """With the recorded stamps, and zero distance at the frame that is the goal.

    So pictures of a bag, of the camera and of goals are read alike.
    """
    messages = record(tmp_path)
    tiny_bundle().save(tmp_path / 'tiny')
    goal = image_to_rgb(deserialize_message(messages[GOAL][1], Image))
    with Graph() as graph:
        graph.spawn('lewm_ros.planner.planner_node', output=tmp_path / 'log', parameters={
            'bundle': str(tmp_path / 'tiny'), 'dry_run': True, 'use_sim_time': True})
        clock = graph.node.create_publisher(Clock, '/clock', qos.RECORD)
        camera = graph.node.create_publisher(Image, 'image', qos.RECORD)
        goals = graph.node.create_publisher(Goal, 'goal', qos.LATCHED)
        status = graph.collect(PlanStatus, 'plan_status', qos.RECORD)
        chunks = graph.collect(ActionChunk, 'action_chunk', qos.RECORD)
        graph.transition('planner_node', 'configure', 'activate')
        graph.wait_for(camera.get_subscription_count, 'the camera reader')
        graph.wait_for(clock.get_subscription_count, 'the clock reader')
        goals.publish(picture_goal_to_msg(goal, stamp_ns=START_NS))
        eye = graph.client(EncodeImage, '/planner_node/encode_image')

        def looked_at(time_ns: int) -> bool:
            answer = eye.call_async(EncodeImage.Request())
            graph.wait_for(answer.done, 'what the planner has looked at')
            return header_stamp_ns(answer.result().latent) == time_ns

        def show(time_ns: int, raw: bytes) -> bool:
            camera.publish(raw)     # the bytes of the recording
            return graph.spin_until(lambda: looked_at(time_ns), 2.0)

        for one in messages:    # each as soon as the one before was looked at
            clock.publish(Clock(clock=ns_to_stamp(one[0])))
            graph.spin(0.02)
            graph.wait_for(lambda one=one: show(*one), 'a look at the frame')
        graph.wait_for(lambda: {time_ns for time_ns, _ in messages} <= {
            header_stamp_ns(one) for _, one in status}, 'an answer to every frame')

    distances = {stamp_to_ns(one.frame_stamp): one.goal_distance for _, one in status
                 if one.state in (PlanState.PLANNING, PlanState.REACHED, PlanState.STALLED)}
    at_goal = distances[messages[GOAL][0]]
    assert at_goal == min(distances.values()) == pytest.approx(0.0, abs=1e-6)
    assert sum(distance < 1e-6 for distance in distances.values()) == 1
    assert len(distances) > FRAMES / 2
    assert not chunks
