"""tools/reproduce_tasks.sh: its commands are real and follow each other, and are done once."""

from argparse import Namespace
import json
import os
from pathlib import Path
import re
import shlex
import shutil
import subprocess

from lewm_model.base.resources import find_named
from lewm_model.config import PlanConfig
from lewm_model.training.run import Recipe
from lewm_sim.cli import build_parser
from lewm_sim.collect import CollectConfig
from lewm_sim.tasks import load_task
import pytest

pytest.importorskip('mujoco')
ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / 'tools' / 'reproduce_tasks.sh'
SAYS = '[reproduce_tasks] '
TASKS = ('reacher', 'two_room', 'push_t', 'cube')
COPIES = ('far_model', 'with_policies')    # of a task's model
# Writes down what it is asked for, and makes what the script itself touches: bundles, results.
PRETENDED = """#!/usr/bin/env bash
case "$1" in -c) exit 0 ;; esac
case "$*" in *"${FAIL_AT:-nothing}"*) exit 3 ;; esac
{ printf '%q ' "${0##*/}" "$@"; echo; } >> "$CALLS"
words="$*"
case "$words" in *" train "*) mkdir -p "${words##*--out }" ;; esac
case "${0##*/} ${1-}" in
  'make demo') words=${3#ARGS=} result=summary.json ;;
  'make eval-ros') words=${3#ARGS=} result=${2#TASK=}/ros.json ;;
  *) exit 0 ;;
esac
result=${words##*--out }/$result
mkdir -p "${result%/*}"
echo '{}' > "$result"
"""
# Of a command, what does not depend on where files lie and how many processes there are.
PLACES = {'out', 'data', 'bundle', 'bags', 'run', 'begin_with', 'robot', 'workers', 'run_command'}


@pytest.fixture
def start(tmp_path):
    """Return what starts the script with a pretended lewm, and reads what that was asked for."""
    for name in ('python', 'make'):
        (tmp_path / name).write_text(PRETENDED)
        (tmp_path / name).chmod(0o755)
    calls, work = tmp_path / 'calls', tmp_path / 'work'

    def run(*words, **changes):
        calls.write_text('')
        done = subprocess.run(
            [SCRIPT, *words], capture_output=True, text=True, timeout=120,
            env={**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'WORK': str(work),
                 'PYTHON': str(tmp_path / 'python'), 'CALLS': str(calls), **changes})
        done.calls = [shlex.split(line) for line in calls.read_text().splitlines()]
        return done
    run.work = work
    return run


def listed():
    """Return (task, stage) of every row of --list."""
    done = subprocess.run([SCRIPT, '--list'], capture_output=True, text=True, check=True)
    return [tuple(line.split()[:2]) for line in done.stdout.splitlines()]


def stages(done):
    """Return (task, stage) of all that was begun."""
    return [tuple(found) for found in re.findall(
        rf'^{re.escape(SAYS)}(\w+) (\w+): (?!is there)', done.stdout, re.M)]


def lewm(done):
    """Return what every call of lewm means, by the real parser."""
    found = []
    for words in done.calls:
        if words[0] == 'python' and not words[1].startswith('tools/'):
            assert words[1:3] == ['-m', 'lewm_sim.cli'], words
            try:
                found += one_by_one(build_parser(words[3]).parse_args(words[3:]))
            except SystemExit as error:
                raise AssertionError(f'{words[3:]} does not parse') from error
    return found


def one_by_one(args):
    """Return what a command does: one that trains several kinds is one command for each.

    After the first one new data is new no more.
    """
    kinds = getattr(args, 'kind', None)
    return ([Namespace(**{**vars(args), 'kind': kind,
                          'new_data': args.new_data and place == 0})
             for place, kind in enumerate(kinds)] if isinstance(kinds, list) else [args])


def paths(value):
    """Return one path or several as text."""
    return [] if value is None else [str(one) for one in (
        value if isinstance(value, list) else [value])]


def test_all_stages_are_made_in_their_order_and_never_again(start):
    """As --list has them; the second time nothing is asked of lewm, and every stage is there."""
    done = start()
    assert done.returncode == 0, done.stderr
    assert stages(done) == listed() and len(listed()) > 20
    assert {task for task, _ in listed()} == set(TASKS)
    again = start()
    assert (again.returncode, again.calls, stages(again)) == (0, [], [])
    assert again.stdout.count(': is there') == len(listed())


