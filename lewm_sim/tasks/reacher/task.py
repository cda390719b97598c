"""Two-link arm whose goal is a picture of its own pose, after DM-Control's reacher.

Kept from DM-Control: link lengths, joint limits, and that success asks every joint
(`qpos_match`). Deviations: commands are joint velocities at 20 Hz instead of torques, no target
object, thicker and coloured links under a closer camera (see scene.xml); the shoulder, which
turns without end, is compared around the turn, because a picture cannot tell 2 pi apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lewm_model.quantities import Quantity
from lewm_sim.tasks import MujocoTask, smooth
import numpy as np

if TYPE_CHECKING:
    from lewm_sim.tasks.motions import MakePolicy
    from mujoco import MjData, MjModel

WRIST_RANGE = 2.7925               # 160 degrees [rad]


class Reacher(MujocoTask):
    """The arm goes where a picture shows it."""

    quantities = (
        Quantity('shoulder', 'angle', of='joint'), Quantity('wrist', 'angle', of='joint'),
        Quantity('tip x', 'position', of='tip'), Quantity('tip y', 'position', of='tip'))

    def start(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """Any pose."""
        shoulder, wrist = rng.uniform([-np.pi, -WRIST_RANGE], [np.pi, WRIST_RANGE])
        data.joint('shoulder').qpos[0] = shoulder
        data.joint('wrist').qpos[0] = wrist

    def truth(self, model: MjModel, data: MjData) -> np.ndarray:
        """Joint angles, and where the tip is."""
        return np.array([data.joint('shoulder').qpos[0], data.joint('wrist').qpos[0],
                         *data.geom('tip').xpos[:2]])

    def errors(self, truth: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        """Each joint; the wrist cannot go around, so its way is not wrapped."""
        return {**super().errors(truth, goal), 'wrist': float(abs(truth[1] - goal[1]))}

    @property
    def policies(self) -> dict[str, MakePolicy]:
        """Random motion, smooth."""
        # 0.4 s: long enough that a block (0.25 s) nets real motion, short enough that every
        # episode turns around a few times.
        return {'random': lambda rng: smooth(self.robot, rng, time_constant_s=0.4, share=0.6)}
