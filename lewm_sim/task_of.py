"""The simulated task of a bundle, or why it has none."""

from __future__ import annotations

from lewm_model.bundles.bundle import Bundle
from lewm_model.errors import ConfigError
from lewm_sim.tasks import load_task, Task, task_names


def task_of(bundle: Bundle) -> Task:
    """Return the task that a bundle was trained for.

    Raises:
        ConfigError: If nothing simulates it, as of a real robot, whose recordings may name a task
            of their own.
    """
    if bundle.task in task_names():
        return load_task(bundle.task)
    named = f' (its recordings say task {bundle.task!r})' if bundle.task else ''
    raise ConfigError(
        f'model {bundle.model_id} has no simulated task{named}, it was trained on recordings of '
        f'robot {bundle.robot}: only a simulation knows states and success; simulated are '
        f'{", ".join(task_names())}. See what it knows with lewm analyse, take goals with '
        f'goal_node, or drive the robot')
