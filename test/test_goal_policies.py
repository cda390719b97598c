"""What answers without search: cloned behaviour, inverse dynamics alone; trained, kept, driven."""

import dataclasses
from types import SimpleNamespace

from engine_models import with_prior
from lewm_model import Bundle
from lewm_model.assemble import make_policy
from lewm_model.bundles.networks import NETWORKS, TRAINED
from lewm_model.config import PlanConfig
from lewm_model.errors import BundleError, ConfigError, PlanningError
from lewm_model.heads.decoder import DecoderConfig
from lewm_model.heads.goal_policy import GoalPolicy, GoalPolicyConfig
from lewm_model.heads.plan_prior import PlanPriorConfig
from lewm_model.heads.prior import PriorConfig
from lewm_model.heads.quantity_prior import QuantityPriorConfig
from lewm_model.heads.reach import ReachConfig
from lewm_model.planning.objectives import all_steps_distance
from lewm_model.planning.reactive import ReactiveSolver
from lewm_model.training.policies import fit_gcbc, judge, remember, train_policy
from lewm_model.types import Goal, Observation
from nano import PLAN, tiny_bundle
import numpy as np
import pytest
from test_prior import Episodes, LIMIT, toy_bundle, toy_pairs, TRAINING
from test_sampling import A, context, K, RunningSum, T
import torch

GOAL = Goal(latent=torch.tensor([3.0, -6.0]))


def straight(latents, goals, left):
    """Go evenly: what is optimal where the latent is the sum of the actions."""
    wanted = torch.stack([goal.latent for goal in goals])
    return ((wanted - latents) / (left[:, None] * K)).repeat(1, K)


class Unasked:
    """A world model that must not be asked."""

    def rollout(self, context, blocks):
        raise AssertionError('the world model was asked')


def solver(answer=straight, dynamics=None, horizon=T, arrival=T):
    return ReactiveSolver(answer, dynamics or RunningSum(), all_steps_distance, horizon, arrival)


def test_the_plan_of_a_perfect_policy_arrives_evenly_and_in_time():
    """Three blocks of a third each; told to arrive in one, the first goes all the way."""
    plan = solver().solve(context(), GOAL)
    torch.testing.assert_close(plan.blocks.unflatten(1, (K, A)).sum(1), GOAL.latent.expand(T, A)
                               / T)
    assert plan.cost == pytest.approx(45 * (1 + 4 / 9 + 1 / 9) / 3)   # where its blocks leave from
    hurried = solver().solve(context(), dataclasses.replace(GOAL, blocks_left=1))
    torch.testing.assert_close(hurried.blocks[0].unflatten(0, (K, A)).sum(0), GOAL.latent)
    torch.testing.assert_close(hurried.blocks[1:], torch.zeros(T - 1, K * A))


def test_nobody_asks_the_world_model_for_one_block():
    """With a horizon of one block the answer comes from what was seen alone."""
    plan = solver(dynamics=Unasked(), horizon=1).solve(context(), GOAL)
    assert plan.blocks.shape == (1, K * A) and plan.cost == pytest.approx(45)


def test_committed_actions_are_kept_and_made_up_for():
    """Seven actions the wrong way head the plan; the block after them makes up for it."""
    committed = torch.full((7, A), -0.5)
    plan = solver().solve(context(), GOAL, committed=committed)
    rows = plan.blocks.reshape(-1, A)
    torch.testing.assert_close(rows[:7], committed)
    torch.testing.assert_close(rows.sum(0), GOAL.latent)


def test_several_robots_get_what_each_gets_alone():
    """With other places, goals and times."""
    places = [context((0.0, 1.0)), context((2.0, -1.0))]
    goals = [GOAL, Goal(latent=torch.tensor([0.0, 1.0]), blocks_left=2)]
    both = solver().solve_batch(places, goals)
    for place, goal, plan in zip(places, goals, both, strict=True):
        alone = solver().solve(place, goal)
        torch.testing.assert_close(plan.blocks, alone.blocks)
        assert plan.cost == pytest.approx(alone.cost)


