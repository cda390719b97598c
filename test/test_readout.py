"""Goals of quantities in a toy world whose readout and optimum are known.

Candidates are spread by less than a turn: an angle has one optimum per turn, and the mean of two
of them is none.
"""

from dataclasses import replace
import math

from engine_models import with_prior
from lewm_model import Bundle
from lewm_model.assemble import make_policy
from lewm_model.config import PlanConfig
from lewm_model.errors import ConfigError
from lewm_model.heads.readable import Readable, ReadoutConfig
from lewm_model.heads.readout import Readout
from lewm_model.planning.branchless import BranchlessSearch
from lewm_model.planning.candidates import Candidates
from lewm_model.planning.gradient import GradientSolver
from lewm_model.planning.objectives import make_objective
from lewm_model.planning.sampling import SamplingSolver
from lewm_model.types import Goal, Observation
from nano import SIZES, tiny_bundle
import numpy as np
import pytest
from readout_bundles import bundle_that_reads, entry, ERROR
from test_sampling import A, context, K, RunningSum, T
import torch
from torch import nn


class Circle(nn.Module):
    """Column 0 is the first number of a latent; then sine and cosine of the second."""

    def forward(self, latents):
        first, second = latents[..., 0], latents[..., 1]
        return torch.stack([first, second.sin(), second.cos()], dim=-1)


class Scaled(nn.Module):
    def __init__(self, factors):
        super().__init__()
        self.factors = factors

    def forward(self, columns):
        return columns * self.factors


def toy(places=None):
    """Read 'along' and the angle 'turn' from latents that are (along, turn), exactly."""
    places = torch.tensor([[0.0, 0.0]]) if places is None else places
    readout = Readout(ReadoutConfig([entry('along'), entry('turn', 'angle', -math.pi, math.pi)],
                                    hidden_dim=1, hidden_layers=1, places=len(places)), A)
    readout.net = Circle()
    readout.places.copy_(places)
    readout.place_columns.copy_(readout(readout.places.float()))
    return readout.requires_grad_(False)


def solver(readout, kind=SamplingSolver, **settings):
    config = PlanConfig(**{'horizon': T, 'receding_horizon': T, 'num_candidates': 300,
                           'num_elites': 30, 'iterations': 30, 'cost': 'last', 'noise': 'held',
                           'sample_std': 0.15, **settings})
    candidates = Candidates(config, action_dim=A, block_dim=K * A,
                            generator=torch.Generator().manual_seed(0))
    return kind(config, RunningSum(), make_objective(config.cost, readout), candidates)


def goal(readout, names, values, *others):
    target = readout.target(names, values, *others)
    return Goal(latent=readout.place(target), target=target)


def end(plan, start=(0.0, 0.0)):
    """Where the toy world is after a plan."""
    return torch.tensor(start) + plan.blocks.reshape(-1, A).sum(dim=0)


def test_the_search_reaches_the_quantities_that_are_wanted():
    """Along 3, turn 1: the known optimum, though no latent was ever given."""
    readout = toy()
    plan = solver(readout).solve(context(), goal(readout, ['along', 'turn'], [3.0, 1.0]))
    torch.testing.assert_close(end(plan), torch.tensor([3.0, 1.0]), atol=0.05, rtol=0)
    assert plan.cost < 0.01 < plan.start_cost


def test_an_angle_is_reached_across_the_turn_the_short_way():
    """From 3.0 rad to -3.0 rad is 0.28 rad forwards, not 6 rad back."""
    readout = toy()
    plan = solver(readout).solve(context((0.0, 3.0)), goal(readout, ['turn'], [-3.0]))
    assert end(plan, (0.0, 3.0))[1].item() == pytest.approx(2 * math.pi - 3, abs=0.05)


def test_a_turn_more_is_the_same_angle():
    """1 rad and 1 + 2 pi rad: no distance, no cost, no note."""
    readout = toy()
    target = readout.target(['turn'], [1.0 + 2 * math.pi])
    latent = torch.tensor([0.0, 1.0])
    assert readout.errors(latent, target)[0] == pytest.approx(0, abs=1e-6)
    assert readout.cost(latent, target).item() == pytest.approx(0, abs=1e-6)
    assert target.note == ''


