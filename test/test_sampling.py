"""Planning by sampling, on toy worlds with known optima: CEM, iCEM, MPPI."""

import dataclasses

from lewm_model.config import PlanConfig
from lewm_model.errors import PlanningError, ShapeError
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.objectives import all_steps_distance, last_step_distance
from lewm_model.planning.sampling import SamplingSolver
from lewm_model.types import Context, Goal, Plan
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
    return build(config, dynamics or RunningSum(), objective,
                 torch.Generator().manual_seed(seed), bounds)


def build(config, dynamics, objective, generator, bounds=None, start=None):
    return SamplingSolver(config, dynamics, objective, Candidates(
        config, action_dim=A, block_dim=K * A, generator=generator, bounds=bounds), start)


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
    one = build(PlanConfig(**config), RunningSum(), last_step_distance, generator)
    one.solve(context(), Goal(latent=torch.tensor([9.0, 9.0])))
    generator.manual_seed(3)
    again = one.solve(context(), GOAL)
    generator.manual_seed(3)
    fresh = build(PlanConfig(**config), RunningSum(), last_step_distance, generator).solve(
        context(), GOAL)
    assert torch.equal(again.blocks, fresh.blocks)


def noise_of(count=4000, **settings):
    """Draw noise of a kind, (count, T*K, A)."""
    config = PlanConfig(**{'horizon': T, 'receding_horizon': T, 'num_candidates': count,
                           'num_elites': 2, **settings})
    return Candidates(config, action_dim=A, block_dim=K * A,
                      generator=torch.Generator().manual_seed(0)).noise(1).reshape(count, -1, A)


@pytest.mark.parametrize('settings', [
    {'noise': 'independent'}, {'noise': 'held'}, {'noise': 'held', 'free_blocks': 1},
    {'noise': 'coloured'}, {'noise': 'coloured', 'colour': 0.0}, {'noise': 'knots'},
    {'noise': 'knots', 'knots': 7}])
def test_every_noise_has_mean_zero_and_unit_variance_at_every_step(settings):
    """So `sample_std` means the same whatever the shape."""
    noise = noise_of(**settings)
    torch.testing.assert_close(noise.mean(dim=0), torch.zeros(T * K, A), atol=0.08, rtol=0)
    torch.testing.assert_close(noise.std(dim=0), torch.ones(T * K, A), atol=0.06, rtol=0)


def test_shapes_differ_in_how_far_they_carry():
    """The sum over the horizon, what moves a robot, grows from independent to held."""
    reach = {name: noise_of(noise=name).sum(dim=1).std().item()
             for name in ('independent', 'coloured', 'knots', 'held')}
    n = T * K
    assert reach['independent'] == pytest.approx(n ** 0.5, rel=0.05)
    assert reach['held'] == pytest.approx(K * T ** 0.5, rel=0.05)
    assert reach['independent'] < reach['held'] < reach['knots'] < n
    assert reach['independent'] < reach['coloured'] < n


def test_coloured_noise_has_the_spectrum_it_is_named_for():
    """Power falls with the square of the frequency; the constant part is like the first bin."""
    power = torch.fft.rfft(noise_of(noise='coloured', colour=2.0)[..., 0], dim=1).abs().square()
    mean = power.mean(dim=0)
    assert mean[0] / mean[1] == pytest.approx(1.0, rel=0.15)   # one real number, not two
    for bin_ in (2, 3, 5):
        assert mean[1] / mean[bin_] == pytest.approx(bin_ ** 2, rel=0.15)


def test_knots_are_joined_by_straight_lines():
    """With two knots every candidate is one line, up to the constant-variance scale."""
    noise = noise_of(noise='knots', knots=2, count=5)
    scale = torch.linspace(0, 1, T * K)[:, None]
    lines = noise * ((1 - scale) ** 2 + scale ** 2).sqrt()
    torch.testing.assert_close(lines, lines[:, :1] * (1 - scale) + lines[:, -1:] * scale)


def test_icem_settings_reach_a_far_goal_better_than_plain_cem():
    """Coloured noise, momentum, kept elites: the shipped iCEM beats CEM at a small budget."""
    far = Goal(latent=torch.tensor([9.0, -9.0]))
    small = {'num_candidates': 32, 'num_elites': 6, 'iterations': 4}
    icem = {'noise': 'coloured', 'momentum': 0.1, 'keep_elites': 5, 'answer': 'best'}
    plain, better = (sum(solver(seed=seed, **small, **extra).solve(context(), far).cost
                         for seed in range(10)) for extra in ({}, icem))
    assert better < 0.5 * plain


def test_momentum_keeps_its_share_of_the_old_mean_and_spread():
    """Old and new are mixed m : 1 - m, by hand with the same noise."""
    half, none = (solver(iterations=1, seed=7, momentum=share).solve(context(), GOAL)
                  for share in (0.5, 0.0))
    torch.testing.assert_close(half.blocks, 0.5 * none.blocks)
    assert half.elite_std == pytest.approx(0.5 + 0.5 * none.elite_std, rel=1e-5)


