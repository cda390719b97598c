"""Finds tasks: every folder with a task.yaml, here or where the user keeps tasks of their own."""

from __future__ import annotations

from hashlib import sha256
from importlib import import_module, util
from importlib.machinery import ModuleSpec
import os
from pathlib import Path
import sys
from types import ModuleType

from lewm_model.errors import ConfigError
from lewm_sim.tasks.facts import FACTS_FILE
from lewm_sim.tasks.task import Task

VARIABLE = 'LEWM_TASKS'     # folders that hold task folders, separated as in PATH
CODE_FILE = 'task.py'
_SHIPPED = Path(__file__).resolve().parent


def task_folders() -> dict[str, Path]:
    """Return the folder of every task by name, shipped ones first.

    Raises:
        ConfigError: If LEWM_TASKS names a folder that does not exist, or a name occurs twice.
    """
    places = [_SHIPPED, *(Path(text).expanduser().absolute() for text in
                          os.environ.get(VARIABLE, '').split(os.pathsep) if text)]
    found: dict[str, Path] = {}
    for place in places:
        if not place.is_dir():
            raise ConfigError(f'{VARIABLE} names {place}, which is no folder; it lists folders '
                              f'that hold task folders, separated by {os.pathsep!r}')
        for path in sorted(place.glob(f'*/{FACTS_FILE}')):
            if path.parent.name in found:
                raise ConfigError(f'there are two tasks {path.parent.name!r}: '
                                  f'{found[path.parent.name]} and {path.parent}; rename one')
            found[path.parent.name] = path.parent
    return found


def task_names() -> tuple[str, ...]:
    """Return the names of all tasks."""
    return tuple(task_folders())


def load_task(name: str) -> Task:
    """Return the task called `name`.

    Raises:
        ConfigError: If there is none, or its folder is not complete; the message says what is.
    """
    folders = task_folders()
    if name not in folders:
        raise ConfigError(f'task {name!r} does not exist; known tasks: {", ".join(folders)}; '
                          f'folders of more tasks go into the environment variable {VARIABLE}')
    module = _load(folders[name])
    classes = [value for value in vars(module).values() if isinstance(value, type)
               and issubclass(value, Task) and value.__module__ == module.__name__]
    if len(classes) != 1:
        raise ConfigError(f'{folders[name] / CODE_FILE} must define one class derived from '
                          f'lewm_sim.tasks.Task, it defines '
                          f'{", ".join(value.__name__ for value in classes) or "none"}')
    return classes[0](folders[name])


def _load(folder: Path) -> ModuleType:
    """Import the task.py of a folder, once."""
    if folder.parent == _SHIPPED:
        return import_module(f'lewm_sim.tasks.{folder.name}.task')
    path, name = folder / CODE_FILE, f'{_package(folder.parent)}.{folder.name}'
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise ConfigError(f'{folder} has a {FACTS_FILE} but no {CODE_FILE}')
    spec = util.spec_from_file_location(name, path, submodule_search_locations=[str(folder)])
    module = util.module_from_spec(spec)
    sys.modules[name] = module    # before it runs: dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _package(place: Path) -> str:
    """Return the name under which Python knows a folder of task folders.

    So a task.py may import what lies beside it (`from .name`), or beside its folder
    (`from ..name`).
    """
    name = f'lewm_tasks_{sha256(str(place).encode()).hexdigest()[:8]}'
    if name not in sys.modules:
        package = util.module_from_spec(ModuleSpec(name, None, is_package=True))
        package.__path__ = [str(place)]
        sys.modules[name] = package
    return name
