"""A world in MuJoCo: the whole state, steps, pictures. It never names a joint, the task does."""

from __future__ import annotations

from collections.abc import Callable
import copy
import os
from typing import Protocol

# Rendering off screen; must be chosen before mujoco is imported. A user's choice wins.
os.environ.setdefault('MUJOCO_GL', 'egl')

import cv2  # noqa: E402
from lewm_model.errors import SimulationError  # noqa: E402
from lewm_sim.look import Look  # noqa: E402
from lewm_sim.world import Sensed  # noqa: E402
import mujoco  # noqa: E402
import numpy as np  # noqa: E402

# Frames are drawn up to 4 times larger and averaged down, as a camera's pixels integrate light:
# without it a joint has to move a whole pixel (0.08 rad at 64 px) before anything changes.
_SUPERSAMPLED_SIZE = 448
_MAX_SUPERSAMPLING = 4
# Joint limits are soft springs: a recorded pose may lie a little behind them [rad] or [m], that of
# a finger which closes on a cube by 0.052.
_LIMIT_SLACK = 0.1
# Things that are placed may be inside each other by this much, as soft contacts let them [m].
_OVERLAP_M = 0.005
# Time, positions, velocities, activations, plugins; then what a task may keep or move itself.
_WHOLE = int(mujoco.mjtState.mjSTATE_FULLPHYSICS | mujoco.mjtState.mjSTATE_EQ_ACTIVE
             | mujoco.mjtState.mjSTATE_MOCAP_POS | mujoco.mjtState.mjSTATE_MOCAP_QUAT
             | mujoco.mjtState.mjSTATE_USERDATA)
# MuJoCo answers these by starting over from the scene's home state, which nobody would notice.
_DIVERGED = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL,
             mujoco.mjtWarning.mjWARN_BADQACC)


