"""Way-points on the way to a goal that is further than a plan: places of the training set."""

from __future__ import annotations

from lewm_model.heads.reach import Reach
import torch
from torch import Tensor

_AS_GOOD = 0.5     # blocks more than the shortest way: then the way-point that leads further


class Route:
    """The shortest way to one goal over the places of a bank; see `lewm_model.heads.reach`.

    Args:
        reach: Says how far places are from each other.
        hop: Blocks from one way-point to the next, at most.
    """

    def __init__(self, reach: Reach, hop: int) -> None:
        self._reach, self._hop = reach, hop
        self._hops = self._near(reach.between)
        self._goal: Tensor | None = None
        self._left = torch.empty(0)      # blocks from each place to the goal

    def empty(self) -> Route:
        """Return one over the same places, without a goal."""
        return Route(self._reach, self._hop)

    @torch.inference_mode()
    def next(self, latent: Tensor, goal: Tensor) -> Tensor:
        """Return where to go now, (D,): the goal if it is near, or no way to it is known.

        Args:
            latent: Where the robot is, (D,).
            goal: Where it shall be, (D,).
        """
        if self._goal is None or not torch.equal(goal, self._goal):
            self._goal, self._left = goal, self._measure(goal)
        places = self._reach.places
        here = latent.expand_as(places)
        if self._near(self._reach.blocks(latent[None], goal[None])).isfinite().item():
            return goal
        ways = self._near(self._reach.blocks(here, places)) + self._left
        shortest = ways.min()
        if not shortest.isfinite():
            return goal
        chosen = torch.where(ways <= shortest + _AS_GOOD, self._left, torch.inf).argmin()
        return places[chosen]

    def _measure(self, goal: Tensor) -> Tensor:
        """Return the shortest ways from all places to the goal, (N,) blocks."""
        places = self._reach.places
        left = self._near(self._reach.blocks(places, goal.expand_as(places)))
        for _ in range(len(places)):
            shorter = torch.minimum(left, (self._hops + left).min(dim=1).values)
            if torch.equal(shorter, left):
                break
            left = shorter
        return left

    def _near(self, blocks: Tensor) -> Tensor:
        return torch.where(blocks <= self._hop, blocks, torch.inf)