def test_what_has_no_weight_does_not_count():
    """With weight 0 on 'along' its value may be anything: cost, plan and place are the same."""
    readout = toy(torch.tensor([[4.0, 1.0], [-4.0, -1.0]]))
    plans = [solver(readout).solve(context(), goal(
        readout, ['along', 'turn'], [value, 1.0], [0.0, 1.0])) for value in (4.0, -4.0)]
    torch.testing.assert_close(plans[0].blocks, plans[1].blocks)
    assert end(plans[0])[1].item() == pytest.approx(1.0, abs=0.05)
    far = [readout.target(['along', 'turn'], [value, 1.0], [0.0, 1.0]) for value in (4.0, -4.0)]
    assert torch.equal(readout.place(far[0]), readout.place(far[1]))


def test_weights_divide_what_cannot_all_be_had():
    """Two wishes for one number cannot be: with tolerances alike, weights 3 and 1 divide it."""
    readout = Readout(ReadoutConfig([entry('one'), entry('two')], hidden_dim=1, hidden_layers=1,
                                    places=1), A)
    readout.net = type('Twice', (nn.Module,), {
        'forward': lambda self, latents: latents[..., :1].expand(*latents.shape[:-1], 2)})()
    wanted = goal(readout, ['one', 'two'], [1.0, 3.0], [3.0, 1.0], [0.1, 0.1])
    found = end(solver(readout).solve(context(), wanted))[0].item()
    assert found == pytest.approx((3 * 1 + 1 * 3) / 4, abs=0.05)


def test_a_smaller_tolerance_counts_more():
    """An error of one tolerance costs the same in every quantity."""
    readout = toy()
    target = readout.target(['along', 'turn'], [0.0, 0.0], None, [0.5, 0.01])
    along, turn = readout.cost(torch.tensor([[0.5, 0.0], [0.0, 0.01]]), target)
    assert along.item() == pytest.approx(turn.item(), rel=1e-3)


def test_costs_have_the_size_of_latent_distances():
    """Frames drawn at random are 2 D apart on the average, whatever the units are."""
    places = torch.randn(2000, A, generator=torch.Generator().manual_seed(0))
    readout = toy(places)
    spread = readout.place_columns.std(dim=0)
    readout.net = nn.Sequential(readout.net, Scaled(1 / spread))     # as a trained one answers
    readout.std.copy_(spread)
    costs = [readout.cost(places, readout.target(
        ['along', 'turn'], place.tolist())).mean().item() for place in places[:200]]
    assert np.mean(costs) == pytest.approx(2 * A, rel=0.1)


@pytest.mark.parametrize(('arguments', 'words'), [
    ((['along', 'height'], [0, 0]), r"cannot read 'height'; this bundle reads along \(position "
                                    r'\[m\]\), turn \(angle \[rad\]\)'),
    (([], []), 'no quantity; this bundle reads along'),
    ((['along', 'along'], [0, 0]), 'named once, got along, along'),
    ((['along'], [0, 1]), r'values must be a finite number for each of along, got \[0, 1\]'),
    ((['along'], [math.nan]), 'values must be a finite number'),
    ((['along'], [0], [-1]), 'weights must not be negative'),
    ((['along'], [0], [0]), 'not all 0'),
    ((['along'], [0], None, [0]), 'tolerances must be above 0'),
])
def test_what_cannot_be_is_refused(arguments, words):
    """The message says what can be read, or what is wrong with the numbers."""
    with pytest.raises(ConfigError, match=words):
        toy().target(*arguments)


