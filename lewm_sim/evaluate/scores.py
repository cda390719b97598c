"""From trials to the numbers that are shown: rates with both spreads, and comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lewm_sim.evaluate.statistics import compare, Rate, rate
from lewm_sim.evaluate.trials import Trial
from lewm_sim.tasks import Tolerance
import numpy as np

Runs = Sequence[Sequence[Trial]]      # seeds, each with its trials in the order of the pairs
RULES = ('reached', 'final')


@dataclass(frozen=True)
class Score:
    """Success of one policy at one tolerance."""

    policy: str
    tolerance: str                # as people read it, such as '0.05 rad'
    pairs: int
    reached: Rate                 # any step: the reference's rule
    final: Rate                   # at the end of the budget
    solved_at_start: float        # share of the pairs

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and YAML."""
        found: dict[str, Any] = {'policy': self.policy, 'tolerance': self.tolerance,
                                 'pairs': self.pairs}
        for name, one in (('reached', self.reached), ('final', self.final)):
            values = one.to_dict()
            found |= {name: values['mean'], f'{name}_interval': values['interval'],
                      f'{name}_seeds': values['seeds'], f'{name}_seed_std': values['seed_std']}
        return {**found, 'solved_at_start': self.solved_at_start}


def score(policy: str, runs: Runs, tolerance: Tolerance) -> Score:
    """Count successes."""
    episodes = [trial.episode for trial in runs[0]]
    started = [trial.solved_at_start(tolerance) for trial in runs[0]]
    return Score(policy, str(tolerance), len(episodes),
                 rate(successes(runs, tolerance, 'reached'), episodes),
                 rate(successes(runs, tolerance, 'final'), episodes), float(np.mean(started)))


def successes(runs: Runs, tolerance: Tolerance, rule: str) -> np.ndarray:
    """Return bool (seeds, pairs) by a rule, 'reached' or 'final'."""
    return np.array([[trial.reached(tolerance) if rule == 'reached' else trial.holds(tolerance)
                      for trial in trials] for trials in runs])


def comparisons(results: Mapping[str, Runs], names: Sequence[str], tolerance: Tolerance
                ) -> list[dict[str, Any]]:
    """Compare the first planner with each of the others, pair by pair.

    Args:
        results: Runs by policy, all on the same pairs.
        names: Of the planners.
        tolerance: The one that counts.
    """
    found = []
    for other in names[1:]:
        for rule in RULES:
            first, second = (successes(results[name], tolerance, rule)
                             for name in (names[0], other))
            episodes = [trial.episode for trial in results[other][0]]
            found.append({'first': names[0], 'second': other, 'rule': rule,
                          'tolerance': str(tolerance),
                          **compare(first, second, episodes).to_dict()})
    return found
