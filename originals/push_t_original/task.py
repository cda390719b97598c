"""The original Push-T: swm/PushT-v1 of stable-worldmodel as one of our tasks.

Deviations besides those of `original.py`: the green target, which always lies at the same place
and is no goal of an evaluation, is not drawn (`with_target=False`; published pictures have it); a
state is set without the step of physics that the environment makes then; and who acts is ours,
since the published data are DINO-WM's, of a noisy expert.
"""

from __future__ import annotations

from lewm_model.quantities import Quantity
from lewm_sim.tasks import smooth
from lewm_sim.world import Sensed
import numpy as np

from ..original import OriginalTask, OriginalWorld

_SIZE = 512                 # of the world [px]
_PX_PER_STEP = 40.0         # that an action of 1 makes once the agent moves
_SPEEDS = (6.0, 26.0)       # of way-points [px/step]
_NOISE = 0.1                # of each action


class PushTWorld(OriginalWorld):
    """A state is agent x, y, block x, y, block angle, agent velocity x, y."""

    environment = 'stable_worldmodel.envs.pusht.env.PushT'
    options = {'with_target': False}

    def begin(self, rng: np.random.Generator) -> None:
        """Agent and block where the environment may put them."""
        self.put(np.array([*rng.uniform(50, 450, 2), *rng.uniform(100, 400, 2),
                           rng.uniform(-np.pi, np.pi), 0.0, 0.0]))
        self.env.space.step(self.env.dt)       # apart, as after the environment's own reset

    def put(self, state: np.ndarray) -> None:
        """In a space of its own, so that no contact of before goes on."""
        self.env._setup()
        agent, block = self.env.agent, self.env.block
        agent.position, agent.velocity = state[:2].tolist(), state[5:].tolist()
        block.angle = float(state[4])          # before the position, which depends on it
        block.position = state[2:4].tolist()
        for body in (agent, block):
            self.env.space.reindex_shapes_for_body(body)

    def state(self) -> np.ndarray:
        """Return the state, see above."""
        agent, block = self.env.agent, self.env.block
        return np.array([*agent.position, *block.position, block.angle, *agent.velocity])

    def sensed(self) -> Sensed:
        """Where the agent is and how fast it moves [px], [px/s]."""
        state = self.state()
        return Sensed(state[:2], state[5:])

    def truth(self) -> np.ndarray:
        """Agent, block, and its angle in [-pi, pi)."""
        state = self.state()
        return np.array([*state[:4], (state[4] + np.pi) % (2 * np.pi) - np.pi])


class PushTOriginal(OriginalTask):
    """The agent pushes the T where a picture shows it."""

    world = PushTWorld
    published = ('state',)
    quantities = (
        Quantity('agent x', 'position', 'px', 'agent'),
        Quantity('agent y', 'position', 'px', 'agent'),
        Quantity('block x', 'position', 'px', 'block'),
        Quantity('block y', 'position', 'px', 'block'),
        Quantity('block angle', 'angle', of='block'))

    def errors(self, truth: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        """As the environment counts: four differences together, the angle around the turn."""
        turn = abs(truth[4] - goal[4]) % (2 * np.pi)
        return {'position': float(np.linalg.norm(truth[:4] - goal[:4])),
                'block': float(np.linalg.norm(truth[2:4] - goal[2:4])),
                'angle': float(min(turn, 2 * np.pi - turn))}

    @property
    def policies(self):
        """Random motion, and way-points near and through the block."""
        return {'random': lambda rng: smooth(self.robot, rng, time_constant_s=0.8, share=0.4),
                'exploratory': lambda rng: _wander(rng)}


def _wander(rng: np.random.Generator):
    """Return a policy that goes from way-point to way-point, as in the trial of the docs."""
    goal, speed, left = np.zeros(2), 0.0, 0

    def act(truth: np.ndarray) -> np.ndarray:
        nonlocal goal, speed, left
        agent, block = truth[:2], truth[2:4]
        if left == 0 or np.linalg.norm(goal - agent) < 10:
            if rng.random() < 0.6:                              # through the block
                towards = (block - agent) / max(np.linalg.norm(block - agent), 1e-9)
                goal = block + rng.uniform(-40, 100) * towards + rng.normal(size=2) * 40
            else:
                goal = block + rng.normal(size=2) * 130
            goal = np.clip(goal, 20, _SIZE - 20)
            speed, left = rng.uniform(*_SPEEDS), int(rng.integers(4, 20))
        left -= 1
        way = goal - agent
        distance = np.linalg.norm(way)
        action = min(speed, distance) / _PX_PER_STEP * way / max(distance, 1e-9)
        return np.clip(action + rng.normal(size=2) * _NOISE, -1, 1)

    return act