def test_every_command_is_one_of_lewm_and_takes_what_was_made_before(start):
    """It parses; data sets, bundles, recipes and planner settings are there when they are used."""
    made = set()
    copied = {str(start.work / task / name): str(start.work / task / load_task(task).bundle)
              for task in TASKS for name in COPIES}
    for args in lewm(start()):
        if args.command == 'collect':
            CollectConfig(task=args.task, steps=args.steps, seed=args.seed,
                          policy=args.policy or load_task(args.task).facts.acting)
        for place in paths(getattr(args, 'bags', None)):      # a pattern of folders in one
            assert place in made or str(Path(place).parent) in made, place
        for name in ('data', 'bundle', 'begin_with'):
            used = {copied.get(place, place) for place in paths(getattr(args, name, None))}
            assert used <= made, (args.command, name)
        for name in getattr(args, 'plan', None) or []:
            PlanConfig.from_yaml(find_named('config/plan', name, '.yaml'))
        if args.command == 'train':
            Recipe.from_yaml(find_named('config/train', args.config, '.yaml'))
        made |= set(paths(getattr(args, 'out', None)))
    assert sum(place.endswith('.json') for place in made) >= 12


def test_the_tools_are_there_and_have_the_options(start):
    """Rivals and films: programs beside lewm, with what was made before."""
    done = start()
    made = {place for args in lewm(done) for place in paths(getattr(args, 'out', None))}
    calls = [words[1:] for words in done.calls if words[1].startswith('tools/')]
    assert {words[0] for words in calls} == {'tools/compare_models.py', 'tools/task_trials.py'}
    for tool, bundle, *words in calls:
        known = (ROOT / tool).read_text(encoding='utf-8')
        assert bundle in made
        for option, value in zip(words[::2], words[1::2], strict=True):
            assert f"'{option}'" in known, (tool, option)
            assert option != '--data' or value in made


def test_two_more_trainings_differ_from_the_model_in_their_seed(start):
    """The recipe of task.yaml, which is that of the card where a test of it holds."""
    for task in TASKS:
        trained = [args for args in lewm(start(task, 'seeds')) if args.command == 'train']
        recipe, *options = load_task(task).facts.recipe.split()
        assert [(args.config, args.seed) for args in trained] == [(recipe, 1), (recipe, 2)]
        usual = build_parser('train').parse_args([
            'train', 'data.h5', '--out', 'model', '--config', recipe, '--threads', '1',
            '--seed', '1', *options])
        assert meaning(trained[0]) == meaning(usual)


def test_models_that_ship_are_judged_without_training_them(start):
    """Only what is beside a copy learns, from new episodes; trained models have another folder."""
    done = start('two_room', 'far', SHIPPED='true')
    assert done.returncode == 0, done.stderr
    assert stages(done) == [('two_room', name) for name in ('record', 'networks', 'far')]
    bundle = start.work / 'two_room' / 'two_room-nano'
    assert (bundle / 'bundle.yaml').read_bytes() == (
        ROOT / 'models' / 'two_room-nano' / 'bundle.yaml').read_bytes()
    learnt = [args for args in lewm(done) if args.command.startswith('train')]
    assert [(args.command, args.kind, args.new_data, args.data) for args in learnt] == [
        ('train-policy', 'reach', True, [str(start.work / 'two_room' / 'reach.h5')])]
    other = start('two_room', 'far')
    assert (other.returncode, other.calls) == (2, [])
    assert 'was begun with SHIPPED=true; choose another WORK' in other.stderr


def test_what_is_said_of_other_settings_is_in_their_files(start):
    """Cost of the last step with the whole plan executed; a latent of 32; nothing else differs."""
    start('two_room', 'tried')
    plan = PlanConfig.from_yaml(start.work / 'two_room' / 'cem_last.yaml').to_dict()
    usual = PlanConfig.from_yaml(ROOT / 'config' / 'plan' / 'cem.yaml').to_dict()
    assert plan == {**usual, 'cost': 'last', 'receding_horizon': 5} != usual
    recipe = Recipe.from_yaml(start.work / 'two_room' / 'pico32.yaml')
    pico = Recipe.from_yaml(ROOT / 'config' / 'train' / 'pico.yaml')
    assert pico.model['latent_dim'] == 64
    assert recipe.model == {**pico.model, 'latent_dim': 32}


def test_goals_that_are_far_have_twice_as_many_steps(start):
    """Six distances of the published table; the second planner differs by its way-points alone."""
    done = start('two_room', 'far')
    asked = [args for args in lewm(done) if getattr(args, 'goal_offset', None)]
    assert [(args.goal_offset, args.budget) for args in asked] == [
        (steps, 2 * steps) for steps in (25, 40, 55, 70, 85, 100)]
    plain, along = (PlanConfig.from_yaml(ROOT / 'config' / 'plan' / f'{name}.yaml').to_dict()
                    for name in asked[0].plan)
    assert along == {**plain, 'way_points': 3} != plain