def test_mppi_weighs_elites_by_their_cost():
    """One iteration by hand: softmax of minus cost over temperature; the spread stays."""
    plan = solver(solver='mppi', temperature=2.0, iterations=1, seed=7).solve(context(), GOAL)
    noise = torch.randn(200, T, K * A, generator=torch.Generator().manual_seed(7))
    noise[0] = 0
    costs = (noise.unflatten(-1, (K, A)).sum(dim=(1, 2)) - GOAL.latent).square().sum(dim=-1)
    elites = costs.topk(20, largest=False).indices
    weights = torch.softmax(-costs[elites] / 2.0, dim=0)
    torch.testing.assert_close(plan.blocks, (weights[:, None, None] * noise[elites]).sum(dim=0))
    assert plan.elite_std == pytest.approx(1.0)
    assert solver(solver='mppi', noise='held').solve(context(), GOAL).cost < 0.1


@pytest.mark.parametrize('extra', [{}, {'keep_elites': 5}, {'solver': 'mppi'}])
def test_the_best_answer_is_never_worse_than_the_start_or_the_mean(extra):
    """With answer best the cost cannot rise, however little the search finds."""
    start = torch.zeros(T, K * A)
    start[0, :A] = GOAL.latent                  # perfect: whatever is sampled is worse
    for seed in range(5):
        settings = {'num_candidates': 4, 'num_elites': 3, 'keep_elites': 0, 'iterations': 3,
                    'seed': seed, **extra}
        settings['keep_elites'] = min(settings['keep_elites'], 3)
        best = solver(answer='best', **settings).solve(context(), GOAL, initial_mean=start)
        mean = solver(answer='mean', **settings).solve(context(), GOAL, initial_mean=start)
        assert best.cost <= mean.cost
        assert best.cost == pytest.approx(0, abs=1e-9)
        torch.testing.assert_close(best.blocks, start)


def test_elites_that_stay_are_candidates_again():
    """Without noise in the second round they would be lost; kept, the best cost cannot rise."""
    seen = []

    class Watching(RunningSum):
        def rollout(self, context, blocks):
            latents = super().rollout(context, blocks)
            seen.append((latents[:, -1] - GOAL.latent).square().sum(dim=-1).min().item())
            return latents

    solver(dynamics=Watching(), keep_elites=3, iterations=6, num_candidates=12,
           num_elites=4).solve(context(), GOAL)
    searched = seen[:6]
    assert all(later <= earlier for earlier, later in zip(searched, searched[1:], strict=False))


def test_several_robots_are_planned_for_at_once_and_apart():
    """Each robot gets a plan from its own place to its own goal, around its own commitments."""
    contexts = [context((0.0, 0.0)), context((5.0, 5.0)), context((-1.0, 0.0))]
    goals = [GOAL, Goal(latent=torch.tensor([4.0, 5.0])), Goal(latent=torch.tensor([-1.0, 2.0]))]
    committed = [None, torch.full((3, A), 0.5), None]
    one = solver(noise='held', num_candidates=300, num_elites=30, iterations=30)
    plans = one.solve_batch(contexts, goals, committed=committed)
    for where, goal, plan in zip(contexts, goals, plans, strict=True):
        arrived = where.latents[0, -1] + plan.blocks.reshape(-1, A).sum(dim=0)
        torch.testing.assert_close(arrived, goal.latent, atol=0.1, rtol=0)
    torch.testing.assert_close(plans[1].blocks.reshape(-1, A)[:3], committed[1])
    longer = Context(torch.zeros(1, 2, A), torch.zeros(1, 1, K * A), (0, 1))
    with pytest.raises(ShapeError, match=r'equally many context frames, got \[1, 2\]'):
        one.solve_batch([context(), longer], [GOAL, GOAL])


class Answer:
    """A start solver that already knows."""

    def solve(self, context, goal, *, initial_mean=None, committed=None):
        blocks = torch.zeros(T, K * A)
        blocks[0, :A] = goal.latent
        return Plan(blocks, 0.0, 0.0, 0.0, 0.0, 0)


def test_a_start_that_knows_is_the_answer_when_there_is_no_time():
    """Anytime: one forward pass answers; with time left the search goes on from there."""
    for budget_ms, iterations in ((1e-6, 0), (None, 2)):
        config = PlanConfig(horizon=T, receding_horizon=T, num_candidates=16, num_elites=4,
                            iterations=2, sample_std=0.01, budget_ms=budget_ms)
        plan = build(config, RunningSum(), last_step_distance,
                     torch.Generator().manual_seed(0), start=Answer()).solve(context(), GOAL)
        assert plan.iterations == iterations
        assert plan.start_cost == pytest.approx(0, abs=1e-9)
        torch.testing.assert_close(plan.blocks[0, :A], GOAL.latent, atol=0.05, rtol=0)
