"""The truth about a simulated scene, and odometry; nobody else touches their fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from lewm_model.errors import ConfigError
from lewm_model.quantities import places, Quantity
from lewm_ros import msg as interfaces, srv as services
from lewm_ros.wire import checks
from lewm_ros.wire.stamps import header, header_stamp_ns
from nav_msgs.msg import Odometry
import numpy as np

TRUTH_TOPIC = 'truth/state'


@dataclass(frozen=True, eq=False)
class SimTruth:
    """What a simulator says about one instant."""

    stamp_ns: int
    state: np.ndarray                    # float64 (n,), whole and opaque
    quantities: tuple[Quantity, ...]
    values: np.ndarray                   # float64 (q,), side by side in their order


def truth_to_msg(truth: SimTruth) -> interfaces.SimState:
    """Build the message."""
    values = np.asarray(truth.values, float)
    return interfaces.SimState(
        header=header(truth.stamp_ns), state=np.asarray(truth.state, float).tolist(),
        truth=[interfaces.Quantity(name=one.name, kind=one.kind, unit=one.unit, of=one.of,
                                   values=values[where].tolist())
               for one, where in zip(truth.quantities, places(truth.quantities), strict=True)])


def msg_to_truth(message: interfaces.SimState) -> SimTruth:
    """Return what a message says.

    Raises:
        MessageError: If a field cannot be.
    """
    try:
        quantities = tuple(Quantity(one.name, one.kind, one.unit, one.of)
                           for one in message.truth)
    except ConfigError as error:
        raise checks.MessageError(f'truth: {error}') from error
    values = [checks.finite(one.values, (kind.width,), f'truth of {one.name[:checks.MAX_TEXT]}')
              for one, kind in zip(message.truth, quantities, strict=True)]
    return SimTruth(header_stamp_ns(message),
                    checks.finite(message.state, (len(message.state),), 'state'), quantities,
                    np.concatenate(values) if values else np.empty(0))


def request_to_wanted(request: services.RenderScene.Request) -> dict[str, float]:
    """Return what quantities a picture is asked for, one number for each name.

    Raises:
        MessageError: If a field cannot be.
    """
    names = checks.names(request.names, 'names')
    return dict(zip(names, checks.finite(request.values, (len(names),), 'values').tolist(),
                    strict=True))


def odometry_to_msg(stamp_ns: int, pose: Sequence[float], speed: Sequence[float],
                    frame_id: str = 'odom', child_frame_id: str = 'base_link') -> Odometry:
    """Build odometry from x, y [m], yaw [rad] and the speeds of the body, [m/s] and [rad/s]."""
    message = Odometry(header=header(stamp_ns, frame_id), child_frame_id=child_frame_id)
    place, twist = message.pose.pose, message.twist.twist
    place.position.x, place.position.y, yaw = (float(value) for value in pose)
    place.orientation.z, place.orientation.w = math.sin(yaw / 2), math.cos(yaw / 2)
    twist.linear.x, twist.linear.y, twist.angular.z = (float(value) for value in speed)
    return message
