"""Measure several ways of doing one thing in turns, so that a noisy machine is fair to all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import time
from typing import Any

from lewm_model.errors import ConfigError
import numpy as np


@dataclass(frozen=True)
class Measured:
    """One way of doing it; times are seconds of one call."""

    name: str
    seconds: tuple[float, ...]         # one per round, in order
    units: float = 1.0                 # samples, frames, plans, ... that one call handles
    facts: dict[str, Any] = field(default_factory=dict)  # threads, precision, ...

    @property
    def median_s(self) -> float:
        """Median time of a call [s]."""
        return float(np.median(self.seconds))

    @property
    def units_per_s(self) -> float:
        """Units handled in a second, at the median."""
        return self.units / self.median_s

    def quantile_s(self, share: float) -> float:
        """Time of a call that `share` of the rounds do not exceed [s]."""
        return float(np.quantile(self.seconds, share))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {'name': self.name, 'median_s': self.median_s, 'p10_s': self.quantile_s(0.1),
                'p90_s': self.quantile_s(0.9), 'p99_s': self.quantile_s(0.99),
                'rounds': len(self.seconds), 'units': self.units,
                'units_per_s': self.units_per_s, 'facts': self.facts,
                'seconds': list(self.seconds)}


@dataclass(frozen=True)
class Variant:
    """What to measure."""

    call: Callable[[], object]
    units: float = 1.0
    facts: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[], object] | None = None   # before every call, not timed: threads, caches


def side_by_side(variants: dict[str, Variant], *, rounds: int = 10, warmup: int = 2,
                 on_round: Callable[[int, int], None] = lambda done, total: None,
                 clock: Callable[[], float] = time.perf_counter) -> dict[str, Measured]:
    """Call every variant once per round, `warmup` rounds unmeasured.

    Other load on the machine then falls on all of them alike, and `ratio` pairs calls that were
    made within moments of each other. Odd rounds go in the opposite order.

    Args:
        variants: By name; the first is what the others are compared with.
        rounds: Measured ones.
        warmup: Rounds before, for caches, compilation and threads.
        on_round: Called with (rounds done, all rounds), warm-up included.
        clock: Seconds.

    Raises:
        ConfigError: If there is nothing to measure.
    """
    if not variants or rounds < 1:
        raise ConfigError(f'a benchmark needs variants and at least 1 round, got '
                          f'{len(variants)} variants and {rounds} rounds')
    times: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(warmup + rounds):
        names = list(variants) if turn % 2 == 0 else list(reversed(variants))
        for name in names:
            variant = variants[name]
            if variant.prepare:
                variant.prepare()
            started = clock()
            variant.call()
            elapsed = clock() - started
            if turn >= warmup:
                times[name].append(elapsed)
        on_round(turn + 1, warmup + rounds)
    return {name: Measured(name, tuple(times[name]), variants[name].units, variants[name].facts)
            for name in variants}


def ratio(slow: Measured, fast: Measured) -> tuple[float, float, float]:
    """Return how many times faster `fast` handles a unit: median, 10 % and 90 % quantile.

    Of the per-round ratios, so that a disturbance that lasts for a round or more cancels.
    """
    ratios = (np.array(slow.seconds) / slow.units) / (np.array(fast.seconds) / fast.units)
    return (float(np.median(ratios)), float(np.quantile(ratios, 0.1)),
            float(np.quantile(ratios, 0.9)))
