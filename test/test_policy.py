"""Receding horizon on an untrained but whole bundle: bookkeeping, not skill."""

import dataclasses

from lewm_model.assemble import make_policy
from lewm_model.errors import BundleError, ConfigError, EngineFailure, PlanningError, ShapeError
from lewm_model.types import Observation
from nano import PLAN, tiny_bundle
import numpy as np
import pytest
import torch

DT_NS = 50_000_000


def frame(value, seed=0):
    noise = np.random.default_rng(seed).integers(0, 60, (64, 64, 3))
    return np.clip(noise + value, 0, 255).astype(np.uint8)


@pytest.fixture
def policy():
    made = make_policy(tiny_bundle())
    made.set_goal_image(frame(200, seed=1), goal_id='there')
    made.observe(Observation(stamp_ns=0, rgb=frame(10)))
    return made


def test_a_chunk_starts_at_the_newest_frame_and_covers_the_horizon(policy):
    """T * K rows in robot units, stamped with the frame they look at, within the limits."""
    policy.observe(Observation(stamp_ns=DT_NS, rgb=frame(20)))
    chunk = policy.plan(now_ns=DT_NS + 7)
    assert chunk.stamp_ns == chunk.observation_stamp_ns == DT_NS
    assert chunk.actions.shape == (PLAN.horizon * 5, 2)
    assert chunk.dt_s == 0.05
    assert np.abs(chunk.actions).max() <= 2
    assert policy.steps_per_plan == 5


def test_chunks_are_numbered_and_goals_open_a_new_epoch(policy):
    """Sequence grows per chunk; goal, no goal and reset each make older chunks invalid."""
    first, second = policy.plan(0), policy.plan(0)
    assert second.sequence == first.sequence + 1
    assert second.epoch == first.epoch
    epoch = policy.epoch
    policy.set_goal_image(frame(90))
    policy.clear_goal()
    policy.reset()
    assert policy.epoch == epoch + 3


def test_a_new_policy_gives_the_same_plans(policy):
    """Same bundle, seed, frames and goal: the same actions."""
    again = make_policy(tiny_bundle())
    again.set_goal_image(frame(200, seed=1))
    again.observe(Observation(stamp_ns=0, rgb=frame(10)))
    np.testing.assert_array_equal(policy.plan(0).actions, again.plan(0).actions)


def test_the_last_plan_warms_the_next_one_shifted_by_what_was_executed(policy):
    """After 5 steps (one block) the old second block is the start of the first; zeros at the end.

    With no spread to sample and one iteration, the solver returns its start.
    """
    frozen = dataclasses.replace(PLAN, sample_std=1e-9, iterations=1)
    policy = make_policy(tiny_bundle(), frozen)
    policy.set_goal_image(frame(200))
    policy.observe(Observation(stamp_ns=0, rgb=frame(10)))
    policy.plan(0)
    rows = torch.arange(30.0).reshape(15, 2) / 30
    policy.last_plan = dataclasses.replace(policy.last_plan, blocks=rows.reshape(3, 10))
    policy.observe(Observation(stamp_ns=5 * DT_NS, rgb=frame(10)))
    actions = policy.plan(5 * DT_NS).actions
    np.testing.assert_allclose(actions[:10], rows[5:], atol=1e-6)
    np.testing.assert_allclose(actions[10:], 0, atol=1e-6)


def test_committed_actions_come_back_as_given(policy):
    """What is already on its way to the robot heads the chunk unchanged."""
    committed = np.array([[0.5, -0.5], [1.0, 0.25], [0.0, 2.0]])
    np.testing.assert_allclose(policy.plan(0, committed=committed).actions[:3], committed,
                               atol=1e-6)
    with pytest.raises(ShapeError, match=r'\(d < 15, 2\), got \(15, 2\)'):
        policy.plan(0, committed=np.zeros((15, 2)))


def test_planning_without_a_goal_or_a_frame_is_an_error(policy):
    """The robot is never moved by a guess."""
    policy.clear_goal()
    with pytest.raises(PlanningError, match='no goal'):
        policy.plan(0)
    policy.reset()
    policy.set_goal_image(frame(1))
    assert policy.goal_distance is None
    with pytest.raises(PlanningError, match='no observation'):
        policy.plan(0)


def test_a_frame_from_the_future_is_an_error(policy):
    """More than one control step ahead of now means two clocks."""
    policy.observe(Observation(stamp_ns=10 ** 9, rgb=frame(3)))
    with pytest.raises(PlanningError, match='in the future'):
        policy.plan(now_ns=0)


def test_the_goal_distance_is_zero_at_the_goal(policy):
    """The goal picture itself is no distance away; another frame is."""
    assert policy.goal_distance > 0
    policy.observe(Observation(stamp_ns=DT_NS, rgb=frame(200, seed=1)))
    assert policy.goal_distance == pytest.approx(0, abs=1e-6)


def test_a_model_that_went_nan_gives_an_error_not_a_chunk():
    """Broken weights after loading (a bad memory, say) never become commands."""
    bundle = tiny_bundle()
    with torch.no_grad():
        bundle.model.pred_proj.net[3].bias.fill_(float('nan'))
    policy = make_policy(bundle)
    policy.set_goal_image(frame(9))
    policy.observe(Observation(stamp_ns=0, rgb=frame(10)))
    with pytest.raises(EngineFailure, match='finite cost'):
        policy.plan(0)


