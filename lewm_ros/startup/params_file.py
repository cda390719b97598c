"""The params file of a system: looked at before anything starts, and what stands above it.

Precedence, lowest first: the table's defaults, the file, the arguments that a person gave.
rcl takes sections in the order in which their names first appear, whatever file they are in. So
the defaults come first, as a section for every node; then the file; then the given arguments,
under a name that nobody uses (see `NodeSpec.chosen_yaml`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lewm_model.errors import ConfigError
from lewm_ros.startup.system import NodeSpec
import yaml


def check(path: str, *, substitutions: bool = False) -> None:
    """Refuse a params file that no node could read, with what is wrong.

    What the sections hold is checked by the nodes, which refuse names that they do not have.

    Args:
        path: Of the file.
        substitutions: Whether `$(...)` will be replaced before the nodes read it.

    Raises:
        ConfigError: If it cannot be read, is not YAML, or is not made of node sections.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f'cannot read params_file {path!r}: {error.strerror}') from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'params_file {path!r} is not YAML: {error}') from error
    if '$(' in text and not substitutions:
        raise ConfigError(f'params_file {path!r} has a substitution "$(...)", which only ros2 '
                          f'launch can replace; write the value')
    if not (isinstance(content, dict) and all(_is_section(each) for each in content.values())):
        raise ConfigError(f'params_file {path!r} must have sections such as "planner_node:" or '
                          f'"/**:" with "ros__parameters:" below')


def write_chosen(specs: Sequence[NodeSpec], folder: Path) -> dict[str, Path]:
    """Write the arguments that a person gave, per node; return the files by executable."""
    files = {}
    for spec in specs:
        if spec.params_file and spec.chosen:
            files[spec.executable] = folder / f'{spec.executable}_arguments.yaml'
            files[spec.executable].write_text(spec.chosen_yaml(), encoding='utf-8')
    return files


def _is_section(value: object) -> bool:
    """Tell whether parameters lie below, perhaps below parts of a namespace."""
    return isinstance(value, dict) and ('ros__parameters' in value
                                        or all(_is_section(each) for each in value.values()))
