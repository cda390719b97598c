"""A policy tells of the progress of a search."""

from lewm_model.assemble import make_policy
from lewm_model.config import PlanConfig
from lewm_model.types import Observation
from nano import tiny_bundle
import numpy as np
import pytest


@pytest.mark.parametrize('seed_again', [False, True])
def test_every_rollout_of_a_search_is_told_of(seed_again):
    """Once for each iteration, and once for the answer; also of a solver that was made anew."""
    policy = make_policy(tiny_bundle(), PlanConfig(
        num_candidates=8, num_elites=4, iterations=3, horizon=2, receding_horizon=1))
    told = []
    policy.on_progress = lambda: told.append(policy.last_plan)
    frame = np.zeros((64, 64, 3), np.uint8)
    policy.set_goal_image(frame)
    policy.observe(Observation(0, frame))
    if seed_again:
        policy.reseed(5)
    policy.plan(0)
    assert told == [None] * 4      # during the search, not after it
