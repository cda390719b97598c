"""Many robots on one engine: each has its own past, and plans as it would alone."""

from engine_models import with_prior
from lewm_model.assemble import make_policy
from lewm_model.planning.fleet import Fleet
from lewm_model.types import Observation
from nano import PLAN, tiny_bundle
import numpy as np
import pytest

STEP_NS = 50_000_000


def frames(count, seed=0):
    return list(np.random.default_rng(seed).integers(0, 255, (count, 64, 64, 3)).astype(np.uint8))


def drive(fleet, plans=2, seed=0):
    """Observe, plan and execute; return the actions of every plan, (plans, robots, T*K, A)."""
    count, found = len(fleet.policies), []
    for plan in range(plans):
        fleet.observe(plan * 5 * STEP_NS, frames(count, seed + plan))
        chunks = fleet.plan(plan * 5 * STEP_NS)
        for step in range(5):
            fleet.executed((plan * 5 + step) * STEP_NS, [chunk.actions[step] for chunk in chunks])
        found.append([chunk.actions for chunk in chunks])
    return np.array(found)


@pytest.mark.parametrize('change', [{}, {'solver': 'prior'}, {'initial': 'prior'},
                                    {'history': 3, 'warm_start': False}])
def test_a_fleet_of_one_is_a_policy(change):
    """The same plans, bit by bit, with history and warm start."""
    bundle = with_prior(tiny_bundle(plan_config=PLAN.__class__(**{**PLAN.to_dict(), **change})))
    fleet, policy = Fleet(make_policy(bundle)), make_policy(bundle)
    goal, = frames(1, 9)
    fleet.set_goals([goal])
    alone = []
    policy.set_goal_image(goal)
    for plan in range(3):
        policy.observe(Observation(plan * 5 * STEP_NS, frames(1, plan)[0]))
        chunk = policy.plan(plan * 5 * STEP_NS)
        alone.append([chunk.actions])
        for step in range(5):
            policy.executed((plan * 5 + step) * STEP_NS, chunk.actions[step])
    np.testing.assert_array_equal(drive(fleet, 3), np.array(alone))


def test_robots_that_do_not_search_plan_as_each_would_alone():
    """The prior needs no random numbers: a robot's plan does not depend on its neighbours."""
    bundle = with_prior(tiny_bundle(plan_config=PLAN.__class__(
        **{**PLAN.to_dict(), 'solver': 'prior', 'history': 2})))
    goals, fleet = frames(4, 9), Fleet(make_policy(bundle))
    fleet.set_goals(goals)
    together = drive(fleet)
    for robot in range(4):
        policy = make_policy(bundle)
        policy.set_goal_image(goals[robot])
        for plan in range(2):
            policy.observe(Observation(plan * 5 * STEP_NS, frames(4, plan)[robot]))
            chunk = policy.plan(plan * 5 * STEP_NS)
            np.testing.assert_allclose(chunk.actions, together[plan, robot], atol=1e-5)
            for step in range(5):
                policy.executed((plan * 5 + step) * STEP_NS, chunk.actions[step])


def test_robots_share_no_past_and_a_new_goal_begins_anew():
    """Other goals give other plans; after `set_goals` nothing of the last run is left."""
    bundle = tiny_bundle()
    fleet = Fleet(make_policy(bundle))
    fleet.set_goals(frames(3, 9))
    first = drive(fleet)
    assert len({policy.goal_distance for policy in fleet.policies}) == 3
    assert not np.array_equal(first[:, 0], first[:, 1])
    fleet.set_goals(frames(2, 9))
    assert len(fleet.policies) == 2
    assert all(policy.last_plan is None and policy.goal_distance is None
               for policy in fleet.policies)
    again = Fleet(make_policy(bundle))
    again.set_goals(frames(3, 9))
    np.testing.assert_array_equal(drive(again), first)
