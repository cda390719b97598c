"""Planning by gradient, on a toy world with a known optimum and on a real model."""

from lewm_model.assemble import make_policy
from lewm_model.config import PlanConfig
from lewm_model.errors import PlanningError
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.gradient import GradientSolver, ModelDynamics
from lewm_model.planning.objectives import last_step_distance
from lewm_model.types import Context, Goal, Observation
from nano import PLAN, tiny_bundle
import numpy as np
import pytest
from test_sampling import A, context, GOAL, K, RunningSum, T
import torch


def solver(dynamics=None, bounds=None, **settings):
    config = PlanConfig(**{'solver': 'gradient', 'horizon': T, 'receding_horizon': T,
                           'num_candidates': 8, 'num_elites': 2, 'iterations': 150, **settings})
    return GradientSolver(config, dynamics or RunningSum(), last_step_distance, Candidates(
        config, action_dim=A, block_dim=K * A, generator=torch.Generator().manual_seed(0),
        bounds=bounds))


def test_it_walks_down_to_the_goal():
    """On a quadratic the plan adds up to the goal, and the cost is that of the best start."""
    plan = solver().solve(context(), GOAL)
    torch.testing.assert_close(plan.blocks.reshape(-1, A).sum(dim=0), GOAL.latent, atol=0.05,
                               rtol=0)
    assert plan.cost < 0.01 < plan.start_cost == pytest.approx(13.0)


def test_bounds_and_committed_actions_hold_at_every_step():
    """What cannot be done is not in the answer, and the rest makes up for what is committed."""
    low, high = torch.tensor([-0.3, -0.3]), torch.tensor([0.3, 0.3])
    committed = torch.full((4, A), 0.1)
    rows = solver(clip=True, bounds=(low, high)).solve(
        context(), GOAL, committed=committed).blocks.reshape(-1, A)
    torch.testing.assert_close(rows[:4], committed)
    assert (rows >= low).all() and (rows <= high).all()
    torch.testing.assert_close(rows[:, 1].sum(), GOAL.latent[1], atol=0.05, rtol=0)


class HalfBroken(RunningSum):
    def rollout(self, context, blocks):
        latents = super().rollout(context, blocks)
        broken = torch.zeros(len(blocks), 1, 1)
        broken[::2] = float('nan')
        return latents + broken


def test_broken_starts_do_not_spoil_the_others():
    """NaN costs are dropped, and their slopes do not move anything."""
    assert solver(dynamics=HalfBroken()).solve(context(), GOAL).cost < 0.01


def test_a_world_that_is_all_nan_is_an_error():
    """The robot gets an error, not a guess."""
    class Broken(RunningSum):
        def rollout(self, context, blocks):
            return super().rollout(context, blocks) * float('nan')

    with pytest.raises(PlanningError, match='none of 8 starts has a finite cost'):
        solver(dynamics=Broken()).solve(context(), GOAL)


def test_it_plans_with_a_real_model_and_leaves_its_weights_alone():
    """Through Policy: cost falls, a seed gives the same plan, no gradient is left behind."""
    bundle = tiny_bundle()
    rng = np.random.default_rng(0)
    frame, goal = rng.integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    plans = []
    for _ in range(2):
        policy = make_policy(bundle, PlanConfig(**{**PLAN.to_dict(), 'solver': 'gradient',
                                              'iterations': 5, 'free_blocks': None}))
        policy.set_goal_image(goal)
        policy.observe(Observation(stamp_ns=0, rgb=frame))
        policy.plan(0)
        plans.append(policy.last_plan)
    assert plans[0].cost <= plans[0].start_cost
    assert torch.equal(plans[0].blocks, plans[1].blocks)
    assert all(value.grad is None for value in bundle.model.parameters())


def test_model_dynamics_agree_with_the_engine():
    """Imagining with gradients gives the latents that the planner's engine gives."""
    bundle = tiny_bundle()
    where = Context(torch.randn(1, 1, 16), torch.zeros(1, 0, 10), (0,))
    blocks = torch.randn(4, 3, 10)
    expected = bundle.model.rollout(where.latents, where.past_blocks, blocks)
    torch.testing.assert_close(ModelDynamics(bundle.model).rollout(where, blocks), expected)
    assert Goal(latent=expected[0, 0]).latent.shape == (16,)
