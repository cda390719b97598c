"""Messages to types and back, losing nothing and trusting nothing."""

import copy
from dataclasses import fields, replace
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import ImageError, LewmError, ShapeError  # noqa: E402
from lewm_model.images import decode  # noqa: E402
from lewm_model.types import ActionChunk  # noqa: E402
from lewm_ros import msg  # noqa: E402
from lewm_ros.wire.checks import MessageError  # noqa: E402
from lewm_ros.wire.guard_state import msg_to_heard, msg_to_rest  # noqa: E402
from lewm_ros.wire.motion import (  # noqa: E402
    chunk_to_msg,
    executed_to_msg,
    msg_to_chunk,
    msg_to_executed,
    msg_to_positions,
)
from lewm_ros.wire.pictures import (  # noqa: E402
    image_message_type,
    image_to_observation,
    image_to_rgb,
    rgb_to_image,
)
from lewm_ros.wire.reasons import Code, Reason  # noqa: E402
from lewm_ros.wire.reports import (  # noqa: E402
    CommandState,
    ControllerReport,
    ExecutedStep,
    PlanReport,
    PlanState,
)
from lewm_ros.wire.stamps import ns_to_stamp, stamp_to_ns  # noqa: E402
from lewm_ros.wire.status import (  # noqa: E402
    controller_report_to_msg,
    msg_to_controller_report,
    msg_to_plan_report,
    plan_report_to_msg,
)
from rclpy.serialization import deserialize_message  # noqa: E402
from ros_helpers import over_the_wire  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, JointState  # noqa: E402

NAMES = ['shoulder', 'wrist']
RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
CHUNK = ActionChunk(stamp_ns=12_345_678_901, dt_s=0.05,
                    actions=np.array([[0.5, -1], [0.25, 2], [0, 0]], np.float32), epoch=7,
                    sequence=9, observation_stamp_ns=12_300_000_000, session=2 ** 64 - 1)


def chunk_message(**changes):
    message = chunk_to_msg(CHUNK, names=NAMES, interface=2)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize('stamp_ns', [0, 1, 999_999_999, 10**9, 1_795_000_000_123_456_789])
def test_stamps_survive_to_the_nanosecond(stamp_ns):
    """Integer nanoseconds all the way; floats would lose the last hundred."""
    assert stamp_to_ns(ns_to_stamp(stamp_ns)) == stamp_ns


def test_negative_stamps_are_refused():
    """Messages cannot carry them."""
    with pytest.raises(MessageError, match='got -1 ns'):
        ns_to_stamp(-1)


def test_enumerations_are_those_of_the_messages():
    """Same names, same numbers, none missing."""
    for kind, message in ((CommandState, msg.ControllerState), (PlanState, msg.PlanStatus),
                          (Code, msg.Reason)):
        constants = {name: getattr(message, name) for name in dir(message)
                     if name.isupper() and isinstance(getattr(message, name), int)}
        assert {item.name: item.value for item in kind} == constants


def test_image_and_back():
    """rgb8 through the wire is the same picture and stamp."""
    message = over_the_wire(rgb_to_image(RGB, CHUNK.stamp_ns, 'camera'))
    observation = image_to_observation(message, np.ones(2, np.float32))

    np.testing.assert_array_equal(observation.rgb, RGB)
    assert observation.stamp_ns == CHUNK.stamp_ns
    assert observation.proprio.tolist() == [1, 1]
    assert message.header.frame_id == 'camera'


def test_bgr_with_padded_rows_becomes_rgb():
    """Encoding and step are honoured."""
    rows = np.zeros((6, 8 * 3 + 5), np.uint8)
    rows[:, :24] = RGB[:, :, ::-1].reshape(6, 24)
    message = Image(height=6, width=8, encoding='bgr8', step=29)
    message.data.frombytes(rows.tobytes())
    np.testing.assert_array_equal(image_to_rgb(over_the_wire(message)), RGB)


def test_compressed_image():
    """A PNG in a CompressedImage is the same picture."""
    import cv2

    message = CompressedImage(format='rgb8; png compressed bgr8')
    message.data.frombytes(cv2.imencode('.png', RGB[:, :, ::-1])[1].tobytes())
    np.testing.assert_array_equal(image_to_rgb(over_the_wire(message)), RGB)


