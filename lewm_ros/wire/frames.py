"""Transforms of links as messages. Their package, tf2_msgs, is no part of our wheels.

Where it is not installed no viewer that needs it is either, so nothing is published then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import importlib
from typing import Any

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from lewm_ros.wire.stamps import header


def transform_message_type() -> type | None:
    """Return the class of transform messages, or None where it is not installed."""
    try:
        return importlib.import_module('tf2_msgs.msg').TFMessage
    except ImportError:
        return None


def transforms_to_msg(kind: type, stamp_ns: int, names: Iterable[tuple[str, str]],
                      positions: Iterable[Sequence[float]],
                      rotations: Iterable[Sequence[float]]) -> Any:
    """Build a message of transforms.

    Args:
        kind: What `transform_message_type` returned.
        stamp_ns: When they hold.
        names: Of the parent and of the child, for each.
        positions: Of the child in its parent, x, y, z [m].
        rotations: Unit quaternions, w, x, y, z.
    """
    message = kind()
    for (parent, child), place, turn in zip(names, positions, rotations, strict=True):
        x, y, z = (float(one) for one in place)
        w, qx, qy, qz = (float(one) for one in turn)
        message.transforms.append(TransformStamped(
            header=header(stamp_ns, parent), child_frame_id=child, transform=Transform(
                translation=Vector3(x=x, y=y, z=z),
                rotation=Quaternion(x=qx, y=qy, z=qz, w=w))))
    return message
