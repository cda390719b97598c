"""An evaluation in which the same goals are given as pictures and as quantities."""

from dataclasses import replace
import json

from engine_models import alive_bundle
from lewm_model.bundles.evaluation_table import evaluation_table
from lewm_model.errors import ConfigError
from lewm_model.heads.readable import ReadoutConfig
from lewm_model.heads.readout import Readout
from lewm_sim.evaluate import evaluate, Settings
from lewm_sim.evaluate.effort import count_effort
from lewm_sim.evaluate.ways import find_names, Way
from lewm_sim.tasks import load_task
from nano import SIZES
import numpy as np
import pytest
from readout_bundles import entry
from test_evaluate_run import bundle, data, FAST, where  # noqa: F401, fixtures
import torch

pytestmark = pytest.mark.sim


@pytest.fixture
def reading(bundle):  # noqa: F811
    """Give the untrained bundle a readout of the joints and of something foreign."""
    torch.manual_seed(4)
    readout = Readout(ReadoutConfig(
        [entry('shoulder', 'angle'), entry('wrist', 'angle'), entry('foreign')], hidden_dim=8,
        hidden_layers=1, places=5), SIZES.latent_dim)
    return replace(bundle, readout=readout.eval().requires_grad_(False))


def test_all_ways_are_judged_on_the_same_pairs_and_compared(reading, data):  # noqa: F811
    """One planner, three ways to give it goals: three rows, two comparisons with the picture."""
    results = evaluate(reading, data, None, replace(
        FAST, goals=('picture', 'quantities', 'counted'), photo={'gamma': 0.8}))
    labels = [f'planner, {way}' for way in ('picture', 'quantities', 'counted')]
    assert [name for name in results['trials'] if 'planner' in name] == labels
    assert where(results, labels[0]) == where(results, labels[1]) == where(results, labels[2])
    assert [(one['first'], one['second'], one['rule']) for one in results['comparisons']] == [
        (labels[0], other, rule) for other in labels[1:] for rule in ('reached', 'final')]
    assert results['goals'] == dict(zip(labels, ('picture', 'quantities', 'counted'), strict=True))
    assert results['goal_names'] == ['shoulder', 'wrist'] and results['photo'] == {'gamma': 0.8}
    assert {(one['episode'], one['row']) for one in results['read_errors']} == where(
        results, labels[0])
    text = '\n'.join(evaluation_table(json.loads(json.dumps(results))))
    assert 'Goals name shoulder, wrist.' in text and 'taken otherwise: gamma 0.8.' in text


def test_how_many_goal_pictures_were_corrected_is_said(bundle, data):  # noqa: F811
    """In the results and above the table; these pictures are noise, so none was."""
    settings = replace(FAST, seeds=1, photo={'exposure': 0.7})
    said = evaluate(bundle, data, None, replace(settings, goal_correction='exposure'))
    assert said['goal_correction'] == {'which': 'exposure', 'corrected': 0, 'doubted': 0}
    assert '(exposure): 0 corrected, 0 doubted.' in (
        '\n'.join(evaluation_table(json.loads(json.dumps(said)))))
    assert 'goal_correction' not in evaluate(bundle, data, None, settings)


def test_numbers_do_not_see_the_goal_picture(reading, data):  # noqa: F811
    """Of a picture that is all black only the goal given as numbers is what it was."""
    dark = {'exposure': 0.05, 'gamma': 20.0}
    settings = replace(FAST, seeds=1, goals=('picture', 'quantities'))
    seeing = replace(reading, model=alive_bundle().model)     # its actions have an effect
    plain, black = (evaluate(seeing, data, None, replace(settings, photo=photo))['trials']
                    for photo in ({}, dark))

    def errors(trials, way):
        return [trial['errors'] for trial in trials[f'planner, {way}']]

    assert errors(plain, 'quantities') == errors(black, 'quantities')
    assert errors(plain, 'picture') != errors(black, 'picture')


def test_an_evaluation_with_pictures_alone_says_nothing_of_quantities(bundle, data):  # noqa: F811
    """Names and results are what they were."""
    results = evaluate(bundle, data, None, replace(FAST, seeds=1))
    assert 'planner' in results['trials']
    assert not {'goals', 'goal_names', 'read_errors', 'photo'} & set(results)


def test_names_that_nobody_knows_are_refused(bundle, reading):  # noqa: F811
    """The message lists what bundle and task both know."""
    task = load_task('reacher')
    assert find_names(reading, task) == ('shoulder', 'wrist')
    assert find_names(reading, task, ('wrist',)) == ('wrist',)
    with pytest.raises(ConfigError, match='cannot name foreign: bundle and task both know '
                                          'shoulder, wrist'):
        find_names(reading, task, ('foreign',))
    with pytest.raises(ConfigError, match='both know nothing; `lewm train-policy --kind readout`'):
        find_names(bundle, task)
    with pytest.raises(ConfigError, match="given as picture, quantities, counted, got 'smell'"):
        Way('smell')
    with pytest.raises(ConfigError, match='different ways'):
        Settings(goals=('picture', 'picture'))


def test_reading_what_is_imagined_is_counted(reading):
    """A plan to quantities costs the readout of every imagined latent on top."""
    plain, reads = (count_effort(reading, reading.plan_config, names).plan_flops
                    for names in ((), ('wrist',)))
    config, net = reading.plan_config, reading.readout.net
    each = sum(2 * layer.in_features * layer.out_features for layer in net
               if isinstance(layer, torch.nn.Linear))
    imagined = config.horizon * (config.num_candidates * config.iterations + 1)
    assert reads - plain == each * imagined
    assert np.isfinite(reads)
