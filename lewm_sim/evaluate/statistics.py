"""How sure a success rate is, and whether two policies differ, from counted trials alone."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
import math
from typing import Any

import numpy as np

Z95 = 1.959964          # of a two-sided 95 % interval
_RESAMPLES = 10_000


def wilson_interval(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the two-sided p of McNemar's exact test.

    Args:
        only_first: Pairs that the first solved and the second did not.
        only_second: The other way round. Pairs that both or none solved say nothing.
    """
    count, fewer = only_first + only_second, min(only_first, only_second)
    if count == 0:
        return 1.0
    logs = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
            - count * math.log(2) for k in range(fewer + 1)]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def bootstrap_interval(values: np.ndarray, episodes: Sequence[Hashable], seed: int = 0
                       ) -> tuple[float, float]:
    """Return the 95 % interval of a mean, by drawing whole episodes again and again.

    Pairs of one episode are alike; an interval over single pairs would be too narrow.

    Args:
        values: One per pair, (N,).
        episodes: Which episode each pair is from, N.
        seed: Of the draws.
    """
    numbers = {episode: number for number, episode in enumerate(dict.fromkeys(episodes))}
    places = np.array([numbers[episode] for episode in episodes])
    sums = np.bincount(places, weights=np.asarray(values, dtype=np.float64))
    counts = np.bincount(places)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(_RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Rate:
    """A success rate over pairs and planner seeds, [0, 1]."""

    mean: float                       # over all seeds and pairs
    interval: tuple[float, float]     # 95 %, other pairs: Wilson of one seed, else bootstrap
    seeds: tuple[float, ...]          # the rate of each planner seed
    seed_std: float                   # between seeds, the same pairs; NaN of a single one

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), 'interval': list(self.interval), 'seeds': list(self.seeds),
                'seed_std': None if math.isnan(self.seed_std) else self.seed_std}


def rate(successes: np.ndarray, episodes: Sequence[Hashable]) -> Rate:
    """Summarise successes, bool (seeds, pairs).

    The interval is Wilson's, of the pairs that there are (seeds are no new pairs), and at least
    as wide as the bootstrap over episodes says.
    """
    successes = np.asarray(successes, dtype=np.float64)
    each, count = successes.mean(axis=1), successes.shape[1]
    mean = float(successes.mean())
    low, high = wilson_interval(mean * count, count)
    if 0 < mean < 1 and len(set(episodes)) > 1:
        narrow = bootstrap_interval(successes.mean(axis=0), episodes)
        low, high = min(low, narrow[0]), max(high, narrow[1])
    return Rate(mean, (low, high), tuple(each.tolist()),
                float(each.std(ddof=1)) if len(each) > 1 else math.nan)


@dataclass(frozen=True)
class Comparison:
    """Two policies on the same pairs."""

    difference: float                 # of the success rates, first minus second
    interval: tuple[float, float]     # 95 %, bootstrap over episodes
    only_first: int                   # pairs that the first solved and the second did not
    only_second: int
    p: float                          # McNemar's exact test, of the majority over the seeds
    pairs: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), 'interval': list(self.interval)}


def compare(first: np.ndarray, second: np.ndarray, episodes: Sequence[Hashable]) -> Comparison:
    """Compare successes on the same pairs, bool (seeds, pairs) each.

    With several seeds a pair counts as solved if more than half of them solved it.
    """
    rates = [np.asarray(one, dtype=np.float64).mean(axis=0) for one in (first, second)]
    solved = [one > 0.5 for one in rates]
    only_first = int((solved[0] & ~solved[1]).sum())
    only_second = int((solved[1] & ~solved[0]).sum())
    return Comparison(
        difference=float(np.mean(rates[0] - rates[1])),
        interval=bootstrap_interval(rates[0] - rates[1], episodes), only_first=only_first,
        only_second=only_second, p=mcnemar_p(only_first, only_second), pairs=len(episodes))
