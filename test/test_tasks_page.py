"""docs/tasks.md word by word: its files make a task, its commands lead to a judged model."""

from pathlib import Path
import re

from lewm_model import Bundle
from lewm_sim.cli import main
from lewm_sim.tasks import MujocoTask, Task
import pytest
from test_offline import RECIPE
import yaml

pytestmark = [pytest.mark.sim, pytest.mark.slow]
PAGE = (Path(__file__).parents[1] / 'docs' / 'tasks.md').read_text(encoding='utf-8')
# What makes minutes of hours; the last option of a name counts.
SHORTER = {'collect': '--episodes 12 --steps 40', 'train': '--config tiny.yaml',
           'evaluate': '--episodes 2', 'goals': '--count 1'}


def test_the_page_leads_from_nothing_to_a_judged_model(tmp_path, monkeypatch):
    """Its files, written where it says, and its lines, run one after the other."""
    files = re.findall(r'^`(my_tasks/\S+)`:\n\n```\w+\n(.*?)^```', PAGE, flags=re.M | re.S)
    assert len(files) == 4
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding='utf-8')
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump(RECIPE))
    monkeypatch.chdir(tmp_path)
    lines = next(block for block in re.findall(r'```bash\n(.*?)```', PAGE, flags=re.S)
                 if 'lewm collect' in block).splitlines()
    assert lines[0] == 'export LEWM_TASKS=$PWD/my_tasks'
    monkeypatch.setenv('LEWM_TASKS', str(tmp_path / 'my_tasks'))
    for line in lines[1:]:
        program, command, *rest = line.split()
        assert program == 'lewm'
        assert main([command, *rest, *SHORTER.get(command, '').split()]) == 0, line
    bundle = Bundle.load('models/slider')
    assert (bundle.task, bundle.robot) == ('slider', 'slider')
    assert bundle.metrics['evaluation']['scores'][0]['tolerance'] == '0.03 m'


def test_the_table_of_parts_names_what_there_is():
    """Every part of the table is an attribute of a task."""
    table = PAGE.partition('## What a task can say')[2].partition('\n## ')[0]
    rows = re.findall(r'^\| `(\w+)[^`]*`', table, flags=re.M)
    parts = [name for name in rows if not name.endswith(('yaml', 'xml')) and name not in (
        'task', 'scene', 'robot')]
    assert len(parts) >= 10
    assert all(hasattr(MujocoTask, name) or hasattr(Task, name) for name in parts), parts