def test_what_training_never_had_is_told():
    """Along had [-5, 5]; what does not count is not doubtful."""
    readout = toy()
    assert readout.target(['along'], [5.5]).note == (
        'along shall be 5.5 m, but training had [-5, 5] only')
    assert readout.target(['along', 'turn'], [5.5, 0.0], [0.0, 1.0]).note == ''
    half = Readable('joint', 'angle', read_error=ERROR, read_error_95=ERROR, low=-1.0, high=1.0)
    assert half.beyond(0.5 + 2 * math.pi) == '' and 'had [-1, 1]' in half.beyond(math.pi)


def test_the_place_keeps_what_nobody_asked_for():
    """Of the places with the wanted turn, the one that is nearest to here; else the best one."""
    readout = toy(torch.tensor([[-4.0, 1.0], [4.0, 1.0], [0.0, -1.0]]))
    target = readout.target(['turn'], [1.0])
    for along in (-4.0, 4.0):
        near = torch.tensor([0.5 * along, 0.0])
        assert readout.place(target, near).tolist() == [along, 1.0]
    both = readout.target(['along', 'turn'], [3.0, 0.5])
    assert readout.place(both, torch.tensor([-4.0, 1.0])).tolist() == [4.0, 1.0]


def test_a_place_may_be_off_by_half_of_what_is_asked_for():
    """A target with room for it takes the near place; one without takes the exact one."""
    readout = toy(torch.tensor([[-1.0, 0.9], [1.0, 1.0], [-1.0, 0.7]]))
    near = torch.tensor([-1.0, 0.0])
    for tolerances, found in ((None, [1.0, 1.0]), ([0.1], [1.0, 1.0]), ([0.3], [-1.0, 0.9])):
        target = readout.target(['turn'], [1.0], None, tolerances)
        assert readout.place(target, near).tolist() == pytest.approx(found, abs=1e-3), tolerances


def test_a_place_of_everything_is_not_drawn_to_where_the_robot_is():
    """Nothing is left to keep: off by a tenth of the tolerance at most, from wherever."""
    places = torch.cartesian_prod(torch.linspace(-1.5, 1.5, 301), torch.linspace(-1.5, 1.5, 301))
    readout = toy(places)
    target = readout.target(['along', 'turn'], [0.5, 0.5], None, [0.1, 0.1])
    for near in ([-1.5, -1.5], [1.5, 0.5], [0.45, 0.5]):
        found = readout.place(target, torch.tensor(near))
        assert readout.errors(found, target).max() <= 0.011, near


def test_the_captured_search_is_that_of_the_sampling_solver():
    """The same plan from the same noise, for two targets, one after the other."""
    readout = toy()
    goals = [goal(readout, ['along', 'turn'], values) for values in ([1.0, 0.5], [-2.0, 1.0])]
    plain, search = solver(readout, iterations=3), solver(
        readout, lambda *parts: BranchlessSearch(*parts, context(), goals[0]), iterations=3)
    for wanted in goals:
        search.load(context(), wanted, None, None)
        search.start()
        for _ in range(3):
            search.step()
        search.finish()
        torch.testing.assert_close(search.blocks, plain.solve(context(), wanted).blocks,
                                   atol=1e-4, rtol=1e-4)


def test_gradients_lead_to_quantities_too():
    """Down the slope of the readout, in and out of inference mode."""
    readout = toy()
    with torch.inference_mode():
        wanted = goal(readout, ['along', 'turn'], [2.0, 1.0])
    plan = solver(readout, GradientSolver, num_candidates=8, num_elites=2, iterations=80,
                  learning_rate=0.1).solve(context(), wanted)
    torch.testing.assert_close(end(plan), torch.tensor([2.0, 1.0]), atol=0.05, rtol=0)


# Policies ------------------------------------------------------------------------------------


def frame(seed):
    return np.random.default_rng(seed).integers(0, 255, (64, 64, 3)).astype(np.uint8)


def seeing(policy, seed=1):
    policy.observe(Observation(stamp_ns=0, rgb=frame(seed)))
    return policy


