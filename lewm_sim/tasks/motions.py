"""Data policies that any task can use: who acts when episodes are collected.

A policy is made for one episode with a generator of its own, then asked for one action after the
other: `act(truth) -> action`, truth (q,) as `World.truth` gives it, action (A,) in robot units. An
expert that has arrived returns None: the episode ends with the frame that it saw.
"""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.robots.robot import RobotDescription
import numpy as np

Act = Callable[[np.ndarray], 'np.ndarray | None']
MakePolicy = Callable[[np.random.Generator], Act]


def uniform(robot: RobotDescription, rng: np.random.Generator) -> Act:
    """Return a policy that draws every action anew, evenly within the robot's limits."""
    return lambda truth: rng.uniform(robot.min_command, robot.max_command)


def smooth(robot: RobotDescription, rng: np.random.Generator, *, time_constant_s: float,
           share: float) -> Act:
    """Return a policy of slowly changing random actions (Ornstein-Uhlenbeck), stationary.

    Args:
        robot: Its limits clip the actions.
        rng: Of this episode.
        time_constant_s: After which an action is forgotten to 1/e [s].
        share: Standard deviation, as a share of half the range of each command.
    """
    centre = (robot.max_command + robot.min_command) / 2
    std = share * (robot.max_command - robot.min_command) / 2
    decay = np.exp(-robot.control_dt_s / time_constant_s)
    value = rng.normal(size=std.shape) * std

    def act(truth: np.ndarray) -> np.ndarray:
        nonlocal value
        action = np.clip(centre + value, robot.min_command, robot.max_command)
        value = decay * value + np.sqrt(1 - decay ** 2) * std * rng.normal(size=std.shape)
        return action

    return act


def noisy(act: Act, robot: RobotDescription, rng: np.random.Generator, *, share: float) -> Act:
    """Return a policy that adds noise to another's actions.

    Args:
        act: The other policy, such as an expert.
        robot: Its limits clip the sum.
        rng: Of this episode.
        share: Standard deviation, as a share of half the range of each command.
    """
    std = share * (robot.max_command - robot.min_command) / 2

    def noisy_act(truth: np.ndarray) -> np.ndarray | None:
        action = act(truth)
        return None if action is None else np.clip(
            action + std * rng.normal(size=std.shape), robot.min_command, robot.max_command)

    return noisy_act
