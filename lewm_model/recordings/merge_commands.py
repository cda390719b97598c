"""Orders for some of the joints, from one or several topics, to actions of the whole robot.

An arm and its gripper may be commanded in turn, each by messages of its own. Every joint holds
its last order. A position stays the target of its controller for as long as the robot is driven at
all, so a gripper that was told to close once stays closed; a speed or an effort ends with its own
timeout (`command_hold_s`), because the controller then stops that joint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lewm_model.recordings.commands import Order
from lewm_model.robots.robot import RobotDescription
import numpy as np


@dataclass(frozen=True, eq=False)
class MergedCommands:
    """Actions of the whole robot, sorted by run and stamp."""

    starts_ns: np.ndarray   # int64 (M,)
    ends_ns: np.ndarray     # int64 (M,), until when at most
    actions: np.ndarray     # float64 (M, A), NaN where a joint's order is not known
    runs: np.ndarray        # int64 (M,), run of the clock


def merge_commands(robot: RobotDescription, orders: Sequence[Order], stamps: np.ndarray,
                   runs: np.ndarray) -> MergedCommands:
    """Put orders together.

    A trajectory has one action for each of its points; a later order replaces the points of its
    joints that had not begun.

    Args:
        robot: How many joints, and whether they hold positions.
        orders: Sorted by run and stamp.
        stamps: Of the orders, int64 (N,) [ns].
        runs: Of the orders, int64 (N,).
    """
    groups = _groups(robot.action_dim, orders)
    tracks = {group: _Track() for group in groups}
    touched = {joints: [group for group in groups if group[0] in joints]
               for joints in {order.joints for order in orders}}
    for order, begin, run in zip(orders, stamps.tolist(), runs.tolist(), strict=True):
        for group in touched[order.joints]:
            places = [order.joints.index(joint) for joint in group]
            tracks[group].put(run, begin, [(start, end, values[places])
                                           for start, end, values in order.actions])
    parts = [_merge_run(robot, run, tracks) for run in np.unique(runs).tolist()]
    return MergedCommands(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class _Track:
    """The actions of joints that are always commanded together."""

    def __init__(self) -> None:
        self._of_run: dict[int, list[tuple[int, int, np.ndarray]]] = {}

    def put(self, run: int, begin: int, actions: list[tuple[int, int, np.ndarray]]) -> None:
        found = self._of_run.setdefault(run, [])
        while found and found[-1][0] > begin:
            found.pop()
        found += [(begin + start, begin + end, values) for start, end, values in actions]

    def arrays(self, run: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = self._of_run.get(run, [])
        return (np.array([start for start, *_ in found], np.int64),
                np.array([end for _, end, _ in found], np.int64),
                np.array([values for *_, values in found], np.float64).reshape(-1, width))


def _groups(action_dim: int, orders: Sequence[Order]) -> list[tuple[int, ...]]:
    """Return the joints that occur in the same orders, in groups."""
    kinds = sorted({order.joints for order in orders})
    members: dict[tuple[bool, ...], list[int]] = {}
    for joint in range(action_dim):
        members.setdefault(tuple(joint in kind for kind in kinds), []).append(joint)
    return [tuple(group) for group in members.values()]


def _merge_run(robot: RobotDescription, run: int, tracks: dict[tuple[int, ...], _Track]
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return starts, ends, actions and runs of one run of the clock."""
    arrays = {group: track.arrays(run, len(group)) for group, track in tracks.items()}
    if len(arrays) == 1:
        [(group, (starts, ends, values))] = arrays.items()
        actions = np.empty_like(values)
        actions[:, list(group)] = values
        return starts, ends, actions, np.full(len(starts), run, np.int64)
    times = np.unique(np.concatenate([starts for starts, *_ in arrays.values()]))
    actions = np.full((len(times), robot.action_dim), np.nan)
    holds = robot.interface == 'joint_position'
    ends = np.full(len(times), np.iinfo(np.int64).min if holds else np.iinfo(np.int64).max)
    for group, (starts, until, values) in arrays.items():
        last = np.searchsorted(starts, times, side='right') - 1
        known = last >= 0
        actions[np.ix_(known, group)] = values[last[known]]
        ends[known] = (np.maximum if holds else np.minimum)(ends[known], until[last[known]])
    return times, ends, actions, np.full(len(times), run, np.int64)
