"""Several trainings as one result: files made by hand whose rates and spreads are known."""

import json

from lewm_model.errors import ConfigError
from lewm_sim.cli import main
from lewm_sim.evaluate.pool import pool
from lewm_sim.evaluate.statistics import mcnemar_p, wilson_interval
import numpy as np
import pytest

pytest.importorskip('mujoco')
PLAN = {'solver': 'cem', 'iterations': 5}


def trials(solved, seeds=1):
    """Return trials of one planner, each pair of an episode of its own: '1' solved, '0' not."""
    return [{'planner_seed': seed, 'episode': f'e{number}', 'row': 3, 'plan_seconds': [0.1],
             'errors': {'way': [1.0, 0.5, 0.01 if mark == '1' else 0.5]}}
            for seed, marks in enumerate(solved.split()[:seeds])
            for number, mark in enumerate(marks)]


def result(model, seeds=1, **planners):
    """Return what `lewm evaluate --out` writes, as far as pooling reads it."""
    marks = next(iter(planners.values())).split()[0]
    return {
        'task': 'two_room', 'model_id': model, 'loss': 'lewm', 'protocol': 'strict', 'part': 'all',
        'pairs': len(marks), 'goal_offset': 25, 'budget': 50, 'seed': 42, 'planner_seeds': seeds,
        'threads': 1, 'plan_seconds_median': 0.1, 'plans': dict.fromkeys(planners, PLAN),
        'efforts': {name: {'encode_flops': 1000, 'plan_flops': 2000, 'control_steps': 5,
                           'flops_per_step': 600.0, 'plan_seconds_median': 0.1}
                    for name in planners},
        'scores': [{'policy': name, 'tolerance': '0.16 m', 'solved_at_start': 0.0}
                   for name in (*planners, 'still')],
        'comparisons': [], 'choice': [],
        'trials': {**{name: trials(solved, seeds) for name, solved in planners.items()},
                   'still': trials(' '.join(['0' * len(marks)] * seeds), seeds)}}


@pytest.fixture
def write(tmp_path):
    """Return what writes results into files."""
    def files(*several, name='model'):
        paths = [tmp_path / f'{name}{number}.json' for number in range(len(several))]
        for path, one in zip(paths, several, strict=True):
            path.write_text(json.dumps(one))
        return paths
    return files


def test_three_trainings_have_the_mean_and_both_spreads(write):
    """Between trainings by hand; over pairs no narrower than Wilson's of the pairs of one."""
    pooled = pool(write(*(result(model, cem=solved) for model, solved in (
        ('a', '1100'), ('b', '1110'), ('c', '1100')))))
    cem, still = pooled['scores']
    assert cem['reached'] == pytest.approx(7 / 12) and cem['final'] == cem['reached']
    assert cem['reached_seeds'] == [0.5, 0.75, 0.5] and cem['pairs'] == 4
    assert cem['reached_seed_std'] == pytest.approx(np.std([0.5, 0.75, 0.5], ddof=1))
    low, high = wilson_interval(7 / 3, 4)
    assert cem['reached_interval'][0] <= low and cem['reached_interval'][1] >= high
    assert (still['reached'], still['reached_seed_std']) == (0, 0)
    assert (pooled['trainings'], pooled['model_id']) == (3, 'a + b + c')
    assert len(pooled['trials']['cem']) == 12 and 'choice' not in pooled


def test_planner_seeds_are_averaged_before_trainings_are(write):
    """Two trainings of three planner seeds have two rates, not six."""
    pooled = pool(write(result('a', 3, cem='10 11 11'), result('b', 3, cem='00 00 10')))
    assert pooled['scores'][0]['reached_seeds'] == pytest.approx([5 / 6, 1 / 6])
    assert pooled['scores'][0]['reached'] == pytest.approx(0.5)