def meaning(args: Namespace):
    """Return the command with all that makes a difference to numbers."""
    said = {name: value for name, value in vars(args).items() if name not in PLACES}
    if 'config' in said:
        said['config'] = Path(said['config']).stem
    if said['command'] == 'train-prior':
        said['command'] = 'train-policy'
    return json.dumps(said, default=str, sort_keys=True)


@pytest.mark.parametrize(('model', 'task'), [
    ('reacher-nano', 'reacher'), ('two_room-nano', 'two_room'), ('push_t-nano', 'push_t'),
    ('cube-nano', 'cube')])
def test_the_commands_on_the_cards_are_among_them(start, model, task):
    """A shipped model is made by the commands of its card, whatever files are called."""
    card = (ROOT / 'models' / model / 'README.md').read_text(encoding='utf-8')
    lines = re.search(r'```bash\n(.*?)```', card, re.S)[1].splitlines()
    assert len(lines) >= 6
    ours = {meaning(args) for args in lewm(start(task))}
    for line in lines:
        words = shlex.split(line)[1:]
        for args in one_by_one(build_parser(words[0]).parse_args(words)):
            assert meaning(args) in ours, line


def test_what_was_cut_off_goes_on_where_it_stopped(start):
    """The command that failed says so and ends all with its exit code; nothing is done twice."""
    whole = start('push_t')
    assert whole.returncode == 0
    shutil.rmtree(start.work)
    first = start('push_t', FAIL_AT='--config nano96')
    assert first.returncode == 3
    assert 'push_t train ended with exit code 3; run me again' in first.stderr
    second = start('push_t')
    assert second.returncode == 0 and first.calls and second.calls
    assert first.calls + second.calls == whole.calls
    # Also within a stage: the command before the one that failed is not repeated.
    shutil.rmtree(start.work)
    first = start('push_t', FAIL_AT='results/strict.json')
    second = start('push_t')
    assert first.calls + second.calls == whole.calls
    assert '--kind gcbc' in ' '.join(first.calls[-1])
    assert 'results/strict.json' in ' '.join(second.calls[0])


def test_one_stage_brings_only_what_it_needs(start):
    """And once that is there, itself alone."""
    assert stages(start('two_room', 'look')) == [
        ('two_room', name) for name in ('record', 'train', 'networks', 'look')]
    assert stages(start('two_room', 'search')) == [('two_room', 'search')]


def test_the_list_says_what_is_done(start):
    """Without making anything."""
    start('cube', 'record')
    done = start('--list')
    assert done.calls == []
    rows = {tuple(line.split()[:2]): line.split()[2] for line in done.stdout.splitlines()}
    assert rows['cube', 'record'] == 'done'
    assert [row for row, mark in rows.items() if mark == 'done'] == [('cube', 'record')]


@pytest.mark.parametrize(('words', 'changes', 'message'), [
    (['cubes'], {}, "there is no 'cubes'; .*--list shows tasks and stages"),
    (['cube', 'tried'], {}, "there is no 'cube tried'"),
    (['cube', 'record', 'train'], {}, 'a task and a stage at most, got: cube record train'),
    (['--smoke'], {}, "unknown option '--smoke'; known: --list, --help"),
    (['--list', 'cube'], {}, '--list stands alone, got: --list cube'),
    (['cube'], {'SHIPPED': 'yes'}, "SHIPPED must be true or false, got 'yes'"),
    (['cube'], {'WORKERS': '0'}, 'WORKERS must be a whole number from 1 on'),
    (['cube'], {'PYTHON': 'no-such-python'}, 'PYTHON=no-such-python is not installed'),
])
def test_what_cannot_work_is_said_before_anything_is_made(start, words, changes, message):
    """Exit code 2, the value, what is allowed."""
    done = start(*words, **changes)
    assert (done.returncode, done.calls) == (2, [])
    assert re.search(message, done.stderr), done.stderr
    assert not start.work.exists()


def test_the_pages_lead_to_it():
    """Results say how they are made again, and so does the page about tasks of one's own."""
    for page in ('results/tasks.md', 'tasks.md'):
        assert 'tools/reproduce_tasks.sh' in (ROOT / 'docs' / page).read_text(encoding='utf-8')
    help_text = subprocess.run([SCRIPT, '--help'], capture_output=True, text=True, check=True)
    assert 'TASK STAGE' in help_text.stdout and 'WORKERS' in help_text.stdout