def test_an_answer_that_is_not_finite_is_an_error():
    """NaN never becomes a plan."""
    def broken(latents, goals, left):
        return straight(latents, goals, left) * torch.nan
    with pytest.raises(PlanningError, match='not finite'):
        solver(broken).solve(context(), GOAL)


def test_cloned_behaviour_goes_to_the_goal_and_stays_within_the_limits():
    """In the toy world goals are one to three blocks away: it goes some of the way, both axes."""
    policy = fit_gcbc(toy_bundle(), toy_pairs(), GoalPolicyConfig(64, 2), TRAINING,
                      lambda progress: None)
    goals = torch.tensor([[6.0, -6.0], [-6.0, 6.0], [0.0, 0.0], [1e3, 1e3]])
    blocks = policy(torch.zeros(4, A), goals)
    went = blocks.unflatten(1, (K, A)).sum(1)
    share = went[:2] / goals[:2]
    assert (share > 0.3).all() and (share < 1.0).all()
    assert went[2].abs().max() < 0.7
    assert blocks.abs().max() <= LIMIT
    assert judge(policy, toy_pairs(seed=5), K) < 1


def test_a_memory_has_every_kth_frame_with_the_block_that_leaves_it():
    """Blocks add up to the way between neighbours; the last frame of an episode has none left."""
    data = Episodes(episodes=6, length=15)
    bundle = toy_bundle()
    memory = remember(SimpleNamespace(data=data, bundle=bundle, kept=np.array([1, 4])),
                      data.latents)
    assert memory.left.tolist() == [2, 1, 0, 2, 1, 0] and memory.config.rows == 6
    way = memory.blocks.float().unflatten(1, (K, A)).sum(1)
    for row in (0, 1, 3, 4):
        torch.testing.assert_close(memory.latents[row].float() + way[row],
                                   memory.latents[row + 1].float(), atol=2e-2, rtol=0)


def test_a_kind_that_does_not_exist_is_refused():
    """The message lists what there is."""
    known = 'prior, gcbc, quantity_prior, plan_prior, memory, reach, readout, decoder'
    with pytest.raises(ConfigError, match=f'{known}, got .bc.'):
        train_policy(tiny_bundle(), Episodes(episodes=6, frames=True), 'bc')


# What is fitted to quantities is tried in test_fit_readout and test_quantity_prior: random walks
# have none.
@pytest.mark.parametrize('kind', [kind for kind in TRAINED
                                  if kind not in ('readout', 'quantity_prior')])
def test_each_kind_is_made_from_pictures_and_survives_the_bundle(kind, tmp_path):
    """Trained on frames, saved, loaded: the same numbers; taken out again, no file is left."""
    from lewm_model.training.policies import PolicyTrainConfig
    bundle = tiny_bundle()
    network, measured = train_policy(bundle, Episodes(episodes=6, frames=True), kind,
                                     config=PolicyTrainConfig(batch_size=8, steps=2))
    assert measured['parameters'] > 0 and ('held_out_error' in measured) == (
        kind not in ('memory', 'reach', 'decoder'))
    folder = dataclasses.replace(bundle, **{kind: network}).save(tmp_path / 'bundle')
    again = Bundle.load(folder)
    assert [name for name in NETWORKS if getattr(again, name) is not None] == [kind]
    for name, value in getattr(again, kind).state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    dataclasses.replace(again, **{kind: None}).save(folder)
    assert not (folder / f'{kind}.safetensors').exists()


@pytest.mark.parametrize(('sizes', 'kept'), [
    (PriorConfig(), {'hidden_dim': 256, 'hidden_layers': 3}),
    (GoalPolicyConfig(), {'hidden_dim': 256, 'hidden_layers': 3}),
    (QuantityPriorConfig(5), {'columns': 5, 'hidden_dim': 256, 'hidden_layers': 3}),
    (PlanPriorConfig(5), {'horizon': 5, 'hidden_dim': 256, 'hidden_layers': 2}),
    (ReachConfig(), {'most': 5, 'places': 500, 'hidden_dim': 256, 'hidden_layers': 3}),
    (DecoderConfig(), {'hidden_dim': 192, 'channels': 48})], ids=lambda one: type(one).__name__)
