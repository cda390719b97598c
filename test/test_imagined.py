"""What the planner says it imagines: known answers, and nothing without a listener."""

from dataclasses import replace
from types import SimpleNamespace

from engine_models import with_prior
from lewm_model.assemble import make_policy
from lewm_model.config import PlanConfig
from lewm_model.planning.imagined import imagine
from lewm_model.planning.objectives import last_step_distance
from lewm_model.types import Context, Goal, Observation, Plan
from nano import tiny_bundle
import numpy as np
import pytest
from readout_bundles import bundle_that_reads
from test_cuda_graph import both, context, GOAL
import torch


class RunningSum:
    """A model whose latent is the sum of all blocks so far."""

    def rollout(self, latents, past_blocks, blocks):
        """Predict latents (S, T, D)."""
        return latents[:, -1:] + blocks.cumsum(dim=1)


def test_a_plan_and_its_rivals_are_what_the_model_says_best_first():
    """With a running sum, the latents of a plan are its partial sums; costs follow from them.

    Of more rivals than are asked for some are left out, evenly: neither the first nor the last.
    """
    seen = Context(torch.zeros(1, 1, 2), torch.zeros(1, 0, 2), (7,))
    goal = Goal(latent=torch.tensor([2., 0.]), goal_id='g')
    plan = Plan(torch.tensor([[1., 0.], [1., 0.]]), 0.0, 0.0, 0.0, 0.0, 1, considered=torch.tensor(
        [[[0., 0.], [0., 0.]], [[9., 9.], [9., 9.]], [[1., 0.], [0., 0.]]]))
    found = imagine(RunningSum(), last_step_distance, seen, goal, plan, 2, sequence=4,
                    wanted=goal)
    assert found.plan.tolist() == [[1, 0], [2, 0]]
    assert found.costs.tolist() == [1, 4]                      # the second was left out
    assert found.fan[0].tolist() == [[1, 0], [1, 0]]
    assert (found.stamp_ns, found.sequence, found.goal_id) == (7, 4, 'g')
    assert found.goal.tolist() == [2, 0] and found.seen.tolist() == [0, 0]


def test_candidates_without_a_cost_are_left_out():
    """A search may keep some that broke; nobody can be shown where they lead."""
    seen = Context(torch.zeros(1, 1, 2), torch.zeros(1, 0, 2), (7,))
    goal = Goal(latent=torch.tensor([2., 0.]))
    nan = float('nan')
    plan = Plan(torch.ones(2, 2), 0.0, 0.0, 0.0, 0.0, 1, considered=torch.tensor(
        [[[nan, 0.], [0., 0.]], [[1., 0.], [0., 0.]], [[2., 0.], [0., 0.]]]))
    found = imagine(RunningSum(), last_step_distance, seen, goal, plan, 9, sequence=4,
                    wanted=goal)
    assert found.costs.tolist() == [0, 1]
    assert found.fan[:, -1].tolist() == [[2, 0], [1, 0]]


def planned(bundle=None, goal=None, **settings):
    """Return a policy with a plan from black to white, or to quantities."""
    policy = make_policy(bundle or tiny_bundle(), PlanConfig(**{
        'horizon': 3, 'receding_horizon': 1, 'num_candidates': 16, 'num_elites': 4,
        'iterations': 2, 'cost': 'all', **settings}), backend='torch:fp32')
    if goal is None:
        policy.set_goal_image(np.full((64, 64, 3), 200, np.uint8), 'white')
    else:
        policy.set_goal_quantities(*goal, goal_id='there')
    policy.observe(Observation(0, np.zeros((64, 64, 3), np.uint8)))
    assert policy.imagine(8) is None                           # no plan yet
    policy.plan(0)
    return policy


@pytest.mark.parametrize('solver', ['cem', 'mppi', 'gradient'])
def test_a_search_shows_its_plan_and_some_of_what_it_tried(solver):
    """What the plan leads to costs what the search said; of the others the best come first."""
    policy = planned(solver=solver)
    found = policy.imagine(8)
    assert found.plan.shape == (3, 16)
    expected = ((torch.from_numpy(found.plan) - policy.goal.latent) ** 2).sum(-1).mean()
    assert expected.item() == pytest.approx(policy.last_plan.cost, rel=1e-3)
    assert found.fan.shape == (8, 3, 16) and (np.diff(found.costs) >= 0).all()
    np.testing.assert_allclose(found.costs, ((found.fan - found.goal) ** 2).sum(-1).mean(-1),
                               rtol=1e-4)
    policy.clear_goal()
    assert policy.imagine(8) is None


def test_the_prior_shows_its_attempts():
    """One for each block in which it might arrive; the plan is the best of them."""
    policy = planned(with_prior(tiny_bundle()), solver='prior')
    found = policy.imagine(8)
    assert found.fan.shape == (3, 3, 16)
    assert found.costs[0] == pytest.approx(policy.last_plan.cost, rel=1e-3)
    np.testing.assert_allclose(found.fan[0], found.plan, atol=1e-5)


