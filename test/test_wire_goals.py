"""Goals over the wire: pixels, ids and hashes."""


import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import ImageError  # noqa: E402
from lewm_model.images import decode  # noqa: E402
from lewm_ros.wire.checks import MessageError  # noqa: E402
from lewm_ros.wire.goals import (  # noqa: E402
    msg_to_goal,
    picture_goal_to_msg,
    picture_hash,
    probe_goal_to_msg,
)
from lewm_ros.wire.reports import GoalKind, GoalSource  # noqa: E402
from ros_helpers import over_the_wire  # noqa: E402

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def test_goal_and_back():
    """Pixels, id and source survive; without an id the picture names itself."""
    message = over_the_wire(picture_goal_to_msg(RGB, stamp_ns=3, source=GoalSource.CAPTURE,
                                                    task='reach'))
    goal = msg_to_goal(message)

    np.testing.assert_array_equal(goal.rgb, RGB)
    assert (goal.goal_id, goal.source) == (picture_hash(RGB).hex()[:12], GoalSource.CAPTURE)
    assert goal.task == 'reach'


def test_goal_gets_the_size_of_the_frames():
    """The hash is of what was sent; the model sees what ingest would have made of it."""
    message = picture_goal_to_msg(RGB, stamp_ns=3)
    np.testing.assert_array_equal(msg_to_goal(message, 4).rgb,
                                  decode.resize_square(RGB, 4))


def test_goal_whose_pixels_were_changed_is_refused():
    """The hash is of the decoded pixels, so one changed byte shows."""
    message = picture_goal_to_msg(RGB, stamp_ns=3, goal_id='g')
    message.image.data[5] ^= 1
    with pytest.raises(ImageError, match="goal 'g': the pixels do not match"):
        msg_to_goal(message)


def test_hash_is_the_known_one():
    """SHA-256 of one black pixel, as any other tool computes it."""
    black = np.zeros((1, 1, 3), np.uint8)
    assert picture_hash(black).hex() == (
        '709e80c88487a2411e1ee4dfb9f22a861492d20c4765150c0c794abd70f8147c')


def test_goal_without_a_picture_and_back():
    """Names, values, weights and tolerances survive; without weights all count alike."""
    goal = msg_to_goal(over_the_wire(probe_goal_to_msg(
        ['block x', 'block angle'], [0.1, -2.0], stamp_ns=3, goal_id='corner',
        tolerances=[0.01, 0.2])))

    assert (goal.kind, goal.names, goal.rgb) == (GoalKind.PROBE, ('block x', 'block angle'), None)
    np.testing.assert_array_equal(goal.values, [0.1, -2.0])
    np.testing.assert_array_equal(goal.weights, [1.0, 1.0])
    np.testing.assert_array_equal(goal.tolerances, [0.01, 0.2])


def test_a_picture_of_which_only_some_quantities_count():
    """The picture comes with names and weights, and no values: those are the picture's."""
    message = picture_goal_to_msg(RGB, stamp_ns=3)
    message.names, message.weights = ['block x', 'block y'], [2.0, 0.0]
    goal = msg_to_goal(over_the_wire(message))

    assert goal.kind is GoalKind.PICTURE and goal.values is None and goal.tolerances is None
    assert goal.names == ('block x', 'block y')
    np.testing.assert_array_equal(goal.weights, [2.0, 0.0])


@pytest.mark.parametrize(('fields', 'says'), [
    ({'names': []}, 'names must have at least one quantity'),
    ({'names': ['x', 'x'], 'values': [1, 2]}, 'names must be different'),
    ({'values': [1.0, 2.0]}, 'values must have 1 numbers, got 2'),
    ({'values': [float('nan')]}, 'values must be finite'),
    ({'weights': [-1.0]}, 'weights must not be negative'),
    ({'weights': [0.0]}, 'not all 0'),
    ({'tolerances': [0.0]}, 'tolerances must be above 0'),
    ({'tolerances': [0.1, 0.1]}, 'tolerances must have 1 numbers, got 2'),
    ({'tolerance': -1.0}, 'tolerance must be in'),
])
def test_quantities_that_cannot_be_a_goal_are_refused(fields, says):
    """What was wrong is named."""
    good = {'names': ['x'], 'values': [1.0]}
    with pytest.raises(MessageError, match=says):
        probe_goal_to_msg(stamp_ns=3, goal_id='g', **{**good, **fields})
