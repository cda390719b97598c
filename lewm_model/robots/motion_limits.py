"""The optional limits of a robot file: positions, dead band, direction. Checked here.

What they do to a command is `lewm_ros.limits`.
"""

from __future__ import annotations

from typing import Any, TYPE_CHECKING

from lewm_model.errors import ConfigError
import numpy as np

if TYPE_CHECKING:
    from lewm_model.robots.robot import RobotDescription


def motion_limits(robot: RobotDescription) -> dict[str, np.ndarray]:
    """Return the checked values of the optional limits of a robot, by field.

    Raises:
        ConfigError: The message names the robot, the key and what is allowed.
    """
    low = _per_axis(robot, 'position_min', nothing=-np.inf, may_be_null=True)
    high = _per_axis(robot, 'position_max', nothing=np.inf, may_be_null=True)
    limited = bool(np.isfinite(low).any() or np.isfinite(high).any())
    if limited and robot.interface == 'twist':
        raise _error(robot, 'position_min', 'left out, because a twist has no joint positions',
                     low.tolist())
    if limited and robot.interface == 'joint_velocity' and (
            robot.state_type != 'sensor_msgs/msg/JointState'):
        raise _error(robot, 'position_min', 'left out, or state_type sensor_msgs/msg/JointState: '
                     'a speed is limited by the measured position', low.tolist())
    if not (low < high).all():
        raise _error(robot, 'position_min', f'below position_max={high.tolist()} for every joint',
                     low.tolist())
    deadband = _per_axis(robot, 'deadband', nothing=0.0)
    if (deadband < 0).any():
        raise _error(robot, 'deadband', 'not negative', deadband.tolist())
    if deadband.any() and robot.interface == 'joint_position':
        raise _error(robot, 'deadband', 'left out, because a position of zero is a place like any '
                     'other', deadband.tolist())
    if robot.keep_direction not in (True, False, None):
        raise _error(robot, 'keep_direction', 'true or false', robot.keep_direction)
    return {'position_min': low, 'position_max': high, 'deadband': deadband}


def _per_axis(robot: RobotDescription, name: str, *, nothing: float,
              may_be_null: bool = False) -> np.ndarray:
    value, count = getattr(robot, name), len(robot.joint_names)
    try:
        values = list(value) or [nothing] * count
        array = np.array([nothing if one is None and may_be_null else one for one in values],
                         np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    allowed = np.isfinite(array) | (may_be_null & (array == nothing))
    if array.shape != (count,) or not allowed.all():
        raise _error(robot, name, f'{count} finite numbers{" or nulls" * may_be_null}, one for '
                     f'each of {", ".join(robot.joint_names)}', value)
    array.flags.writeable = False
    return array


def _error(robot: RobotDescription, name: str, allowed: str, value: Any) -> ConfigError:
    return ConfigError(f'robot {robot.robot!r}: {name} must be {allowed}, got {value!r}')
