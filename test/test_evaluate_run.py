"""A whole evaluation in simulation: protocols, floors, batches, seeds, choice, comparison."""

from dataclasses import replace
import json
import re

from engine_models import with_prior
from episode_sets import episode, write_set
from lewm_model.bundles.evaluation_table import evaluation_table
from lewm_model.bundles.released import load_released, write_released
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.errors import BundleError, ConfigError, DatasetError
from lewm_model.training.divide import list_trained
from lewm_sim.cli import main
from lewm_sim.evaluate import evaluate, Settings
from lewm_sim.evaluate.against import compare_with
from lewm_sim.evaluate.choose import BEFORE, choose
from lewm_sim.evaluate.pairs import sample_pairs, varied
from lewm_sim.evaluate.trials import run_fleet
from lewm_sim.tasks import load_task
from nano import PLAN, tiny_bundle
import numpy as np
import pytest

pytestmark = pytest.mark.sim
EPISODES, KEPT = 24, range(8)
FAST = Settings(count=6, budget=10, seeds=2, batch=4, workers=1)


def still_episode(number):
    """Make an episode in which the arm can really be put."""
    made = episode(number)
    made.qpos[:] = np.clip(made.qpos, -2.5, 2.5)
    if number % 2:
        made.qpos[:] = made.qpos[0]      # it rests: every pair is solved at the start
    return made


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp('data') / 'set.h5',
                     map(still_episode, range(EPISODES)))


@pytest.fixture(scope='module')
def bundle(data):
    return with_prior(tiny_bundle(provenance={
        'validation_split': 0.3, **list_trained(Fingerprint.of(data), KEPT)}))


def where(results, policy='planner'):
    return {(trial['episode'], trial['row']) for trial in results['trials'][policy]}


def test_pairs_start_with_the_recorded_velocities(data):
    """Also of files that have only positions and velocities of the scene, as public ones do."""
    task = load_task('reacher')
    world = task.make_world(data.pixels.shape[1])
    pair, = sample_pairs(data, [0], task, world, count=1, goal_offset=10, seed=3)
    world.reset(pair.start)
    recorded = data.columns['qvel'][data.ep_offset[0] + pair.row]
    assert 'sim_state' not in data.columns and np.abs(recorded).min() > 0.01
    np.testing.assert_allclose(world.sensed().velocities, recorded, rtol=1e-6)
    world.close()


def test_every_number_stands_beside_its_floors_with_both_spreads(bundle, data):
    """Planner and three floors, each tolerance; pairs from episodes that training never saw."""
    done = []
    results = evaluate(bundle, data, None, FAST, report=lambda *now: done.append(now))
    assert list(dict.fromkeys(row['policy'] for row in results['scores'])) == [
        'planner', 'uniform', 'still', 'exploration']
    assert {row['tolerance'] for row in results['scores']} == {'0.05 rad', '0.1 rad', '0.15 rad'}
    assert all(len(row['final_seeds']) == 2 and row['final_seed_std'] is not None
               for row in results['scores'] if row['policy'] != 'still')
    assert len(results['trials']['planner']) == 12
    assert {trial['planner_seed'] for trial in results['trials']['planner']} == {0, 1}
    assert len(where(results)) == 6 == len(where(results, 'still'))
    assert not {name for name, _ in where(results)} & {f'e{number}' for number in KEPT}
    assert done[0] == (0, 42) and done[-1] == (42, 42)       # 6 pairs x 2 seeds x 3 + 6 still
    assert Settings().seeds == 3
    text = '\n'.join(evaluation_table(results))
    assert 'floor: uniform random' in text and 'floor: stands still' in text and ' ± ' in text
    assert 'the half that nothing is chosen by' in text and '2 planner seeds' in text
    json.dumps(results)


def test_results_do_not_depend_on_the_number_of_processes(bundle, data):
    """The same trials, to the last bit, from one process and from two."""
    one, two = (evaluate(bundle, data, None, replace(FAST, workers=workers))['trials']
                for workers in (1, 2))
    for policy in one:
        assert [trial['errors'] for trial in one[policy]] == [
            trial['errors'] for trial in two[policy]]


def test_a_converted_checkpoint_is_judged_as_the_published_numbers_were(data, bundle, tmp_path):
    """It does not say what it was trained on: all episodes serve, training ones included."""
    released = load_released(
        write_released(bundle.model, tmp_path), robot='sim_reacher', task='reacher',
        action_mean=[0, 0], action_std=[1, 1], goal_tolerance=1.0, plan_config=PLAN)
    results = evaluate(released, data, None, replace(FAST, protocol='reference', count=60))
    assert {name for name, _ in where(results)} & {f'e{number}' for number in KEPT}
    assert results['part'] == 'all episodes'
    with pytest.raises(BundleError, match='no provenance.validation_split'):
        evaluate(released, data, None, FAST)
    with pytest.raises(ConfigError, match='uses all episodes of the file: leave --part'):
        evaluate(bundle, data, None, replace(FAST, protocol='reference', part='report'))
    with pytest.raises(DatasetError, match='has robot sim_reacher, the bundle arm'):
        evaluate(replace(released, robot='arm'), data, None, replace(FAST, protocol='reference'))


