"""A task whose world is MuJoCo's; mujoco is imported when a world is made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TYPE_CHECKING

from lewm_model.errors import ConfigError, SimulationError
from lewm_model.robots.robot import JOINT_STATE
from lewm_sim.links import Link
from lewm_sim.posing import checked, solve
from lewm_sim.tasks.task import Impossible, SIM_STATE, Task
from lewm_sim.world import Sensed
import numpy as np

if TYPE_CHECKING:
    from lewm_sim.mujoco_world import MujocoWorld
    from mujoco import MjData, MjModel

SCENE_FILE = 'scene.xml'
_LAST_SHOWN_GROUP = 2     # of geoms: MuJoCo does not draw those above unless asked
_ORANGE = (1.0, 0.6, 0.2)


class MujocoTask(Task):
    """A task in MuJoCo; a subclass says where things start and what is measured.

    The defaults suit a robot whose actions have one actuator each, of the action's name, and
    whose state is joints of the scene, by their names in the robot's description.
    """

    @abstractmethod
    def start(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """Move `data`, fresh from the scene's home state, into a start drawn with `rng`."""

    @abstractmethod
    def truth(self, model: MjModel, data: MjData) -> np.ndarray:
        """Measure `quantities`, side by side (q,); everything in `data` is up to date."""

    def build(self) -> MjModel:
        """Return the compiled scene; by default scene.xml of the folder."""
        import mujoco
        return mujoco.MjModel.from_xml_path(str(self.folder / SCENE_FILE))

    def command(self, model: MjModel, data: MjData, action: np.ndarray) -> None:
        """Set controls for an action (A,) that begins now; by default one actuator for each."""
        for name, value in zip(self.action_names, np.clip(
                action, self.robot.min_command, self.robot.max_command), strict=True):
            data.actuator(name).ctrl[0] = value

    def rest(self, model: MjModel, data: MjData) -> None:
        """Let the robot stand still after a start or a reset, where controls are zero.

        By default positions are told to stay; of speeds and forces zero is right already.
        """
        if self.robot.interface == 'joint_position':
            self.command(model, data, np.array([data.joint(name).qpos[0]
                                                for name in self.action_names]))

    def sensed(self, model: MjModel, data: MjData) -> Sensed:
        """Return the robot's measured state; by default joints of the scene, by name."""
        if self.robot.state_type != JOINT_STATE:
            raise ConfigError(f'robot {self.robot.robot!r} reports {self.robot.state_type}; write '
                              f'`sensed` in task.py of {self.name!r}')
        joints = [data.joint(name) for name in self.robot.state_names]
        return Sensed(np.array([joint.qpos[0] for joint in joints]),
                      np.array([joint.qvel[0] for joint in joints]))

    @property
    def camera(self) -> str:
        """Name of the camera in the scene."""
        return self.facts.camera

    @property
    def supersampling(self) -> int:
        """How much larger pictures are drawn; 0: the world decides."""
        return self.facts.supersampling

    def make_world(self, image_size: int = 64) -> MujocoWorld:
        """Return a world, see `Task`."""
        from lewm_sim.mujoco_world import MujocoWorld
        return MujocoWorld(self, image_size)

    def make_worlds(self, count: int, image_size: int = 64) -> list[MujocoWorld]:
        """Return worlds that share the scene and one renderer, see `Task`."""
        first = self.make_world(image_size)
        return [first, *(first.twin() for _ in range(count - 1))]

    def impossible(self) -> dict[str, Impossible]:
        """Return what cannot happen: another colour of what moves first, and a teleport."""
        return {'colour': Impossible('what moves first in the scene has another colour from here '
                                     'on', lambda world, elsewhere: self._paint(world)),
                **super().impossible()}

    def recorded_state(self, world: MujocoWorld, columns: Mapping[str, Any], row: int
                       ) -> np.ndarray:
        """Return the state of a row, also from the columns qpos and qvel of the whole scene."""
        if SIM_STATE in columns or 'qpos' not in columns:
            return super().recorded_state(world, columns, row)
        qvel = columns['qvel'][row] if 'qvel' in columns else None
        return world.state_at(columns['qpos'][row], qvel)

    def state_with(self, world: MujocoWorld, wanted: Mapping[str, Any]) -> np.ndarray:
        """Return a state in which quantities have given values, see `Task`."""
        values = checked(self.quantities, wanted)
        return world.posed(lambda model, data: self.pose(model, data, values))

    def pose(self, model: MjModel, data: MjData, wanted: Mapping[str, np.ndarray]) -> None:
        """Move `data` to where quantities have values (width,); by default they are searched for.

        Raises:
            SimulationError: If they cannot have them.
        """
        solve(self, model, data, wanted)

    def links(self, world: MujocoWorld) -> tuple[Link, ...]:
        """Return the bodies and the camera of the scene, see `Task`."""
        from lewm_sim.mujoco_links import links_of
        return links_of(world.model, self.camera)

    def link_poses(self, world: MujocoWorld) -> tuple[np.ndarray, np.ndarray]:
        """Return where each link is now, see `Task`."""
        from lewm_sim.mujoco_links import poses_of
        return poses_of(world.model, self.links(world), world.data.qpos)

    def _paint(self, world: MujocoWorld) -> Callable[[], None]:
        """Give what moves first another colour, its material's if it has one; return the way back.

        A hue is turned by a third, grey becomes orange.
        """
        model = world.model
        moving = [geom for geom in range(model.ngeom)
                  if model.body_weldid[model.geom_bodyid[geom]] != 0]
        if not moving:
            raise SimulationError(f'nothing in the scene of task {self.name!r} moves, so nothing '
                                  f'can change its colour; write `impossible` in its task.py')
        with_material = [geom for geom in moving if model.geom_matid[geom] >= 0]
        shown = [geom for geom in moving if model.geom_group[geom] <= _LAST_SHOWN_GROUP]
        geom = (with_material or shown or moving)[0]
        material = model.geom_matid[geom]
        colours, place = (model.mat_rgba, material) if material >= 0 else (model.geom_rgba, geom)
        before = colours[place].copy()
        colours[place, :3] = before[[1, 2, 0]] if np.ptp(before[:3]) > 0.1 else _ORANGE

        def undo() -> None:
            colours[place] = before
        return undo