def test_latents_that_are_not_finite_are_an_engine_failure(policy, monkeypatch):
    """Neither a frame nor a goal."""
    monkeypatch.setattr(policy._engine, 'encode', lambda rgb: torch.full((16,), float('nan')))
    with pytest.raises(EngineFailure, match='latent of a frame is not finite'):
        policy.observe(Observation(stamp_ns=DT_NS, rgb=frame(10)))
    with pytest.raises(EngineFailure, match='is not finite'):
        policy.set_goal_image(frame(9))


def test_longer_history_uses_executed_actions():
    """With history 2 the imagined future depends on what was executed, not only on the frame."""
    config = dataclasses.replace(PLAN, history=2)
    costs = []
    for speed in (0.0, 2.0):
        policy = make_policy(tiny_bundle(), config)
        torch.manual_seed(1)
        with torch.no_grad():  # untrained gates are 0 and ignore actions; open them
            for parameter in policy.bundle.model.predictor.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape))
        policy.set_goal_image(frame(200))
        for step in range(6):
            policy.observe(Observation(stamp_ns=step * DT_NS, rgb=frame(step)))
            policy.executed(step * DT_NS, np.full(2, speed))
        policy.plan(5 * DT_NS)
        costs.append(policy.last_plan.start_cost)   # of the same (zero) actions
    assert costs[0] != pytest.approx(costs[1], rel=1e-3)
    with pytest.raises(BundleError, match='longer than the 3 frames'):
        make_policy(tiny_bundle(), dataclasses.replace(PLAN, history=4))


def test_an_unknown_backend_is_an_error():
    """The message lists the known ones."""
    with pytest.raises(ConfigError, match="backend must be one of torch.*got 'tpu'"):
        make_policy(tiny_bundle(), backend='tpu')


@pytest.mark.parametrize('error', [
    RuntimeError('CUDA error: an illegal memory access'), MemoryError('out of memory'),
    torch.cuda.OutOfMemoryError('CUDA out of memory')])
def test_whatever_an_engine_raises_is_an_engine_failure(policy, monkeypatch, error):
    """Out of memory, a CUDA error: one kind for the planner, and the cause is kept."""
    def fail(*arguments):
        raise error

    monkeypatch.setattr(policy._engine, 'rollout', fail)
    with pytest.raises(EngineFailure, match='engine torch:fp32 on cpu.*emory') as caught:
        policy.plan(0)
    assert caught.value.__cause__ is error
    monkeypatch.undo()
    policy.plan(0)   # and the next plan works
    monkeypatch.setattr(policy._engine, 'encode', fail)
    with pytest.raises(EngineFailure):
        policy.observe(Observation(stamp_ns=DT_NS, rgb=frame(1)))


def test_costs_that_are_not_finite_are_an_engine_failure(policy, monkeypatch):
    """Not a plan."""
    monkeypatch.setattr(policy._engine, 'rollout',
                        lambda context, blocks: torch.full((len(blocks), 3, 16), float('nan')))
    with pytest.raises(EngineFailure, match='finite cost'):
        policy.plan(0)


def still_gripper():
    """A bundle of positions around 0.8 whose second joint never moved in the data."""
    bundle = tiny_bundle()
    return dataclasses.replace(bundle, action_normalizer=dataclasses.replace(
        bundle.action_normalizer, mean=np.array([0.8, 0.3], np.float32),
        std=np.array([0.1, 1e-8], np.float32)))


def test_a_joint_that_never_moved_stays_at_its_one_value(monkeypatch):
    """It is imagined where the data had it, committed rows say where it is, then it is held."""
    policy = make_policy(still_gripper())
    policy.set_goal_image(frame(200))
    policy.observe(Observation(stamp_ns=0, rgb=frame(10)))
    imagined = []
    rollout = policy._engine.rollout
    monkeypatch.setattr(policy._engine, 'rollout', lambda context, blocks: (
        imagined.append(blocks.abs().max().item()), rollout(context, blocks))[1])
    measured = np.array([0.9, 0.7], np.float32)
    actions = policy.plan(0, committed=np.tile(measured, (4, 1))).actions
    np.testing.assert_array_equal(actions[:4], np.tile(measured, (4, 1)))
    np.testing.assert_allclose(actions[4:, 1], 0.3, atol=1e-6)
    assert max(imagined) <= 10


@pytest.mark.parametrize('warm', [False, True])
def test_a_search_for_positions_begins_at_rest(warm):
    """Not at the mean of the data: without spread to sample the robot stays where it is."""
    bundle = still_gripper()
    policy = make_policy(bundle, dataclasses.replace(PLAN, sample_std=1e-9, iterations=1))
    policy.set_goal_image(frame(200))
    policy.observe(Observation(stamp_ns=0, rgb=frame(10)))
    rest = np.array([1.1, 0.3], np.float32)
    if warm:
        policy.plan(0, rest=rest)
        policy.observe(Observation(stamp_ns=5 * DT_NS, rgb=frame(10)))
    actions = policy.plan(5 * DT_NS, rest=rest).actions
    np.testing.assert_allclose(actions, np.tile(rest, (15, 1)), atol=1e-5)


def test_the_time_budget_can_change_between_plans(policy):
    """With next to no time the search ends after its first iteration."""
    policy.plan(0)
    assert policy.last_plan.iterations == PLAN.iterations > 1
    policy.set_budget_ms(0.001)
    policy.plan(0)
    assert policy.last_plan.iterations == 1
