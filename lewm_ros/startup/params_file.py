"""The params file of a system: looked at before anything starts, and what stands above it.

Precedence, lowest first: the table's defaults, the file, the arguments that a person gave.
rcl takes sections in the order in which their names first appear, whatever file they are in. So
the defaults come first, as a section for every node; then the file; then the given arguments,
under a name that nobody uses (see `NodeSpec.chosen_yaml`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import difflib
from pathlib import Path
import re

from lewm_model.errors import ConfigError, without_path
from lewm_ros.startup.system import NODES, NodeSpec
import yaml

_ALIKE = 0.85   # of names; a section this close to one of ours is a slip, not another's node


def check(path: str, *, namespace: str = '/', substitutions: bool = False) -> None:
    """Refuse a params file that no node could read, with what is wrong.

    What the sections hold is checked by the nodes, which refuse names that they do not have.
    Sections for other people's nodes are welcome, but not a file that says nothing to ours.

    Args:
        path: Of the file.
        namespace: Of the system, absolute.
        substitutions: Whether `$(...)` will be replaced before the nodes read it.

    Raises:
        ConfigError: If it cannot be read, is not YAML, is not made of node sections, or if a
            section is for one of our nodes but for its spelling, or none is for any.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f'cannot read params_file {path!r}: {without_path(error)}') from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f'params_file {path!r} is not YAML: {error}') from error
    if '$(' in text and not substitutions:
        raise ConfigError(f'params_file {path!r} has a substitution "$(...)", which only ros2 '
                          f'launch can replace; write the value')
    if not (isinstance(content, dict) and all(_is_section(each) for each in content.values())):
        raise ConfigError(f'params_file {path!r} must have sections such as "planner_node:" or '
                          f'"/**:" with "ros__parameters:" below')
    sections = list(_sections(content))
    if not any('$(' in section for section in sections):
        _check_names(path, sections, namespace)


def _check_names(path: str, sections: Sequence[str], namespace: str) -> None:
    for section in sections:
        name = section.rpartition('/')[2]
        near = difflib.get_close_matches(name, NODES, 1, _ALIKE)
        if near and name not in NODES:
            raise ConfigError(f'params_file {path!r} has a section {section!r}, and there is no '
                              f'such node; did you mean {near[0]}?')
    ours = [f'{namespace.rstrip("/")}/{name}' for name in NODES]
    if sections and not any(_pattern(section).fullmatch(one)
                            for section in sections for one in ours):
        raise ConfigError(f'params_file {path!r} has sections for {", ".join(sections)}, and none '
                          f'of them is for a node of this system: {", ".join(ours)}; write '
                          f'"/**/planner_node:" for a node in any namespace, or "/**:" for all')


def _sections(content: dict, above: str = '') -> Iterator[str]:
    """Yield the names of the sections, absolute; a namespace may be a level of its own."""
    for key, value in content.items():
        name = f'{above}/{str(key).strip("/")}'
        if 'ros__parameters' in value:
            yield name
        yield from _sections({inner: below for inner, below in value.items()
                              if inner != 'ros__parameters' and _is_section(below)}, name)


def _pattern(section: str) -> re.Pattern:
    """Return what matches the full names of the nodes that a section is for, as in rcl."""
    return re.compile(''.join(
        {'**': '(/[^/]+)*', '*': '/[^/]+'}.get(part, f'/{re.escape(part)}')
        for part in section.strip('/').split('/')))


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
