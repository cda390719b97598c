"""A policy that is asked aside goes on as if nothing had been; a real one, untrained."""

from lewm_model.assemble import make_policy
from lewm_model.errors import Interrupted
from lewm_model.planning.aim import Aim
from lewm_model.types import Observation
from nano import PLAN, tiny_bundle
import numpy as np
import pytest
from readout_bundles import bundle_that_reads
from test_policy import DT_NS, frame

STATE = ('goal', 'last_plan', 'epoch', 'newest_stamp_ns', 'goal_distance', '_sequence',
         '_plan_stamp_ns')


@pytest.fixture
def policy():
    made = make_policy(bundle_that_reads(), PLAN)
    made.set_goal_image(frame(200, seed=1), goal_id='there')
    for step in range(3):
        made.observe(Observation(step * DT_NS, frame(10 * step)))
        made.executed(step * DT_NS, np.full(2, 0.1))
    made.plan(2 * DT_NS)
    return made


def test_whatever_is_asked_aside_the_policy_does_not_know(policy):
    """Another goal, another picture, frames and actions: goal, plan and past stay."""
    before = [getattr(policy, name) for name in STATE]
    context = policy.request(2 * DT_NS).context
    aside = policy.aside()
    aside.set_goal_quantities(['first'], [0.4])
    aside.observe(Observation(9 * DT_NS, frame(90)))
    aside.executed(9 * DT_NS, np.zeros(2))
    aside.plan(9 * DT_NS)
    aside.reset()
    assert [getattr(policy, name) for name in STATE] == before
    now = policy.request(2 * DT_NS).context
    assert now.stamps_ns == context.stamps_ns
    assert (now.latents == context.latents).all()


def test_aside_it_knows_what_the_policy_knows(policy):
    """With the same random numbers it plans what the policy plans, from the same warm start."""
    aside = policy.aside()
    assert aside.goal is policy.goal and aside.goal_distance == policy.goal_distance
    policy.reseed(7)       # a solver of its own from now on
    aside.reseed(7)
    np.testing.assert_array_equal(aside.plan(2 * DT_NS).actions, policy.plan(2 * DT_NS).actions)


def test_the_way_to_a_goal_is_not_shared():
    """Way-points are remembered for one goal at a time."""
    class Route:
        goal = None

        def next(self, latent, goal):
            self.goal = goal
            return goal

    bundle = tiny_bundle()
    aim = Aim(bundle, PLAN)
    aim._route = Route()
    other = aim.copy()
    other._route.next(None, 'elsewhere')
    assert aim._route.goal is None


def test_a_search_that_is_not_wanted_any_more_can_be_ended(policy):
    """`on_progress` raises; it is no failure of the engine, and the next plan works."""
    def stop() -> None:
        raise Interrupted('enough')

    policy.on_progress = stop
    plan = policy.last_plan
    with pytest.raises(Interrupted, match='enough'):
        policy.aside().plan(2 * DT_NS)
    assert policy.last_plan is plan
    policy.on_progress = lambda: None
    policy.plan(2 * DT_NS)