def test_a_policy_goes_to_quantities_and_says_how_far_it_is():
    """The distance is the root of the weighted mean of the squared errors, in units."""
    policy = seeing(make_policy(bundle_that_reads()))
    here = policy.bundle.readout.read(policy.newest_latent)
    epoch = policy.epoch
    policy.set_goal_quantities(['first', 'second'], here + [0.3, -0.4], [3.0, 1.0], goal_id='g')
    assert policy.epoch == epoch + 1 and policy.goal.source == 'quantities'
    np.testing.assert_allclose(policy.goal_errors, [0.3, 0.4], atol=1e-6)
    assert policy.goal_distance == pytest.approx(math.sqrt((3 * 0.09 + 0.16) / 4), abs=1e-6)
    assert np.isfinite(policy.plan(0).actions).all()


def test_quantities_of_a_picture_leave_the_rest_of_it_out():
    """Another picture with the same 'first' is the same goal: same values, same plan."""
    policy = make_policy(bundle_that_reads())
    one = policy.set_goal_image(frame(5), names=['first'])
    assert one.image is not None and one.target.names == ('first',)
    plans = []
    for given in (one, replace(one, image=frame(6), latent=torch.zeros(SIZES.latent_dim))):
        policy.reset()
        policy.reseed(1)
        seeing(policy).set_goal(given)
        plans.append(policy.plan(0).actions)
    np.testing.assert_array_equal(*plans)
    same = policy.bundle.readout.read(policy._encode(frame(5)))[0]
    assert one.target.values[0] == same
    assert policy.set_goal_image(frame(5)).target is None       # without names all of it counts


def test_a_goal_that_cannot_be_read_leaves_the_old_one():
    """Unknown names, and bundles that read nothing; both say what to do."""
    policy = make_policy(bundle_that_reads())
    kept = policy.set_goal_quantities(['first'], [0.1])
    with pytest.raises(ConfigError, match="cannot read 'third'; this bundle reads first"):
        policy.set_goal_image(frame(1), names=['third'])
    assert policy.goal is kept
    with pytest.raises(ConfigError, match='lewm train-policy --kind readout'):
        make_policy(tiny_bundle()).set_goal_quantities(['first'], [0.1])


@pytest.mark.parametrize('settings', [
    {'solver': 'prior'}, {'initial': 'prior'}, {'solver': 'inverse'}, {'solver': 'mppi'},
    {'solver': 'gradient', 'clip': False}])
def test_every_solver_takes_goals_of_quantities(settings):
    """What needs a latent gets a recorded place with these quantities."""
    bundle = with_prior(bundle_that_reads())
    policy = seeing(make_policy(bundle, replace(bundle.plan_config, **settings)))
    policy.set_goal_quantities(['first'], [0.1])
    assert np.isfinite(policy.plan(0).actions).all()


def test_twins_have_goals_of_their_own():
    """Setting one robot's goal does not change the other's."""
    policy = make_policy(bundle_that_reads())
    twin = policy.twin()
    twin.set_goal_quantities(['first'], [0.2])
    assert policy.goal is None and twin.goal is not None


def test_the_readout_travels_with_the_bundle(tmp_path):
    """Weights, places and descriptions come back; a damaged description is an error."""
    bundle = bundle_that_reads()
    bundle.readout.places.normal_()
    again = Bundle.load(bundle.save(tmp_path / 'b'))
    latents = torch.randn(4, SIZES.latent_dim)
    np.testing.assert_array_equal(again.readout.read(latents), bundle.readout.read(latents))
    assert again.readout.readable == bundle.readout.readable
    assert torch.equal(again.readout.places, bundle.readout.places)


@pytest.mark.parametrize('broken', [
    [{'name': 'x'}], [{'name': 'x', 'kind': 'position', 'colour': 1}], ['x'], [],
    [{**entry('x'), 'read_error': 0.0}], [{**entry('x'), 'low': 6.0}],
    [{**entry('x'), 'kind': 'quaternion'}], [{**entry('x'), 'kind': 3}],
    [{**entry('x'), 'high': math.inf}], [entry('x'), entry('x')]])
def test_descriptions_that_make_no_sense_are_refused(broken):
    """Whatever a file says."""
    with pytest.raises(ConfigError):
        ReadoutConfig(broken)
