"""Bodies of fake robots: axes with limits of speed, acceleration and travel. No rclpy.

The arms and bases are integrated here; `MujocoBody` is the two-link arm of `lewm_sim`.
"""

from __future__ import annotations

from typing import Protocol

from lewm_ros.trials.zoo.robots.description import Body as BodyFacts
import numpy as np

SERVO_GAIN = 15.0      # of a position servo: speed per error [1/s]
_LONGEST_STEP_S = 0.01


class Body(Protocol):
    """What the driver moves and looks at."""

    facts: BodyFacts
    pose: np.ndarray        # in the order of `facts.pose`
    velocities: np.ndarray  # of the axes

    def advance(self, seconds: float, targets: np.ndarray, speeds: np.ndarray) -> None:
        """Run for `seconds`; per axis a target position, or NaN and a target speed counts."""

    def picture(self, width: int, height: int) -> np.ndarray:
        """Return what the camera sees, uint8 (height, width, 3)."""


class JointBody:
    """Joints with servos, drawn as a chain from the side."""

    def __init__(self, facts: BodyFacts) -> None:
        self.facts = facts
        self.pose = np.array(facts.start, float)
        self.velocities = np.zeros(len(facts.axes))
        self._low, self._high = np.array(facts.low), np.array(facts.high)
        self._fastest = np.array(facts.max_speed)
        self._acceleration = np.array(facts.max_acceleration)

    def advance(self, seconds: float, targets: np.ndarray, speeds: np.ndarray) -> None:
        """Integrate in short steps."""
        while seconds > 1e-9:
            step_s = min(seconds, _LONGEST_STEP_S)
            self._step(step_s, targets, speeds)
            seconds -= step_s

    def picture(self, width: int, height: int) -> np.ndarray:
        """Draw the chain."""
        from lewm_ros.trials.zoo.strangers.pictures import draw_chain
        return draw_chain(self.pose, self.facts, width, height)

    def _wanted(self, targets: np.ndarray, speeds: np.ndarray) -> np.ndarray:
        error = targets - self.pose
        # what can still be braked: v = sqrt(2 a s)
        most = np.minimum(self._fastest, np.sqrt(2 * self._acceleration * np.abs(error)))
        servo = np.clip(SERVO_GAIN * error, -most, most)
        return np.where(np.isfinite(targets), servo, np.clip(speeds, -self._fastest,
                                                             self._fastest))

    def _step(self, step_s: float, targets: np.ndarray, speeds: np.ndarray) -> None:
        self._accelerate(self._wanted(targets, speeds), step_s)
        moved = self.pose + step_s * self.velocities
        self.pose = np.clip(moved, self._low, self._high)
        self.velocities = np.where(moved == self.pose, self.velocities, 0.0)

    def _accelerate(self, wanted: np.ndarray, step_s: float) -> None:
        change = step_s * self._acceleration
        self.velocities = self.velocities + np.clip(wanted - self.velocities, -change, change)


class MobileBody(JointBody):
    """A base or a drone: its speeds are in its own frame, its pose in the world."""

    def picture(self, width: int, height: int) -> np.ndarray:
        """Draw the floor from above."""
        from lewm_ros.trials.zoo.strangers.pictures import draw_floor
        return draw_floor(self.pose, self.facts, width, height)

    def _step(self, step_s: float, targets: np.ndarray, speeds: np.ndarray) -> None:
        self._accelerate(np.clip(speeds, -self._fastest, self._fastest), step_s)
        self.pose = np.clip(self.pose + step_s * self._world_velocity(), self._low, self._high)

    def _world_velocity(self) -> np.ndarray:
        speed = dict(zip(self.facts.axes, self.velocities, strict=True))
        yaw = self.pose[-1]
        forward, side = speed.get('linear.x', 0.0), speed.get('linear.y', 0.0)
        world = {'x': forward * np.cos(yaw) - side * np.sin(yaw),
                 'y': forward * np.sin(yaw) + side * np.cos(yaw),
                 'z': speed.get('linear.z', 0.0), 'yaw': speed.get('angular.z', 0.0)}
        return np.array([world[name] for name in self.facts.pose])


class MujocoBody:
    """The two-link arm of `lewm_sim`, with velocity actuators."""

    def __init__(self, facts: BodyFacts) -> None:
        from lewm_sim.tasks import load_task
        self.facts = facts
        self._world = load_task('reacher').make_world(120)
        self._world.reset(self._world.state_at(np.array(facts.start)))
        self._owed_s = 0.0      # shorter than one physics step

    @property
    def pose(self) -> np.ndarray:
        """Joint positions [rad]."""
        return self._world.sensed().positions

    @property
    def velocities(self) -> np.ndarray:
        """Joint velocities [rad/s]."""
        return self._world.sensed().velocities

    def advance(self, seconds: float, targets: np.ndarray, speeds: np.ndarray) -> None:
        """Step the physics; it takes speeds only."""
        self._world.apply(np.nan_to_num(speeds))
        self._owed_s += seconds
        steps = int(self._owed_s / self._world.timestep_s)
        if steps:
            self._world.advance(steps * self._world.timestep_s)
            self._owed_s -= steps * self._world.timestep_s

    def picture(self, width: int, height: int) -> np.ndarray:
        """Render, enlarged to the camera's size."""
        from lewm_ros.trials.zoo.strangers.pictures import enlarge
        return enlarge(self._world.render(), width, height)


def make_body(facts: BodyFacts) -> Body:
    """Build the body that a description names."""
    kinds = {'joints': JointBody, 'base': MobileBody, 'drone': MobileBody, 'mujoco': MujocoBody}
    return kinds[facts.kind](facts)
