"""Messages to types and back, losing nothing and trusting nothing."""

from dataclasses import fields, replace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model import images  # noqa: E402
from lewm_model.errors import ImageError, PlanningError, ShapeError  # noqa: E402
from lewm_model.types import ActionChunk  # noqa: E402
from lewm_ros import conversions, msg  # noqa: E402
from lewm_ros.reports import (  # noqa: E402
    ControllerReport,
    ExecutedStep,
    GoalSource,
    PlanReport,
    PlanState,
    State,
)
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, JointState  # noqa: E402

NAMES = ['shoulder', 'wrist']
RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
CHUNK = ActionChunk(stamp_ns=12_345_678_901, dt_s=0.05,
                    actions=np.array([[0.5, -1], [0.25, 2], [0, 0]], np.float32), epoch=7,
                    sequence=9, observation_stamp_ns=12_300_000_000)


def over_the_wire(message):
    """What the other side gets."""
    return deserialize_message(serialize_message(message), type(message))


def chunk_message(**changes):
    message = conversions.chunk_to_msg(CHUNK, names=NAMES, interface=2)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize('stamp_ns', [0, 1, 999_999_999, 10**9, 1_795_000_000_123_456_789])
def test_stamps_survive_to_the_nanosecond(stamp_ns):
    """Integer nanoseconds all the way; floats would lose the last hundred."""
    assert conversions.stamp_to_ns(conversions.ns_to_stamp(stamp_ns)) == stamp_ns


def test_negative_stamps_are_refused():
    """Messages cannot carry them."""
    with pytest.raises(ShapeError, match='must not be negative, got -1'):
        conversions.ns_to_stamp(-1)


def test_enumerations_are_those_of_the_messages():
    """Same names, same numbers, none missing."""
    for kind, message in ((State, msg.ControllerState), (PlanState, msg.PlanStatus),
                          (GoalSource, msg.GoalImage)):
        constants = {name: getattr(message, name) for name in dir(message)
                     if name.isupper() and isinstance(getattr(message, name), int)}
        assert {item.name: item.value for item in kind} == constants


def test_image_and_back():
    """rgb8 through the wire is the same picture and stamp."""
    message = over_the_wire(conversions.rgb_to_image(RGB, CHUNK.stamp_ns, 'camera'))
    observation = conversions.image_to_observation(message, np.ones(2, np.float32))

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
    np.testing.assert_array_equal(conversions.image_to_rgb(over_the_wire(message)), RGB)


def test_compressed_image():
    """A PNG in a CompressedImage is the same picture."""
    import cv2

    message = CompressedImage(format='rgb8; png compressed bgr8')
    message.data.frombytes(cv2.imencode('.png', RGB[:, :, ::-1])[1].tobytes())
    np.testing.assert_array_equal(conversions.image_to_rgb(over_the_wire(message)), RGB)


@pytest.mark.parametrize('rgb', [RGB[:, :, :2], RGB.astype(float), RGB[0]])
def test_only_rgb_becomes_an_image(rgb):
    """uint8 (H, W, 3) or an error with what came."""
    with pytest.raises(ImageError, match='uint8'):
        conversions.rgb_to_image(rgb, 0)


@pytest.mark.parametrize('encoding', images.ENCODINGS)
def test_cv_bridge_and_our_decoder_agree(encoding):
    """Where a distribution brings cv_bridge, both give the same picture for every encoding."""
    bridge = pytest.importorskip('cv_bridge')
    channels = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4}.get(encoding, 1)
    message = Image(height=6, width=8, encoding=encoding, step=8 * channels)
    message.data.frombytes(
        np.random.default_rng(1).integers(0, 256, 6 * 8 * channels, np.uint8).tobytes())
    np.testing.assert_array_equal(
        bridge.CvBridge().imgmsg_to_cv2(message, desired_encoding='rgb8'),
        images.decode_image(encoding=encoding, height=6, width=8, step=8 * channels,
                            data=message.data))


def test_joints_come_in_the_asked_order():
    """By name, not by position; a missing joint is an error that lists what there is."""
    message = JointState(name=['wrist', 'gripper', 'shoulder'], position=[1.0, 2.0, 3.0])
    assert conversions.msg_to_positions(message, NAMES).tolist() == [3, 1]
    with pytest.raises(ShapeError, match='lacks the position of elbow; it has wrist, gripper'):
        conversions.msg_to_positions(message, ['elbow'])


def test_chunk_and_back():
    """Every field survives."""
    back = conversions.msg_to_chunk(over_the_wire(chunk_message()), names=NAMES, interface=2)
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
    ({'actions': [0, 0, 0, np.nan, 0, 0]}, 'non-finite actions in row 1'),
    ({'actions': [np.inf, 0, 0, 0, 0, 0]}, 'non-finite actions in row 0'),
    ({'dt': 0.0}, 'dt 0.0'), ({'dt': -0.05}, 'dt -0.05'), ({'dt': np.nan}, 'dt nan'),
    ({'dt': np.inf}, 'dt inf')])
