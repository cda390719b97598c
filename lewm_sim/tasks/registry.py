"""Look up a task by name."""

from importlib import import_module

from lewm_model.errors import ConfigError
from lewm_sim.tasks.task import Task

TASK_NAMES = ('reacher',)


def load_task(name: str) -> Task:
    """Return the task called `name`.

    Raises:
        ConfigError: If there is none; the message lists the known tasks.
    """
    if name not in TASK_NAMES:
        raise ConfigError(f'task {name!r} does not exist; known tasks: {", ".join(TASK_NAMES)}')
    return import_module(f'lewm_sim.tasks.{name}').make()