def test_the_strict_protocol_has_no_pair_that_is_solved_at_the_start(bundle, data):
    """By the tolerance that counts; the loose protocol has many here."""
    loose, strict = (evaluate(bundle, data, None, replace(
        FAST, protocol=name, part='all', seeds=1, count=20)) for name in ('held-out', 'strict'))
    assert loose['scores'][0]['solved_at_start'] > 0.1
    assert {row['solved_at_start'] for row in strict['scores']} == {0.0}
    assert {row['tolerance'] for row in strict['scores']} == {'0.05 rad'}


def test_planners_are_compared_on_the_same_pairs(bundle, data):
    """The first with each of the others; a planner with itself cannot differ."""
    plans = {'short': PLAN, 'same': PLAN, 'prior': replace(PLAN, solver='prior')}
    results = evaluate(bundle, data, plans, FAST)
    assert [(one['second'], one['rule']) for one in results['comparisons']] == [
        ('same', 'reached'), ('same', 'final'), ('prior', 'reached'), ('prior', 'final')]
    assert results['comparisons'][0]['difference'] == 0 and results['comparisons'][0]['p'] == 1
    assert 'short minus prior, at the end (0.05 rad)' in '\n'.join(evaluation_table(results))


def test_what_is_chosen_is_reported_on_other_episodes(bundle, data):
    """No pair serves both; the table of the choice is kept beside the result."""
    plans = {'short': replace(PLAN, iterations=1), 'prior': replace(PLAN, solver='prior')}
    chosen, results = choose(bundle, data, plans, FAST)
    assert chosen in plans and {row['plan'] for row in results['choice']} == set(plans)
    choosing = evaluate(bundle, data, plans, replace(FAST, part='choose'))
    assert not {name for name, _ in where(results, chosen)} & {
        name for name, _ in where(choosing, 'short')}
    best = max(results['choice'], key=lambda row: (row['final'], row['reached']))
    assert best['plan'] == chosen
    assert {one['second'] for one in results['comparisons']} == {BEFORE}
    assert 'Chosen on the other half' in '\n'.join(evaluation_table(results))
    with pytest.raises(ConfigError, match='choosing needs both parts'):
        choose(bundle, data, plans, replace(FAST, part='all'))
    with pytest.raises(ConfigError, match='holds no episodes out'):
        choose(bundle, data, plans, replace(FAST, protocol='reference'))


def test_two_models_are_compared_by_their_files(bundle, data, tmp_path):
    """On the pairs that both tried, and only under the same rules."""
    path = tmp_path / 'earlier.json'
    path.write_text(json.dumps(evaluate(bundle, data, None, FAST)))
    other = replace(bundle, model_id='another')
    results = evaluate(other, data, None, replace(FAST, seeds=1))
    reached, final = compare_with(results, path)
    assert reached['pairs'] == final['pairs'] == 6 and 'another' in reached['first']
    with pytest.raises(ConfigError, match='made under other rules .budget 10 there, 11 here'):
        compare_with({**results, 'budget': 11}, path)
    with pytest.raises(ConfigError, match=re.escape("vary {} there, {'light': 0.3} here; seed")):
        compare_with({**results, 'vary': {'light': 0.3}}, path)
    apart = evaluate(other, data, None, replace(FAST, part='choose'))
    with pytest.raises(ConfigError, match='has no pair in common'):
        compare_with(apart, path)
    path.write_text('{}')
    with pytest.raises(ConfigError, match='is no result of lewm evaluate --out'):
        compare_with(results, path)


@pytest.mark.parametrize(('change', 'said'), [
    ({'count': 0}, 'count must be at least 1, got 0'), ({'batch': 0}, 'batch must be at least 1'),
    ({'budget': 0}, 'budget must be at least 1'), ({'protocol': 'x'}, 'protocol must be one of')])
def test_settings_that_cannot_be_are_refused(change, said):
    """Before anything is read."""
    with pytest.raises(ConfigError, match=said):
        Settings(**change)


def test_plans_that_are_late_act_late_with_any_number_of_workers(bundle, data):
    """Until the first plan counts all is as if the robot stood still, and the results say so."""
    now, late = (evaluate(bundle, data, settings=replace(FAST, seeds=1, late=steps))
                 for steps in (0, 3))
    assert late['late'] == 3 and 'late' not in now
    assert now['trials']['still'] == late['trials']['still']
    said = 'Plans count from 3 control steps after their frame on.'
    assert [said in '\n'.join(evaluation_table(one)) for one in (now, late)] == [False, True]
    for name, alike in (('still', 4), ('planner', 1)):      # the start, and three steps after it
        for there, here in zip(now['trials'][name], late['trials']['planner'], strict=True):
            for joint, errors in here['errors'].items():
                assert errors[:alike] == there['errors'][joint][:alike]
                assert errors[alike:] != there['errors'][joint][alike:]
    parallel = evaluate(bundle, data, settings=replace(FAST, seeds=1, late=3, workers=2))
    assert [one['errors'] for one in parallel['trials']['planner']] == [
        one['errors'] for one in late['trials']['planner']]
    with pytest.raises(ConfigError, match='late must be at least 0, got -1'):
        replace(FAST, late=-1)


