"""YAML by strangers: plain data of a bounded size and depth, or a ConfigError.

PyYAML alone is not safe to feed: a few lines of aliases stand for gigabytes, deep nesting ends in
a RecursionError, and odd scalars (`!!int ""`, a 13th month) raise nearly any kind of error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lewm_model.errors import ConfigError, without_path
import yaml

MAX_BYTES = 256 << 10     # settings have some kilobytes; YAML is slow to parse
_MAX_NODES = 100_000      # that takes seconds
_MAX_DEPTH = 40
_MAX_GROWTH = 4           # how much more than the text the data may be, aliases written out


class _BoundedLoader(yaml.SafeLoader):
    """Counts what the data would be without aliases, before it is built."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth, self._written_out = 0, 0
        self._limit = _MAX_GROWTH * (len(text) + 1000)
        self._sizes: dict[int, int] = {}      # of the finished nodes, which aliases repeat

    def compose_node(self, parent: Any, index: Any) -> Any:
        before, mark = self._written_out, self.peek_event().start_mark
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise yaml.YAMLError(f'it is nested deeper than {_MAX_DEPTH} levels{mark}')
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if is_alias:
            if id(node) not in self._sizes:
                raise yaml.YAMLError(f'an alias lies inside of what it stands for{mark}')
            self._written_out += self._sizes[id(node)]
        else:
            self._written_out += 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
            self._sizes[id(node)] = self._written_out - before
        if len(self._sizes) > _MAX_NODES:
            raise yaml.YAMLError(f'it has more than {_MAX_NODES} entries{mark}')
        if self._written_out > self._limit:
            raise yaml.YAMLError(f'its aliases stand for more than {_MAX_GROWTH} times its '
                                 f'text{mark}')
        self._depth -= 1
        return node


def parse_yaml(text: str, name: str) -> Any:
    """Return plain data; no tag makes anything else.

    Args:
        text: One document.
        name: What to call it in errors.

    Raises:
        ConfigError: If it is no YAML, or is nested too deeply or grows too large.
    """
    try:
        loader = _BoundedLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except Exception as error:  # on odd scalars PyYAML raises nearly any kind
        known = isinstance(error, yaml.YAMLError)
        raise ConfigError(f'{name} is not valid YAML: ' + ('' if known else
                          f'{type(error).__name__}: ') + str(error)[:500]) from error


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file of at most `MAX_BYTES`.

    Raises:
        ConfigError: If it cannot be read, or is not acceptable YAML.
    """
    try:
        path = Path(path)
        if path.exists() and not path.is_file():     # reading a pipe would wait for ever
            raise ConfigError(f'cannot read settings {path}: it is not a file')
        with path.open('rb') as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f'cannot read settings {path}: it has more than {MAX_BYTES} bytes')
        return parse_yaml(data.decode('utf-8'), str(path))
    except (OSError, ValueError) as error:    # ValueError: of decoding, or a zero in the path
        raise ConfigError(f'cannot read settings {path}: {without_path(error)}') from error
