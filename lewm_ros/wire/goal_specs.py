"""What people say when they name a goal: `msg/GoalSpec` as plain values, bounded and checked."""

from __future__ import annotations

from dataclasses import dataclass

from geometry_msgs.msg import Point, PointStamped, PoseStamped
from lewm_ros import msg as interfaces
from lewm_ros.wire import checks
from lewm_ros.wire.goals import MAX_TOLERANCE
from lewm_ros.wire.pictures import image_to_rgb
from lewm_ros.wire.reports import GoalSource
import numpy as np

MAX_URI = 1000          # of a file name or bank entry [characters]
_LEAST_NORM = 1e-6      # of a quaternion that says which way


@dataclass(frozen=True, eq=False)
class GoalWish:
    """A goal as somebody gave it. Only what its source reads has been read."""

    source: GoalSource
    uri: str = ''                           # FILE, BANK
    rgb: np.ndarray | None = None           # MESSAGE: uint8 (H, W, 3)
    frame_id: str = ''                      # POSE
    position: np.ndarray | None = None      # POSE: x, y, z, float64 (3,) [m]
    orientation: np.ndarray | None = None   # POSE: unit quaternion x, y, z, w, float64 (4,);
    #                                         None: any direction, as a point has it
    point: tuple[float, float] = (0.0, 0.0)  # PIXEL: u from the left, v from the top, [0, 1]
    names: tuple[str, ...] = ()             # what counts
    values: tuple[float, ...] = ()          # QUANTITIES
    weights: tuple[float, ...] = ()
    tolerances: tuple[float, ...] = ()
    goal_id: str = ''
    tolerance: float = 0.0
    task: str = ''


def msg_to_wish(message: interfaces.GoalSpec, assume_encoding: str = '') -> GoalWish:
    """Return what a spec asks for.

    Args:
        message: Anybody's.
        assume_encoding: Of the robot description: the colours of a picture that names none.

    Raises:
        MessageError: If a field that its source reads cannot be.
        ImageError: If its picture cannot be decoded.
    """
    source = checks.enum(GoalSource, message.source, 'source')
    names = tuple(checks.names(message.names, 'names'))
    common = {
        'goal_id': checks.text(message.goal_id, 'goal_id'),
        'task': checks.text(message.task, 'task'), 'names': names,
        'tolerance': checks.within(message.tolerance, 0.0, MAX_TOLERANCE, 'tolerance'),
        'weights': _per_name(message.weights, names, 'weights'),
        'tolerances': _per_name(message.tolerances, names, 'tolerances')}
    if source in (GoalSource.FILE, GoalSource.BANK):
        if len(message.uri) > MAX_URI or not message.uri.isprintable():
            raise checks.MessageError(f'uri must be at most {MAX_URI} printable characters, got '
                                      f'{len(message.uri)}: {message.uri[:40]!r}')
        return GoalWish(source, uri=message.uri, **common)
    if source is GoalSource.MESSAGE:
        return GoalWish(source, rgb=image_to_rgb(message.image, assume_encoding=assume_encoding),
                        **common)
    if source is GoalSource.POSE:
        return GoalWish(source, **_pose(message.pose, any_turn=True), **common)
    if source is GoalSource.PIXEL:
        return GoalWish(source, point=(checks.within(message.u, 0.0, 1.0, 'u'),
                                       checks.within(message.v, 0.0, 1.0, 'v')), **common)
    if source is GoalSource.QUANTITIES:
        if not names:
            raise checks.MessageError('names must have at least one quantity for QUANTITIES')
        values = checks.finite(message.values, (len(names),), 'values')
        return GoalWish(source, values=tuple(values.tolist()), **common)
    return GoalWish(source, **common)


def pose_to_wish(message: PoseStamped) -> GoalWish:
    """Return the goal that a pose stands for (RViz: 2D Goal Pose).

    Its stamp does not count: viewers take it from another clock than simulated time.

    Raises:
        MessageError: If a field cannot be.
    """
    return GoalWish(GoalSource.POSE, **_pose(message))


def point_to_wish(message: PointStamped) -> GoalWish:
    """Return the goal that a point stands for (RViz: Publish Point); it has no direction.

    Raises:
        MessageError: If a field cannot be.
    """
    point = message.point
    return GoalWish(GoalSource.POSE,
                    frame_id=checks.text(message.header.frame_id, 'header.frame_id'),
                    position=checks.finite((point.x, point.y, point.z), (3,), 'point'))


def pixel_of(message: Point) -> tuple[float, float]:
    """Return the column and row [px] of a click into a picture (rqt_image_view: mouse_left).

    Raises:
        MessageError: If they are not finite.
    """
    return tuple(checks.finite((message.x, message.y), (2,), 'x and y').tolist())


def _per_name(numbers, names: tuple[str, ...], field: str) -> tuple[float, ...]:
    """Read numbers of which there is one per name, or none at all."""
    if not len(numbers):
        return ()
    if not names:
        raise checks.MessageError(f'{field} are one per name, and there are no names')
    return tuple(checks.finite(numbers, (len(names),), field).tolist())


def _pose(message: PoseStamped, *, any_turn: bool = False) -> dict:
    """Read a pose; with `any_turn` a quaternion that is all 0 leaves the direction open."""
    position, turn = message.pose.position, message.pose.orientation
    quaternion = checks.finite((turn.x, turn.y, turn.z, turn.w), (4,), 'pose.pose.orientation')
    norm = float(np.linalg.norm(quaternion))
    is_open = any_turn and not quaternion.any()
    if not (is_open or _LEAST_NORM < norm < np.inf):
        allowed = ('all 0, which is any direction, or a quaternion' if any_turn
                   else 'a quaternion that is not all 0')
        raise checks.MessageError(f'pose.pose.orientation must be {allowed} (0, 0, 0, 1 is no '
                                  f'turn), got {quaternion.tolist()}')
    return {'frame_id': checks.text(message.header.frame_id, 'pose.header.frame_id'),
            'position': checks.finite((position.x, position.y, position.z), (3,),
                                      'pose.pose.position'),
            'orientation': None if is_open else quaternion / norm}
