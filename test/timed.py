"""Claims about real time, on machines that have other things to do as well."""

from __future__ import annotations

from collections.abc import Callable
import functools
import inspect
from typing import Any

from ros_helpers import Graph

TRIES = 3


class LateError(AssertionError):
    """Something came later than it should, or was stopped for that; nothing else was wrong."""


def in_time(seconds: float, limit_s: float, what: str) -> None:
    """Hold that something took less than `limit_s`."""
    if not seconds < limit_s:
        raise LateError(f'{what} took {seconds:.3f} s, allowed are {limit_s} s')


def undisturbed(good: bool, what: Any) -> None:
    """Hold what is only true where no process waited long for the machine."""
    if not good:
        raise LateError(str(what))


def timed(test: Callable[..., None]) -> Callable[..., None]:
    """Take a test again, up to three times in all, while nothing but a `LateError` ends it.

    A busy machine makes something late now and then; what is late each time is at fault. Each
    time has a `graph` and a `tmp_path` of its own, so no other fixture may depend on them.
    """
    signature = inspect.signature(test)
    names = [name for name in signature.parameters if name != 'graph']

    def once(number: int, given: dict[str, Any]) -> None:
        if number > 1 and 'tmp_path' in given:
            given['tmp_path'] = given['tmp_path'] / f'try_{number}'
            given['tmp_path'].mkdir()
        if len(names) == len(signature.parameters):
            test(**given)
            return
        with Graph() as graph:
            test(graph=graph, **given)

    @functools.wraps(test)
    def taken(**given: Any) -> None:
        for number in range(1, TRIES + 1):
            try:
                once(number, dict(given))
                return
            except LateError as late:
                if number == TRIES:
                    raise
                print(f'late, so the test is taken again: {late}')

    taken.__signature__ = signature.replace(
        parameters=[signature.parameters[name] for name in names])
    return taken