class Scene(Protocol):
    """What a world asks its task (`lewm_sim.tasks.MujocoTask`)."""

    name: str
    camera: str
    supersampling: int
    action_names: tuple[str, ...]

    def build(self) -> mujoco.MjModel:
        """Return the compiled scene."""

    def start(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Move fresh data into a start state."""

    def rest(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Set the command of standing still."""

    def command(self, model: mujoco.MjModel, data: mujoco.MjData, action: np.ndarray) -> None:
        """Turn an action into controls."""

    def sensed(self, model: mujoco.MjModel, data: mujoco.MjData) -> Sensed:
        """Read the robot's sensors."""

    def truth(self, model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
        """Measure the task's quantities."""


class MujocoWorld:
    """MuJoCo behind the verbs of `World`; deterministic.

    Attributes:
        model: The scene; events that cannot happen may change its colours.
        data: The simulation.
        look: Changes how pictures look; None: as the scene is.

    Args:
        scene: The task.
        image_size: Height and width of rendered frames [px].
    """

    def __init__(self, scene: Scene, image_size: int = 64) -> None:
        self.image_size = image_size
        self.look: Look | None = None
        self._scene = scene
        self.model = scene.build()
        buffer = self.model.vis.global_
        limit = min(buffer.offwidth, buffer.offheight)
        if not 8 <= image_size <= limit:
            raise SimulationError(f'image_size must be in [8, {limit}], got {image_size}')
        self._supersampling = scene.supersampling or max(1, min(
            _MAX_SUPERSAMPLING, min(_SUPERSAMPLED_SIZE, limit) // image_size))
        if self._supersampling * image_size > limit:
            raise SimulationError(f'pictures of {image_size} px drawn {self._supersampling} times '
                                  f'larger do not fit into {limit} px; raise offwidth and '
                                  f'offheight in the scene, or lower supersampling')
        self.data = mujoco.MjData(self.model)
        self._other = mujoco.MjData(self.model)   # to look at a state without going there
        self._size = mujoco.mj_stateSize(self.model, _WHOLE)
        self._lens = _Lens(self.model, image_size * self._supersampling)
        self._origin_s = 0.0  # time keeps running over resets
        self.start(np.random.default_rng(0))

    def start(self, rng: np.random.Generator) -> None:
        """Begin anew in a start state, see `World`."""
        now_s = self.time_s
        mujoco.mj_resetData(self.model, self.data)
        self._scene.start(self.model, self.data, rng)
        self._settle(now_s)

    def reset(self, state: np.ndarray) -> None:
        """Go on from a whole state, see `World`."""
        state = np.asarray(state, dtype=np.float64)
        if state.shape != (self._size,) or not np.isfinite(state).all():
            raise SimulationError(f'a state of task {self._scene.name!r} is {self._size} finite '
                                  f'numbers (as in the column sim_state), got {state.size}: '
                                  f'{np.array2string(state, threshold=8)}')
        mujoco.mj_resetData(self.model, self._other)
        mujoco.mj_setState(self.model, self._other, state, _WHOLE)
        self._check_ranges(self._other.qpos)
        now_s = self.time_s
        mujoco.mj_resetData(self.model, self.data)
        mujoco.mj_setState(self.model, self.data, state, _WHOLE)
        self._settle(now_s)

    def _settle(self, now_s: float) -> None:
        """Compute what follows from the state; `now_s` is the time that goes on."""
        mujoco.mj_forward(self.model, self.data)
        self._scene.rest(self.model, self.data)
        self._origin_s = now_s - self.data.time

    def _check_ranges(self, qpos: np.ndarray) -> None:
        kinds = self.model.jnt_type
        scalar = (kinds == mujoco.mjtJoint.mjJNT_SLIDE) | (kinds == mujoco.mjtJoint.mjJNT_HINGE)
        for number in np.flatnonzero(scalar & (self.model.jnt_limited != 0)).tolist():
            low, high = self.model.jnt_range[number]
            value = qpos[self.model.jnt_qposadr[number]]
            if not low - _LIMIT_SLACK <= value <= high + _LIMIT_SLACK:
                unit = 'rad' if kinds[number] == mujoco.mjtJoint.mjJNT_HINGE else 'm'
                raise SimulationError(
                    f'the position of joint {self.model.joint(number).name!r} must be in '
                    f'[{low:.4f}, {high:.4f}] {unit}, got {value:.4f}')

    def state(self) -> np.ndarray:
        """Return the whole state, see `World`."""
        state = np.empty(self._size)
        mujoco.mj_getState(self.model, self.data, state, _WHOLE)
        return state

    def state_at(self, qpos: np.ndarray, qvel: np.ndarray | None = None) -> np.ndarray:
        """Return the state at generalized positions (nq,) and velocities (nv,); None: at rest.

        Raises:
            SimulationError: If there are too few or too many numbers.
        """
        for name, values, length in (('qpos', qpos, self.model.nq), ('qvel', qvel, self.model.nv)):
            if values is not None and np.shape(values) != (length,):
                raise SimulationError(f'{name} of task {self._scene.name!r} must be {length} '
                                      f'numbers, got {np.shape(values)}')
        mujoco.mj_resetData(self.model, self._other)
        self._other.qpos[:] = qpos
        self._other.qvel[:] = 0.0 if qvel is None else qvel
        state = np.empty(self._size)
        mujoco.mj_getState(self.model, self._other, state, _WHOLE)
        return state

    def posed(self, change: Callable[[mujoco.MjModel, mujoco.MjData], None]) -> np.ndarray:
        """Return the state as it is, at rest, after a change; the world goes on without it.

        Raises:
            SimulationError: If joints would be out of their ranges, or things inside each other.
        """
        other = self._other
        mujoco.mj_resetData(self.model, other)
        mujoco.mj_setState(self.model, other, self.state(), _WHOLE)
        mujoco.mj_forward(self.model, other)
        deepest = other.contact.dist.min(initial=0.0)
        other.qvel[:] = 0.0
        change(self.model, other)
        self._check_ranges(other.qpos)
        mujoco.mj_forward(self.model, other)
        if other.ncon and other.contact.dist.min() < min(deepest, 0.0) - _OVERLAP_M:
            pair = other.contact.geom[int(other.contact.dist.argmin())].tolist()
            first, second = (self.model.body(self.model.geom_bodyid[one]).name for one in pair)
            raise SimulationError(f'{first} and {second} would be inside each other')
        state = np.empty(self._size)
        mujoco.mj_getState(self.model, other, state, _WHOLE)
        return state

    def apply(self, action: np.ndarray) -> None:
        """Begin an action, see `World`."""
        action, length = np.asarray(action, dtype=np.float64), len(self._scene.action_names)
        if action.shape != (length,) or not np.isfinite(action).all():
            raise SimulationError(f'an action must be {length} finite numbers '
                                  f'({", ".join(self._scene.action_names)}), '
                                  f'got {action.tolist()}')
        self._scene.command(self.model, self.data, action)

    def advance(self, seconds: float) -> None:
        """Run the physics, see `World`."""
        steps = round(seconds / self.timestep_s)
        mujoco.mj_step(self.model, self.data, nstep=steps)
        if not np.isfinite(self.data.qpos).all() or any(
                self.data.warning[kind].number for kind in _DIVERGED):
            raise SimulationError(f'the simulation of task {self._scene.name!r} diverged; make '
                                  f'its timestep or its forces smaller')

    def render(self) -> np.ndarray:
        """Return what the camera sees, see `World`."""
        frame = self._lens.picture(self.data, self._scene.camera, self.look)
        if self._supersampling == 1:
            return frame
        return cv2.resize(frame, (self.image_size, self.image_size),
                          interpolation=cv2.INTER_AREA)

    def sensed(self) -> Sensed:
        """Return what the robot measures, see `World`."""
        return self._scene.sensed(self.model, self.data)

    def truth(self) -> np.ndarray:
        """Return the values of the task's quantities, see `World`.

        Measured on a copy: after a step, poses in `data` are those of one physics step before.
        """
        mujoco.mj_setState(self.model, self._other, self.state(), _WHOLE)
        mujoco.mj_forward(self.model, self._other)
        return np.asarray(self._scene.truth(self.model, self._other), dtype=np.float64)

    @property
    def time_s(self) -> float:
        """Simulated time since construction [s]; never jumps back."""
        return self._origin_s + self.data.time

    @property
    def timestep_s(self) -> float:
        """Physics step [s]."""
        return self.model.opt.timestep

    @property
    def camera_fovy_rad(self) -> float:
        """Vertical field of view of the camera [rad]."""
        return float(np.deg2rad(self.model.camera(self._scene.camera).fovy[0]))

    def twin(self) -> MujocoWorld:
        """Return another world of this scene, which shares its model and its renderer."""
        other = copy.copy(self)
        other.data, other._other = mujoco.MjData(self.model), mujoco.MjData(self.model)
        other._origin_s, other.look = 0.0, None
        other.start(np.random.default_rng(0))
        return other

    def close(self) -> None:
        """Free the renderer; the world can be rendered again later."""
        self._lens.close()


class _Lens:
    """A renderer that is started when it is used; worlds of one scene may share it."""

    def __init__(self, model: mujoco.MjModel, size: int) -> None:
        self._model, self._size = model, size
        self._renderer: mujoco.Renderer | None = None

    def picture(self, data: mujoco.MjData, camera: str, look: Look | None = None) -> np.ndarray:
        """Draw what a camera sees, uint8 (size, size, 3)."""
        if self._renderer is None:
            try:
                self._renderer = mujoco.Renderer(self._model, self._size, self._size)
            except Exception as error:  # mujoco raises many kinds here
                raise SimulationError(
                    f'cannot render with MUJOCO_GL={os.environ["MUJOCO_GL"]}: {error}; on '
                    f'Debian or Ubuntu install libegl1 libegl-mesa0 libgl1-mesa-dri') from error
        self._renderer.update_scene(data, camera=camera)
        if look is not None:
            look.change(self._renderer.scene, np.deg2rad(self._model.camera(camera).fovy[0]))
        return self._renderer.render()

    def close(self) -> None:
        """Free it; it is started again when it is used."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
