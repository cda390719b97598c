"""A world that is not MuJoCo's: an environment that only knows `reset` and whole steps."""

from lewm_model.errors import SimulationError
from lewm_model.quantities import Quantity
from lewm_sim.posing import checked
from lewm_sim.tasks import Task
from lewm_sim.world import Sensed
import numpy as np


class DotEnv:
    """As Gymnasium has it: a 64 px world, an action per control step."""

    def reset(self, *, seed=None, options=None):
        """Begin anew."""
        self.at = np.array((options or {}).get('at', (32.0, 32.0)), float)
        return self.at.copy(), {}

    def step(self, action):
        """Move by an action, [px]."""
        self.at = np.clip(self.at + action, 4.0, 60.0)
        return self.at.copy(), 0.0, False, False, {}

    def render(self):
        """Draw the dot."""
        rows, columns = np.mgrid[:64, :64] + 0.5
        near = np.clip(4.5 - np.hypot(columns - self.at[0], rows - self.at[1]), 0, 1)
        return (255 * near).astype(np.uint8)[..., None].repeat(3, axis=-1)


class DotWorld:
    """The environment behind the verbs of `World`."""

    camera_fovy_rad = 1.0

    def __init__(self, task, image_size):
        if image_size != 64:
            raise SimulationError(f'image_size must be 64, got {image_size}')
        self.image_size, self.timestep_s, self.time_s = 64, task.control_dt_s, 0.0
        self._env = DotEnv()
        self.start(np.random.default_rng(0))

    def start(self, rng):
        """Anywhere."""
        self.reset(rng.uniform(8, 56, 2))

    def reset(self, state):
        """Go to a place."""
        state = np.asarray(state, float)
        if state.shape != (2,) or not np.isfinite(state).all():
            raise SimulationError(f'a state is 2 finite numbers, got {state.tolist()}')
        self._env.reset(options={'at': state})
        self._speed = np.zeros(2)

    def state(self):
        """Return the place."""
        return self._env.at.copy()

    def apply(self, action):
        """Keep the action."""
        action = np.asarray(action, float)
        if action.shape != (2,) or not np.isfinite(action).all():
            raise SimulationError(f'an action is 2 finite numbers, got {action.tolist()}')
        self._speed = action

    def advance(self, seconds):
        """Make whole steps."""
        for _ in range(round(seconds / self.timestep_s)):
            self._env.step(self._speed * self.timestep_s)
            self.time_s += self.timestep_s

    def render(self):
        """Draw."""
        return self._env.render()

    def sensed(self):
        """The robot measures where it is, but no speed."""
        return Sensed(self.state(), np.full(2, np.nan))

    def truth(self):
        """Place [px]."""
        return self.state()

    def close(self):
        """Nothing to free."""


class Dot(Task):
    """The dot goes where a picture shows it."""

    quantities = (Quantity('dot x', 'position', 'px'), Quantity('dot y', 'position', 'px'))

    def make_world(self, image_size=64):
        """Return a world, see `Task`."""
        return DotWorld(self, image_size)

    def errors(self, truth, goal):
        """How far the dot is off."""
        return {'distance': float(np.linalg.norm(truth - goal))}

    def state_with(self, world, wanted):
        """Return the state with the dot somewhere; its state is its quantities."""
        values = {**self.named(world.truth()), **checked(self.quantities, wanted)}
        return np.concatenate([values[one.name] for one in self.quantities])
