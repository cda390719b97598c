"""What every simulated task declares: names, limits, start states, exploration, success."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Task:
    """Facts about one task; A actions and P joints, arrays in `joint_names` order."""

    name: str
    robot: str                        # its description in config/robots
    joint_names: tuple[str, ...]      # P joints, also the action names
    control_dt_s: float               # one action per control step [s]
    min_command: np.ndarray           # (A,) [rad/s]
    max_command: np.ndarray           # (A,) [rad/s]
    mjcf: Path                        # scene file
    camera: str                       # camera name in the scene
    tolerances: tuple[float, ...]     # success thresholds, the task's own one first [rad]
    sample_qpos: Callable[[np.random.Generator], np.ndarray]         # -> (P,) start [rad]
    explore: Callable[[np.random.Generator, int], np.ndarray]        # (rng, N) -> (N, A)

    def distance(self, qpos: np.ndarray, goal_qpos: np.ndarray) -> np.ndarray:
        """Return the largest joint error, (...,) [rad]; (..., P) each, without angle wrapping.

        Success at tolerance r means `distance < r`, the rule of DM-Control's `qpos_match`.
        """
        return np.abs(np.asarray(qpos) - np.asarray(goal_qpos)).max(axis=-1)


def ornstein_uhlenbeck(rng: np.random.Generator, steps: int, *, dt_s: float,
                       time_constant_s: float, std: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Draw smooth random commands, (steps, A), stationary from row 0 on, clipped to ±limit."""
    decay = np.exp(-dt_s / time_constant_s)
    value = rng.normal(size=std.shape) * std
    commands = np.empty((steps, *std.shape))
    for step in range(steps):
        commands[step] = value
        value = decay * value + np.sqrt(1 - decay ** 2) * std * rng.normal(size=std.shape)
    return np.clip(commands, -limit, limit)
