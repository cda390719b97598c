"""tools/compare_models.py: recipes to compare with, what is chosen, and that nothing is redone."""

import argparse
import importlib.util
import json
from pathlib import Path

from lewm_model.base.resources import find_named
from lewm_model.config import load_yaml, ModelConfig, TrainConfig
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
            Path(words[words.index('--out') + 1]).write_text(json.dumps({'scores': [
                {'final': final, 'reached': 1.0}]}))


@pytest.mark.parametrize(('finals', 'best'), [
    ((0.5, 0.5, 0.5), 'once'), ((0.6, 0.5, 0.4), 'third'), ((0.4, 0.5, 0.6), 'thrice')])
def test_the_best_weights_are_chosen_and_nothing_is_done_twice(tool, tmp_path, finals, best):
    """On the part to choose by; equally good: the published ones. A second call runs nothing."""
    args = argparse.Namespace(out=tmp_path / 'out', config='nano', steps=None, data='d.h5',
                              threads=1, protocol='strict', pairs=20, planner_seeds=1)
    work = tool.Comparison(args)
    work.lewm = fake = Fake(dict(zip(('pldm_third', 'pldm_once', 'pldm_thrice'), finals,
                                     strict=True)))
    assert work.best_pldm().name == f'pldm_{best}'
    judged = [line for line in fake.lines if line[0] == 'evaluate']
    assert len(fake.lines) == 6 and all(
        line[line.index('--part') + 1] == 'choose' and 'strict' in line for line in judged)
    assert work.best_pldm().name == f'pldm_{best}' and len(fake.lines) == 6


def test_the_table_has_floors_once(tool):
    """Every model's planners with time and operations; floors of the first model alone."""
    def results(name):
        rows = [{'policy': policy, 'tolerance': '1 cm', 'reached': 0.5, 'final': 0.25,
                 'reached_interval': [0.4, 0.6], 'final_interval': [0.2, 0.3]}
                for policy in (name, 'still')]
        return {'scores': rows, 'efforts': {name: {'plan_seconds_median': 0.01,
                                                   'flops_per_step': 2.5e6}}}
    lines = tool.table([('ours', results('cem')), ('PLDM', results('cem 10x1'))]).splitlines()
    assert '| ours | cem | 50 % (40-60) | 25 % (20-30) | 10.0 ms | 2.5 M |' in lines
    assert '| PLDM | cem 10x1 | 50 % (40-60) | 25 % (20-30) | 10.0 ms | 2.5 M |' in lines
    assert sum('floor' in line for line in lines) == 1