def test_chunks_that_do_not_fit_are_refused_with_the_reason(changes, reason):
    """Sizes, names, interface and numbers are checked before anybody moves."""
    with pytest.raises(PlanningError, match=reason):
        conversions.msg_to_chunk(chunk_message(**changes), names=NAMES, interface=2)


def test_numbers_beyond_float32_are_refused():
    """1e300 is finite as a double and infinite as what we work with."""
    with pytest.raises(PlanningError, match='non-finite'):
        conversions.msg_to_chunk(chunk_message(actions=[1e300, 0, 0, 0, 0, 0]), names=NAMES,
                                 interface=2)


def test_chunk_and_names_must_agree():
    """The sender notices first."""
    with pytest.raises(ShapeError, match='2 actions per row, but 1 names'):
        conversions.chunk_to_msg(CHUNK, names=['shoulder'], interface=2)


def test_executed_command_and_back():
    """The history gets stamp and action; the message has all the rest."""
    step = ExecutedStep(stamp_ns=5, requested=np.array([3.0, 0]), executed=np.array([2.0, 0]),
                        epoch=1, sequence=2, step=3, clipped=True, overridden=True,
                        state=State.HOLD, chunk_age_s=0.5)
    message = over_the_wire(conversions.executed_to_msg(step, names=NAMES, interface=2))
    stamp_ns, action = conversions.msg_to_executed(message, NAMES)

    assert (stamp_ns, action.tolist(), action.dtype) == (5, [2, 0], np.float32)
    assert list(message.requested) == [3, 0]
    assert (message.chunk_seq, message.step, message.state) == (2, 3, State.HOLD)
    assert (message.clipped, message.slewed, message.overridden) == (True, False, True)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'names': ['a', 'b']}, 'expected'), ({'executed': [1.0]}, '1 values'),
    ({'executed': [1.0, np.nan]}, 'not finite')])
def test_executed_commands_that_do_not_fit_are_refused(changes, reason):
    """The history must not learn from somebody else's commands."""
    message = conversions.executed_to_msg(
        ExecutedStep(0, np.zeros(2), np.zeros(2)), names=NAMES, interface=2)
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(ShapeError, match=reason):
        conversions.msg_to_executed(message, NAMES)


def test_plan_report_and_back():
    """Every field of the report is in the message and comes back."""
    report = PlanReport(stamp_ns=1, epoch=2, state=PlanState.REACHED, goal_id='g',
                        **{f.name: k + 0.5 for k, f in enumerate(fields(PlanReport))
                           if f.type == 'float'},
                        iterations=3, samples=4, deadline_misses=5, backend='torch', reason='r')
    assert conversions.msg_to_plan_report(
        over_the_wire(conversions.plan_report_to_msg(report))) == report


def test_controller_report_fills_every_field():
    """No field of the message is left at its default."""
    report = ControllerReport(
        stamp_ns=1, state=State.FAULT, epoch=2, sequence=3, steps_left=4, chunk_age_s=5,
        rate_hz=6, deadline_misses=7, commands_clipped=8, commands_slewed=9, e_stop=True,
        reason='r')
    message = conversions.controller_report_to_msg(report)
    assert all(getattr(message, name) for name in message.get_fields_and_field_types())
    assert (message.chunk_seq, message.reason, message.rate_hz) == (3, 'r', 6)


def test_goal_and_back():
    """Pixels, id and source survive; without an id the picture names itself."""
    message = over_the_wire(conversions.goal_to_msg(RGB, stamp_ns=3, source=GoalSource.CAPTURE,
                                                    task='reach'))
    rgb, goal_id, source = conversions.msg_to_goal(message)

    np.testing.assert_array_equal(rgb, RGB)
    assert (goal_id, source) == (conversions.picture_hash(RGB).hex()[:12], GoalSource.CAPTURE)
    assert message.task == 'reach'


def test_goal_whose_pixels_were_changed_is_refused():
    """The hash is of the decoded pixels, so one changed byte shows."""
    message = conversions.goal_to_msg(RGB, stamp_ns=3, goal_id='g')
    message.image.data[5] ^= 1
    with pytest.raises(ImageError, match="goal 'g': the pixels do not match"):
        conversions.msg_to_goal(message)


def test_hash_is_the_known_one():
    """SHA-256 of one black pixel, as any other tool computes it."""
    black = np.zeros((1, 1, 3), np.uint8)
    assert conversions.picture_hash(black).hex() == (
        '709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c')
