"""A base goes through the door to where a picture shows it, after stable-worldmodel's Two-Room.

Deviations from the original are in scene.xml. Success is judged by the length of the shortest way
to the goal instead of the distance: at the original's 0.16 m both say the same, because two places
with the wall between them are 0.24 m apart, but further off only the way says how far it is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lewm_model.quantities import Quantity
from lewm_sim.tasks import MujocoTask, smooth
from lewm_sim.tasks.two_room.drivers import Driver, EXPERT, EXPLORER, NOISY_EXPERT
from lewm_sim.tasks.two_room.rooms import length, random_place, way
from lewm_sim.world import Sensed
import numpy as np

if TYPE_CHECKING:
    from lewm_sim.tasks.motions import MakePolicy
    from mujoco import MjData, MjModel


class TwoRoom(MujocoTask):
    """The base goes where a picture shows it."""

    quantities = (Quantity('x', 'position', of='robot'), Quantity('y', 'position', of='robot'))

    def start(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """Anywhere in either room."""
        data.qpos[:] = random_place(rng, int(rng.integers(2)))

    def truth(self, model: MjModel, data: MjData) -> np.ndarray:
        """Where the robot is."""
        return np.array(data.qpos)

    def sensed(self, model: MjModel, data: MjData) -> Sensed:
        """Odometry without errors; the base never turns."""
        return Sensed(np.array([*data.qpos, 0.0]), np.array([*data.qvel, 0.0]))

    def errors(self, truth: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        """How long the shortest way is."""
        return {'way': length(way(truth, goal))}

    @property
    def policies(self) -> dict[str, MakePolicy]:
        """Random motion, and drivers who know the rooms; all go on until the episode ends."""
        return {'random': lambda rng: smooth(self.robot, rng, time_constant_s=1.0, share=0.8),
                'expert': partial(Driver, EXPERT, self.robot),
                'noisy_expert': partial(Driver, NOISY_EXPERT, self.robot),
                'explorer': partial(Driver, EXPLORER, self.robot)}
