"""The prior in a toy world whose optimal blocks are known, and as a part of bundle and policy."""

import dataclasses
from types import SimpleNamespace

from engine_models import with_prior
from lewm_model.assemble import make_policy
from lewm_model.base import resources
from lewm_model.bundles.networks import NETWORKS
from lewm_model.config import PlanConfig
from lewm_model.errors import BundleError, ConfigError, DatasetError, PlanningError
from lewm_model.heads.goal_policy import GoalPolicyConfig
from lewm_model.heads.prior import PriorConfig
from lewm_model.planning.objectives import all_steps_distance
from lewm_model.planning.prior_solver import PriorSolver
from lewm_model.training.hindsight import Hindsight
from lewm_model.training.policies import fit_prior, judge, PolicyTrainConfig, train_policy
from lewm_model.types import Context, Goal, Observation
from nano import PLAN, tiny_bundle
import numpy as np
import pytest
from test_sampling import A, GOAL, K, RunningSum, T
import torch

LIMIT = 2.0
TRAINING = PolicyTrainConfig(batch_size=256, steps=1200, learning_rate=3e-3, seed=1)
SMALL = PriorConfig(hidden_dim=64, hidden_layers=2)


class Episodes:
    """Random walks: the latent of row t is the sum of all actions before it."""

    def __init__(self, episodes=3000, length=20, frames=False):
        rng = np.random.default_rng(0)
        self.path, self.control_dt_s = 'walks', 0.05
        self.attributes, self.view = {}, None
        self.ep_len = np.full(episodes, length)
        self.ep_offset = np.arange(episodes) * length
        self.ep_id = tuple(f'walk/{index}' for index in range(episodes))
        held = rng.uniform(-LIMIT, LIMIT, (episodes, length // K, A)).repeat(K, axis=1)
        self.action = held.reshape(-1, A).astype(np.float32)
        self.latents = torch.from_numpy(
            (held.cumsum(axis=1) - held).reshape(-1, A).astype(np.float32))
        self.action[self.ep_offset + length - 1] = np.nan    # as in a data set
        size = 64 if frames else 0
        self.pixels = rng.integers(0, 255, (len(self.action), size, size, 3)).astype(np.uint8)


def toy_bundle():
    """What training reads of a bundle, for latents that are positions."""
    limits = torch.full((A,), LIMIT)
    return SimpleNamespace(
        model_config=SimpleNamespace(frameskip=K), plan_config=SimpleNamespace(horizon=T),
        action_normalizer=tiny_bundle().action_normalizer,
        new_network=lambda kind, sizes: NETWORKS[kind].build(
            sizes, SimpleNamespace(latent_dim=A, block_dim=K * A, frameskip=K),
            (-limits, limits)))


def toy_pairs(episodes=range(3000), seed=0, data=None, farthest=None):
    data = data or Episodes()
    return Hindsight(SimpleNamespace(data=data, bundle=toy_bundle()), data.latents,
                     np.asarray(episodes), seed, farthest)


@pytest.fixture(scope='module')
def trained():
    return fit_prior(toy_bundle(), toy_pairs(), SMALL, TRAINING, lambda progress: None)


def context(latent=(0.0, 0.0)):
    return Context(latents=torch.tensor([[latent]]), past_blocks=torch.zeros(1, 0, K * A),
                   stamps_ns=(0,))


def solve(prior, goal=GOAL, dynamics=None, **options):
    solver = PriorSolver(prior, dynamics or RunningSum(), all_steps_distance, T)
    return solver.solve(context(), goal, **options)


def test_hindsight_pairs_a_frame_with_the_actions_that_leave_it():
    """At n = K the block adds up to the way between the frames: no off-by-one, no mixing."""
    batch = toy_pairs().draw(500, offset=K)
    assert set(batch.steps_left.tolist()) == {K}
    torch.testing.assert_close(batch.latents + batch.blocks.unflatten(1, (K, A)).sum(1),
                               batch.goals, atol=1e-4, rtol=0)
    wide = toy_pairs().draw(2000)
    assert wide.steps_left.min() == K and wide.steps_left.max() == T * K
    assert (wide.steps_left < T * K / 2).float().mean() > 0.4      # small n more often
    assert wide.blocks.isfinite().all()


def test_goals_may_be_further_away_than_a_plan():
    """As far as is said, evenly where that is wished; nearer than a block is no answer."""
    pairs = toy_pairs(farthest=T * K + 4)
    left = pairs.draw(4000, evenly=True).steps_left
    assert left.min() == K and left.max() == T * K + 4 == pairs.longest
    with pytest.raises(ConfigError, match=f'farthest must be at least a block, {K} '):
        toy_pairs(farthest=K - 1)
    _, measured = train_policy(
        tiny_bundle(), Episodes(episodes=6, frames=True), 'gcbc', GoalPolicyConfig(hidden_dim=8),
        PolicyTrainConfig(batch_size=8, steps=2, farthest=18))
    assert measured['farthest'] == 18 and set(measured['held_out_error']) == {'5', '18'}
    with pytest.raises(ConfigError, match=r"absent for kind 'memory' \(only prior, gcbc"):
        train_policy(tiny_bundle(), Episodes(episodes=6, frames=True), 'memory',
                     config=PolicyTrainConfig(farthest=18))


def test_hindsight_stays_in_the_given_episodes():
    """Only rows of the chosen episodes are starts or goals."""
    data = Episodes()
    data.latents = torch.arange(len(data.action)).float()[:, None].expand(-1, A)   # row numbers
    batch = toy_pairs(episodes=[3, 7], data=data).draw(1000)
    for rows in (batch.latents[:, 0], batch.goals[:, 0]):
        assert set((rows // 20).int().tolist()) == {3, 7}
    assert torch.equal(batch.latents[:, 0] // 20, batch.goals[:, 0] // 20)


def test_the_prior_learns_the_block_of_a_linear_world(trained):
    """In one block from 0 to g the sum of actions is g; the answer is within 0.7 of it."""
    goals = torch.tensor([[3.0, -2.0], [-4.0, 1.0], [0.0, 0.0], [5.0, 5.0]])
    blocks = trained(torch.zeros(4, A), goals, torch.full((4,), K))
    torch.testing.assert_close(blocks.unflatten(1, (K, A)).sum(1), goals, atol=0.7, rtol=0)
    assert judge(trained, toy_pairs(seed=5), K) < 0.6


def test_more_time_means_a_slower_start(trained):
    """Told to arrive in three blocks, the first one goes about a third of the way."""
    goal = torch.tensor([[6.0, -6.0]])
    for blocks_left in (1, 3):
        way = trained(torch.zeros(1, A), goal, torch.tensor([blocks_left * K]))
        torch.testing.assert_close(way.unflatten(1, (K, A)).sum(1), goal / blocks_left, atol=1.0,
                                   rtol=0)


def test_the_plan_arrives_and_stays(trained):
    """The hurried attempt is taken, since the cost counts every step; 13 is that of no motion."""
    plan = solve(trained)
    reached = plan.blocks.unflatten(1, (K, A)).sum(1).cumsum(0)            # (T, A)
    assert (reached - GOAL.latent).square().sum(1).max() < 1.3
    assert plan.cost == pytest.approx((reached - GOAL.latent).square().sum(1).mean().item(),
                                      rel=1e-4)
    assert plan.blocks.shape == (T, K * A) and plan.iterations == 0


def test_a_goal_out_of_reach_is_approached_within_the_limits(trained):
    """Full speed towards it, never beyond the limits."""
    plan = solve(trained, Goal(latent=torch.tensor([100.0, -100.0])))
    rows = plan.blocks.reshape(-1, A)
    assert rows.abs().max() <= LIMIT
    assert rows[:, 0].mean() > 0.8 * LIMIT and rows[:, 1].mean() < -0.8 * LIMIT


def test_committed_actions_are_kept_and_made_up_for(trained):
    """Seven actions the wrong way head the plan; the rest still arrives."""
    committed = torch.full((7, A), -0.5)
    goal = Goal(latent=torch.tensor([2.0, 2.0]))
    plan = solve(trained, goal, committed=committed)
    rows = plan.blocks.reshape(-1, A)
    torch.testing.assert_close(rows[:7], committed)
    torch.testing.assert_close(rows.sum(0), goal.latent, atol=0.5, rtol=0)


def test_the_same_seed_trains_the_same_prior_and_another_seed_another(trained):
    """Training draws from its own generators alone, and leaves the global one as it was."""
    bundle, pairs = toy_bundle(), toy_pairs()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = fit_prior(bundle, pairs, SMALL, TRAINING, lambda progress: None)
    assert torch.equal(torch.get_rng_state(), before)
    other = fit_prior(bundle, pairs, SMALL,
                dataclasses.replace(TRAINING, seed=2, steps=20), lambda progress: None)
    assert all(torch.equal(ours, theirs) for ours, theirs
               in zip(trained.parameters(), again.parameters(), strict=True))
    assert not torch.equal(trained.net[0].weight, other.net[0].weight)


class Broken(RunningSum):
    """Attempts other than the last come out as NaN."""

    def __init__(self, survivors):
        self.survivors = survivors

    def rollout(self, context, blocks):
        latents = super().rollout(context, blocks)
        latents[:len(latents) - self.survivors] = float('nan')
        return latents


def test_a_broken_attempt_is_never_chosen_and_no_attempt_is_an_error(trained):
    """NaN is no cost: the attempt left over wins, and with none left there is no plan."""
    assert solve(trained, dynamics=Broken(survivors=1)).cost < float('inf')
    with pytest.raises(PlanningError, match='no attempt of the prior has a finite cost'):
        solve(trained, dynamics=Broken(survivors=0))


def bundle_with_prior(**changes):
    return with_prior(tiny_bundle(**changes))


def policy(bundle, **settings):
    made = make_policy(bundle, dataclasses.replace(PLAN, **settings))
    rng = np.random.default_rng(0)
    made.set_goal_image(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8))
    made.observe(Observation(stamp_ns=0, rgb=rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)))
    return made


def test_a_policy_follows_the_prior_and_keeps_committed_actions():
    """With solver prior the chunk is the solver's plan, in robot units, behind what is fixed."""
    made = policy(bundle_with_prior(), solver='prior')
    chunk = made.plan(0)
    np.testing.assert_allclose(chunk.actions, made.last_plan.blocks.reshape(-1, 2), atol=1e-6)
    np.testing.assert_array_equal(
        chunk.actions, policy(bundle_with_prior(), solver='prior').plan(0).actions)
    committed = np.array([[0.5, -0.5], [1.0, 0.25], [0.0, 2.0]])
    np.testing.assert_allclose(made.plan(0, committed=committed).actions[:3], committed, atol=1e-6)


def test_the_search_starts_at_the_plan_of_the_prior():
    """The start cost of CEM is the prior's cost; without spread the answer is its plan.

    A last plan, which would be the start otherwise, does not matter then.
    """
    alone = policy(bundle_with_prior(), solver='prior')
    alone.plan(0)
    search = policy(bundle_with_prior(), initial='prior', sample_std=1e-9, iterations=1)
    for _ in range(2):
        search.plan(0)
        assert search.last_plan.start_cost == pytest.approx(alone.last_plan.cost, rel=1e-4)
        torch.testing.assert_close(search.last_plan.blocks, alone.last_plan.blocks, atol=1e-5,
                                   rtol=0)


def test_a_planner_that_needs_a_prior_says_so():
    """Both ways of using one are refused for a bundle without, with the command that adds it."""
    for settings in ({'solver': 'prior'}, {'initial': 'prior'}):
        with pytest.raises(BundleError, match='add one with `lewm train-prior`'):
            make_policy(tiny_bundle(), dataclasses.replace(PLAN, **settings))


def test_unknown_solvers_and_starts_are_refused():
    """The message lists what there is."""
    with pytest.raises(ConfigError,
                       match='solver must be one of cem, mppi, gradient, prior, inverse, gcbc, '
                             "got 'ilqr'"):
        PlanConfig(solver='ilqr')
    with pytest.raises(ConfigError, match='initial must be one of last, prior, memory, got .zero'):
        PlanConfig(initial='zero')


def test_the_shipped_planner_settings_are_what_their_names_say():
    """Each file of config/plan is valid; the start from the prior has a tenth of the samples."""
    plans = {path.stem: PlanConfig.from_yaml(path)
             for path in resources.find('config/plan').glob('*.yaml')}
    assert plans['prior'].solver == 'prior'
    assert plans['cem'].initial == 'last' and plans['cem_prior'].initial == 'prior'
    assert plans['cem'].num_candidates == 10 * plans['cem_prior'].num_candidates
    assert {plan.cost for plan in plans.values()} == {'all'}


def test_training_encodes_trains_and_reports():
    """From pictures to a prior: both phases are told to the end, held-out pairs are judged."""
    told = []
    prior, measured = train_policy(
        tiny_bundle(), Episodes(episodes=6, frames=True), 'prior', PriorConfig(hidden_dim=8),
        PolicyTrainConfig(batch_size=8, steps=5), report=told.append)
    assert [progress.done for progress in told if progress.phase == 'step'] == [1, 2, 3, 4, 5]
    assert [progress.done for progress in told if progress.phase == 'frame'][-1] == 120
    assert set(measured['held_out_error']) == {'5', '15'}
    assert all(error > 0 for error in measured['held_out_error'].values())
    assert not prior.training and not any(p.requires_grad for p in prior.parameters())


def test_training_can_be_interrupted_and_refuses_data_without_pairs():
    """Ctrl-C arrives between two steps; an episode shorter than a block teaches nothing."""
    import os
    import signal

    def press(progress):
        if progress.phase == 'step':
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train_policy(tiny_bundle(), Episodes(episodes=6, frames=True), 'prior', report=press)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(DatasetError, match='6 rows of two frames one block apart'):
        train_policy(tiny_bundle(), Episodes(episodes=6, length=5, frames=True), 'prior')
