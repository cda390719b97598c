"""Where a search starts: a fused Gaussian over plans, and what the training set did."""

from lewm_model.config import PlanConfig
from lewm_model.heads.memory import Memory, MemoryConfig
from lewm_model.heads.plan_prior import beta_nll, fuse, PlanPrior, PlanPriorConfig
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.objectives import last_step_distance
from lewm_model.planning.sampling import SamplingSolver
from lewm_model.planning.starts import FusedStart, MemorySolver
from lewm_model.training.policies import fit_plan_prior
from lewm_model.types import Goal
import pytest
from test_prior import toy_bundle, toy_pairs, TRAINING
from test_sampling import A, context, K, RunningSum, T
import torch

GOAL = Goal(latent=torch.tensor([3.0, -6.0]))
SMALL_SEARCH = {'horizon': T, 'receding_horizon': T, 'num_candidates': 8, 'num_elites': 2,
                'iterations': 1}


def search(start=None, fused=None, memory=None, **settings):
    config = PlanConfig(**{**SMALL_SEARCH, **settings})
    candidates = Candidates(config, action_dim=A, block_dim=K * A,
                            generator=torch.Generator().manual_seed(0))
    return SamplingSolver(config, RunningSum(), last_step_distance, candidates, start,
                          fused=fused, memory=memory)


def line(*, rows=8, end=4):
    """Return a memory of two episodes on a line: the latent is the row's number, along axis 0.

    Each block has K actions of 1/K along it, so that it leads to the next row.
    """
    memory = Memory(MemoryConfig(rows), latent_dim=A, block_dim=K * A)
    memory.latents[:, 0] = torch.arange(rows).half()
    memory.blocks.copy_(torch.tensor([1 / K, 0.0]).repeat(rows, K))
    memory.left.copy_(torch.tensor([*range(end - 1, -1, -1), *range(rows - end - 1, -1, -1)]))
    return memory


def test_fusing_adds_precisions():
    """N(2, 1) and N(0, 0.5): precision 1 + 4, mean 2 / 5; what knows nothing changes nothing."""
    one, two = torch.tensor(2.0), torch.tensor(0.0)
    mean, std = fuse((one, torch.tensor(1.0)), (two, torch.tensor(0.5)))
    assert mean.item() == pytest.approx(0.4) and std.item() == pytest.approx(5 ** -0.5)
    mean, std = fuse((one, torch.tensor(1e6)), (two, torch.tensor(0.5)))
    assert mean.item() == pytest.approx(0, abs=1e-6) and std.item() == pytest.approx(0.5)


def test_the_likelihood_finds_mean_and_spread():
    """Samples of N(3, 0.5): minimised, it says 3 and 0.5, whatever beta is."""
    values = 3 + 0.5 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    for beta in (0.0, 0.5):
        mean, log_std = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
        optimizer = torch.optim.Adam([mean, log_std], lr=0.05)
        for _ in range(400):
            optimizer.zero_grad()
            beta_nll(mean, log_std.exp(), values, beta).backward()
            optimizer.step()
        assert mean.item() == pytest.approx(3, abs=0.03)
        assert log_std.exp().item() == pytest.approx(0.5, abs=0.03)


class Told(PlanPrior):
    """Knows the way of the toy world: a third of it in each block."""

    def __init__(self, std):
        limits = torch.full((A,), 9.0)
        super().__init__(PlanPriorConfig(horizon=T, hidden_dim=1, hidden_layers=1), A, -limits,
                         limits, K)
        self._std = std

    def forward(self, latents, goals):
        block = ((goals - latents) / (T * K)).repeat(1, K)
        means = block[:, None].expand(-1, T, -1)
        return means, torch.full_like(means, self._std)


def test_a_sure_prior_is_where_the_search_starts_and_an_unsure_one_is_not():
    """Its plan leads to the goal, 45 is that of no motion; with equal doubt it is half the way."""
    costs = [search(fused=FusedStart(Told(std), T)).solve(context(), GOAL).start_cost
             for std in (1e-3, 1e3, 1.0)]
    assert costs == pytest.approx([0, 45, 45 / 4], abs=1e-2)


