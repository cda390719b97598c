"""A UR5e with a gripper brings a cube to where a picture shows it, after OGBench's single cube.

Kept from OGBench: scene, places where cube and gripper start, workspace, control step, and that
success is the cube's place alone. Deviations: the picture and the joints' servos (see scene.py),
and actions are speeds. OGBench moves the target of the gripper by up to 0.05 m in a step and goes
39 % of the way; here the gripper goes at up to 0.4 m/s, as far in a step, without lag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lewm_model.quantities import Quantity
from lewm_sim.posing import require_close
from lewm_sim.tasks import Impossible, MujocoTask
from lewm_sim.tasks.cube import expert, scene
from lewm_sim.world import Sensed
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lewm_sim.mujoco_world import MujocoWorld
    from lewm_sim.tasks.cube.arm import Arm
    from lewm_sim.tasks.motions import MakePolicy
    from mujoco import MjData, MjModel

ARM_START = np.array([[0.25, -0.35, 0.20], [0.6, 0.35, 0.35]])   # OGBench's bounds [m]
CUBE_START = np.array([[0.3, -0.3], [0.55, 0.3]])
_CLOSE_ENOUGH = 2e-3               # of the arm to where it shall start [m]


class Cube(MujocoTask):
    """The arm puts the cube where a picture shows it."""

    quantities = (
        Quantity('gripper x', 'position', of='gripper'),
        Quantity('gripper y', 'position', of='gripper'),
        Quantity('gripper z', 'position', of='gripper'),
        Quantity('gripper yaw', 'angle', of='gripper'),
        Quantity('opening', 'position', of='gripper'),
        Quantity('cube x', 'position', of='cube'), Quantity('cube y', 'position', of='cube'),
        Quantity('cube z', 'position', of='cube'), Quantity('cube turn', 'quaternion', of='cube'))

    _known: Arm | None = None

    def build(self) -> MjModel:
        """Return the compiled scene, read from OGBench's files."""
        return scene.build()

    def start(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """Gripper open above the table, the cube anywhere on it."""
        arm = self._arm(model)
        for _ in range(100):
            place, yaw = rng.uniform(*ARM_START), rng.uniform(-np.pi, np.pi)
            joints = arm.solve(place, yaw, arm_home(yaw), 60)
            if np.linalg.norm(arm.pose(joints)[0] - place) < _CLOSE_ENOUGH:
                break
        data.qpos[arm.qpos] = joints
        half = rng.uniform(0, 2 * np.pi) / 2
        data.joint(f'{scene.CUBE}joint').qpos[:] = [
            *rng.uniform(*CUBE_START), scene.CUBE_HALF, np.cos(half), 0.0, 0.0, np.sin(half)]
        arm.put_targets(data)

    def command(self, model: MjModel, data: MjData, action: np.ndarray) -> None:
        """Speeds of the gripper, clipped to the robot's limits, by the Cartesian controller."""
        action = np.clip(action, self.robot.min_command, self.robot.max_command)
        self._arm(model).move(data, action[:4], action[4], self.control_dt_s)

    def rest(self, model: MjModel, data: MjData) -> None:
        """The joints' targets stay where they are."""
        self._arm(model).hold(data)

    def sensed(self, model: MjModel, data: MjData) -> Sensed:
        """Joints of the arm, and the driver of the fingers."""
        arm = self._arm(model)
        return Sensed(
            np.array([*data.qpos[arm.qpos], data.qpos[arm.finger.qposadr[0]]]),
            np.array([*data.qvel[arm.dofs], data.qvel[arm.finger.dofadr[0]]]))

    def truth(self, model: MjModel, data: MjData) -> np.ndarray:
        """Pose and opening of the gripper, pose of the cube."""
        from lewm_sim.tasks.cube.arm import STROKE, yaw_of

        arm, pinch = self._arm(model), data.site(scene.PINCH)
        closed = data.qpos[arm.finger.qposadr[0]] / scene.FINGER_CLOSED
        cube = data.body(f'{scene.CUBE}body')
        return np.array([*pinch.xpos, yaw_of(pinch.xmat), STROKE * (1 - closed), *cube.xpos,
                         *cube.xquat])

    def pose(self, model: MjModel, data: MjData, wanted: Mapping[str, np.ndarray]) -> None:
        """Gripper by the kinematics of the arm, fingers by their linkage, the cube as it is."""
        from lewm_sim.tasks.cube.arm import STROKE
        import mujoco

        arm, named = self._arm(model), self.named(self.truth(model, data))
        ways = {one.of for one in self.quantities if one.name in wanted and one.name != 'opening'}
        named.update(wanted)
        if 'gripper' in ways:
            place = np.concatenate([named[f'gripper {axis}'] for axis in 'xyz'])
            yaw = float(named['gripper yaw'][0])
            tries = [arm.solve(place, yaw, joints, 100)
                     for joints in (data.qpos[arm.qpos], arm_home(yaw))]
            data.qpos[arm.qpos] = min(tries, key=lambda joints: np.linalg.norm(
                arm.pose(joints)[0] - place))
        if 'opening' in wanted:
            arm.put_fingers(data, (1 - float(wanted['opening'][0]) / STROKE)
                            * scene.FINGER_CLOSED)
        if 'cube' in ways:
            data.joint(f'{scene.CUBE}joint').qpos[:] = np.concatenate(
                [*(named[f'cube {axis}'] for axis in 'xyz'), named['cube turn']])
        arm.put_targets(data)
        mujoco.mj_forward(model, data)
        require_close(self.quantities, self.truth(model, data), wanted, _CLOSE_ENOUGH)

    def errors(self, truth: np.ndarray, goal: np.ndarray) -> dict[str, float]:
        """Return the distance of the cube from its place in the goal."""
        return {'cube': float(np.linalg.norm(truth[5:8] - goal[5:8]))}

    @property
    def policies(self) -> dict[str, MakePolicy]:
        """Random motion, and who brings the cube somewhere, tries to, or plays with it."""
        return expert.policies(self.robot, CUBE_START)

    def impossible(self) -> dict[str, Impossible]:
        """Also the cube alone can be somewhere else."""
        def move(world: MujocoWorld, elsewhere: np.ndarray) -> None:
            here = world.state()
            world.reset(elsewhere)
            cube = world.data.joint(f'{scene.CUBE}joint').qpos.copy()
            world.reset(here)
            world.data.joint(f'{scene.CUBE}joint').qpos[:] = cube
            world.reset(world.state())

        def paint(world: MujocoWorld, elsewhere: np.ndarray) -> Callable[[], None]:
            colour = world.model.material(f'{scene.CUBE}colour').rgba
            before = colour.copy()
            colour[:] = before[[1, 2, 0, 3]]

            def undo() -> None:
                colour[:] = before
            return undo
        return {**super().impossible(),
                'colour': Impossible('the cube has another colour from here on', paint),
                'teleport cube': Impossible('the cube is suddenly somewhere else', move)}

    def _arm(self, model: MjModel) -> Arm:
        """Return the controller of a scene; the last one is kept, twins share theirs."""
        from lewm_sim.tasks.cube.arm import Arm

        if self._known is None or self._known.model is not model:
            self._known = Arm(model)
        return self._known


def arm_home(yaw: float) -> np.ndarray:
    """Return joints (6,) above the table from which a gripper that is turned so is found."""
    from lewm_sim.tasks.cube.arm import HOME

    # the last wrist joint turns the gripper alone; at home it is turned by -90 degrees
    return HOME - np.array([0, 0, 0, 0, 0, yaw + np.pi / 2])
