"""The cross-entropy method on toy worlds with known optima."""

import dataclasses

from lewm_model.config import PlanConfig
from lewm_model.errors import PlanningError, ShapeError
from lewm_model.planning.cem import CemSolver
from lewm_model.planning.objectives import all_steps_distance, last_step_distance
from lewm_model.types import Context, Goal
import pytest
import torch

A, K, T = 2, 5, 3


class RunningSum:
    """The latent is the running sum of all actions: every pairing error is visible."""

    def rollout(self, context, blocks):
        steps = blocks.unflatten(-1, (K, A)).sum(dim=2)          # (S, T, A)
        return context.latents[:, -1:] + steps.cumsum(dim=1)


def context(latent=(0.0, 0.0)):
    return Context(latents=torch.tensor([[latent]]), past_blocks=torch.zeros(1, 0, K * A),
                   stamps_ns=(0,))


def solver(objective=last_step_distance, dynamics=None, seed=0, bounds=None, **settings):
    config = PlanConfig(**{'horizon': T, 'receding_horizon': T, 'num_candidates': 200,
                           'num_elites': 20, 'iterations': 20, **settings})
    return CemSolver(config, dynamics or RunningSum(), objective, action_dim=A, block_dim=K * A,
                     generator=torch.Generator().manual_seed(seed), bounds=bounds)


GOAL = Goal(latent=torch.tensor([3.0, -2.0]))


