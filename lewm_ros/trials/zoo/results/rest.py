"""Judges what was commanded and how the body moved: jumps, limits, and the way to rest. No rclpy.

A command is (steady seconds, index of the command topic, values in the order of its axes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lewm_ros.trials.zoo.robots.description import ZooRobot
import numpy as np

_MOVED = 1e-4              # smaller changes of a position command are none [rad], [m]
_STILL = 0.02              # of the body's fastest speed: slower is at rest
NEVER = float('inf')


@dataclass(frozen=True)
class Rest:
    """How a robot came to rest."""

    commanded_s: float     # from the event to the first command that lets it stand still
    body_s: float          # from the event to the last motion of the body
    target_off: float      # positions: the last command's largest distance from the body at rest


def stop_limit_s(control_dt_s: float) -> float:
    """Return how long a robot may be told to move after an event: 0.5 s, or 3 steps + 0.3 s."""
    return max(0.5, 3 * control_dt_s + 0.3)


def braking_s(robot: ZooRobot) -> float:
    """Return what the body needs from its fastest to standing, and the servo to settle."""
    body = robot.body
    brake = float(np.max(np.array(body.max_speed) / np.array(body.max_acceleration)))
    pace = robot.pace
    return (brake + (0.4 if robot.interface == 'joint_position' else 0.15)) / pace


def moves(robot: ZooRobot, commands: Sequence, index: int) -> bool:
    """Tell whether command `index` sets the robot in motion."""
    _, topic, values = commands[index]
    if robot.interface != 'joint_position':
        return bool(np.abs(values).max() > 1e-6)
    for earlier in range(index - 1, -1, -1):
        if commands[earlier][1] == topic:
            return bool(np.abs(values - commands[earlier][2]).max() > _MOVED)
    return True


def at_rest(robot: ZooRobot, commands: Sequence, truth: Sequence, event_s: float) -> Rest:
    """Look at what followed an event, such as a stop or the death of a node."""
    commands = list(commands)
    moving = [k for k in range(len(commands)) if moves(robot, commands, k)]
    commanded_s = 0.0
    if moving:
        last = moving[-1]
        topic = commands[last][1]
        after = [seconds for seconds, which, _ in commands[last + 1:] if which == topic]
        if robot.interface == 'joint_position':
            commanded_s = max(0.0, commands[last][0] - event_s)   # the target is held
        else:
            commanded_s = max(0.0, after[0] - event_s) if after else NEVER
    fastest = np.array(robot.body.max_speed)
    motion = [seconds for seconds, _, speed in truth
              if seconds > event_s and (np.abs(speed) > _STILL * fastest).any()]
    still_moving = bool(motion) and motion[-1] >= truth[-1][0] - 0.1
    body_s = NEVER if still_moving else max(motion, default=event_s) - event_s
    return Rest(commanded_s, body_s, _target_off(robot, commands, truth))


def _target_off(robot: ZooRobot, commands: list, truth: Sequence) -> float:
    if robot.interface != 'joint_position':
        return 0.0
    pose, off = truth[-1][1], 0.0
    for topic, controller in enumerate(robot.controllers):
        sent = [values for _, which, values in commands if which == topic]
        if sent:
            here = pose[[robot.body.axes.index(axis) for axis in controller.axes]]
            off = max(off, float(np.abs(sent[-1] - here).max()))
    return off


def positions_of(robot: ZooRobot, pose: np.ndarray, topic: int) -> np.ndarray:
    """Return the pose of the axes of one command topic."""
    return pose[[robot.body.axes.index(axis) for axis in robot.controllers[topic].axes]]


def limits_of(robot: ZooRobot, topic: int, name: str) -> np.ndarray:
    """Return a limit of the robot file for the axes of one command topic."""
    names = list(robot.edits.get('joint_names', robot.axes))
    values = robot.edits[name]
    return np.array([values[names.index(axis)] for axis in robot.controllers[topic].axes])


def first_jump(robot: ZooRobot, commands: Sequence, pose: np.ndarray) -> float:
    """Return the first command's distance from the robot, in slew steps of `max_rate`."""
    worst, seen = 0.0, set()
    for _, topic, values in commands:
        if topic in seen:
            continue
        seen.add(topic)
        begin = (positions_of(robot, pose, topic) if robot.interface == 'joint_position'
                 else np.zeros(len(values)))
        step = limits_of(robot, topic, 'max_rate') * robot.control_dt_s
        worst = max(worst, float((np.abs(values - begin) / step).max()))
    return worst


def past_limits(robot: ZooRobot, commands: Sequence) -> float:
    """Return how far the worst command lies past a limit."""
    worst = 0.0
    for _, topic, values in commands:
        low, high = (limits_of(robot, topic, f'{side}_command') for side in ('min', 'max'))
        worst = max(worst, float(np.max(np.maximum(low - values, values - high))))
    return max(worst, 0.0)


def largest_step(robot: ZooRobot, commands: Sequence) -> float:
    """Return the largest change between two commands, in slew steps of `stop_rate`.

    A later command may be further away: the step is the time between the two, at least one
    control step.
    """
    worst, before = 0.0, {}
    for seconds, topic, values in commands:
        if topic in before:
            earlier_s, earlier = before[topic]
            passed_s = max(robot.control_dt_s, (seconds - earlier_s) * robot.pace)
            step = limits_of(robot, topic, 'stop_rate') * passed_s
            worst = max(worst, float((np.abs(values - earlier) / step).max()))
        before[topic] = (seconds, values)
    return worst
