"""What an analysis needs from the simulator: impossible events, truth about states, grids of them.

Each trajectory exists in several versions with the same actions: unperturbed, and one for each
impossible event of the task, which happens in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

from lewm_model.analysis.grid import StateGrid
from lewm_model.analysis.surprise import PerturbedTrajectories
from lewm_model.data.measured_states import Measured
from lewm_model.errors import ConfigError, SimulationError
from lewm_model.quantities import Quantity
from lewm_sim.tasks import Act, Task
from lewm_sim.world import World
import numpy as np

UNPERTURBED = 'unperturbed'
_FEWEST = 10     # states of a grid that can be set; fewer show nothing


class TaskSimulator:
    """These services for one task, as `lewm_model.analysis` asks for them.

    Args:
        task: The simulated task.
        image_size: Of the frames [px].
        frameskip: K, control steps per model step.
        seed: Of trajectories.
    """

    def __init__(self, task: Task, image_size: int, frameskip: int, seed: int = 0) -> None:
        self._task, self._image_size, self._frameskip = task, image_size, frameskip
        self._seed = seed

    def positions(self, qpos: np.ndarray) -> dict[str, np.ndarray]:
        """Return positions of rows that only have qpos (N, nq), by what they are of.

        For sets that were recorded before the truth was; what never changes is left out.
        """
        world = self._task.make_world(self._image_size)
        truths = np.empty((len(qpos), len(world.truth())))
        for row in range(len(qpos)):
            world.reset(self._task.recorded_state(world, {'qpos': qpos}, row))
            truths[row] = world.truth()
        groups: dict[str, list[np.ndarray]] = {}
        for one, values in zip(self._task.quantities, truths.T, strict=True):
            if one.kind == 'position' and values.std() > 1e-6:
                groups.setdefault(f'{one.of or one.name} position', []).append(values)
        return {name: np.stack(columns, axis=1) for name, columns in groups.items()}

    def trajectories(self, count: int, blocks: int, progress: Callable[[int, int], None]
                     ) -> PerturbedTrajectories:
        """Simulate `count` trajectories in all versions."""
        return perturbed_trajectories(self._task, self._image_size, count=count, blocks=blocks,
                                      frameskip=self._frameskip, seed=self._seed,
                                      progress=progress)

    def grids(self, side: int, progress: Callable[[int, int], None]) -> list[StateGrid]:
        """Set `side` x `side` states over each grid that task.yaml names."""
        grids = self._task.facts.grids
        return [state_grid(self._task, self._image_size, grid, side,
                           lambda done, total, before=number: progress(before * total + done,
                                                                       len(grids) * total))
                for number, grid in enumerate(grids)]


def state_grid(task: Task, image_size: int, ranges: Mapping[str, tuple[float, float]], side: int,
               progress: Callable[[int, int], None] = lambda done, total: None) -> StateGrid:
    """Put a world into states over two quantities, everything else as in the world's first state.

    Args:
        task: Finds the states.
        image_size: Of the frames [px].
        ranges: The two quantities, with the lowest and the highest value of each.
        side: States along each axis.
        progress: Told after every state.

    Raises:
        ConfigError: If the task has no such quantity.
        SimulationError: If next to none of the states can be.
    """
    kinds = {one.name: one for one in task.quantities}
    if not set(ranges) <= set(kinds):
        raise ConfigError(f'task {task.name!r}: grids in task.yaml are over {", ".join(ranges)}, '
                          f'which are not all among its quantities ({", ".join(kinds)})')
    axes = [_evenly(kinds[name], *bounds, side) for name, bounds in ranges.items()]
    world = task.make_world(image_size)
    home, places, frames, refused = world.state(), [], [], []
    for number, place in enumerate(product(*axes)):
        world.reset(home)
        try:
            world.reset(task.state_with(world, dict(zip(ranges, place, strict=True))))
        except SimulationError as error:
            refused.append(error)
        else:
            places.append(place)
            frames.append(world.render())
        progress(number + 1, side ** 2)
    world.close()
    if len(frames) < _FEWEST:
        why = f' ({refused[0]})' if refused else ''
        raise SimulationError(f'task {task.name!r}: only {len(frames)} of {side ** 2} states over '
                              f'{" and ".join(ranges)} can be set{why}, at least {_FEWEST} are '
                              f'needed; change grids in task.yaml')
    values = np.array(places).T[..., None]
    return StateGrid(axes=tuple(Measured(kinds[name], column)
                                for name, column in zip(ranges, values, strict=True)),
                     frames=np.stack(frames), left_out=len(refused))


def _evenly(quantity: Quantity, low: float, high: float, side: int) -> np.ndarray:
    """Return values from low to high, (side,); of a whole turn the last would be the first."""
    turn = quantity.kind == 'angle' and high - low > 2 * np.pi - 1e-3
    return np.linspace(low, high, side, endpoint=not turn)


def perturbed_trajectories(task: Task, image_size: int, *, count: int, blocks: int,
                           frameskip: int, seed: int,
                           progress: Callable[[int, int], None] = lambda done, total: None
                           ) -> PerturbedTrajectories:
    """Simulate all versions.

    Args:
        task: Starts, the random policy and the impossible events come from it.
        image_size: Of the frames [px].
        count: N, trajectories.
        blocks: Model steps of each; an event shows at frame `blocks // 2`.
        frameskip: K, control steps per model step.
        seed: Of starts, actions and events.
        progress: Told after every trajectory.

    Returns:
        The version `unperturbed` and one for each of `Task.impossible`.

    Raises:
        SimulationError: If an event cannot be done in this scene.
    """
    world, events, middle = task.make_world(image_size), task.impossible(), blocks // 2
    shape = (count, blocks + 1, image_size, image_size, 3)
    frames = {name: np.empty(shape, np.uint8) for name in (UNPERTURBED, *events)}
    actions = np.empty((count, blocks * frameskip, len(task.action_names)), np.float32)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        world.start(rng)
        start = world.state()
        world.start(rng)
        elsewhere = world.state()
        actions[number] = _draw(task.policy('random', rng), world, blocks * frameskip)

        def film(version: str, first: int, number: int = number) -> None:
            for frame in range(first, blocks + 1):
                frames[version][number, frame] = world.render()
                for action in actions[number, frame * frameskip:(frame + 1) * frameskip]:
                    world.apply(action)
                    world.advance(task.control_dt_s)

        world.reset(start)
        film(UNPERTURBED, 0)
        for name, event in events.items():
            world.reset(start)
            for action in actions[number, :middle * frameskip]:
                world.apply(action)
                world.advance(task.control_dt_s)
            undo = event.happen(world, elsewhere)
            film(name, middle)
            if undo is not None:
                undo()
            frames[name][number, :middle] = frames[UNPERTURBED][number, :middle]
        progress(number + 1, count)
    world.close()
    return PerturbedTrajectories(
        frames=frames, actions=actions, perturbed_frame=middle,
        descriptions={UNPERTURBED: 'nothing happens',
                      **{name: event.text for name, event in events.items()}})


def _draw(act: Act, world: World, steps: int) -> np.ndarray:
    """Return actions of a policy that does not look, (steps, A)."""
    truth = world.truth()
    return np.array([act(truth) for _ in range(steps)])