@pytest.mark.parametrize('rgb', [RGB[:, :, :2], RGB.astype(float), RGB[0]])
def test_only_rgb_becomes_an_image(rgb):
    """uint8 (H, W, 3) or an error with what came."""
    with pytest.raises(ImageError, match='uint8'):
        rgb_to_image(rgb, 0)


def raw_message(encoding: str, height: int, width: int) -> Image:
    """Return random content in `encoding`, without padding."""
    per_pixel = {'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4}.get(encoding.rstrip('168'), 1)
    if encoding in ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', '8UC2'):
        per_pixel = 2
    if encoding == '8UC3':
        per_pixel = 3
    step = width * per_pixel * (2 if encoding.endswith('16') else 1)
    rows = {'nv12': 1.5, 'nv21': 1.5, 'nv24': 3}.get(encoding, 1) * height
    message = Image(height=height, width=width, encoding=encoding, step=step,
                    is_bigendian=int(sys.byteorder == 'big'))
    message.data.frombytes(
        np.random.default_rng(1).integers(0, 256, int(rows) * step, np.uint8).tobytes())
    return message


@pytest.mark.parametrize('encoding', [name for name in decode.ENCODINGS
                                      if name not in ('nv12', 'nv21', 'nv24')])
def test_cv_bridge_and_our_decoder_agree(encoding):
    """Where a distribution brings cv_bridge, both give the same picture for what both know."""
    bridge = pytest.importorskip('cv_bridge')
    message = raw_message(encoding, 6, 8)
    try:
        theirs = bridge.CvBridge().imgmsg_to_cv2(message, desired_encoding='rgb8')
    except bridge.CvBridgeError:
        if encoding not in ('uyvy', 'yuyv'):  # newer names of yuv422 and yuv422_yuy2
            raise
        pytest.skip(f'this cv_bridge does not know {encoding}')
    np.testing.assert_array_equal(theirs, image_to_rgb(message))


@pytest.mark.parametrize('encoding', decode.ENCODINGS)
def test_every_encoding_comes_through_the_wire(encoding):
    """All fields reach the decoder, byte order and step among them."""
    message = raw_message(encoding, 6, 8)
    expected = decode.to_rgb(encoding, 6, 8, message.step, bool(message.is_bigendian),
                             bytes(message.data))
    np.testing.assert_array_equal(image_to_rgb(over_the_wire(message)), expected)
    np.testing.assert_array_equal(image_to_rgb(over_the_wire(message), size=4),
                                  decode.resize_square(expected, 4))


def test_colours_of_nameless_channels_come_from_the_robot_description():
    """8UC3 says nothing about them."""
    message = raw_message('8UC3', 6, 8)
    rgb = image_to_observation(message, assume_encoding='bgr8').rgb
    np.testing.assert_array_equal(
        rgb, np.array(message.data, np.uint8).reshape(6, 8, 3)[..., ::-1])
    with pytest.raises(ImageError, match='set assume_encoding'):
        image_to_rgb(message)


def test_depth_is_refused():
    """An operator who names the wrong topic hears it."""
    for message in (raw_message('mono16', 6, 8), CompressedImage(format='16UC1; compressedDepth')):
        if isinstance(message, Image):
            message.encoding = '16UC1'
        with pytest.raises(ImageError, match='depth, not colours'):
            image_to_rgb(message)


@pytest.mark.parametrize(('topic', 'image_type', 'kind'), [
    ('image', '', Image), ('image/compressed', '', CompressedImage),
    ('camera/jpeg', 'sensor_msgs/msg/CompressedImage', CompressedImage),
    ('odd/compressed', 'sensor_msgs/msg/Image', Image)])
def test_the_description_decides_whether_the_camera_is_compressed(topic, image_type, kind):
    """The suffix of image_transport counts only where nothing is said."""
    assert image_message_type(topic, image_type) is kind


@pytest.mark.parametrize('compressed', [False, True])
def test_the_live_camera_looks_like_the_recorded_one(tmp_path, compressed):
    """One message, read from a bag for training and by the planner: the same square, bit for bit.

    The JPEG is large enough to be decoded at part of its size.
    """
    import cv2
    pytest.importorskip('rosbags')
    from bag_factory import BagFactory, robot, START_NS
    from lewm_model.bags.bag import Bag
    from lewm_model.recordings.pictures import read_frames
    from lewm_model.recordings.streams import read_streams

    view = cv2.resize(RGB, (160, 120), interpolation=cv2.INTER_CUBIC)
    factory = BagFactory().steps(2)
    if compressed:
        kind, topic = CompressedImage, '/camera/compressed'
        content = {'format': 'rgb8; jpeg compressed bgr8',
                   'data': cv2.imencode('.jpg', view[..., ::-1])[1].ravel()}
    else:
        kind, topic = Image, '/camera'
        content = {'height': 120, 'width': 160, 'encoding': 'bgr8', 'is_bigendian': 0,
                   'step': 480, 'data': np.ascontiguousarray(view[..., ::-1]).ravel()}
    factory.add(topic, f'sensor_msgs/msg/{kind.__name__}', START_NS, **content)
    with Bag(factory.write(tmp_path / 'bag')) as bag:
        streams = read_streams(bag, robot(image_topic=topic.strip('/')))
        (_, offline), = read_frames(bag, streams, [0], size=50)
        (_, _, raw), = bag.raw_messages(topic)

    online = image_to_observation(deserialize_message(raw, kind), size=50).rgb
    np.testing.assert_array_equal(online, offline)
    assert np.abs(online.astype(int) - decode.resize_square(view, 50)).mean() < 3


def test_joints_come_in_the_asked_order():
    """By name, not by position; a missing joint is an error that lists what there is."""
    message = JointState(name=['wrist', 'gripper', 'shoulder'], position=[1.0, 2.0, 3.0])
    assert msg_to_positions(message, NAMES).tolist() == [3, 1]
    with pytest.raises(ShapeError, match='lacks the position of elbow; it has wrist, gripper'):
        msg_to_positions(message, ['elbow'])


def test_chunk_and_back():
    """Every field survives."""
    back = msg_to_chunk(over_the_wire(chunk_message()), names=NAMES, interface=2)
    np.testing.assert_array_equal(back.actions, CHUNK.actions)
    assert replace(back, actions=None) == replace(CHUNK, actions=None)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'names': ['wrist', 'shoulder']}, r'\[wrist, shoulder\], this robot has \[shoulder, wrist\]'),
    ({'names': []}, 'this robot has'),
    ({'interface': 1}, 'has interface 1, this robot takes 2'),
    ({'action_dim': 3}, 'says 3 rows of 3 actions and carries 6 numbers'),
    ({'horizon': 4}, 'says 4 rows'),
    ({'horizon': 0, 'actions': []}, 'says 0 rows'),
    ({'horizon': 4_000_000_000}, 'says 4000000000 rows'),
    ({'actions': [0.0] * 5}, 'carries 5 numbers'),
    ({'actions': [0, 0, 0, np.nan, 0, 0]}, 'actions must be finite, got nan at .1, 1.'),
    ({'actions': [np.inf, 0, 0, 0, 0, 0]}, 'actions must be finite, got inf at .0, 0.'),
    ({'dt': 0.0}, 'dt must be in'), ({'dt': -0.05}, 'got -0.05'), ({'dt': np.nan}, 'got nan'),
    ({'session': 0}, 'session 0'),
    ({'dt': np.inf}, 'got inf')])
