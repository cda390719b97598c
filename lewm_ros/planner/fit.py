"""Does a bundle fit the robot, and within which limits is it planned? No rclpy."""

from __future__ import annotations

from dataclasses import replace

from lewm_model.base.rates import same_rate
from lewm_model.bundles.bundle import Bundle
from lewm_model.errors import BundleError
from lewm_model.robots.robot import RobotDescription
import numpy as np


def fit_bundle(bundle: Bundle, robot: RobotDescription) -> tuple[Bundle, list[str]]:
    """Return the bundle as it is used on this robot, and what differs from training, for people.

    The robot's limits take the place of those of training. Lower ones are simply kept; higher
    ones count up to what the data shows, because beyond it the model only guesses.

    Raises:
        BundleError: If names, their order or the control rate differ, or the limits of a joint
            have nothing in common with those of training; the message names both sides.
    """
    for name, model, machine, agree in (
            ('action names', list(bundle.action_names), list(robot.joint_names),
             bundle.action_names == robot.joint_names),
            ('control_dt_s', bundle.control_dt_s, robot.control_dt_s,
             same_rate(bundle.control_dt_s, robot.control_dt_s))):
        if not agree:
            raise _misfit(bundle, robot, name, model, machine)
    lowest, highest = _known(bundle)
    low = np.maximum(robot.min_command, lowest).astype(np.float32)
    high = np.minimum(robot.max_command, highest).astype(np.float32)
    if not (low < high).all():
        joint = int(np.argmin(high - low))
        raise _misfit(bundle, robot, f'commands of {robot.joint_names[joint]} in',
                      [float(lowest[joint]), float(highest[joint])],
                      [float(robot.min_command[joint]), float(robot.max_command[joint])])
    notes = [_note(name, bundle.action_min[k], bundle.action_max[k], robot.min_command[k],
                   robot.max_command[k], low[k], high[k])
             for k, name in enumerate(robot.joint_names)]
    return replace(bundle, action_min=low, action_max=high,
                   control_dt_s=robot.control_dt_s), [note for note in notes if note]


def _known(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest actions that the limits of training or the data know."""
    support = bundle.provenance.get('action_support')
    if support is None:
        return bundle.action_min, bundle.action_max
    return (np.minimum(bundle.action_min, support['low']),
            np.maximum(bundle.action_max, support['high']))


def _note(name: str, trained_low: float, trained_high: float, robot_low: float,
          robot_high: float, low: float, high: float) -> str:
    if np.allclose([trained_low, trained_high], [robot_low, robot_high], rtol=1e-5, atol=1e-9):
        return ''
    beyond = ('; beyond that there was no data'
              if not np.allclose([low, high], [robot_low, robot_high], rtol=1e-5, atol=1e-9)
              else '')
    return (f'{name}: trained with commands in [{trained_low:g}, {trained_high:g}], this robot '
            f'allows [{robot_low:g}, {robot_high:g}], planned is within [{low:g}, {high:g}]'
            f'{beyond}')


def _misfit(bundle: Bundle, robot: RobotDescription, name: str, model: object, machine: object
            ) -> BundleError:
    return BundleError(f'the bundle (made for robot {bundle.robot!r}) has {name} {model}, robot '
                       f'{robot.robot!r} has {machine}; choose a bundle trained for this robot')