def test_a_goal_of_quantities_has_no_latent_and_costs_of_its_own():
    """Nothing is drawn as its picture; costs are those of the quantities."""
    policy = planned(bundle_that_reads(), (['second'], [0.3]), cost='last')
    found = policy.imagine(8)
    assert found.goal.shape == (0,) and found.goal_id == 'there'
    readout, target = policy.bundle.readout, policy.goal.target
    for cost, leads in zip(found.costs, found.fan, strict=True):
        assert cost == pytest.approx(
            readout.cost(torch.from_numpy(leads[-1:]), target).item(), rel=1e-3)


def test_a_policy_without_others_shows_its_plan_alone():
    """Cloned behaviour answers with one plan."""
    policy = planned()
    policy.last_plan = replace(policy.last_plan, considered=None)
    found = policy.imagine(8)
    assert found.costs.shape == (0,) and found.fan.shape == (0, 3, 16)


def test_what_a_search_tried_shows_how_it_narrows():
    """Three of each of six iterations: those of the first are spread wider, and the plan between.

    Only of the last one, they would all lie on the plan.
    """
    solver, _ = both(noise='held')
    plan = solver.solve(context(), GOAL)
    assert plan.considered.shape == (18, *plan.blocks.shape)
    first, last = ((few - plan.blocks).abs().mean() for few in (
        plan.considered[:3], plan.considered[-3:]))
    assert first > 3 * last


@pytest.mark.parametrize('options', [{}, {'keep_elites': 3, 'answer': 'best'},
                                     {'solver': 'mppi'}, {'budget_ms': 1e6}], ids=str)
def test_a_captured_search_keeps_the_same_candidates(options):
    """From the same noise, of every iteration, also in the second solve."""
    usual, captured = both(**options)
    for _ in range(2):
        plans = [solver.solve(context(), GOAL) for solver in (usual, captured)]
        torch.testing.assert_close(plans[1].considered, plans[0].considered, rtol=1e-4, atol=1e-4)


def topic(listeners=1, imagine=lambda most: None):
    """Return a topic, its fake loop, and the list of what was published and said."""
    rig = pytest.importorskip('lewm_ros.planner.imagined')
    sent, said = [], []
    publisher = SimpleNamespace(get_subscription_count=lambda: listeners, publish=sent.append)
    policy = SimpleNamespace(last_plan=None, imagine=imagine, bundle=tiny_bundle())
    loop = SimpleNamespace(policy=policy, report=SimpleNamespace(session=5, epoch=1))
    return rig.ImaginedTopic(publisher, loop, lambda *text: said.append(text)), loop, sent, said


@pytest.mark.ros
def test_without_a_listener_nothing_is_imagined():
    """Not even the rollout is made."""
    def forbidden(most):
        raise AssertionError('somebody was asked to imagine')
    shown, loop, sent, said = topic(listeners=0, imagine=forbidden)
    loop.policy.last_plan = object()
    shown.show()
    assert sent == [] and said == []


@pytest.mark.ros
def test_a_failure_of_imagination_is_a_line_in_the_log():
    """An engine that is out of memory here costs people a picture, and nothing else."""
    def failing(most):
        raise RuntimeError('out of memory')
    shown, loop, sent, said = topic(imagine=failing)
    shown.show()                                               # no plan yet
    loop.policy.last_plan = object()
    shown.show()
    shown.show()                                               # the same plan: told once
    assert sent == [] and len(said) == 1 and 'out of memory' in said[0][1]


@pytest.mark.ros
def test_the_planner_publishes_what_it_imagines_for_whoever_looks(tmp_path):
    """A real planner: the message fits the chunk of the same number, and the frame it saw."""
    pytest.importorskip('rclpy')
    from lewm_ros.msg import Imagined
    from lewm_ros.wire import qos
    from lewm_ros.wire.imagined import msg_to_imagined
    from planner_rig import Rig
    from ros_helpers import Graph
    with Graph() as graph:
        rig = Rig(graph, tmp_path, obs_max_age_s=5.0)
        goal_id = rig.send_goal(200)
        rig.film_planning()
        received = graph.collect(Imagined, 'imagined', qos.IMAGE)
        rig.film_until(lambda: received, 'something imagined')
        shown = msg_to_imagined(received[0][1])
        rig.film_until(lambda: shown.imagined.sequence in {chunk.seq for _, chunk in rig.chunks},
                       'the plan that was imagined')
    chunks = {chunk.seq: chunk for _, chunk in rig.chunks}
    assert shown.imagined.goal_id == goal_id and shown.session == rig.last.session
    assert shown.block_s == pytest.approx(0.25)
    assert shown.imagined.plan.shape == (3, 16) and shown.imagined.fan.shape == (16, 3, 16)
    assert shown.imagined.stamp_ns in rig.stamps
    chunk = chunks[shown.imagined.sequence]
    assert chunk.model_id == shown.model_id and chunk.epoch == shown.epoch
