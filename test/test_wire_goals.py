"""Goals over the wire: pixels, ids and hashes."""


import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import ImageError  # noqa: E402
from lewm_model.images import decode  # noqa: E402
from lewm_ros.wire.goals import msg_to_goal, picture_goal_to_msg, picture_hash  # noqa: E402
from lewm_ros.wire.reports import (  # noqa: E402
    GoalSource,
)
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
