"""A quantile of independent numbers with its confidence interval, whatever their distribution."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np


@dataclass(frozen=True)
class Quantile:
    """A quantile of independent numbers, with its interval."""

    value: float
    low: float
    high: float
    high_is_bound: bool   # whether `high` is an end of the interval; else only the largest seen


def quantile_with_interval(values: np.ndarray, q: float, confidence: float = 0.95) -> Quantile:
    """Estimate a quantile of independent values, (N,), without assuming how they are spread.

    The number of values below the true quantile is binomial, so that order statistics bound it.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count, tail = len(ordered), (1 - confidence) / 2
    below = np.cumsum([math.exp(_log_binomial(count, k, q)) for k in range(count + 1)])
    # P(at most r-1 values lie below the quantile) is below[r-1]
    low = int(np.searchsorted(below, tail, side='right'))           # values surely below it
    high = int(np.searchsorted(below, 1 - tail - 1e-12, side='left')) + 1
    return Quantile(value=float(np.quantile(ordered, q)), low=float(ordered[max(low - 1, 0)]),
                    high=float(ordered[min(high, count) - 1]), high_is_bound=high <= count)


def _log_binomial(count: int, k: int, p: float) -> float:
    return (math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
            + k * math.log(p) + (count - k) * math.log1p(-p))