def test_pairs_can_look_otherwise_than_in_training(bundle, data):
    """The same pairs in a changed world: pictures differ, floors, which see nothing, do not."""
    plain, changed = (evaluate(bundle, data, None, replace(FAST, vary=factors))
                      for factors in ({}, {'light': 0.4, 'colours': 0.2}))
    assert where(plain) == where(changed) and changed['vary'] == {'light': 0.4, 'colours': 0.2}
    errors = [[trial['errors'] for trial in results['trials']['uniform']]
              for results in (plain, changed)]
    assert errors[0] == errors[1]
    text = '\n'.join(evaluation_table(changed))
    assert 'looks otherwise than in training: light 0.4, colours 0.2.' in text
    with pytest.raises(ConfigError, match="no switch 'fog'"):
        replace(FAST, vary={'fog': 0.5})


def test_goal_pictures_and_trials_are_of_the_same_changed_world(data):
    """Each pair has a look of its own; a fleet is shown the world as its pair looks."""
    class Seeing:
        """Remembers what it is shown, and does not move."""

        steps_per_plan, steps_per_block, solve_time_s = 5, 5, 0.0
        config = PLAN

        def __init__(self):
            self.shown = []

        def set_goals(self, goals):
            self.goals = goals

        def observe(self, stamp_ns, frames):
            self.shown.append(frames)

        def plan(self, stamp_ns, committed=None):
            return [type('Chunk', (), {'actions': np.zeros((5, 2))})] * 2

        def executed(self, stamp_ns, actions):
            pass

    task = load_task('reacher')
    world, *worlds = task.make_worlds(3, data.pixels.shape[1])
    plain = sample_pairs(data, range(EPISODES), task, world, count=2, goal_offset=10, seed=1)
    changed = varied(plain, task, world, {'light': 0.5}, seed=0)
    world.look = None
    fleet = Seeing()
    trials = run_fleet(fleet, task, worlds, changed, 10)
    assert changed[0].look.light != changed[1].look.light
    for place, pair in enumerate(changed):
        world.reset(pair.start)
        grey = world.render().mean()
        assert fleet.shown[0][place].mean() / grey == pytest.approx(pair.look.light, abs=0.05)
        assert fleet.shown[-1][place].mean() / grey == pytest.approx(pair.look.light, abs=0.05)
        world.reset(pair.goal_state)
        assert fleet.goals[place].mean() / world.render().mean() == pytest.approx(
            pair.look.light, abs=0.05)
        assert trials[place].outcomes[0] == task.outcome(truth_at(world, pair.start), pair.goal)
    world.close()


def truth_at(world, state):
    world.reset(state)
    return world.truth()


def test_the_benchmark_judges_the_same_pairs_in_every_way(bundle, data, tmp_path):
    """`lewm bench evaluate`: one plan at a time is what a policy does that sees every frame."""
    folder = bundle.save(tmp_path / 'model')
    assert main(['bench', 'evaluate', '--model', str(folder), '--data', str(data.path), '--pairs',
                 '2', '--batch', '2', '--workers', '1', '--rounds', '2', '--warmup', '1', '--out',
                 str(tmp_path)]) == 0
    group, = json.loads((tmp_path / 'evaluate.json').read_text())['groups']
    assert [len(item['seconds']) for item in group['measured']] == [2] * 4
    assert group['notes']['in turn'].endswith('2 trials equal to the last bit, 2 verdicts equal')


def test_the_fastest_planner_is_found_on_other_pairs_than_those_shown(bundle, data, tmp_path,
                                                                      monkeypatch):
    """`lewm bench success`: two halves of the held-out episodes, floors beside every planner."""
    from bench import success

    asked, judge = [], success._judge
    monkeypatch.setattr(success, '_judge', lambda *words: asked.append(words[-1]) or judge(*words))
    monkeypatch.setattr(success, 'REFERENCE_BUDGET', replace(PLAN, receding_horizon=2))
    monkeypatch.setattr(success, '_planners', lambda bundle: {'short': PLAN})
    assert main(['bench', 'success', '--model', str(bundle.save(tmp_path / 'model')), '--data',
                 str(data.path), '--episodes', '2', '--rounds', '1', '--backend', 'torch',
                 '--out', str(tmp_path)]) == 0
    choose, report = ({pair.episode for pair in pairs} for pairs in asked)
    assert not choose & report and not (choose | report) & set(KEPT)
    group, = json.loads((tmp_path / 'success.json').read_text())['groups']
    ours = [one for one in group['measured'] if 'stable-worldmodel' not in one['name']]
    assert [(one['name'], one['facts']['dtype'], one['facts']['executed_steps']) for one in ours
            ] == [('reference budget, torch', 'fp32', 10),
                  ('reference budget, torch, replanned every block', 'fp32', 5),
                  ('short', 'fp32', 5)]
    assert {'floor: uniform', 'floor: still', 'floor: exploration'} <= set(group['notes'])
    assert 'fastest per executed step of those not clearly worse on other pairs' in group['notes']