def test_chunks_that_do_not_fit_are_refused_with_the_reason(changes, reason):
    """Sizes, names, interface and numbers are checked before anybody moves."""
    with pytest.raises(LewmError, match=reason):
        msg_to_chunk(chunk_message(**changes), names=NAMES, interface=2)


def test_numbers_beyond_float32_are_refused():
    """1e300 is finite as a double and infinite as what we work with."""
    with pytest.raises(MessageError, match='finite'):
        msg_to_chunk(chunk_message(actions=[1e300, 0, 0, 0, 0, 0]), names=NAMES,
                                 interface=2)


def test_chunk_and_names_must_agree():
    """The sender notices first."""
    with pytest.raises(ShapeError, match='2 actions per row, but 1 names'):
        chunk_to_msg(CHUNK, names=['shoulder'], interface=2)


def test_executed_command_and_back():
    """The history gets stamp and action; the message has all the rest."""
    step = ExecutedStep(stamp_ns=5, requested=np.array([3.0, 0]), executed=np.array([2.0, 0]),
                        epoch=1, sequence=2, step=3, clipped=True, overridden=True,
                        state=CommandState.HOLD, chunk_age_s=0.5)
    message = over_the_wire(executed_to_msg(step, names=NAMES, interface=2))
    stamp_ns, action = msg_to_executed(message, NAMES)

    assert (stamp_ns, action.tolist(), action.dtype) == (5, [2, 0], np.float32)
    assert list(message.requested) == [3, 0]
    assert (message.chunk_seq, message.step, message.state) == (2, 3, CommandState.HOLD)
    assert (message.clipped, message.slewed, message.overridden) == (True, False, True)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'names': ['a', 'b']}, 'expected'), ({'executed': [1.0]}, 'got 1'),
    ({'executed': [1.0, np.nan]}, 'finite, got nan')])
