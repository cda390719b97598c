"""docs/tasks.md word by word: its files make a task, its commands lead to a judged model."""

from dataclasses import fields
import json
import os
import re
import subprocess
import sys

from import_rules import ROOT
from lewm_model import Bundle
from lewm_sim.cli import main
from lewm_sim.tasks import MujocoTask, Task, TaskFacts
import pytest
from test_offline import RECIPE
import yaml

pytestmark = [pytest.mark.sim, pytest.mark.slow]
PAGE = (ROOT / 'docs' / 'tasks.md').read_text(encoding='utf-8')
# What makes minutes of hours; the last option of a name counts.
SHORTER = {'collect': '--episodes 12 --steps 40 --workers 1', 'ingest': '--workers 1',
           'train': '--config tiny.yaml', 'evaluate': '--episodes 2', 'analyse': '--quick',
           'goals': '--count 2'}


def lines_with(words):
    """Return the lines of the page's first block of commands that has these words."""
    return next(block for block in re.findall(r'```bash\n(.*?)```', PAGE, flags=re.S)
                if words in block).splitlines()


@pytest.fixture(scope='module')
def walk(tmp_path_factory):
    """The page's files, written where it says, and its lines, run one after the other."""
    folder = tmp_path_factory.mktemp('page')
    files = re.findall(r'^`(my_tasks/\S+)`:\n\n```\w+\n(.*?)^```', PAGE, flags=re.M | re.S)
    assert len(files) == 4
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding='utf-8')
    (folder / 'tiny.yaml').write_text(yaml.safe_dump(RECIPE))
    first, *lines = lines_with('lewm collect')
    assert first == 'export LEWM_TASKS=$PWD/my_tasks' and len(lines) == 6
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv('LEWM_TASKS', str(folder / 'my_tasks'))
        for line in lines:
            program, command, *rest = line.split()
            assert program == 'lewm'
            assert main([command, *rest, *SHORTER[command].split()]) == 0, line
        yield folder


def run(folder, words, cwd, **environment):
    """Run one line of the page in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if name != 'LEWM_HALF'}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, timeout=250, capture_output=True, text=True,
        env={**clean, 'LEWM_TASKS': str(folder / 'my_tasks'),
             'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}', **environment})


def test_the_page_leads_from_nothing_to_a_judged_model(walk):
    """The bundle knows its task, its card has the task's rule, and the report its quantities."""
    bundle = Bundle.load(walk / 'models' / 'slider')
    assert (bundle.task, bundle.robot) == ('slider', 'slider')
    assert bundle.metrics['evaluation']['scores'][0]['tolerance'] == '0.03 m'
    assert '0.03 m' in (walk / 'models/slider/README.md').read_text(encoding='utf-8')
    report, = (walk / 'out' / 'slider').glob('*.json')
    document = json.loads(report.read_text(encoding='utf-8'))
    assert {'x', 'y'} <= set(document['probes']['scores'])
    assert {'colour', 'teleport'} <= set(document['surprise']['versions'])


def test_the_tests_of_all_tasks_take_the_one_of_the_page(walk):
    """With the line that the page has, run in the checkout."""
    python, *words = lines_with('pytest')[0].split()
    assert python == 'python'
    done = run(walk, [*words, '-p', 'no:cacheprovider'], ROOT)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r'(\d+) passed', done.stdout)[1]) >= 8


def rows_of(title):
    """Return the first code word of each row of a section's table."""
    section = PAGE.partition(f'## {title}\n')[2].partition('\n## ')[0]
    return re.findall(r'^\| `(\w+)[^`]*`', section, flags=re.M)


def test_the_table_of_parts_names_what_there_is():
    """Every part of the table is an attribute of a task."""
    parts = rows_of('What a task can say')
    assert len(parts) >= 10
    assert all(hasattr(MujocoTask, name) or hasattr(Task, name) for name in parts), parts


def test_the_table_of_keys_is_that_of_the_code():
    """All keys of task.yaml with their defaults, and no other."""
    rows = re.findall(r'^\| `(\w+)` \| `?(.*?)`? \|', PAGE.partition(
        '## What task.yaml can say\n')[2].partition('\n## ')[0], flags=re.M)
    defaults = {one.name: one.default for one in fields(TaskFacts)}
    assert [name for name, _ in rows] and {name for name, _ in rows} == set(defaults)
    for name, text in rows:
        if text != '-':
            wanted = defaults[name]
            assert yaml.safe_load(text) == (list(wanted) if isinstance(wanted, tuple) else wanted)
