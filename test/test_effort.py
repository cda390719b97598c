"""What a decision costs: counted operations against a count by hand, budgets, the curve."""

import dataclasses

from lewm_model.bundles.evaluation_table import evaluation_table
from lewm_model.config import PlanConfig
from lewm_model.errors import ConfigError
from lewm_model.heads.goal_policy import GoalPolicyConfig
from lewm_sim.evaluate.curve import curves, draw_curves
from lewm_sim.evaluate.effort import at_budgets, count_effort, parse_budgets
from nano import PLAN, SIZES, tiny_bundle
import pytest


def linear(rows, width_in, width_out):
    """Operations of a linear map: a multiplication and its addition are two."""
    return 2 * rows * width_in * width_out


def frame_flops(s):
    """Count the encoder by hand: patches, blocks, projector. The last block keeps one token."""
    patches = (s.image_size // s.patch_size) ** 2
    tokens, dim = patches + 1, s.encoder_dim
    total = linear(patches, 3 * s.patch_size ** 2, dim)
    for block in range(s.encoder_depth):
        kept = 1 if block == s.encoder_depth - 1 else tokens
        total += linear(kept, dim, dim) + 2 * linear(tokens, dim, dim)       # query; key, value
        total += 2 * 2 * kept * tokens * dim                                 # products, mixing
        total += linear(kept, dim, dim) + 2 * linear(kept, dim, 4 * dim)     # output, MLP
    return total + linear(1, dim, s.projector_dim) + linear(1, s.projector_dim, s.latent_dim)


def test_a_frame_costs_what_a_count_by_hand_says():
    """To the last operation, for the tiny model."""
    effort = count_effort(tiny_bundle(), PLAN)
    assert effort.encode_flops == frame_flops(SIZES)
    assert effort.control_steps == PLAN.receding_horizon * SIZES.frameskip
    assert effort.flops_per_step == (effort.encode_flops + effort.plan_flops) / 5


def test_a_search_costs_its_candidates_and_one_answer():
    """Twice the iterations: twice the candidates; the answer's own rollout is counted once.

    plan = (S * I + 1) * one rollout, exactly, since nothing else multiplies matrices.
    """
    costs = {(count, iterations): count_effort(tiny_bundle(), dataclasses.replace(
        PLAN, num_candidates=count, iterations=iterations)).plan_flops
        for count, iterations in ((8, 1), (8, 2), (16, 2))}
    one = costs[8, 1] / 9
    assert one == int(one) > 0
    assert costs == {(8, 1): 9 * one, (8, 2): 17 * one, (16, 2): 33 * one}
    late = dataclasses.replace(PLAN, num_candidates=8, iterations=2, budget_ms=1e-6)
    assert count_effort(tiny_bundle(), late).plan_flops == costs[8, 2]


def test_a_policy_without_a_world_model_costs_its_network():
    """Two layers: (2 D x 8) and (8 x K A); with a horizon of one block nothing is imagined."""
    bundle = tiny_bundle()
    network = bundle.new_network('gcbc', GoalPolicyConfig(8, 1)).eval()
    effort = count_effort(dataclasses.replace(bundle, gcbc=network),
                          dataclasses.replace(PLAN, solver='gcbc', horizon=1))
    assert effort.plan_flops == linear(1, 2 * SIZES.latent_dim, 8) + linear(1, 8, SIZES.block_dim)


def test_history_is_filled_before_counting():
    """Three frames in the context cost more than one; a decision still encodes one new frame."""
    short, full = (count_effort(tiny_bundle(), dataclasses.replace(PLAN, history=length))
                   for length in (1, 3))
    assert full.plan_flops > short.plan_flops and full.encode_flops == short.encode_flops


def test_budgets_are_made_of_searches_alone():
    """Each search at each budget, with a tenth as elites; what does not search stays."""
    plans = {'cem': PlanConfig(recalled=20), 'prior': PlanConfig(solver='prior')}
    found = at_budgets(plans, parse_budgets('10x1, 100x5'))
    assert list(found) == ['cem 10x1', 'cem 100x5', 'prior']
    small, large = found['cem 10x1'], found['cem 100x5']
    assert (small.num_candidates, small.iterations, small.num_elites, small.recalled) == (
        10, 1, 2, 9)
    assert (large.num_candidates, large.iterations, large.num_elites, large.recalled) == (
        100, 5, 10, 20)
    assert found['prior'] == plans['prior']
    with pytest.raises(ConfigError, match="such as 30x3,100x5, got '30,5'"):
        parse_budgets('30,5')


def results(**rates):
    """Return results with one tolerance: success by policy."""
    return {
        'model_id': 'abc', 'scores': [
            {'policy': name, 'tolerance': '0.05 rad', 'pairs': 50, 'reached': rate, 'final': rate,
             'reached_interval': [rate - 0.1, rate + 0.1], 'final_interval': [rate, rate],
             'solved_at_start': 0.0} for name, rate in rates.items()],
        'efforts': {name: {'flops_per_step': place * 1e6, 'encode_flops': 10, 'plan_flops': 5e9,
                           'plan_seconds_median': 0.0123}
                    for place, name in zip((3, 1, 2), rates, strict=False)}}


def test_a_curve_joins_the_budgets_of_one_planner():
    """Cheapest first; floors, which cost nothing, are no points."""
    found = curves(results(**{'cem 100x5': 0.9, 'cem 10x1': 0.2, 'gcbc': 0.5, 'still': 0.0}),
                   'reached')
    assert {name: [point[:2] for point in points] for name, points in found.items()} == {
        'cem': [(1e6, 0.2), (3e6, 0.9)], 'gcbc': [(2e6, 0.5)]}
    with pytest.raises(ConfigError, match='evaluate it again'):
        curves({'model_id': 'old'}, 'final')


def test_the_curves_of_two_models_are_one_picture(tmp_path):
    """A PNG is written."""
    pytest.importorskip('matplotlib')
    one = results(**{'cem 100x5': 0.9, 'cem 10x1': 0.2})
    path = draw_curves([('ours', one), ('theirs', one)], tmp_path / 'deep' / 'curve.png')
    assert path.read_bytes().startswith(b'\x89PNG')


def test_the_table_has_time_and_operations():
    """One row for each planner, in units that can be read."""
    evaluation = {**results(cem=0.9), 'protocol': 'held-out', 'pairs': 50, 'goal_offset': 25,
                  'budget': 50, 'seed': 1, 'planner_seeds': 1, 'threads': 1,
                  'plan_seconds_median': 0.0123}
    assert '| cem | 12.3 ms | 0.01 k | 5 G | 3 M |' in evaluation_table(evaluation)