def test_executed_commands_that_do_not_fit_are_refused(changes, reason):
    """The history must not learn from somebody else's commands."""
    message = executed_to_msg(
        ExecutedStep(0, np.zeros(2), np.zeros(2)), names=NAMES, interface=2)
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(LewmError, match=reason):
        msg_to_executed(message, NAMES)


def test_the_guard_refuses_what_no_command_node_says():
    """A state that does not exist, numbers that are none, other joints: heard from nobody."""
    good = executed_to_msg(ExecutedStep(stamp_ns=5, requested=np.zeros(2), executed=np.ones(2)),
                           names=['a', 'b'], interface=2)
    executed, stamp_ns, stopping, at_rest = msg_to_heard(good, ['a', 'b'])
    assert (executed.tolist(), stamp_ns, stopping, at_rest) == ([1, 1], 5, False, False)
    for field, value, words in (('state', 99, 'state must be one of'),
                                ('executed', [1.0, float('nan')], 'executed must be finite'),
                                ('requested', [1.0], 'requested must have 2'),
                                ('names', ['b', 'a'], r'for \[a, b\], got one for \[b, a\]')):
        bad = copy.deepcopy(good)
        setattr(bad, field, value)
        with pytest.raises(LewmError, match=words):
            msg_to_heard(bad, ['a', 'b'])
    with pytest.raises(MessageError, match='state must be one of'):
        msg_to_rest(msg.ControllerState(state=99))


def test_plan_report_and_back():
    """Every field of the report is in the message and comes back."""
    report = PlanReport(stamp_ns=1, session=9, epoch=2, state=PlanState.REACHED, goal_id='g',
                        reason=Reason(Code.NO_PROGRESS, 'r'), frame_stamp_ns=8,
                        **{f.name: k + 0.5 for k, f in enumerate(fields(PlanReport))
                           if f.type == 'float' and f.name != 'speed_scale'},
                        speed_scale=0.25, iterations=3, samples=4, deadline_misses=5,
                        backend='torch')
    assert msg_to_plan_report(
        over_the_wire(plan_report_to_msg(report))) == report


def test_controller_report_fills_every_field():
    """No field of the message is left at its default."""
    report = ControllerReport(
        stamp_ns=1, state=CommandState.FAULT, session=1, epoch=2, sequence=3, steps_left=4,
        chunk_age_s=5,
        rate_hz=6, deadline_misses=7, commands_clipped=8, commands_slewed=9, e_stop=True,
        at_rest=True, speed_scale=0.5, reason=Reason(Code.INTERNAL, 'r'))
    message = controller_report_to_msg(report)
    assert all(getattr(message, name) for name in message.get_fields_and_field_types())
    assert (message.chunk_seq, message.reason.text, message.rate_hz) == (3, 'r', 6)
    assert msg_to_controller_report(over_the_wire(message)) == report
