"""docs/results/tasks.md: its tables are those of tasks.json, which has what was measured."""

import importlib.util
import json
from pathlib import Path
import re
import sys

from lewm_model.bundles.evaluation_table import rate_text, short_number
from lewm_model.config import load_yaml
from lewm_sim.evaluate.effort import count_effort
from nano import PLAN, tiny_bundle
import pytest
from test_pool import result
import yaml

pytest.importorskip('mujoco')
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def tool():
    sys.path.insert(0, str(ROOT / 'tools'))
    try:
        spec = importlib.util.spec_from_file_location('tasks_page', ROOT / 'tools/tasks_page.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.pop(0)


@pytest.fixture(scope='module')
def doc(tool):
    return tool.read(tool.DATA)


def judged(model, policy='cem', **more):
    """Return a result with one planner and all floors, whose numbers are plain to see."""
    row = {'tolerance': '0.16 m', 'pairs': 40, 'final': 0.25, 'final_interval': [0.1, 0.4],
           'solved_at_start': 0.0}
    return {
        'task': 'two_room', 'model_id': model, 'loss': 'lewm', 'protocol': 'strict', 'part': 'all',
        'pairs': 40, 'goal_offset': 25, 'budget': 50, 'planner_seeds': 1, 'plan': {}, 'trials': {},
        'plan_seconds_median': 0.0123, 'comparisons': [],
        'efforts': {policy: {'flops_per_step': 6.3e6, 'plan_seconds_median': 0.0123}},
        'scores': [{'policy': name, 'reached': reached, 'reached_interval': [0.3, 0.9], **row}
                   for name, reached in ((policy, 0.5), ('uniform', 0.1), ('still', 0.0),
                                         ('exploration', 0.2))], **more}


@pytest.fixture
def work(tmp_path):
    """Return a folder as tools/reproduce_tasks.sh leaves it, with made-up numbers."""
    folder = tmp_path / 'two_room'

    def write(content, *path):
        place = folder.joinpath(*path)
        place.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content) if place.suffix == '.json' else yaml.safe_dump(content)
        place.write_text(text)

    for name, weights in (('nano', 'a' * 64), ('far_model', 'a' * 64), ('seed_1', 'b' * 64)):
        write({'task': 'two_room', 'weights_sha256': weights, 'model': {'latent_dim': 32},
               'provenance': {'steps': 2000, 'training_minutes': 21.5, 'frame_px': 64,
                              'sigreg_weight': 0.1, 'decoder_weight': 1.0, 'state_weight': 0.0},
               'metrics': {'training': {'probes': {'x': 0.987, 'y': 0.5}}}}, name, 'bundle.yaml')
    for name in ('nano', 'seed_1'):
        (folder / 'runs' / name).mkdir(parents=True)
    ours, comparison = 'a' * 12, {'first': 'cem', 'second': 'prior', 'rule': 'reached',
                                  'only_first': 3, 'only_second': 11, 'p': 0.0573}
    both = judged(ours)
    both['scores'] += [{**both['scores'][0], 'policy': 'prior', 'reached': 0.7}]
    write({**both, 'comparisons': [comparison]}, 'results', 'strict.json')
    write(judged(ours, vary={'light': 0.3}, late=2, part='choose'), 'results', 'look_light.json')
    for steps in (100, 25):
        write(judged(ours, goal_offset=steps), 'results', f'far_{steps}.json')
    for seed, (model, solved) in enumerate((('a', '1100'), ('b', '1110'), ('c', '1100'))):
        write(result(model * 12, cem=solved), 'results', f'seed_{seed}_strict.json')
    write(judged('d' * 12), 'rivals', 'pldm_once.json')
    write(judged('d' * 12), 'rivals', 'pldm_once_choose.json')
    write({'task': 'two_room', 'weights_sha256': 'd' * 64, 'model': {'latent_dim': 32},
           'provenance': {}, 'metrics': {}}, 'rivals', 'pldm_once', 'bundle.yaml')
    live = {'commands': 4000, 'deadline_misses': 2, 'definitions': {'plan_ms': 'time'}}
    write({**judged(ours, 'through ROS'), 'live': live}, 'eval_ros', 'two_room', 'ros.json')
    write({'episodes': 10, 'successes': 9, 'goals': []}, 'live', 'summary.json')
    return tmp_path


@pytest.fixture
def made(tool, work, tmp_path):
    found = {}
    tool.collect(found, work, shipped=tmp_path / 'none')
    return found


