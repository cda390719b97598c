"""Intervals and tests of success rates have the values that tables and enumeration give."""

from itertools import product
import math

from lewm_sim.evaluate.statistics import (
    bootstrap_interval,
    compare,
    mcnemar_p,
    rate,
    wilson_interval,
)
import numpy as np
import pytest


@pytest.mark.parametrize(('successes', 'trials', 'low', 'high'), [
    (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (48, 50, 0.8654, 0.9890), (1, 2, 0.0945, 0.9055),
])
def test_wilson_intervals_have_their_textbook_values(successes, trials, low, high):
    """Values as published tables give them, to four digits."""
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_mcnemar_counts_all_coins_at_least_as_uneven():
    """The exact test is what enumerating every sequence of fair coins gives."""
    for heads, tails in [(0, 0), (1, 0), (2, 3), (0, 5), (1, 9), (6, 6)]:
        count = heads + tails
        uneven = sum(min(sum(coins), count - sum(coins)) <= min(heads, tails)
                     for coins in product((0, 1), repeat=count))
        assert mcnemar_p(heads, tails) == pytest.approx(min(1.0, uneven / 2 ** count))
    assert mcnemar_p(0, 2000) < 1e-300
    assert mcnemar_p(10, 2) == mcnemar_p(2, 10)


def test_pairs_of_one_episode_do_not_make_an_interval_narrow():
    """A hundred copies of ten episodes are as uncertain as the ten."""
    values, episodes = np.tile([0, 1, 1, 0, 1, 1, 0, 1, 1, 1], 10), list(range(10)) * 10
    few = bootstrap_interval(values[:10], episodes[:10])
    assert bootstrap_interval(values, episodes) == few
    alone = bootstrap_interval(values, list(range(100)))
    assert alone[1] - alone[0] < 0.5 * (few[1] - few[0])


def test_both_spreads_are_told_apart():
    """Between seeds on the same pairs, and over pairs: more seeds are no more pairs."""
    successes = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]], bool)
    found = rate(successes, [0, 1, 2, 3])
    assert found.mean == pytest.approx(7 / 12) and found.seeds == (0.5, 0.75, 0.5)
    assert found.seed_std == pytest.approx(np.std([0.5, 0.75, 0.5], ddof=1))
    low, high = wilson_interval(7 / 3, 4)
    assert found.interval[0] <= low and found.interval[1] >= high
    assert math.isnan(rate(successes[:1], range(4)).seed_std)
    assert rate(successes[:1], range(4)).to_dict()['seed_std'] is None
    assert rate(np.ones((3, 50), bool), range(50)).interval == wilson_interval(50, 50)


def test_two_planners_are_compared_pair_by_pair():
    """What both solve says nothing; the difference has a sign and an interval around it."""
    first = np.array([[1] * 40 + [1] * 12 + [0] * 2 + [0] * 6], bool)
    second = np.array([[1] * 40 + [0] * 12 + [1] * 2 + [0] * 6], bool)
    found = compare(first, second, range(60))
    assert (found.only_first, found.only_second) == (12, 2)
    assert found.difference == pytest.approx(10 / 60) and found.p == mcnemar_p(12, 2) < 0.02
    assert 0 < found.interval[0] < found.difference < found.interval[1]
    other = compare(second, first, range(60))
    assert other.difference == -found.difference and other.p == found.p
    same = compare(first, first, range(60))
    assert (same.difference, same.p, same.interval) == (0.0, 1.0, (0.0, 0.0))


def test_a_pair_is_solved_if_most_seeds_solve_it():
    """Two of three; the difference counts all of them."""
    first = np.array([[1, 1], [1, 0], [0, 0]], bool)
    second = np.array([[0, 0], [0, 0], [0, 0]], bool)
    found = compare(first, second, [0, 1])
    assert (found.only_first, found.only_second) == (1, 0)
    assert found.difference == pytest.approx(0.5)
