"""What a data set measured beside the pictures, each column with what it is.

The attribute `state_quantities` describes the columns of `qpos` and `proprio`,
`truth_quantities` those of `truth`, which only a simulator can record (`quantities.to_json`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError, DatasetError
from lewm_model.quantities import from_json, places, Quantity
from lewm_model.robots.robot import ODOMETRY_NAMES
from lewm_model.robots.state_kinds import base_quantities, joint_quantities
import numpy as np

STATES, TRUTH = 'state_quantities', 'truth_quantities'
STILL = 1e-4   # what varies by less does not move: nothing can be learnt or lost about it


@dataclass(frozen=True, eq=False)
class Measured:
    """One quantity and its values over all rows of a data set."""

    quantity: Quantity
    values: np.ndarray     # (N, width)


def measured_states(data: EpisodeFile) -> tuple[tuple[Quantity, ...], np.ndarray]:
    """Return what the robot measured of itself, and its column (N, P); () and nothing without.

    A robot's states need not be its actions: a base has x, y and yaw, and is commanded by
    speeds. Files without the attribute have what ingest recorded then: joints by name, which are
    angles, or odometry. Columns that nobody named are numbers.

    Raises:
        DatasetError: If the file says something that its columns do not have.
    """
    columns = [data.columns[name] for name in ('qpos', 'proprio') if name in data.columns]
    columns = [column for column in columns if column.ndim == 2]
    if not columns:
        return (), np.empty((len(data.action), 0))
    said = _stated(data, STATES)
    if said is not None:
        return said, _fitting(data, STATES, said, columns)
    column, attributes = columns[0], data.attributes
    for key in ('state_names', 'joint_names'):
        names = tuple(attributes.get(key, ()))
        if len(names) == column.shape[1]:
            return (base_quantities(names) if names == ODOMETRY_NAMES
                    else joint_quantities(names, ())), column
    return tuple(Quantity(f'state {place}', 'number') for place in range(column.shape[1])), column


def measured_truth(data: EpisodeFile) -> tuple[tuple[Quantity, ...], np.ndarray]:
    """Return what the simulator knew, and its column (N, q); () and nothing without.

    Raises:
        DatasetError: If the file says something that its column does not have.
    """
    said = _stated(data, TRUTH)
    if said is None or 'truth' not in data.columns:
        return (), np.empty((len(data.action), 0))
    return said, _fitting(data, TRUTH, said, [data.columns['truth']])


def own_states(data: EpisodeFile) -> tuple[Measured, ...]:
    """Return what the robot measured of itself; a real robot has no more than this."""
    return tuple(_apart(*measured_states(data)))


def measured(data: EpisodeFile) -> tuple[Measured, ...]:
    """Return everything that was measured: states, their velocities, then the truth.

    What is both sensed and known is returned once, as known. Velocities that were not recorded
    everywhere are left out.
    """
    states, column = measured_states(data)
    truth, known = measured_truth(data)
    found = _apart(states, column) + _velocities(data, states)
    known_too = {(one.name, one.kind) for one in truth}
    found = [one for one in found if (one.quantity.name, one.quantity.kind) not in known_too]
    names = {one.quantity.name for one in found}
    truth = tuple(replace(one, name=f'{one.name} (truth)') if one.name in names else one
                  for one in truth)
    return (*found, *_apart(truth, known))


def probe_targets(found: Iterable[Measured], *sides: np.ndarray
                  ) -> tuple[list[dict[str, np.ndarray]], dict[str, str]]:
    """Return what a readout can be fitted to and scored on.

    Args:
        found: The quantities.
        sides: Rows, (n,) for each side, such as those to fit on and those to score on.

    Returns:
        For each side the targets by name, float64 (n, k); and why the others have none. Parts
        that do not vary on both sides are left out: the error relative to no motion is no number.
    """
    targets: list[dict[str, np.ndarray]] = [{} for _ in sides]
    left_out = {}
    for one in found:
        name = one.quantity.name
        values = [one.quantity.targets(np.asarray(one.values[rows], float)) for rows in sides]
        if not all(np.isfinite(part).all() for part in values):
            left_out[name] = 'not recorded everywhere'
            continue
        moving = np.logical_and.reduce([
            part.std(axis=0) > STILL + 1e-6 * np.abs(part.mean(axis=0)) for part in values])
        if not moving.any():
            left_out[name] = 'never moves'
            continue
        for side, part in zip(targets, values, strict=True):
            side[name] = part[:, moving]
    return targets, left_out


def _apart(quantities: tuple[Quantity, ...], column: np.ndarray) -> list[Measured]:
    return [Measured(one, column[:, place]) for one, place in
            zip(quantities, places(quantities), strict=True)]


def _velocities(data: EpisodeFile, states: tuple[Quantity, ...]) -> list[Measured]:
    column = data.columns.get('qvel')
    if column is None or column.shape[1:] != (len(states),) or any(
            one.width > 1 for one in states):
        return []
    return [Measured(Quantity(f'{one.name} velocity', 'velocity',
                              f'{one.unit}/s' if one.unit else '1/s', one.of), values[:, None])
            for one, values in zip(states, column.T, strict=True) if np.isfinite(values).all()]


def _stated(data: EpisodeFile, key: str) -> tuple[Quantity, ...] | None:
    text = data.attributes.get(key)
    try:
        return None if text is None else from_json(text)
    except ConfigError as error:
        raise DatasetError(f'{data.path}: attribute {key}: {error}') from error


def _fitting(data: EpisodeFile, key: str, said: tuple[Quantity, ...],
             columns: list[np.ndarray]) -> np.ndarray:
    width = sum(one.width for one in said)
    for column in columns:
        if column.shape[1:] == (width,):
            return column
    raise DatasetError(f'{data.path}: attribute {key} describes {width} numbers in each row '
                       f'({", ".join(one.name for one in said)}), the columns have '
                       f'{" and ".join(str(column.shape[1]) for column in columns)}; '
                       f'make the file again')
