"""Which model shows a task, and that the commands which make one are right for every task."""

from pathlib import Path
import shlex

import every_task
from lewm_model.base.resources import find_named
from lewm_model.config import load_yaml
from lewm_model.errors import ConfigError
from lewm_model.training.run import Recipe
from lewm_sim.bundle_of import bundle_of, making
from lewm_sim.cli import build_parser
from lewm_sim.collect import CollectConfig
from lewm_sim.tasks import load_task
import pytest

pytest.importorskip('mujoco')
task = every_task.task
ORIGINALS = Path(__file__).parent.parent / 'originals'


def test_a_task_is_shown_with_its_shipped_model_or_says_how_to_make_one(monkeypatch):
    """That of task.yaml or `<task>-nano`; without one the commands are named; a given one wins."""
    assert bundle_of(load_task('reacher')).name == 'reacher-nano'
    monkeypatch.setenv('LEWM_TASKS', str(every_task.OWN_TASKS))
    pusher = load_task('pusher')
    with pytest.raises(ConfigError, match="(?s)no model ships for task 'pusher'.*"
                       'lewm train data/pusher.h5 --config nano --out models/pusher-nano'):
        bundle_of(pusher)
    assert bundle_of(pusher, 'reacher-nano').name == 'reacher-nano'
    with pytest.raises(ConfigError, match="'nothing' is neither"):
        bundle_of(load_task('reacher'), 'nothing')


def test_the_commands_follow_each_other_with_the_recipe_and_the_data_of_the_task(task):
    """They parse, use what the one before made, and who acts is known to the task."""
    collect, ingest, train, goals = (
        build_parser(words[1]).parse_args(words[1:]) for words in map(shlex.split, making(task)))
    assert (collect.command, collect.task) == ('collect', task.name)
    CollectConfig(task=task.name, policy=task.facts.acting)
    assert [str(bags) for bags in ingest.bags] == [str(collect.out)]
    assert train.data == goals.data == [str(ingest.out)]
    assert str(goals.bundle) == str(train.out)
    assert train.config == task.facts.recipe.split()[0]
    Recipe.from_yaml(find_named('config/train', train.config, '.yaml'))


@pytest.mark.parametrize('name', ['reacher', 'two_room', 'push_t', 'cube'])
def test_a_recipe_looks_at_pictures_as_the_task_records_them(name):
    """Not at 64 of 96 px: a cube of 6 px would be one of 4."""
    facts = load_task(name).facts
    recipe = Recipe.from_yaml(find_named('config/train', facts.recipe.split()[0], '.yaml'))
    assert recipe.model['image_size'] == facts.image_sizes[0]


@pytest.mark.sim
def test_collect_lets_those_act_whom_the_task_names(tmp_path):
    """Unless it is told who: then these do."""
    from lewm_sim.cli import main

    for words, acting in (([], load_task('push_t').facts.acting), (['--policy', 'random'],
                                                                   'random')):
        out = tmp_path / (words or ['usual'])[-1]
        assert main(['collect', '--task', 'push_t', '--episodes', '1', '--steps', '2',
                     '--image-size', '32', '--out', str(out), *words]) == 0
        settings = CollectConfig.from_yaml(out / 'collection.yaml', 'settings')
        assert settings.policy == acting


@pytest.mark.parametrize('path', sorted(ORIGINALS.glob('*/task.yaml')),
                         ids=lambda one: one.parent.name)
def test_the_originals_name_recipes_that_there_are(path):
    """Without their simulators, which are extras."""
    recipe, *options = str(load_yaml(path).get('recipe', 'nano')).split()
    Recipe.from_yaml(find_named('config/train', recipe, '.yaml'))
    build_parser('train').parse_args(['train', 'data.h5', '--out', 'model', *options])


@pytest.mark.parametrize('folder', sorted((ORIGINALS.parent / 'models').iterdir()),
                         ids=lambda one: one.name)
def test_a_model_that_ships_is_small(folder):
    """10 MB at most, all that it has beside its weights included."""
    assert sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) <= 10e6