def test_sizes_are_kept_in_this_order_and_refused_by_name(sizes, kept):
    """The order is that of `bundle.yaml`; each field refuses 0 and what no memory holds."""
    assert list(sizes.to_dict().items()) == list(kept.items())
    for name in kept:
        most = 1000 if name == 'hidden_layers' else 65536
        for value, allowed in ((0, 'at least 1'), (most + 1, f'at most {most}')):
            with pytest.raises(ConfigError) as refused:
                dataclasses.replace(sizes, **{name: value})
            assert str(refused.value) == (
                f'{type(sizes).__name__}.{name} must be {allowed}, got {value}')


def acting(bundle, **settings):
    made = make_policy(bundle, dataclasses.replace(PLAN, **settings))
    made.set_goal_image(np.full((64, 64, 3), 200, np.uint8))
    return made


def see(policy, stamp_ns):
    policy.observe(Observation(stamp_ns=stamp_ns, rgb=np.full((64, 64, 3), 9, np.uint8)))


def test_a_policy_drives_with_cloned_behaviour():
    """The chunk is the network's answer to frame and goal, in robot units."""
    torch.manual_seed(5)
    bundle = tiny_bundle()
    network = bundle.new_network('gcbc', GoalPolicyConfig(8, 1)).eval()
    made = acting(dataclasses.replace(bundle, gcbc=network), solver='gcbc', horizon=1)
    see(made, 0)
    with torch.inference_mode():
        block = network(made._history.newest[1][None], made.goal.latent[None])
    np.testing.assert_allclose(made.plan(0).actions, block.reshape(-1, 2), atol=1e-6)
    assert isinstance(network, GoalPolicy)


def test_the_arrival_is_counted_down_from_each_new_goal():
    """Two blocks, one block, one block; another goal begins anew; without a number nobody counts.

    A block is five control steps of 50 ms.
    """
    made = acting(with_prior(tiny_bundle()), solver='inverse', horizon=1, arrival=2)

    def left_at(stamp_ns):
        see(made, stamp_ns)
        return made.request(stamp_ns).goal.blocks_left
    assert [left_at(block * 250_000_000) for block in range(4)] == [2, 1, 1, 1]
    made.set_goal(made.goal)
    assert left_at(10 ** 9) == 2
    free = acting(with_prior(tiny_bundle()), solver='inverse', horizon=1)
    see(free, 0)
    assert free.request(0).goal.blocks_left is None and free.plan(0).actions.shape == (5, 2)


@pytest.mark.parametrize(('settings', 'kind'), [
    ({'solver': 'gcbc'}, 'gcbc'), ({'solver': 'inverse'}, 'prior'), ({'fuse': True}, 'plan_prior'),
    ({'recalled': 3}, 'memory'), ({'initial': 'memory'}, 'memory'),
    ({'way_points': 2}, 'reach')])
def test_settings_that_need_a_network_name_it_and_the_command(settings, kind):
    """And say so of themselves, before a bundle is looked at."""
    config = dataclasses.replace(PLAN, **settings)
    assert config.networks == {kind}
    with pytest.raises(BundleError, match=f'add it with `lewm train-policy --kind {kind}`'):
        make_policy(tiny_bundle(), config)


@pytest.mark.parametrize(('settings', 'message'), [
    ({'solver': 'gradient', 'fuse': True}, "fuse must be false with solver='gradient'"),
    ({'solver': 'prior', 'recalled': 3}, "recalled must be 0 with solver='prior'"),
    ({'recalled': 300}, r'recalled must be in \[0, num_candidates=300\)'),
    ({'arrival': 0}, 'arrival must be at least 1'),
    ({'way_points': 6}, r'way_points must be in \[0, horizon=5\]')])
def test_options_that_would_have_no_effect_are_refused(settings, message):
    """The message says with what they do not go together."""
    with pytest.raises(ConfigError, match=message):
        PlanConfig(**settings)
