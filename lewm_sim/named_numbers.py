"""Numbers by name on a command line, such as `light=0.3` or `colours=0.1,camera=0.02`."""

from __future__ import annotations

from collections.abc import Iterable

from lewm_model.errors import ConfigError


def parse_named_numbers(texts: Iterable[str], what: str, example: str) -> dict[str, float]:
    """Return the numbers by their names; the last of a name counts.

    Args:
        texts: One or more of `NAME=NUMBER`, separated by commas.
        what: What they are called in the error, such as 'a switch'.
        example: How one is written.

    Raises:
        ConfigError: If one is written otherwise.
    """
    found = {}
    for part in (part for text in texts for part in text.split(',')):
        name, _, value = part.strip().partition('=')
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f'{what} is written {example}, got {part!r}') from None
    return found