def cells(lines):
    """Return the rows of a table, without its head."""
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines
            if line.startswith('|')][2:]


def test_the_tables_of_the_page_are_those_of_the_numbers(tool, doc):
    """Nothing between the marks is typed by hand."""
    page = tool.PAGE.read_text(encoding='utf-8')
    assert tool.render(page, doc) == page, 'run: python tools/tasks_page.py'
    assert tool.dump(doc) + '\n' == tool.DATA.read_text(encoding='utf-8')
    assert set(doc) == {'reacher', 'two_room', 'push_t', 'cube'}
    assert set(re.findall(r'<!-- table: (\w+)', page)) == set(tool.KINDS)


def test_what_a_shipped_bundle_says_is_what_the_page_says(tool, doc):
    """To the digit, for every bundle that was judged with --save."""
    judged_ones = 0
    for path in (ROOT / 'models').glob('*/bundle.yaml'):
        settings = load_yaml(path)
        evaluation = settings['metrics'].get('evaluation')
        known = doc[settings['task']]['models'][path.parent.name]
        assert known['model_id'] == settings['weights_sha256'][:12]
        assert known['steps'] == settings['provenance']['steps']
        if evaluation:
            name = evaluation.get('protocol', 'held-out').replace('-', '_')
            entry = doc[settings['task']]['results'][name]
            kept = {key: value for key, value in evaluation.items() if key in entry}
            assert 'scores' in kept and {key: entry[key] for key in kept} == kept, path
            row = cells(tool.main_table(doc, [f'{settings["task"]}/{name}']))[0]
            assert row[5:7] == [rate_text(evaluation['scores'][0], rule)
                                for rule in ('reached', 'final')]
            judged_ones += 1
    assert judged_ones >= 2


def test_every_number_has_a_source(doc):
    """A file, a command, or the day of a page whose files are gone."""
    for task in doc.values():
        for entry in (*task['models'].values(), *task['results'].values(), task.get('demo')):
            assert entry is None or re.search(r'bundle\.yaml$|20\d\d-\d\d-\d\d$', entry['source'])


def test_the_main_table_has_what_was_measured(tool, made):
    """Rates, floors, cost, the same protocol through ROS, and the demo."""
    row, = cells(tool.main_table(made, ['two_room/strict/cem']))
    assert row == ['two_room', 'nano', '`cem`', 'strict, 0.16 m, 25 steps away', '40',
                   '50 % (30-90)', '25 % (10-40)', '10 / 0 / 20 %', '12.3 ms', '6.3 M',
                   '50 % (30-90) / 25 % (10-40) of 40; 2 of 4000 control steps missed',
                   '9 of 10 goals']
    missing, = cells(tool.main_table(made, ['two_room/held_out']))
    assert missing == ['two_room', '–', '–', 'held out', '–', *['not measured'] * 6,
                       '9 of 10 goals']
    made['two_room']['results']['ros']['protocol'] = 'held-out'
    assert cells(tool.main_table(made, ['two_room/strict/cem']))[0][10] == 'not measured'


def test_rows_stand_beside_the_first_planner(tool, made):
    """What each solved alone; other looks and the half to choose by are said."""
    first, second = cells(tool.rows_table(made, ['two_room/strict']))
    assert first[-1] == '' and second[-1] == '11 against 3 of `cem`, p = 0.057'
    assert second[4] == '70 % (30-90)' and second[6:8] == ['not measured', 'not measured']
    look, = cells(tool.rows_table(made, ['two_room/look_*']))
    assert look[2] == ('strict, 0.16 m, 25 steps away, light=0.3, plans 2 steps late, half to '
                       'choose by')
    rival, = cells(tool.rows_table(made, ['two_room/rival_*']))
    assert rival[0] == 'pldm_once'
    missing, = cells(tool.rows_table(made, ['two_room/tried_*']))
    assert missing[:3] == ['two_room', '–', 'tried'] and missing[4] == 'not measured'


def test_training_seeds_are_pooled(tool, made):
    """Three files of one name are one result, with the deviation between trainings."""
    row, = cells(tool.rows_table(made, ['two_room/seeds_strict']))
    assert row[:2] == ['nano, seed_1, ' + 'c' * 12, '`cem`'] and row[3] == '4 x 3 trainings'
    assert row[4].startswith('58 ± 14.4 % (')


