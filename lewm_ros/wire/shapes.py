"""Paths and markers: what RViz and Foxglove draw in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Vector3
from lewm_ros.wire.stamps import header, NS
from nav_msgs.msg import Path
import numpy as np
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

Colour = tuple[float, float, float, float]    # red, green, blue, alpha in [0, 1]


@dataclass(frozen=True, eq=False)
class Line:
    """A line through points."""

    points: np.ndarray      # (N, 3) [m]
    colour: Colour
    width: float            # [m]


@dataclass(frozen=True, eq=False)
class Dots:
    """Balls at points."""

    points: np.ndarray      # (N, 3) [m]
    colour: Colour
    width: float            # [m]


@dataclass(frozen=True, eq=False)
class Label:
    """A text that faces the viewer."""

    point: np.ndarray       # (3,) [m]
    text: str
    colour: Colour
    height: float           # of a letter [m]


Shape = Line | Dots | Label


def path_to_msg(poses: np.ndarray, stamps_ns: Sequence[int], stamp_ns: int, frame: str) -> Path:
    """Build a path of poses (N, 4): x, y, z [m] and yaw [rad], each with its time."""
    return Path(header=header(stamp_ns, frame), poses=[
        PoseStamped(header=header(when, frame), pose=Pose(
            position=_point(pose), orientation=_turned(float(pose[3]))))
        for pose, when in zip(poses, stamps_ns, strict=True)])


def markers_to_msg(shapes: dict[str, Sequence[Shape]], stamp_ns: int, frame: str, lasts_s: float
                   ) -> MarkerArray:
    """Build markers that replace all earlier ones of their topic.

    Args:
        shapes: By namespace, which viewers can switch off.
        stamp_ns: Of what is shown.
        frame: Of the points.
        lasts_s: Viewers remove them after this time unless others come.
    """
    top = header(stamp_ns, frame)
    markers = [Marker(header=top, action=Marker.DELETEALL)]
    for name, several in shapes.items():
        for number, shape in enumerate(several):
            marker = Marker(header=top, ns=name, id=number, action=Marker.ADD)
            marker.lifetime.sec, marker.lifetime.nanosec = divmod(round(lasts_s * NS), NS)
            marker.color = ColorRGBA(**dict(zip('rgba', map(float, shape.colour), strict=True)))
            _fill(marker, shape)
            markers.append(marker)
    return MarkerArray(markers=markers)


def _fill(marker: Marker, shape: Shape) -> None:
    marker.pose.orientation.w = 1.0
    if isinstance(shape, Label):
        marker.type, marker.text = Marker.TEXT_VIEW_FACING, shape.text
        marker.pose.position = _point(shape.point)
        marker.scale = Vector3(z=float(shape.height))     # of a text only this counts
        return
    width = float(shape.width)
    line = isinstance(shape, Line)
    marker.type = Marker.LINE_STRIP if line else Marker.SPHERE_LIST
    marker.scale = Vector3(x=width) if line else Vector3(x=width, y=width, z=width)
    marker.points = [_point(point) for point in shape.points]


def _point(place: np.ndarray) -> Point:
    return Point(x=float(place[0]), y=float(place[1]), z=float(place[2]))


def _turned(yaw: float) -> Quaternion:
    return Quaternion(z=math.sin(yaw / 2), w=math.cos(yaw / 2))
