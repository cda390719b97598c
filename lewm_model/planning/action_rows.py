"""Actions of a robot and the numbers that a search works with: units, limits, the warm start."""

from __future__ import annotations

from lewm_model.bundles.bundle import Bundle
from lewm_model.errors import ShapeError
from lewm_model.types import ActionChunk, Plan
import numpy as np
import torch
from torch import Tensor

_MOST_DEVIATIONS = 10.0   # normalised actions beyond it are far outside any data: cut off


def rows_then_rest(chunk: ActionChunk | None, first: int, steps: int, rest: np.ndarray
                   ) -> np.ndarray:
    """Return what a robot does until its next plan counts, (steps, A) robot units.

    Args:
        chunk: The plan in force; None: there is none.
        first: Its row to begin with, not negative.
        steps: How many: rows of the chunk as far as it reaches, then rest.
        rest: The action that stands still, (A,).
    """
    rows = np.tile(np.asarray(rest, np.float32), (steps, 1))
    if chunk is not None:
        known = chunk.actions[first:first + steps]
        rows[:len(known)] = known
    return rows


class ActionRows:
    """Turns actions, (N, A) in robot units, into normalised rows and blocks, and back.

    Args:
        bundle: Its statistics and limits; blocks are made on the device of its model.
        horizon: T, blocks of a plan.
    """

    def __init__(self, bundle: Bundle, horizon: int) -> None:
        self._bundle, self._horizon = bundle, horizon
        self._action_dim = bundle.model_config.action_dim
        self._steps = horizon * bundle.model_config.frameskip
        self._dt_ns = bundle.control_dt_s * 1e9
        self._device = next(bundle.model.parameters()).device

    def normalized(self, actions: np.ndarray) -> np.ndarray:
        """Return actions as the model sees them."""
        return np.clip(self._bundle.action_normalizer.normalize(actions),
                       -_MOST_DEVIATIONS, _MOST_DEVIATIONS)

    def actions(self, plan: Plan, committed: np.ndarray | None) -> np.ndarray:
        """Return all rows of a plan, (T*K, A) in robot units, within the robot's limits.

        What was committed, (d, A), heads them as it was given, not as the model sees it.
        """
        rows = plan.blocks.reshape(-1, self._action_dim).cpu().numpy()
        actions = np.clip(self._bundle.action_normalizer.denormalize(rows),
                          self._bundle.action_min, self._bundle.action_max)
        if committed is not None:
            actions[:len(committed)] = committed
        return actions

    def committed(self, committed: np.ndarray | None) -> Tensor | None:
        """Return what is committed, (d, A) in robot units, as a solver takes it; None: nothing.

        Raises:
            ShapeError: If it does not fit the horizon.
        """
        if committed is None or len(committed) == 0:
            return None
        if (committed.ndim != 2 or committed.shape[1] != self._action_dim
                or len(committed) >= self._steps):
            raise ShapeError(f'committed actions must be (d < {self._steps}, '
                             f'{self._action_dim}), got {committed.shape}')
        return self._tensor(self.normalized(committed))

    def warm_start(self, last: Plan | None, elapsed_ns: int, rest: np.ndarray | None
                   ) -> Tensor | None:
        """Return where a search starts, (T, K*A); None: at the mean of the data.

        Args:
            last: The last plan, which is shifted to the new start on the control grid; None:
                there is none that counts. Its end is filled with the mean of the data, or with
                its last row if that is no rest.
            elapsed_ns: From the frame of that plan to the frame of the next one.
            rest: The action that stands still, (A,) robot units, if that is not the mean.
        """
        elapsed = round(elapsed_ns / self._dt_ns)
        if last is None or not 0 <= elapsed < self._steps:
            return None if rest is None else self._held(rest)
        rows = last.blocks.reshape(-1, self._action_dim)
        shifted = (torch.zeros_like(rows) if rest is None
                   else rows[-1:].expand_as(rows).clone())
        shifted[:len(rows) - elapsed] = rows[elapsed:]
        return shifted.reshape(last.blocks.shape)

    def _held(self, action: np.ndarray) -> Tensor:
        """Return one action for all steps, (T, K*A) normalised."""
        row = self._tensor(self.normalized(action))
        return row.repeat(self._horizon, self._bundle.model_config.frameskip)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(self._device)
