"""Cameras of a robot as one stream: joined, stamped, watched; and what the nodes say of them."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from bag_factory import robot  # noqa: E402
import cv2  # noqa: E402
from lewm_model.images.decode import resize_square  # noqa: E402
from lewm_model.images.view import CameraView, View  # noqa: E402
from lewm_ros.node.camera_input import CameraInput  # noqa: E402
from lewm_ros.node.entities import Entities  # noqa: E402
from lewm_ros.node.guard import Guard  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reasons import Code, ReasonedError  # noqa: E402
from lewm_ros.wire.sight import Sight  # noqa: E402
from lewm_ros.wire.stamps import header, header_stamp_ns  # noqa: E402
import numpy as np  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
TWO = {'image_topic': '', 'camera_info_topic': '',
       'cameras': [{'topic': 'image'}, {'topic': 'wrist/compressed', 'crop': [0, 0, 0.5, 1]}]}


def jpeg(rgb, stamp_ns=0):
    message = CompressedImage(header=header(stamp_ns), format='png')
    message.data.frombytes(cv2.imencode('.png', rgb[:, :, ::-1])[1].tobytes())
    return message


def fits(place, width, height):
    return ''


class Rig:
    """A graph with a `CameraInput` in the test's own node."""

    def __init__(self, graph, **changes):
        self.graph, self.frames = graph, []
        self.guard = Guard(graph.node.get_logger())
        entities = Entities(graph.node, self.guard)
        self.input = CameraInput(graph.node, entities, robot(**changes), self.frames.append)
        self.pubs = [graph.node.create_publisher(
            CompressedImage if camera.compressed else Image, camera.topic, 10)
            for camera in robot(**changes).all_cameras]
        for pub in self.pubs:
            graph.wait_for(pub.get_subscription_count, 'the reader')

    def now_ns(self):
        return self.graph.node.get_clock().now().nanoseconds

    def send_until(self, condition, what, make):
        def done():
            for pub, message in zip(self.pubs, make(self.now_ns()), strict=True):
                pub.publish(message)
            self.graph.spin(0.03)
            return condition()
        self.graph.wait_for(done, what)


def test_two_cameras_come_as_one_and_become_one_square(graph):
    """Left the whole of the first, right the left half of the second; the stamp of the first."""
    rig = Rig(graph, **TWO)
    other = PICTURE[::-1]
    rig.send_until(lambda: len(rig.frames) > 2, 'three sets', lambda now: (
        rgb_to_image(PICTURE, now), jpeg(other, now + 1_000_000)))
    frames = rig.frames[-1]
    view = View(32, (CameraView(640, 480), CameraView(64, 48, (0, 0, 0.5, 1))))
    seen = Sight(robot(**TWO), 32, view).observation(frames)
    assert seen.stamp_ns == header_stamp_ns(frames[0])
    assert seen.rgb.shape == (32, 32, 3)
    np.testing.assert_array_equal(seen.rgb[:, :16], cv2.resize(
        PICTURE, (16, 32), interpolation=cv2.INTER_AREA))
    np.testing.assert_array_equal(seen.rgb[:, 16:], cv2.resize(
        np.ascontiguousarray(other[:, :32]), (16, 32), interpolation=cv2.INTER_AREA))
    assert rig.input.silence() == ''
    assert rig.input.values()['camera_2_hz'] != '0.0'


def test_unstamped_frames_are_stamped_on_receipt_if_the_robot_file_says_so(graph):
    """As ingest does with `clocks: {image: receive}`."""
    rig = Rig(graph, clocks={'image': 'receive'})
    before = rig.now_ns()
    rig.send_until(lambda: rig.frames, 'a frame', lambda now: (rgb_to_image(PICTURE, 0),))
    assert before < header_stamp_ns(rig.frames[0][0]) <= rig.now_ns()
    assert rig.frames[0][0].header.frame_id == ''


def test_a_frozen_camera_is_said_and_a_live_one_is_not(graph):
    """The same bytes for two seconds; one changed pixel ends it."""
    rig = Rig(graph)
    rig.send_until(lambda: rig.input.frozen(), 'the warning', lambda now: (
        rgb_to_image(PICTURE, now),))
    assert 'repeated the same picture for over 2 s' in rig.input.warnings(fits)[0]
    changed = PICTURE.copy()
    changed[-1, -1] += 1
    rig.send_until(lambda: not rig.input.frozen(), 'the end of it', lambda now: (
        rgb_to_image(changed, now),))


