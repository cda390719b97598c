"""The model of a simulated task, or the commands that make one."""

from __future__ import annotations

from pathlib import Path

from lewm_model.base.resources import find_named
from lewm_model.errors import ConfigError
from lewm_sim.tasks import Task


def bundle_of(task: Task, given: str = '') -> Path:
    """Return the bundle to show: the given one, that of task.yaml, or the shipped `<task>-nano`.

    Raises:
        ConfigError: If there is none; the message names the commands that make one.
    """
    try:
        return find_named('models', given or task.bundle)
    except ConfigError as error:
        if given:
            raise
        lines = '\n  '.join(making(task))
        raise ConfigError(f'no model ships for task {task.name!r} ({error}); give --bundle, or '
                          f'make it:\n  {lines}') from error


def making(task: Task) -> tuple[str, ...]:
    """Return the commands that make a task's model, from nothing to goals for the demo.

    Who acts is what `lewm collect` takes from the task anyway.
    """
    data, folder = f'data/{task.name}.h5', f'models/{task.bundle}'
    return (f'lewm collect --task {task.name} --out bags/{task.name}',
            f'lewm ingest bags/{task.name} --out {data}',
            f'lewm train {data} --config {task.facts.recipe} --out {folder}',
            f'lewm goals {folder} --data {data}')
