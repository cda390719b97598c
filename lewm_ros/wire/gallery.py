"""What a goal bank offers, as messages: its list, and a marker where each entry is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from lewm_ros.wire.stamps import header
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

NAMESPACE = 'goal_bank'


@dataclass(frozen=True)
class Place:
    """Where an entry of a bank is."""

    name: str            # shown beside it
    x: float             # [m]
    y: float
    yaw: float | None    # [rad]; None: it has no direction


def places_to_markers(places: Sequence[Place], frame: str, size_m: float) -> MarkerArray:
    """Build an arrow for each place, a ball where there is no direction, and its name above.

    Args:
        places: Of the entries.
        frame: That they are in.
        size_m: Length of an arrow.
    """
    markers = []
    for number, place in enumerate(places):
        pose = Pose(position=Point(x=place.x, y=place.y), orientation=_turned(place.yaw or 0.0))
        thick = 0.25 if place.yaw is not None else 0.5
        markers.append(Marker(
            header=header(0, frame), ns=NAMESPACE, id=2 * number, pose=pose,
            type=Marker.SPHERE if place.yaw is None else Marker.ARROW, action=Marker.ADD,
            scale=Vector3(x=size_m * (0.5 if place.yaw is None else 1.0), y=size_m * thick,
                          z=size_m * thick),
            color=ColorRGBA(r=0.1, g=0.5, b=0.9, a=0.8)))
        above = Pose(position=Point(x=place.x, y=place.y, z=size_m), orientation=_turned(0.0))
        markers.append(Marker(
            header=header(0, frame), ns=NAMESPACE, id=2 * number + 1, pose=above,
            type=Marker.TEXT_VIEW_FACING, action=Marker.ADD, text=place.name,
            scale=Vector3(z=size_m * 0.6), color=ColorRGBA(r=0.1, g=0.1, b=0.1, a=1.0)))
    return MarkerArray(markers=markers)


def _turned(yaw: float) -> Quaternion:
    return Quaternion(z=math.sin(yaw / 2), w=math.cos(yaw / 2))