@pytest.mark.parametrize('noise', ['independent', 'held'])
def test_the_plan_adds_up_to_the_goal(noise):
    """Where the latent is the running sum of actions, the best plan sums to the goal."""
    plan = solver(noise=noise, num_candidates=300, num_elites=30, iterations=30).solve(
        context(), GOAL)
    total = plan.blocks.reshape(-1, A).sum(dim=0)
    torch.testing.assert_close(total, GOAL.latent, atol=0.05, rtol=0)
    assert plan.cost < 0.005 < plan.start_cost
    assert plan.start_cost == pytest.approx(3 ** 2 + 2 ** 2)    # zero actions stay at the origin
    assert plan.iterations == 30


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    """Randomness comes from the generator alone."""
    first, second, other = (solver(seed=seed, iterations=3).solve(context(), GOAL).blocks
                            for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.allclose(first, other)


def test_one_iteration_returns_the_mean_of_the_cheapest_candidates():
    """The reference's order of operations, redone by hand with the same noise."""
    plan = solver(iterations=1, seed=7).solve(context(), GOAL)
    noise = torch.randn(200, T, K * A, generator=torch.Generator().manual_seed(7))
    noise[0] = 0  # candidate 0 is the mean itself
    costs = (noise.unflatten(-1, (K, A)).sum(dim=(1, 2)) - GOAL.latent).square().sum(dim=-1)
    elites = noise[costs.topk(20, largest=False).indices]
    torch.testing.assert_close(plan.blocks, elites.mean(dim=0))
    assert plan.elite_std == pytest.approx(elites.std(dim=0).mean().item(), rel=1e-5)  # ddof 1


def test_two_iterations_use_the_elite_deviation_as_a_standard_deviation():
    """The second round samples at mean + noise * std, not noise * variance."""
    plan = solver(iterations=2, seed=7).solve(context(), GOAL)
    generator = torch.Generator().manual_seed(7)
    mean, std = torch.zeros(T, K * A), torch.ones(T, K * A)
    for _ in range(2):
        candidates = torch.randn(200, T, K * A, generator=generator) * std + mean
        candidates[0] = mean
        costs = (candidates.unflatten(-1, (K, A)).sum(dim=(1, 2)) - GOAL.latent).square().sum(-1)
        elites = candidates[costs.topk(20, largest=False).indices]
        mean, std = elites.mean(dim=0), elites.std(dim=0)
    torch.testing.assert_close(plan.blocks, mean)


def test_held_candidates_repeat_one_action_through_a_block():
    """With held noise and a held start, the K actions of a block are equal."""
    blocks = solver(noise='held').solve(context(), GOAL).blocks.unflatten(-1, (K, A))
    torch.testing.assert_close(blocks, blocks[:, :1].expand_as(blocks))


def test_held_noise_finds_more_than_independent_noise_at_a_small_budget():
    """Independent noise averages out over a block; held noise moves."""
    far = Goal(latent=torch.tensor([12.0, -12.0]))
    costs = {noise: sum(solver(noise=noise, num_candidates=64, num_elites=8, iterations=3,
                               seed=seed).solve(context(), far).cost for seed in range(10))
             for noise in ('independent', 'held')}
    assert costs['held'] < 0.5 * costs['independent']


def test_committed_actions_are_kept_and_planned_around():
    """The first d actions are what was given; the rest makes up for them."""
    committed = torch.full((7, A), 1.0)     # one block and two more steps
    plan = solver(noise='held').solve(context(), GOAL, committed=committed)
    rows = plan.blocks.reshape(-1, A)
    torch.testing.assert_close(rows[:7], committed)
    torch.testing.assert_close(rows.sum(dim=0), GOAL.latent, atol=0.1, rtol=0)


def test_bounds_hold_for_every_value():
    """Candidates are clipped, and so is their mean."""
    low, high = torch.tensor([-0.1, -0.2]), torch.tensor([0.3, 0.2])
    rows = solver(clip=True, bounds=(low, high)).solve(context(), GOAL).blocks.reshape(-1, A)
    assert (rows >= low).all() and (rows <= high).all()
    # The goal is out of reach, so the best plan runs along the bounds towards it.
    torch.testing.assert_close(rows.mean(dim=0), torch.tensor([0.2, -2 / 15]), atol=0.1, rtol=0)


def test_clipping_without_bounds_is_refused():
    """There is nothing to clip to."""
    with pytest.raises(PlanningError, match='no action bounds'):
        solver(clip=True)


def test_the_warm_start_is_the_first_candidate():
    """A perfect start is recognised: its cost is the start cost and search keeps it."""
    start = torch.zeros(T, K * A)
    start[0, :A] = GOAL.latent
    plan = solver(sample_std=0.01, iterations=2).solve(context(), GOAL, initial_mean=start)
    assert plan.start_cost == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(plan.blocks, start, atol=0.05, rtol=0)
    with pytest.raises(ShapeError, match='initial_mean'):
        solver().solve(context(), GOAL, initial_mean=torch.zeros(1, K * A))


class SometimesBroken(RunningSum):
    """Half of the candidates come out as NaN; they would look best if NaN were read as 0."""

    def rollout(self, context, blocks):
        latents = super().rollout(context, blocks)
        latents[1::2] = float('nan')
        return latents


class AlwaysBroken(RunningSum):
    def rollout(self, context, blocks):
        return super().rollout(context, blocks) * float('nan')


def test_broken_candidates_are_never_elites():
    """NaN costs are dropped, not zeroed; the plan is as good as without them."""
    plan = solver(dynamics=SometimesBroken()).solve(context(), GOAL)
    assert plan.cost < 0.01


def test_a_world_that_is_all_nan_is_an_error():
    """No finite candidate: the robot gets an error, not a guess."""
    with pytest.raises(PlanningError, match='only 0 of 200 candidates have a finite cost'):
        solver(dynamics=AlwaysBroken()).solve(context(), GOAL)


def test_a_time_budget_stops_the_search_early():
    """With no time at all, exactly one iteration is done, and the answer is still a plan."""
    plan = solver(budget_ms=1e-6).solve(context(), GOAL)
    assert plan.iterations == 1
    assert plan.blocks.isfinite().all()


def test_objectives_reduce_the_horizon_as_they_say():
    """Last step: its squared distance. All steps: the mean over steps. Lower is better."""
    latents = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[3.0, 0.0], [3.0, 4.0]]])   # (2, 2, 2)
    goal = Goal(latent=torch.zeros(2))
    assert last_step_distance(latents, goal).tolist() == [1.0, 25.0]
    assert all_steps_distance(latents, goal).tolist() == [0.5, 17.0]


def test_the_solver_has_no_memory_but_its_generator():
    """Two solves from the same generator state agree, whatever was solved before."""
    config = dataclasses.asdict(PlanConfig(horizon=T, receding_horizon=T, iterations=2))
    generator = torch.Generator().manual_seed(3)
    one = CemSolver(PlanConfig(**config), RunningSum(), last_step_distance, action_dim=A,
                    block_dim=K * A, generator=generator)
    one.solve(context(), Goal(latent=torch.tensor([9.0, 9.0])))
    generator.manual_seed(3)
    again = one.solve(context(), GOAL)
    generator.manual_seed(3)
    fresh = CemSolver(PlanConfig(**config), RunningSum(), last_step_distance, action_dim=A,
                      block_dim=K * A, generator=generator).solve(context(), GOAL)
    assert torch.equal(again.blocks, fresh.blocks)