def test_the_fused_spread_is_narrower_than_both():
    """Elites of a search around it lie within its spread: a sure prior is hardly left."""
    spread = [search(fused=FusedStart(Told(std), T)).solve(context(), GOAL).elite_std
              for std in (1e-2, 1e3)]
    assert spread[0] < 0.02 < 0.3 < spread[1]


def test_a_prior_for_fewer_blocks_leaves_the_others_as_they_are():
    """Two more blocks than it knows: mean zero and the search's own spread there."""
    means, stds = FusedStart(Told(0.1), T + 2)(
        torch.zeros(1, A), GOAL.latent[None], torch.zeros(1, T + 2, K * A),
        torch.full((1, T + 2, K * A), 0.7))
    assert (means[:, T:] == 0).all() and (stds[:, T:] == 0.7).all()
    assert (stds[:, :T] < 0.1).all() and means[:, :T].abs().min() > 0


def test_hindsight_of_plans_is_the_way_and_then_anything():
    """Before the goal the actions add up to the way; behind it they are noise of unit variance."""
    batch = toy_pairs().draw_plans(4000)
    rows = batch.blocks.unflatten(1, (T * K, A))
    before = (torch.arange(T * K) < batch.steps_left[:, None])[..., None]
    torch.testing.assert_close(batch.latents + (rows * before).sum(1), batch.goals, atol=1e-3,
                               rtol=0)
    behind = rows[~before[..., 0]]
    assert abs(behind.mean()) < 0.02 and behind.std() == pytest.approx(1, abs=0.02)


def test_a_trained_prior_knows_the_way_and_what_it_does_not_know():
    """A far goal: the first block goes towards it, surer than the last one of a near goal."""
    prior = fit_plan_prior(toy_bundle(), toy_pairs(), PlanPriorConfig(T, 64, 2), TRAINING,
                           lambda progress: None)
    goals = torch.tensor([[12.0, -12.0], [0.5, 0.5]])
    means, stds = prior(torch.zeros(2, A), goals)
    went = means.unflatten(2, (K, A)).sum(2)                       # (2, T, A)
    assert (went[0, 0] / goals[0] > 0.2).all()
    assert stds[0, 0].mean() < 0.8 and 0.8 < stds[1, -1].mean() < 1.3


def test_the_likest_pair_is_recalled_with_what_was_done_between():
    """From 1 to 3: the blocks of rows 1 and 2, then zero; the next likest are neighbours."""
    found = line().recall(torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0]), T, 3)
    torch.testing.assert_close(found[0].unflatten(1, (K, A)).sum(1)[:, 0],
                               torch.tensor([1.0, 1.0, 0.0]), atol=1e-3, rtol=0)
    assert found.shape == (3, T, K * A)


def test_no_pair_leads_from_one_episode_to_the_next():
    """From 3 to 5 an episode ends: what lies within one is the likest, though further off."""
    steps = line().recall(torch.tensor([3.0, 0.0]), torch.tensor([5.0, 0.0]), T, 50)
    assert len(steps) == 2 * (3 + 2 + 1)        # all pairs of two episodes of four rows
    assert len(line(rows=1, end=1).recall(torch.zeros(A), torch.zeros(A), T, 5)) == 0


def test_a_search_starts_at_what_it_remembers():
    """In a world like that of the memory it arrives at once: candidate 0, or one of the first."""
    memory, goal = line(), Goal(latent=torch.tensor([2.0, 0.0]))
    start = MemorySolver(memory, last_step_distance, T)
    assert start.solve(context(), goal).cost == pytest.approx(4)
    first = search(start=start).solve(context(), goal)
    assert first.start_cost == pytest.approx(0, abs=1e-5)
    among = search(memory=memory, recalled=1, answer='best').solve(context(), goal)
    assert among.start_cost == pytest.approx(4) and among.cost == pytest.approx(0, abs=1e-5)


def test_committed_actions_head_what_is_remembered():
    """They are on their way, whatever was done in the training set."""
    committed = torch.full((2, A), -0.5)
    plan = MemorySolver(line(), last_step_distance, T).solve(
        context(), Goal(latent=torch.tensor([2.0, 0.0])), committed=committed)
    torch.testing.assert_close(plan.blocks.reshape(-1, A)[:2], committed)