def test_planners_that_all_have_are_compared_pair_by_pair(write):
    """By the majority of the trainings; what one file alone has is left out."""
    first = result('a', cem='1111100', prior='0000011', alone='0000000')
    pooled = pool(write(first, result('b', prior='0000011', cem='1111100'),
                        result('c', cem='0000000', prior='0000011')))
    assert [row['policy'] for row in pooled['scores']] == ['cem', 'prior', 'still']
    assert list(pooled['efforts']) == ['cem', 'prior']
    reached, final = pooled['comparisons']
    assert (reached['first'], reached['second'], final['rule']) == ('cem', 'prior', 'final')
    assert (reached['only_first'], reached['only_second']) == (5, 2)
    assert reached['p'] == mcnemar_p(5, 2)
    assert reached['difference'] == pytest.approx((2 * 5 / 7) / 3 - 2 / 7)


def test_the_command_pools_two_recipes_and_compares_them(write, tmp_path, capsys):
    """The second is held against the pooled file of the first, on the same pairs."""
    better = write(*(result(f'a{seed}', cem='1' * 12) for seed in range(3)), name='better')
    worse = write(*(result(f'b{seed}', cem='1' * 2 + '0' * 10) for seed in range(3)))
    out = tmp_path / 'deep' / 'better.json'
    assert main(['pool', *map(str, better), '--out', str(out)]) == 0
    assert '3 trainings, 1 planner seed; 95 % intervals over pairs in brackets, after ± the ' \
        'standard deviation between trainings' in capsys.readouterr().out
    assert main(['pool', *map(str, worse), '--against', str(out)]) == 0
    said = capsys.readouterr().out
    assert '| cem | 0.16 m | 17 ± 0.0 % (' in said
    assert 'model b0 + b1 + b2 minus model a0 + a1 + a2, reached (0.16 m): -83.3 points' in said
    assert ('of 12 pairs 0 are solved by the first alone, 10 by the second (p = '
            f'{mcnemar_p(0, 10):.2g})') in said


@pytest.mark.parametrize(('change', 'message'), [
    ({'model_id': 'a'}, 'model1.json and .*model0.json are both of model a; a training counts'),
    ({'budget': 51}, 'model1.json was made under other rules .budget 51 there, 50 here'),
    ({'planner_seeds': 2}, 'planner seeds 2 there, 1 here'),
    ({'loss': 'pldm'}, 'loss pldm there, lewm here'),
    ({'trainings': 3}, 'model1.json is pooled already'),
    ({'plans': {'cem': {**PLAN, 'iterations': 30}}},
     "other settings of planner 'cem' .iterations 30 there, 5 in .*model0.json"),
    ({'trials': {'prior': trials('11')}, 'plans': {'prior': PLAN}},
     "model1.json has no planner 'cem', the first of .*model0.json, only prior"),
    ({'trials': {'cem': trials('111')}}, 'model1.json has 2 of the 2 pairs .* and 1 others'),
    ({'trials': {'cem': trials('1')}}, 'model1.json has 1 of the 2 pairs'),
    ({'trials': {}}, 'model1.json is no result of lewm evaluate --out .it has no trials'),
])
def test_what_is_not_the_same_exam_is_refused(write, change, message):
    """The file, what differs, and what to do."""
    with pytest.raises(ConfigError, match=message):
        pool(write(result('a', cem='11'), {**result('b', cem='11'), **change}))


def test_one_training_is_no_pool(write, capsys):
    """Exit code 2 and how many it needs."""
    path, = write(result('a', cem='11'))
    assert main(['pool', str(path)]) == 2
    assert 'at least 2 trainings, got 1' in capsys.readouterr().err


def test_results_by_a_rule_that_is_gone_are_refused(write):
    """The tolerance of task.yaml was changed after the evaluation."""
    several = [result(model, cem='11') for model in 'ab']
    several[0]['scores'][0]['tolerance'] = '0.5 m'
    with pytest.raises(ConfigError, match="by 0.5 m, which task 'two_room' does not have"):
        pool(write(*several))
