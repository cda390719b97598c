"""Who drives when data is collected: each goes from way-point to way-point, as long as asked."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.robots.robot import RobotDescription
from lewm_sim.tasks.two_room.rooms import random_place, room_of, way
import numpy as np

_ARRIVED_M = 0.03
_CLEARANCE_M = 0.10      # of the expert's way from the posts of the door: the radius and 3 cm


@dataclass(frozen=True)
class Manner:
    """How somebody drives."""

    other_room: float            # probability that the next way-point is in the other room
    slowest: float = 1.0         # every way-point gets a speed of its own, from this share on
    place_std_m: float = 0.0     # way-points on the way are missed by this
    action_std: float = 0.0      # noise of every action, share of the highest speed
    repeat: float = 0.0          # probability that an action is repeated instead of a new one
    straight: float = 0.0        # of way-points: heads for it through the wall, and slides along
    patience: int = 200          # steps after which a way-point is given up


EXPERT = Manner(other_room=0.6)
# Noise and repetitions as the original's script (2 px of noise, 5 % repeated); speeds of its own.
NOISY_EXPERT = Manner(other_room=0.6, slowest=0.5, place_std_m=0.02, action_std=0.4, repeat=0.05)
EXPLORER = Manner(other_room=0.5, slowest=0.2, place_std_m=0.02, action_std=0.2, straight=0.4,
                  patience=20)


def towards(here: np.ndarray, goal: np.ndarray, robot: RobotDescription,
            clearance: float = _CLEARANCE_M) -> np.ndarray:
    """Return the action (2,) of an expert at `here` (2,) that wants to be at `goal` (2,)."""
    points = way(here, goal, clearance)
    step = points[1] - here
    if len(points) > 2:      # a corner is passed at full speed
        step = step / max(np.abs(step).max(), 1e-9) * robot.max_command[0] * robot.control_dt_s
    return _within(step / robot.control_dt_s, robot)


class Driver:
    """Drives in one manner, as a policy of a task."""

    def __init__(self, manner: Manner, robot: RobotDescription, rng: np.random.Generator) -> None:
        self._manner, self._robot, self._rng = manner, robot, rng
        self._goal: np.ndarray | None = None
        self._last = np.zeros(2)

    def __call__(self, truth: np.ndarray) -> np.ndarray:
        """Act at `truth` (2,)."""
        manner, rng, here = self._manner, self._rng, np.asarray(truth)
        if self._goal is None or self._left <= 0 or np.linalg.norm(
                self._goal - here) < _ARRIVED_M + 2 * manner.place_std_m:
            self._choose(here)
        self._left -= 1
        if rng.random() < manner.repeat:
            return self._last
        aim = self._goal + manner.place_std_m * rng.normal(size=2)
        action = (_within((aim - here) / self._robot.control_dt_s, self._robot) if self._straight
                  else towards(here, aim, self._robot))
        noise = manner.action_std * self._robot.max_command * rng.normal(size=2)
        self._last = np.clip(self._speed * action + noise, self._robot.min_command,
                             self._robot.max_command)
        return self._last

    def _choose(self, here: np.ndarray) -> None:
        manner, rng = self._manner, self._rng
        room = room_of(here)
        self._goal = random_place(rng, 1 - room if rng.random() < manner.other_room else room)
        self._speed = rng.uniform(manner.slowest, 1.0)
        self._straight = rng.random() < manner.straight
        self._left = manner.patience


def _within(velocity: np.ndarray, robot: RobotDescription) -> np.ndarray:
    """Slow down to the limits without changing the direction."""
    return velocity / max(1.0, float((np.abs(velocity) / robot.max_command).max()))