def test_camera_info_of_another_mode_is_said(graph):
    """By topic and both sizes; and a mode that the model was not trained on."""
    rig = Rig(graph)
    info = graph.node.create_publisher(CameraInfo, 'camera_info', 10)
    graph.wait_for(info.get_subscription_count, 'the reader')
    rig.send_until(lambda: rig.frames, 'a frame', lambda now: (rgb_to_image(PICTURE, now),))

    def told(width, height, misfits=fits):
        info.publish(CameraInfo(width=width, height=height))
        graph.spin(0.05)
        return rig.input.warnings(misfits)

    words = graph.wait_for(lambda: told(1280, 720), 'the warning')[0]
    assert 'pictures of 64x48 px, its CameraInfo says 1280x720 px' in words
    graph.wait_for(lambda: not told(64, 48), 'no warning')
    sight = Sight(robot(), 32, View(32, (CameraView(1280, 720),)))
    assert 'trained on 1280x720' in told(64, 48, sight.misfits)[0]


def test_a_frame_that_cannot_be_is_logged_and_ends_nothing(graph):
    """A stamp before 1970: refused by name, the next one is taken."""
    rig = Rig(graph)
    bad = rgb_to_image(PICTURE, 0)
    bad.header.stamp.sec = -5
    rig.send_until(lambda: rig.guard.fault, 'the fault', lambda now: (bad,))
    assert 'stamp must have sec >= 0' in rig.guard.fault
    rig.send_until(lambda: rig.frames, 'a frame', lambda now: (rgb_to_image(PICTURE, now),))


def test_without_frames_of_the_second_camera_it_is_named(graph):
    """The first alone is no view; the reason names the topic that is missing."""
    rig = Rig(graph, **TWO)
    rig.pubs[1].publish(jpeg(PICTURE, 1))

    def silent():
        rig.pubs[0].publish(rgb_to_image(PICTURE, rig.now_ns()))
        graph.spin(0.03)
        return '/wrist/compressed' in rig.input.silence()

    graph.wait_for(silent, 'the reason')
    assert rig.frames == []


def test_sight_refuses_robots_and_pictures_of_another_view():
    """At configuration by the robot file, with the first frame by its shape."""
    view = View(32, (CameraView(640, 480),))
    with pytest.raises(ReasonedError, match=r'2 cameras instead of 1') as caught:
        Sight(robot(**TWO), 32, view)
    assert caught.value.reason.code is Code.FRAME_MISFIT
    sight = Sight(robot(), 32, view)
    np.testing.assert_array_equal(sight.observation((rgb_to_image(PICTURE, 5),)).rgb,
                                  resize_square(PICTURE, 32))
    for wrong, code in ((rgb_to_image(PICTURE[:36], 5), Code.FRAME_MISFIT),
                        (Image(height=48, width=64, encoding='rgb8', step=192),
                         Code.FRAME_UNREADABLE),
                        (CompressedImage(), Code.FRAME_UNREADABLE), (Image(), Code.FRAME_MISFIT)):
        with pytest.raises(ReasonedError) as caught:
            sight.observation((wrong,))
        assert caught.value.reason.code is code
    with pytest.raises(ReasonedError, match='the goal does not fit'):
        sight.goal(PICTURE[:36])
    assert sight.goal(PICTURE[:32, :32]).shape == (32, 32, 3)


def test_an_older_bundle_checks_nothing_and_sees_as_before():
    """Without a view any shape is squeezed, as it was."""
    sight = Sight(robot(), 32, None)
    wide = PICTURE[:20]
    np.testing.assert_array_equal(sight.observation((rgb_to_image(wide, 5),)).rgb,
                                  resize_square(wide, 32))
    np.testing.assert_array_equal(sight.goal(wide), resize_square(wide, 32))
    assert sight.misfits(0, 7, 9) == ''


def test_the_live_square_has_the_size_of_the_stored_frames():
    """Frames of 16 px were enlarged for a model of 64 px: live, the latent is the same."""
    from lewm_model.assemble import make_policy
    from lewm_model.types import Observation
    from nano import tiny_bundle

    bundle = tiny_bundle(view=View(16, (CameraView(640, 480),)))
    live = Sight(robot(), bundle.frame_px, bundle.view).observation((rgb_to_image(PICTURE, 5),))
    stored = resize_square(PICTURE, 16)          # as ingest stores it
    policy, latents = make_policy(bundle), []
    for rgb in (live.rgb, stored, resize_square(PICTURE, 64)):
        policy.reset()
        policy.observe(Observation(stamp_ns=5, rgb=rgb))
        latents.append(policy.set_goal_image(rgb).latent.numpy())
    np.testing.assert_array_equal(latents[0], latents[1])
    assert np.abs(latents[2] - latents[1]).max() > 1e-3     # the test can fail
