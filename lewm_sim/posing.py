"""Positions of a MuJoCo scene in which quantities have given values, without code of the task.

Least squares on what the task measures: a step of the positions changes the measured values, and
is repeated until they are as wanted. What is not asked for stays as it is where it can.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TYPE_CHECKING

from lewm_model.errors import ConfigError, SimulationError
from lewm_model.quantities import places, Quantity
import numpy as np

if TYPE_CHECKING:
    from mujoco import MjData, MjModel

CLOSE = 1e-4              # [m], [rad]: no picture shows less
_STARTS = 8               # the first is the state as it is, the others are drawn
_STEPS = 40
_PROBE = 1e-6             # of a position, to see what it changes [m] or [rad]
_FARTHEST = 0.5           # one step of a position [m] or [rad]
_DAMPING = 1e-6
_WORTH = 0.99              # a step that leaves more of the error is the last one


class Posed(Protocol):
    """What is asked of a task."""

    name: str
    quantities: tuple[Quantity, ...]

    def start(self, model: MjModel, data: MjData, rng: np.random.Generator) -> None:
        """Move fresh data into a start state."""

    def truth(self, model: MjModel, data: MjData) -> np.ndarray:
        """Measure the quantities."""


def checked(quantities: tuple[Quantity, ...], wanted: Mapping[str, np.ndarray]
            ) -> dict[str, np.ndarray]:
    """Return wanted values as arrays (width,), quaternions of length 1.

    Raises:
        ConfigError: If a quantity is not known, or its numbers cannot be.
    """
    known = {one.name: one for one in quantities}
    found = {}
    for name, value in wanted.items():
        if name not in known:
            raise ConfigError(f'the task measures no {str(name)[:80]!r}; it has '
                              f'{", ".join(known)}')
        values = np.atleast_1d(np.asarray(value, np.float64))
        if values.shape != (known[name].width,) or not np.isfinite(values).all():
            raise ConfigError(f'{known[name]} must be {known[name].width} finite numbers, got '
                              f'{np.array2string(values, threshold=8)}')
        if known[name].kind == 'quaternion':
            length = np.linalg.norm(values)
            if length < 1e-6:
                raise ConfigError(f'{known[name]} must not be all 0')
            values = values / length
        found[name] = values
    return found


def require_close(quantities: tuple[Quantity, ...], truth: np.ndarray,
                  wanted: Mapping[str, np.ndarray], close: float = CLOSE) -> None:
    """Refuse a state that does not have the wanted values.

    Raises:
        SimulationError: Names the quantity that is farthest off.
    """
    kinds = {one.name: (one, where)
             for one, where in zip(quantities, places(quantities), strict=True)}
    worst, error = '', close
    for name, values in wanted.items():
        one, where = kinds[name]
        off = float(one.error(truth[where], values))
        if not off <= error:
            worst, error = name, off
    if worst:
        one, _ = kinds[worst]
        unit = 'rad' if one.kind == 'quaternion' else one.unit
        asked = ', '.join(f'{name} {_text(values)}' for name, values in wanted.items())
        raise SimulationError(f'the scene cannot have {asked} at once: {worst} stays '
                              f'{error:.3g} {unit} off')


def solve(task: Posed, model: MjModel, data: MjData, wanted: Mapping[str, np.ndarray]) -> None:
    """Move `data` to where the quantities have the wanted values.

    Args:
        task: Measures.
        model: The scene.
        data: A state; what does not matter to the wanted quantities stays.
        wanted: Values (width,) by name, see `checked`.

    Raises:
        SimulationError: If no such state was found.
    """
    import mujoco

    here = data.qpos.copy()
    errors = _Errors(task, model, data, wanted)
    matters = errors.matters()
    best, best_error = here, np.inf
    for number in range(_STARTS):
        data.qpos[:] = here
        if number:   # another way to begin, for what matters alone
            other = mujoco.MjData(model)
            task.start(model, other, np.random.default_rng(number))
            step = np.zeros(model.nv)
            mujoco.mj_differentiatePos(model, step, 1.0, here, other.qpos)
            mujoco.mj_integratePos(model, data.qpos, step * matters, 1.0)
        error = errors.descend()
        if error < best_error:
            best, best_error = data.qpos.copy(), error
        if best_error < CLOSE / 10:
            break
    data.qpos[:] = best
    mujoco.mj_forward(model, data)
    require_close(task.quantities, np.asarray(task.truth(model, data), float), wanted)


class _Errors:
    """How far the state in `data` is from what is wanted, and how to get nearer."""

    def __init__(self, task: Posed, model: MjModel, data: MjData,
                 wanted: Mapping[str, np.ndarray]) -> None:
        self._task, self._model, self._data = task, model, data
        self._wanted = [(one, where, wanted[one.name]) for one, where in
                        zip(task.quantities, places(task.quantities), strict=True)
                        if one.name in wanted]

    def now(self) -> np.ndarray:
        """Return the errors, (n,)."""
        import mujoco

        mujoco.mj_forward(self._model, self._data)
        truth = np.asarray(self._task.truth(self._model, self._data), float)
        return np.concatenate([_difference(one, truth[where], goal)
                               for one, where, goal in self._wanted])

    def slopes(self) -> np.ndarray:
        """Return how the errors change with each degree of freedom, (n, nv)."""
        import mujoco

        here, base = self._data.qpos.copy(), self.now()
        columns = []
        for place in range(self._model.nv):
            step = np.zeros(self._model.nv)
            step[place] = _PROBE
            mujoco.mj_integratePos(self._model, self._data.qpos, step, 1.0)
            change = self.now() - base
            columns.append(np.where(np.abs(change) < 1, change, 0.0) / _PROBE)   # else: a turn
            self._data.qpos[:] = here
        return np.stack(columns, axis=1)

    def matters(self) -> np.ndarray:
        """Return which degrees of freedom change what is wanted, (nv,) of 0 and 1."""
        return (np.abs(self.slopes()).max(axis=0) > 1e-4).astype(float)

    def descend(self) -> float:
        """Move `data` nearer, as near as steps from here lead; return the error."""
        import mujoco

        error = self.now()
        for _ in range(_STEPS):
            size = np.linalg.norm(error)
            if size < CLOSE / 100:
                break
            slopes, here = self.slopes(), self._data.qpos.copy()
            step = -slopes.T @ np.linalg.solve(
                slopes @ slopes.T + _DAMPING * np.eye(len(error)), error)
            step *= min(1.0, _FARTHEST / max(np.abs(step).max(), 1e-12))
            for share in (1.0, 0.5, 0.25, 0.1, 0.02):
                self._data.qpos[:] = here
                mujoco.mj_integratePos(self._model, self._data.qpos, step * share, 1.0)
                _within_ranges(self._model, self._data.qpos)
                error = self.now()
                if np.linalg.norm(error) < _WORTH * size:
                    break
            else:
                self._data.qpos[:] = here
                return float(np.linalg.norm(self.now()))
        return float(np.linalg.norm(error))


def _difference(one: Quantity, value: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Return value minus goal, the short way around a turn; of quaternions a rotation vector."""
    if one.kind == 'angle':
        return (value - goal + np.pi) % (2 * np.pi) - np.pi
    if one.kind == 'quaternion':
        import mujoco

        found = np.empty(3)
        mujoco.mju_subQuat(found, value / np.linalg.norm(value), goal)
        return found
    return value - goal


def _within_ranges(model: MjModel, qpos: np.ndarray) -> None:
    """Bring joints back into their ranges, (nq,) in place."""
    import mujoco

    for joint in np.flatnonzero(model.jnt_limited).tolist():
        if mujoco.mjtJoint(model.jnt_type[joint]) in (mujoco.mjtJoint.mjJNT_SLIDE,
                                                      mujoco.mjtJoint.mjJNT_HINGE):
            place = model.jnt_qposadr[joint]
            qpos[place] = np.clip(qpos[place], *model.jnt_range[joint])


def _text(values: np.ndarray) -> str:
    return ' '.join(f'{number:.4g}' for number in values)
