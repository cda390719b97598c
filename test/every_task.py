"""Fixtures for what every task must do: `task, world = every_task.task, every_task.world`."""

import os
from pathlib import Path

from lewm_sim.tasks import load_task, task_names
from needed import skip_where_missing
import pytest

OWN_TASKS = Path(__file__).parent / 'own_tasks'
SIZE = 64     # of pictures [px]


@pytest.fixture(scope='module', params=(*task_names(), 'pusher', 'dot'))
def task(request):
    """Every shipped task, and two of a user's own folder, one of them without MuJoCo."""
    with pytest.MonkeyPatch.context() as patch:
        places = [str(OWN_TASKS), os.environ.get('LEWM_TASKS', '')]   # a user's own, too
        patch.setenv('LEWM_TASKS', os.pathsep.join(places))
        yield skip_where_missing(load_task(request.param))


@pytest.fixture
def world(task):
    """A world of the task, as it is when it was made."""
    made = task.make_world(SIZE)
    yield made
    made.close()
