"""The original Two-Room: swm/TwoRoom-v1 of stable-worldmodel as one of our tasks.

Deviation besides those of `original.py`: the expert's goals are drawn by the rule that was in
force when the published file was made, in the other room and at least 25 steps away. Release
0.1.1 still has that rule, but draws goals anywhere.
"""

from __future__ import annotations

from functools import partial

from lewm_model.quantities import Quantity
from lewm_sim.tasks.motions import Act, MakePolicy
from lewm_sim.world import Sensed
import numpy as np

from ..original import load, OriginalTask, OriginalWorld

_ROOMS = 'stable_worldmodel.envs.two_room'
_NOISE = 2.0                # of the published script, in actions; they are clipped to 1


class TwoRoomWorld(OriginalWorld):
    """A state is x, y: the dot has no inertia."""

    environment = f'{_ROOMS}.env.TwoRoomEnv'

    def begin(self, rng: np.random.Generator) -> None:
        """Anywhere but in the wall."""
        self.env.reset(seed=int(rng.integers(2**31)))

    def put(self, state: np.ndarray) -> None:
        """As the published evaluation does."""
        self.env._set_state(state)

    def state(self) -> np.ndarray:
        """Return the state, see above."""
        return self.env.agent_position.numpy().astype(np.float64)

    def sensed(self) -> Sensed:
        """Where the dot is; it stands wherever it is looked at."""
        return Sensed(self.state(), np.zeros(2))

    def truth(self) -> np.ndarray:
        """Where the dot is."""
        return self.state()


class TwoRoomOriginal(OriginalTask):
    """The dot goes where a picture shows it."""

    world = TwoRoomWorld
    published = ('proprio',)
    quantities = (Quantity('x', 'position', 'px', 'agent'),
                  Quantity('y', 'position', 'px', 'agent'))

    def errors(self, truth: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        """As the environment counts: how far away the goal is, through walls."""
        return {'distance': float(np.linalg.norm(truth - goal))}

    @property
    def policies(self) -> dict[str, MakePolicy]:
        """Random motion, and stable-worldmodel's expert without and with the published noise."""
        return {**super().policies, 'expert': partial(self._expert, 0.0),
                'noisy_expert': partial(self._expert, _NOISE)}

    def _expert(self, noise: float, rng: np.random.Generator) -> Act:
        """Return an expert with one goal, where it ends."""
        rooms, goal = load(TwoRoomWorld.environment)(), None   # it looks up the door there
        expert = load(f'{_ROOMS}.expert_policy.ExpertPolicy')(
            action_noise=noise, seed=int(rng.integers(2**31)))
        expert.set_env(rooms)
        near = self.facts.tolerance().limits['distance']

        def act(truth: np.ndarray) -> np.ndarray | None:
            nonlocal goal
            if goal is None:
                goal = _draw_goal(rooms, truth, rng)
            if np.linalg.norm(truth - goal) < near:
                return None
            return expert.get_action({'state': truth, 'goal_state': goal})

        return act


def _draw_goal(rooms, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a goal (2,) by the environment's rule, see above."""
    agent, target = (rooms.variation_space[name]['position'] for name in ('agent', 'target'))
    agent.set_value(start.astype(np.float32))
    while True:
        goal = rng.uniform(target.low, target.high)
        if rooms._constrain_target_by_min_steps(goal):
            return goal
