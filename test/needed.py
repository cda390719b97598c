"""Skips tests of tasks that are simulated with a package which is not here."""

from importlib.util import find_spec

from lewm_sim.tasks import Task
import pytest


def skip_where_missing(task: Task) -> Task:
    """Return the task, if what it needs is installed; the package is not imported."""
    needs = task.facts.needs
    if needs and find_spec(needs) is None:
        pytest.skip(f'task {task.name} needs the package {needs}')
    return task
