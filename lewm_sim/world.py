"""What a simulator is to everybody else: a few verbs, and its whole state as one array.

Everything that collects, evaluates, perturbs or runs live works with a `World` and never knows
what is inside: `MujocoWorld` is ours, somebody else's simulator can stand behind it as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Sensed:
    """What the robot measures of itself, float64 (P,) each, in `state_names` order."""

    positions: np.ndarray
    velocities: np.ndarray


class World(Protocol):
    """One simulated robot with all that is around it.

    A Gymnasium environment fits: `apply` keeps the action, `advance` makes whole steps with it
    (`timestep_s` is then the control step), and `state` is any array that `reset` can restore.

    Attributes:
        image_size: Height and width of rendered frames [px].
    """

    image_size: int

    @property
    def timestep_s(self) -> float:
        """The smallest step of `advance` [s]; a control step is a multiple of it."""

    @property
    def time_s(self) -> float:
        """Simulated time since construction [s]; runs on over `start` and `reset`."""

    @property
    def camera_fovy_rad(self) -> float:
        """Vertical field of view of the camera [rad]."""

    def start(self, rng: np.random.Generator) -> None:
        """Begin anew in a state drawn from the task's distribution, standing still."""

    def reset(self, state: np.ndarray) -> None:
        """Go on from a whole state, (n,), that `state` returned; commands are forgotten.

        Raises:
            SimulationError: If it has another length, is not finite or cannot be; nothing
                has changed then.
        """

    def state(self) -> np.ndarray:
        """Return everything that decides what happens next but the command, float64 (n,)."""

    def apply(self, action: np.ndarray) -> None:
        """Begin an action, (A,) in robot units; it counts until the next one.

        Raises:
            SimulationError: If it has another length or is not finite.
        """

    def advance(self, seconds: float) -> None:
        """Let time pass, rounded to whole steps.

        Raises:
            SimulationError: If the simulation diverges.
        """

    def render(self) -> np.ndarray:
        """Return what the camera sees, uint8 (H, W, 3).

        Raises:
            SimulationError: If nothing can be rendered on this machine.
        """

    def sensed(self) -> Sensed:
        """Return what the robot's own state topic says."""

    def truth(self) -> np.ndarray:
        """Return the values of the task's `quantities`, side by side, float64 (q,)."""

    def close(self) -> None:
        """Free what rendering holds; the world can be rendered again later."""