def test_goals_are_in_order_of_their_distance(tool, made):
    """One row each; all floors in columns of their own."""
    lines = tool.horizons_table(made, ['two_room/far_*'])
    assert [row[:2] for row in cells(lines)] == [
        ['25', '50 % (30-90) / 25 % (10-40)'], ['100', '50 % (30-90) / 25 % (10-40)']]
    assert lines[0].count('floor') == 3
    assert tool.horizons_table(made, ['two_room/none_*']) == ['Not measured.', '']


def test_models_are_told_apart_by_their_weights(tool, made):
    """A copy of a model is no other one; terms that were off are not named."""
    assert set(made['two_room']['models']) == {'nano', 'seed_1', 'pldm_once'}
    row = cells(tool.models_table(made, ['two_room/nano']))[0]
    assert row == ['nano', '–', '64', '32', 'decoder 1, sigreg 0.1', '2000', '21.5',
                   'x 0.99, y 0.50']


def test_trials_and_settings_are_left_out(made):
    """The file stays small; what was collected is not lost by collecting less later."""
    for entry in made['two_room']['results'].values():
        assert not {'trials', 'plan', 'plans'} & set(entry) and entry['scores']
    assert 'definitions' not in made['two_room']['results']['ros']['live']


def test_what_the_folder_lacks_stays(tool, made, tmp_path):
    """Numbers of an earlier folder are kept until there are newer ones."""
    before = json.dumps(made)
    (tmp_path / 'empty').mkdir()
    tool.collect(made, tmp_path / 'empty', shipped=tmp_path / 'none')
    assert json.dumps(made) == before == json.dumps(json.loads(tool.dump(made)))


def test_operations_are_counted_where_an_evaluation_does_not_say(tool, tmp_path):
    """Of a bundle that an older version judged, with the settings it was judged with."""
    old = {'pairs': 9, 'goal_offset': 25, 'budget': 50, 'seed': 42, 'plan': PLAN.to_dict(),
           'model_id': '', 'scores': judged('')['scores'], 'plan_seconds_median': 0.5}
    bundle = tiny_bundle(metrics={'evaluation': old})
    bundle.save(tmp_path / 'shipped' / 'old')
    (tmp_path / 'empty').mkdir()
    found = {}
    tool.collect(found, tmp_path / 'empty', shipped=tmp_path / 'shipped')
    effort = count_effort(bundle, PLAN)
    assert found['reacher']['results']['held_out']['efforts'] == {'cem': effort.to_dict()}
    row, = cells(tool.main_table(found, ['reacher/held_out']))
    assert row[8:10] == ['500 ms', short_number(effort.flops_per_step)]


@pytest.mark.parametrize(('page', 'message'), [
    ('<!-- table: rows two_room/strict -->\n', 'needs an "<!-- end -->" of its own'),
    ('<!-- table: rows a/b -->\n<!-- table: rows a/b -->\n<!-- end -->\n<!-- end -->',
     'needs an "<!-- end -->" of its own'),
    ('<!-- table: pie two_room/strict -->\n<!-- end -->', "no kind of table is called 'pie', on"),
    ('<!-- table: rows tworoom/strict -->\n<!-- end -->', "has no task 'tworoom', only two_room"),
])
def test_a_page_that_cannot_be_made_is_refused(tool, made, page, message):
    """The mark and what is allowed."""
    with pytest.raises(SystemExit, match=message):
        tool.render(page, made)


def test_text_between_tables_is_kept(tool, made):
    """And tables that are there already are replaced, not repeated."""
    page = 'Before.\n<!-- table: models two_room/nano -->\nold\n<!-- end -->\nAfter.\n'
    once = tool.render(page, made)
    assert once.startswith('Before.\n<!-- table') and once.endswith('<!-- end -->\nAfter.\n')
    assert 'old' not in once and tool.render(once, made) == once


def test_the_readme_says_what_was_measured(doc):
    """Every 'N % (low-high) of M pairs' there is the first planner's of some task's evaluation."""
    text = ' '.join((ROOT / 'README.md').read_text(encoding='utf-8').split())
    said = re.findall(r'(\d+ % \(\d+-\d+\)) of (\d+) pairs', text)
    known = {(rate_text(row, 'reached'), str(row['pairs']))
             for task in doc.values() for result in task['results'].values()
             for row in result['scores'] if 'reached_interval' in row}
    assert len(said) >= 2 and set(said) <= known, (said, set(said) - known)
