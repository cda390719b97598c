"""Who moves the arm when data is collected: the places, the order of phases, the noise.

Everybody looks at the truth anew in every step (`act(truth) -> action`), so a push, a slip or
noise is answered and not played over. Order of the truth: that of `Cube.quantities`; of actions,
that of the robot: speeds along x, y, z, about the vertical, and of opening.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lewm_sim.tasks import smooth
import numpy as np

if TYPE_CHECKING:
    from lewm_model.robots.robot import RobotDescription
    from lewm_sim.tasks.motions import Act, MakePolicy

_ABOVE_M = 0.12          # over the cube or its target, before going down
_CARRY_M = 0.10          # at least so high the cube travels
_GRIP_M = 0.0425         # fingers this close hold the 0.04 m cube, if it is between them
_FREE_M = 0.060          # and this far apart they let go
_GAIN = 8.0              # speed for each metre or radian of error [1/s]
_PLACED_M = 0.015        # this near counts as brought there
_SMOOTHING = 0.5         # of noise from step to step, as OGBench's noisy oracle
_NOISE = (0.3, 0.3, 0.3, 0.3, 1.0)   # largest standard deviation, as shares of the limits


def policies(robot: RobotDescription, places: np.ndarray) -> dict[str, MakePolicy]:
    """Return the policies by name.

    Args:
        robot: Its limits bound all actions.
        places: Lower and upper end of where the cube is brought, (2, 2) [m].
    """
    def expert(rng: np.random.Generator) -> Act:
        return Expert(robot, places, rng)

    return {'random': lambda rng: smooth(robot, rng, time_constant_s=0.5, share=0.6),
            'expert': expert,
            'noisy_expert': lambda rng: noisy(expert(rng), robot, rng),
            'exploratory': lambda rng: Explorer(robot, places, rng)}


class Expert:
    """Takes the cube, carries it to a place drawn at random, lets go, goes somewhere, begins anew.

    Attributes:
        target: Where the cube goes now, (2,) [m].
        brought: How often it was there.

    Args:
        robot: With its limits.
        places: Bounds of the targets.
        rng: Of the episode.
    """

    def __init__(self, robot: RobotDescription, places: np.ndarray, rng: np.random.Generator
                 ) -> None:
        self._limit, self._places, self._rng = robot.max_command, places, rng
        self.brought = 0
        self._begin()

    def __call__(self, truth: np.ndarray) -> np.ndarray:
        """Return the action of one step."""
        gripper, yaw, opening, cube = truth[:3], truth[3], truth[4], truth[5:8]
        turn = _shortest(_cube_yaw(truth[8:12]) - yaw)
        apart, away = cube[:2] - gripper[:2], self.target - cube[:2]
        between = np.linalg.norm(apart) < 0.015 and abs(gripper[2] - cube[2]) < 0.015
        held = between and opening < _GRIP_M
        if self._leaving or (np.linalg.norm(away) < _PLACED_M and cube[2] < 0.03):
            return self._leave(gripper, cube, between and opening < _FREE_M)
        if held:
            return self._carry(gripper, cube, away)
        if np.linalg.norm(apart) > 0.02 or abs(turn) > 0.3:
            # over the cube with open fingers, never through it
            height = cube[2] + _ABOVE_M
            if gripper[2] < height - 0.04 and np.linalg.norm(apart) > 0.02:
                return self._go([0.0, 0.0, height - gripper[2]], turn, 1.0)
            return self._go([*apart, height - gripper[2]], turn, 1.0)
        down = cube[2] - gripper[2]
        return self._go([*apart, down], turn, -1.0 if abs(down) < 0.012 else 1.0)

    def _carry(self, gripper: np.ndarray, cube: np.ndarray, away: np.ndarray) -> np.ndarray:
        far = np.linalg.norm(away)
        if far > 0.03 and cube[2] < _CARRY_M - 0.03:
            return self._go([0.0, 0.0, _CARRY_M + 0.05 - cube[2]], self._turn, -1.0)
        if far > _PLACED_M * 0.7:
            return self._go([*away, _CARRY_M - cube[2] if far > 0.03 else 0.0], self._turn, -1.0)
        return self._go([*away, 0.02 - cube[2] - 0.005], 0.0, -1.0)

    def _leave(self, gripper: np.ndarray, cube: np.ndarray, holds: bool) -> np.ndarray:
        """Let go, go up, sometimes on to a place elsewhere, then begin anew."""
        if not self._leaving:
            self.brought, self._leaving = self.brought + 1, True
        if holds:
            return self._go([0.0, 0.0, 0.0], 0.0, 1.0)
        if gripper[2] < cube[2] + 0.8 * _ABOVE_M and np.linalg.norm(
                gripper[:2] - cube[:2]) < 0.06:
            return self._go([0.0, 0.0, _ABOVE_M + 0.05], 0.0, 1.0)
        if self._elsewhere is not None and np.linalg.norm(gripper - self._elsewhere) > 0.04:
            return self._go(self._elsewhere - gripper, self._turn, 1.0)
        self._begin()
        return self._go([0.0, 0.0, 0.0], 0.0, 1.0)

    def _begin(self) -> None:
        rng = self._rng
        self.target = rng.uniform(*self._places)
        self._turn = rng.uniform(-0.15, 0.15)    # while it goes far, in errors of `_go`
        self._elsewhere = (np.array([*rng.uniform(*self._places), rng.uniform(0.15, 0.3)])
                           if rng.random() < 0.5 else None)
        self._leaving = False

    def _go(self, way: list[float], turn: float, opening: float) -> np.ndarray:
        """Return speeds in proportion to a way (3,) [m] and a turn, within the limits."""
        action = _GAIN * np.array([*way, turn, 0.0])
        largest = np.abs(action[:3] / self._limit[:3]).max()
        action[:3] /= max(largest, 1.0)      # straight on, however fast
        action[4] = opening * self._limit[4]
        return np.clip(action, -self._limit, self._limit)


class Explorer:
    """Goes to way-points around and through the cube; the fingers open and close at random.

    Args:
        robot: With its limits.
        places: Bounds of the way-points that are not at the cube.
        rng: Of the episode.
    """

    def __init__(self, robot: RobotDescription, places: np.ndarray, rng: np.random.Generator
                 ) -> None:
        self._limit, self._places, self._rng = robot.max_command, places, rng
        self._left = 0

    def __call__(self, truth: np.ndarray) -> np.ndarray:
        """Return the action of one step."""
        rng, cube = self._rng, truth[5:8]
        if self._left == 0:
            self._left = rng.integers(5, 20)
            near = rng.random() < 0.7
            self._place = np.array([
                *(cube[:2] + rng.normal(0, 0.04, 2) if near else rng.uniform(*self._places)),
                cube[2] + abs(rng.normal(0, 0.03)) if near else rng.uniform(0.02, 0.3)])
            self._turn = rng.uniform(-1, 1) * self._limit[3] * 0.5
            self._fingers = rng.uniform(-1, 1) * self._limit[4]
            self._speed = rng.uniform(0.3, 1.0)
        self._left -= 1
        action = np.array([*_GAIN * (self._place - truth[:3]), self._turn, self._fingers])
        limit = self._speed * self._limit[:3]
        action[:3] /= max(np.abs(action[:3] / limit).max(), 1.0)
        return np.clip(action, -self._limit, self._limit)


def noisy(act: Act, robot: RobotDescription, rng: np.random.Generator) -> Act:
    """Add noise that lasts from step to step, more in some episodes than in others."""
    std = rng.uniform(0, 1) * np.array(_NOISE) * robot.max_command
    value = np.zeros_like(std)

    def noisy_act(truth: np.ndarray) -> np.ndarray:
        nonlocal value
        value = _SMOOTHING * value + np.sqrt(1 - _SMOOTHING ** 2) * std * rng.normal(
            size=std.shape)
        return np.clip(act(truth) + value, robot.min_command, robot.max_command)

    return noisy_act


def _cube_yaw(turn: np.ndarray) -> float:
    """Return how a quaternion (4,) is turned about the vertical."""
    w, x, y, z = turn
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def _shortest(angle: float) -> float:
    """Return an angle around the quarter turn: a cube has four equal sides."""
    return (angle + np.pi / 4) % (np.pi / 2) - np.pi / 4
