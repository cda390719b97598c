"""The original Reacher: swm/ReacherDMControl-v0 of stable-worldmodel as one of our tasks.

DM-Control's reacher by torques, with stable-worldmodel's task `qpos_match` and hidden target.
Deviations are those of `original.py` alone. The rule of success does not know that the shoulder
turns without end, although no picture can tell; tolerance `strict` compares around the turn.
"""

from __future__ import annotations

from lewm_model.quantities import Quantity
from lewm_sim.world import Sensed
import numpy as np

from ..original import OriginalTask, OriginalWorld

_EPISODE_S = 20.0           # after which the environment would begin anew


class ReacherWorld(OriginalWorld):
    """A state is qpos (2), qvel (2), shoulder before wrist."""

    environment = 'stable_worldmodel.envs.dmcontrol.reacher.ReacherDMControlWrapper'
    options = {'task': 'qpos_match'}

    def begin(self, rng: np.random.Generator) -> None:
        """Any pose, at rest."""
        self.env.reset(seed=int(rng.integers(2**31)))

    def put(self, state: np.ndarray) -> None:
        """By a reset, because the environment counts its steps."""
        self.env.reset(seed=0, options={'state': state})

    def step(self, action: np.ndarray) -> None:
        """Make one step, in a new episode when one is over."""
        if self.env.dmc_env.physics.time() > _EPISODE_S - self.timestep_s / 2:
            self.put(self.state())
        super().step(action)

    def state(self) -> np.ndarray:
        """Return the state, see above."""
        info = self.env.info
        return np.concatenate([info['qpos'], info['qvel']])

    def sensed(self) -> Sensed:
        """Both joints; the shoulder's turns add up."""
        info = self.env.info
        return Sensed(info['qpos'], info['qvel'])

    def truth(self) -> np.ndarray:
        """Joint angles, and where the tip is."""
        info = self.env.info
        return np.concatenate([info['qpos'], info['finger_pos']])


class ReacherOriginal(OriginalTask):
    """The arm goes where a picture shows it; policy `random` is that of the published data."""

    world = ReacherWorld
    published = ('qpos', 'qvel')
    quantities = (
        Quantity('shoulder', 'angle', of='joint'), Quantity('wrist', 'angle', of='joint'),
        Quantity('tip x', 'position', of='tip'), Quantity('tip y', 'position', of='tip'))

    def errors(self, truth: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        """As the environment counts: each joint's way; and the shoulder's around the turn."""
        shoulder, wrist = np.abs(truth[:2] - goal[:2]).tolist()
        turned = float(self.quantities[0].error(truth[:1], goal[:1]))
        return {'shoulder': shoulder, 'turned shoulder': turned, 'wrist': wrist}
