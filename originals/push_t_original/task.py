"""The original Push-T: the Gymnasium environment of stable-worldmodel as one of our tasks.

Needs `pip install "lewm_ros[reference]"`; tried with stable-worldmodel 0.1.1. Nothing about the
environment is changed: its physics (pymunk), colours, sizes and rule of success. The green target
is not drawn (`with_target=False`), because the goal of an evaluation is a picture.
"""

from __future__ import annotations

import cv2
from lewm_model.errors import MissingPackageError, SimulationError
from lewm_model.quantities import Quantity
from lewm_sim.tasks import smooth, Task
from lewm_sim.world import Sensed
import numpy as np

_SIZE = 512                 # of the world [px]
_PX_PER_STEP = 40.0         # that an action of 1 makes once the agent moves
_SPEEDS = (6.0, 26.0)       # of way-points [px/step]
_NOISE = 0.1                # of each action


class OriginalWorld:
    """swm/PushT-v1 behind the verbs of `World`.

    A state is agent x, y, block x, y, block angle, agent velocity x, y, as in the published files.
    """

    camera_fovy_rad = 1.0

    def __init__(self, task: PushTOriginal, image_size: int) -> None:
        self.image_size, self.timestep_s, self.time_s = image_size, task.control_dt_s, 0.0
        try:
            from stable_worldmodel.envs.pusht.env import PushT
        except ImportError as error:
            raise MissingPackageError('stable-worldmodel', 'reference',
                                      'running the original Push-T') from error
        self._env = PushT(with_target=False)
        self._env.reset(seed=0)
        self.start(np.random.default_rng(0))

    def start(self, rng: np.random.Generator) -> None:
        """Agent and block where the environment may put them, see `World`."""
        self.reset(np.array([*rng.uniform(50, 450, 2), *rng.uniform(100, 400, 2),
                             rng.uniform(-np.pi, np.pi), 0.0, 0.0]))
        self._env.space.step(self._env.dt)     # apart, as after the environment's own reset

    def reset(self, state: np.ndarray) -> None:
        """Go on from a state; unlike the environment's `_set_state` without a step of physics."""
        state = np.asarray(state, dtype=np.float64)
        if state.shape != (7,) or not np.isfinite(state).all():
            raise SimulationError(f'a state is 7 finite numbers, got {state.tolist()}')
        agent, block = self._env.agent, self._env.block
        agent.position, agent.velocity = state[:2].tolist(), state[5:].tolist()
        block.angle = float(state[4])          # before the position, which depends on it
        block.position = state[2:4].tolist()
        block.velocity, block.angular_velocity = (0.0, 0.0), 0.0
        for body in (agent, block):
            self._env.space.reindex_shapes_for_body(body)
        self._action = np.zeros(2)

    def state(self) -> np.ndarray:
        """Return the state, see above."""
        agent, block = self._env.agent, self._env.block
        return np.array([*agent.position, *block.position, block.angle, *agent.velocity])

    def apply(self, action: np.ndarray) -> None:
        """Keep the action."""
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (2,) or not np.isfinite(action).all():
            raise SimulationError(f'an action is 2 finite numbers, got {action.tolist()}')
        self._action = action

    def advance(self, seconds: float) -> None:
        """Make whole control steps."""
        for _ in range(round(seconds / self.timestep_s)):
            self._env.step(self._action)
            self.time_s += self.timestep_s

    def render(self) -> np.ndarray:
        """Return the picture, averaged down from the environment's 224 px."""
        return cv2.resize(self._env.render(), (self.image_size, self.image_size),
                          interpolation=cv2.INTER_AREA)

    def sensed(self) -> Sensed:
        """Where the agent is and how fast it moves [px], [px/s]."""
        state = self.state()
        return Sensed(state[:2], state[5:])

    def truth(self) -> np.ndarray:
        """Agent, block, and its angle in [-pi, pi)."""
        state = self.state()
        return np.array([*state[:4], (state[4] + np.pi) % (2 * np.pi) - np.pi])

    def close(self) -> None:
        """Nothing to free."""


class PushTOriginal(Task):
    """The agent pushes the T where a picture shows it."""

    quantities = (
        Quantity('agent x', 'position', 'px', 'agent'),
        Quantity('agent y', 'position', 'px', 'agent'),
        Quantity('block x', 'position', 'px', 'block'),
        Quantity('block y', 'position', 'px', 'block'),
        Quantity('block angle', 'angle', of='block'))

    def make_world(self, image_size: int = 64) -> OriginalWorld:
        """Return a world, see `Task`."""
        return OriginalWorld(self, image_size)

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
