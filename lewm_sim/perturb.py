"""What an analysis needs from the simulator: impossible events, and positions of the tip.

Each trajectory exists in three versions with the same actions: unperturbed, with one link in
another colour from the middle on, and with the robot teleported to a random pose in the middle.
"""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.analysis.surprise import PerturbedTrajectories
from lewm_model.errors import SimulationError
from lewm_sim.tasks import Task
from lewm_sim.world import World
import mujoco
import numpy as np

TIP = 'tip'    # geom whose position is probed, where a scene has one


class PerturbedWorld(World):
    """A world in which the impossible can be done."""

    def moving_materials(self) -> list[str]:
        """Return the materials of everything that moves, nearest to the base first."""
        names = []
        for geom in range(self._model.ngeom):
            material = self._model.geom_matid[geom]
            moves = self._model.body_weldid[self._model.geom_bodyid[geom]] != 0
            if moves and material >= 0:
                names.append(self._model.material(material).name)
        return list(dict.fromkeys(names))

    def paint(self, material: str, rgba: np.ndarray) -> None:
        """Give everything of one material another colour."""
        self._model.material(material).rgba = rgba

    def colour(self, material: str) -> np.ndarray:
        """Return the colour of a material, rgba in [0, 1]."""
        return self._model.material(material).rgba.copy()

    def positions(self, qpos: np.ndarray) -> dict[str, np.ndarray]:
        """Return where the tip is for joint positions (N, P): `tip position`, (N, n) [m].

        Coordinates that never change are left out; scenes without a geom `tip` give nothing.
        """
        geom = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_GEOM, TIP)
        if geom < 0:
            return {}
        found = np.empty((len(qpos), 3))
        for row, pose in enumerate(qpos):
            self._data.qpos[self._joints] = pose
            mujoco.mj_kinematics(self._model, self._data)
            found[row] = self._data.geom_xpos[geom]
        return {'tip position': found[:, found.std(axis=0) > 1e-6]}


class TaskSimulator:
    """Both services for one task, as `lewm_model.analysis` asks for them.

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
        """Return further quantities for joint positions (N, P)."""
        return PerturbedWorld(self._task, self._image_size).positions(qpos)

    def trajectories(self, count: int, blocks: int, progress: Callable[[int, int], None]
                     ) -> PerturbedTrajectories:
        """Simulate `count` trajectories in all versions."""
        return perturbed_trajectories(self._task, self._image_size, count=count, blocks=blocks,
                                      frameskip=self._frameskip, seed=self._seed,
                                      progress=progress)


def perturbed_trajectories(task: Task, image_size: int, *, count: int, blocks: int,
                           frameskip: int, seed: int,
                           progress: Callable[[int, int], None] = lambda done, total: None
                           ) -> PerturbedTrajectories:
    """Simulate all versions.

    Args:
        task: Starts and exploration come from it.
        image_size: Of the frames [px].
        count: N, trajectories.
        blocks: Model steps of each; the perturbation shows at frame `blocks // 2`.
        frameskip: K, control steps per model step.
        seed: Of starts, exploration and teleports.
        progress: Told after every trajectory.

    Returns:
        Versions `unperturbed`, `colour` and `teleport`.

    Raises:
        SimulationError: If nothing that moves has a material, so that it could change colour.
    """
    world = PerturbedWorld(task, image_size)
    materials = world.moving_materials()
    if not materials:
        raise SimulationError(f'no moving geom of task {task.name!r} has a material, so none can '
                              f'change its colour; give one in {task.mjcf.name}')
    middle, painted = blocks // 2, materials[0]
    original = world.colour(painted)
    other = original[[1, 2, 0, 3]]     # the hue turned by a third
    shape = (count, blocks + 1, image_size, image_size, 3)
    frames = {name: np.empty(shape, np.uint8) for name in ('unperturbed', 'colour', 'teleport')}
    actions = np.empty((count, blocks * frameskip, len(task.min_command)), np.float32)

    def follow(number: int, first: int, versions: dict[str, np.ndarray | None]) -> None:
        """Act from frame `first` on, and film it once per version in that version's colour."""
        for frame in range(first, blocks + 1):
            for version, rgba in versions.items():
                world.paint(painted, original if rgba is None or frame < middle else rgba)
                frames[version][number, frame] = world.render()
            for action in actions[number, frame * frameskip:(frame + 1) * frameskip]:
                world.apply(action)
                world.advance(task.control_dt_s)

    for number in range(count):
        rng = np.random.default_rng([seed, number])
        start, elsewhere = task.sample_qpos(rng), task.sample_qpos(rng)
        actions[number] = task.explore(rng, blocks * frameskip)
        world.reset(qpos=start)
        follow(number, 0, {'unperturbed': None, 'colour': other})
        world.reset(qpos=elsewhere)
        follow(number, middle, {'teleport': None})
        frames['teleport'][number, :middle] = frames['unperturbed'][number, :middle]
        progress(number + 1, count)
    world.close()
    return PerturbedTrajectories(
        frames=frames, actions=actions, perturbed_frame=middle,
        descriptions={
            'unperturbed': 'nothing happens',
            'colour': f'"{painted}" is of another colour from the middle on',
            'teleport': 'the robot is suddenly in a random pose, and goes on from there'})
