"""From the same seeds the shipped tasks do today what they did when everything was made of them.

Data sets, the tables in docs/results/, demo goals and the shipped models come from episodes that a
seed and an index name. A change of a task, a policy or a scene that moves these numbers makes all
of them another experiment, without a word. If a test here fails after a change that was to keep
behaviour, the change is wrong. If a task changes on purpose, make the numbers again with
`python test/make_golden_steps.py TASK`, and with them what was made of the old task
(`tools/reproduce_tasks.sh TASK`), and say so in CHANGELOG.md.

Pictures are not compared: renderers differ between machines, physics does not by more than the
tolerance.
"""

import shlex

from import_rules import ROOT
from lewm_sim.collect import CollectConfig, EpisodeRecorder
from lewm_sim.tasks import load_task
from make_golden_steps import drive, FILE, first_steps, SEED, starts, TASKS
from needed import skip_where_missing
import numpy as np
import pytest
import yaml

pytest.importorskip('mujoco')
pytestmark = pytest.mark.sim
TOLERANCE = {'rtol': 1e-6, 'atol': 1e-6}    # the compiler's: sums in another order
GOLDEN = yaml.safe_load(FILE.read_text(encoding='utf-8'))
SHIPPED_GOALS = sorted(path.parents[1].name for path in ROOT.glob('models/*/goals/goals.yaml'))


@pytest.fixture(scope='module', params=TASKS)
def task(request):
    """Every shipped task."""
    return skip_where_missing(load_task(request.param))


def same(found, kept):
    """Tell whether two runs are one, commands and states."""
    return all(np.shape(found[name]) == np.shape(kept[name])
               and np.allclose(found[name], kept[name], **TOLERANCE) for name in kept)


def test_every_shipped_task_is_kept():
    """A new task, and a new policy of an old one, get their numbers in the file."""
    shipped = {path.parent.name for path in ROOT.glob('lewm_sim/tasks/*/task.yaml')}
    assert shipped == set(TASKS) == set(GOLDEN)
    for name in TASKS:
        assert list(GOLDEN[name]['policies']) == list(load_task(name).policies), name


def test_episodes_start_where_they_did(task):
    """Whole states of the first episodes of a set."""
    assert np.allclose(starts(task.name), GOLDEN[task.name]['starts'], **TOLERANCE)


def test_every_policy_does_what_it_did(task):
    """Its first second of commands, and the whole state that they lead to."""
    for policy, kept in GOLDEN[task.name]['policies'].items():
        found = first_steps(task.name, policy)
        assert same(found, kept), f'{policy} did {found}, before: {kept}'


def test_another_seed_is_another_episode(task):
    """Or else the tests above could not fail: each part differs by more than the tolerance."""
    assert not np.allclose(starts(task.name, SEED + 1), GOLDEN[task.name]['starts'], **TOLERANCE)
    for policy, kept in GOLDEN[task.name]['policies'].items():
        other = first_steps(task.name, policy, SEED + 1)
        for part in kept:
            assert not same({part: other[part]}, {part: kept[part]}), (policy, part)


def recorders(folder):
    """Yield the task of each set of a card, and what records it again."""
    commands = yaml.safe_load((folder / 'bundle.yaml').read_text())['provenance']['commands']
    for line in commands:
        words = shlex.split(line)
        if words[:2] == ['lewm', 'collect']:
            given = dict(zip(words[2::2], words[3::2], strict=True))
            task = load_task(given['--task'])
            yield task, EpisodeRecorder(CollectConfig(
                task=task.name, policy=given.get('--policy', task.facts.acting),
                seed=int(given['--seed']), steps=int(given['--steps'])), folder)


@pytest.mark.parametrize('bundle', SHIPPED_GOALS)
def test_the_shipped_goals_are_where_their_episodes_were(bundle):
    """The sets are recorded again, as the card says, up to the frames that are the demo's goals.

    Their truths were written when the model was made, to five decimals; each names an episode and
    a row in it. Episodes of several sets have the same names: it is that of one of them. Where
    objects are pushed, another processor's last bits grow to a centimetre within 40 steps.
    """
    folder = ROOT / 'models' / bundle
    sets = list(recorders(folder))
    assert sets
    near = 0.05 if sets[0][0].facts.own_starts else 2e-5
    for goal in yaml.safe_load((folder / 'goals' / 'goals.yaml').read_text())['goals']:
        index, found = int(goal['episode'].partition('/')[0].rpartition('_')[2]), []
        for task, recorder in sets:
            drive(recorder, task, index, goal['row'])
            truth = task.named(recorder.world.truth())
            found.append({name: truth[name] for name in goal['truth']})
        assert any(all(np.allclose(truth[name], value, rtol=0, atol=near)
                       for name, value in goal['truth'].items()) for truth in found), (goal, found)
