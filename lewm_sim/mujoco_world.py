"""One simulated robot: reset, command, advance, render, read. Deterministic, no ROS, no torch."""

from __future__ import annotations

import os

# Rendering off screen; must be chosen before mujoco is imported. A user's choice wins.
os.environ.setdefault('MUJOCO_GL', 'egl')

import cv2  # noqa: E402
from lewm_model.errors import SimulationError  # noqa: E402
from lewm_sim.tasks import Task  # noqa: E402
import mujoco  # noqa: E402
import numpy as np  # noqa: E402

# Frames are drawn up to 4 times larger and averaged down, as a camera's pixels integrate light:
# without it a joint has to move a whole pixel (0.08 rad at 64 px) before anything changes.
_SUPERSAMPLED_SIZE = 448
_MAX_SUPERSAMPLING = 4
# Joint limits are soft springs: a recorded pose may lie a little behind them [rad].
_LIMIT_SLACK_RAD = 0.05


class World:
    """MuJoCo behind the few verbs a robot needs.

    Args:
        task: Scene and facts, from `lewm_sim.tasks.load_task`.
        image_size: Height and width of rendered frames [px].
    """

    def __init__(self, task: Task, image_size: int = 64) -> None:
        self.task = task
        self.image_size = image_size
        self._model = mujoco.MjModel.from_xml_path(str(task.mjcf))
        limit = self._model.vis.global_.offwidth
        if not 8 <= image_size <= limit:
            raise SimulationError(f'image_size must be in [8, {limit}], got {image_size}')
        self._supersampling = max(1, min(_MAX_SUPERSAMPLING, _SUPERSAMPLED_SIZE // image_size))
        self._data = mujoco.MjData(self._model)
        self._joints = [self._model.joint(name).qposadr[0] for name in task.joint_names]
        self._dofs = [self._model.joint(name).dofadr[0] for name in task.joint_names]
        self._actuators = [self._model.actuator(name).id for name in task.joint_names]
        self._renderer: mujoco.Renderer | None = None
        self._origin_s = 0.0  # time keeps running over resets
        self.reset(seed=0)

    def reset(self, *, seed: int | None = None, qpos: np.ndarray | None = None) -> None:
        """Stand still at `qpos`, or at a start drawn with `seed`; time keeps running.

        Args:
            seed: For the task's start distribution, used when `qpos` is None.
            qpos: Joint positions, (P,) [rad].

        Raises:
            SimulationError: If `qpos` has the wrong length, is not finite or is out of range.
        """
        if qpos is None:
            qpos = self.task.sample_qpos(np.random.default_rng(seed))
        qpos = np.asarray(qpos, dtype=np.float64)
        self._check_qpos(qpos)
        self._origin_s = self.time_s
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[self._joints] = qpos
        mujoco.mj_forward(self._model, self._data)

    def _check_qpos(self, qpos: np.ndarray) -> None:
        names = self.task.joint_names
        if qpos.shape != (len(names),) or not np.isfinite(qpos).all():
            raise SimulationError(f'qpos must be {len(names)} finite numbers ({", ".join(names)})'
                                  f', got {qpos.tolist()}')
        for name, value in zip(names, qpos, strict=True):
            joint = self._model.joint(name)
            if self._model.jnt_limited[joint.id]:
                low, high = joint.range
                if not low - _LIMIT_SLACK_RAD <= value <= high + _LIMIT_SLACK_RAD:
                    raise SimulationError(f'qpos of joint {name!r} must be in '
                                          f'[{low:.4f}, {high:.4f}] rad, got {value:.4f}')

    def apply(self, command: np.ndarray) -> None:
        """Set joint velocities, (A,) [rad/s]; held until changed, clipped to the limits.

        Raises:
            SimulationError: If the command has the wrong length or is not finite.
        """
        command = np.asarray(command, dtype=np.float64)
        if command.shape != (len(self._actuators),) or not np.isfinite(command).all():
            raise SimulationError(f'command must be {len(self._actuators)} finite numbers, '
                                  f'got {command.tolist()}')
        self._data.ctrl[self._actuators] = np.clip(
            command, self.task.min_command, self.task.max_command)

    def advance(self, seconds: float) -> None:
        """Run the physics for `seconds`, rounded to whole physics steps."""
        steps = round(seconds / self._model.opt.timestep)
        mujoco.mj_step(self._model, self._data, nstep=steps)
        if not np.isfinite(self._data.qpos).all():
            raise SimulationError('the simulation diverged (joint positions are not finite)')

    def render(self) -> np.ndarray:
        """Return what the camera sees, uint8 (H, W, 3).

        Raises:
            SimulationError: If no off-screen renderer can be started.
        """
        if self._renderer is None:
            size = self.image_size * self._supersampling
            try:
                self._renderer = mujoco.Renderer(self._model, size, size)
            except Exception as error:  # mujoco raises many kinds here
                raise SimulationError(
                    f'cannot render with MUJOCO_GL={os.environ["MUJOCO_GL"]}: {error}; on '
                    f'Debian or Ubuntu install libegl1 libegl-mesa0 libgl1-mesa-dri') from error
        self._renderer.update_scene(self._data, camera=self.task.camera)
        frame = self._renderer.render()
        if self._supersampling == 1:
            return frame
        return cv2.resize(frame, (self.image_size, self.image_size),
                          interpolation=cv2.INTER_AREA)

    @property
    def time_s(self) -> float:
        """Simulated time since construction [s]; never jumps back."""
        return self._origin_s + self._data.time

    @property
    def timestep_s(self) -> float:
        """Physics step [s]."""
        return self._model.opt.timestep

    @property
    def joint_positions(self) -> np.ndarray:
        """Joint positions, (P,) [rad]."""
        return self._data.qpos[self._joints].copy()

    @property
    def joint_velocities(self) -> np.ndarray:
        """Joint velocities, (P,) [rad/s]."""
        return self._data.qvel[self._dofs].copy()

    @property
    def camera_fovy_rad(self) -> float:
        """Vertical field of view of the camera [rad]."""
        return float(np.deg2rad(self._model.camera(self.task.camera).fovy[0]))

    def close(self) -> None:
        """Free the renderer; the world can be rendered again later."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
