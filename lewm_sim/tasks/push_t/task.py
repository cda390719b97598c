"""A disk pushes a T where a picture shows it, after the Push-T of diffusion policy (2-D, 512 px).

Kept: 10 actions a second, the size of the world (1 px is 1 mm), and the rule of success: the four
differences of positions together within 20 px, the T within 20 degrees, around the turn. `strict`
judges the T alone. Deviations of bodies, colours and sizes stand in scene.xml. Here the T's
position is its centre of mass; actions are velocities, at most 0.25 m/s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lewm_model.quantities import Quantity
from lewm_sim.tasks import Impossible, MujocoTask, noisy, smooth
from lewm_sim.tasks.push_t.expert import PushExpert, turned, wrapped
from lewm_sim.tasks.push_t.explorer import Explorer
from lewm_sim.tasks.push_t.shape import clearance, RADIUS
import numpy as np

if TYPE_CHECKING:
    from lewm_sim.tasks.motions import Act, MakePolicy
    from mujoco import MjData, MjModel

_ANYWHERE = 0.11          # of the T: a disk goes past between it and the rim nearly everywhere [m]
_PUSHER = 0.2             # of the disk [m]
_APART = 0.01             # between both at the start [m]
# How far the expert's target is from the T at the start.
_SHIFT_M, _TURN_RAD = 0.15, 1.5


class PushT(MujocoTask):
    """The disk pushes the T to where a picture shows both."""

    quantities = (
        Quantity('pusher x', 'position', of='agent'), Quantity('pusher y', 'position', of='agent'),
        Quantity('block x', 'position', of='block'), Quantity('block y', 'position', of='block'),
        Quantity('block angle', 'angle', of='block'))

    def start(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """T and disk anywhere, apart from each other."""
        block = np.array([*rng.uniform(-_ANYWHERE, _ANYWHERE, 2), rng.uniform(-np.pi, np.pi)])
        while True:
            pusher = rng.uniform(-_PUSHER, _PUSHER, 2)
            if clearance(turned(pusher - block[:2], -block[2])) > RADIUS + _APART:
                break
        place(data, pusher, block)

    def truth(self, model: MjModel, data: MjData) -> np.ndarray:
        """Where disk and T are, and how the T is turned, in [-pi, pi)."""
        found = np.array([data.joint(name).qpos[0] for name in
                          ('pusher_x', 'pusher_y', 'block_x', 'block_y', 'block_turn')])
        found[4] = wrapped(found[4])
        return found

    def errors(self, truth: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        """All positions together, the T's alone, and its angle around the turn."""
        return {'position': float(np.linalg.norm(truth[:4] - goal[:4])),
                'block': float(np.linalg.norm(truth[2:4] - goal[2:4])),
                'angle': float(abs(wrapped(truth[4] - goal[4])))}

    @property
    def policies(self) -> dict[str, MakePolicy]:
        """Random motion; way-points near and through the T; an expert that ends when done."""
        return {
            # 0.8 s: a block of 0.5 s nets real motion.
            'random': lambda rng: smooth(self.robot, rng, time_constant_s=0.8, share=0.6),
            'exploratory': lambda rng: Explorer(rng, self.control_dt_s).act,
            'expert': self._expert,
            'noisy_expert': lambda rng: noisy(self._expert(rng), self.robot, rng, share=0.3)}

    def _expert(self, rng: np.random.Generator) -> Act:
        """Return somebody who pushes the T to a pose near by, drawn when the T is seen first."""
        expert: PushExpert | None = None

        def act(truth: np.ndarray) -> np.ndarray | None:
            nonlocal expert
            block = truth[2:]
            if expert is None:
                expert = PushExpert(draw_target(block, rng), self.control_dt_s)
            action = expert.act(truth[:2], block)
            return None if action is None else np.clip(action, self.robot.min_command,
                                                       self.robot.max_command)
        return act

    def impossible(self) -> dict[str, Impossible]:
        """Also the T alone can be somewhere else."""
        def move(world, elsewhere):
            here = world.state()
            world.reset(elsewhere)
            block = world.truth()[2:]
            world.reset(here)
            place(world.data, world.truth()[:2], block)
            world.reset(world.state())
        return {**super().impossible(),
                'teleport block': Impossible('the T is suddenly somewhere else', move)}


def place(data: MjData, pusher: np.ndarray, block: np.ndarray) -> None:
    """Put disk (x, y) and T (x, y, angle) somewhere."""
    for name, value in zip(('pusher_x', 'pusher_y', 'block_x', 'block_y', 'block_turn'),
                           (*pusher, *block), strict=True):
        data.joint(name).qpos[0] = value


def draw_target(block: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a pose (x, y, angle) of the T that is worth a push, not too far from where it is."""
    while True:
        target = np.array([*rng.uniform(-_ANYWHERE, _ANYWHERE, 2),
                           block[2] + rng.uniform(-_TURN_RAD, _TURN_RAD)])
        shift = np.linalg.norm(target[:2] - block[:2])
        if shift < _SHIFT_M and (shift > 0.04 or abs(target[2] - block[2]) > 0.6):
            return target
