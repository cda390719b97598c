"""The goal that a policy has: what it is from here, and how far a frame is from it."""

from __future__ import annotations

from collections.abc import Sequence
import copy
from dataclasses import replace

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import ConfigError
from lewm_model.heads.readout import Readout
from lewm_model.planning.registry import make_route
from lewm_model.types import Goal
import numpy as np
from torch import Tensor

NOTHING = np.empty(0)


class Aim:
    """Keeps a goal, or none.

    Args:
        bundle: Its readout knows the quantities that goals may name.
        config: Planner settings: way-points, and when the goal is to be reached.

    Attributes:
        goal: The goal as it was given.
    """

    def __init__(self, bundle: Bundle, config: PlanConfig) -> None:
        self._readout, self._arrival = bundle.readout, config.arrival
        self._block_ns = bundle.control_dt_s * 1e9 * bundle.model_config.frameskip
        self._route = make_route(config, bundle)
        self.set(None)

    def set(self, goal: Goal | None) -> None:
        """Take another goal, or none."""
        self.goal = goal
        self._since_ns: int | None = None   # stamp of the first plan to it

    @property
    def readout(self) -> Readout:
        """What reads quantities from latents.

        Raises:
            ConfigError: If the bundle has none.
        """
        if self._readout is None:
            raise ConfigError('the bundle cannot read quantities from its latents, so a goal must '
                              'be a whole picture; add what reads them with `lewm train-policy '
                              '--kind readout`')
        return self._readout

    def quantities(self, names: Sequence[str], values: Sequence[float],
                   weights: Sequence[float] | None = None,
                   tolerances: Sequence[float] | None = None, **facts: str) -> Goal:
        """Make a goal of what some quantities shall be, see `Readout.target`."""
        target = self.readout.target(names, values, weights, tolerances)
        return Goal(latent=self.readout.place(target), target=target, **facts)

    def some_of(self, picture: Goal, names: Sequence[str],
                weights: Sequence[float] | None = None,
                tolerances: Sequence[float] | None = None) -> Goal:
        """Make a goal of what a picture shows of some quantities; nothing else of it counts."""
        readout = self.readout
        known = dict(zip((one.name for one in readout.readable), readout.read(picture.latent),
                         strict=True))
        target = readout.target(names, [known.get(name, 0.0) for name in names], weights,
                                tolerances)
        return replace(picture, latent=readout.place(target), target=target)

    def distance(self, latent: Tensor) -> float:
        """Return how far a latent, (D,), is from the goal.

        The squared latent distance; of quantities the root of the weighted mean of their squared
        errors, each in its unit.
        """
        goal = self.goal
        if goal.target is None:
            return (latent - goal.latent).square().sum().item()
        return float(np.sqrt(np.average(self.errors(latent) ** 2, weights=goal.target.weights)))

    def errors(self, latent: Tensor) -> np.ndarray:
        """Return the error of each quantity that the goal names, each in its unit; (0,): none."""
        target = self.goal.target
        return NOTHING if target is None else self.readout.errors(latent, target)

    def from_here(self, latent: Tensor, stamp_ns: int) -> Goal:
        """Return the goal as a solver gets it: a way-point, a place, and the time that is left.

        Args:
            latent: Of the newest frame, (D,).
            stamp_ns: Of the same.
        """
        goal = self.goal
        if goal.target is not None:
            goal = replace(goal, latent=self.readout.place(goal.target, latent))
        if self._route is not None:
            point = self._route.next(latent, goal.latent)
            if point is not goal.latent:      # quantities are wanted at the end of the way only
                goal = replace(goal, latent=point, target=None)
        if self._arrival is None:
            return goal
        if self._since_ns is None:
            self._since_ns = stamp_ns
        elapsed = round((stamp_ns - self._since_ns) / self._block_ns)
        return replace(goal, blocks_left=max(1, self._arrival - elapsed))

    def copy(self) -> Aim:
        """Return another one with the same goal; what becomes of it does not touch this one."""
        other = copy.copy(self)
        other._route = copy.copy(self._route)
        return other

    def empty(self) -> Aim:
        """Return one of the same kind without a goal, for another robot."""
        other = copy.copy(self)
        other._route = self._route and self._route.empty()
        other.set(None)
        return other
