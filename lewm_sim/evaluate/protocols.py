"""The rules of an evaluation, by name: which pairs, and what counts as success."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.errors import ConfigError
from lewm_sim.tasks import TaskFacts, Tolerance


@dataclass(frozen=True)
class Protocol:
    """How pairs are drawn and judged."""

    name: str
    text: str                       # for tables
    held_out: bool = True           # pairs of episodes that training never saw; else of all
    unsolved_only: bool = False     # no pair that is solved before the first step

    def tolerances(self, facts: TaskFacts) -> tuple[Tolerance, ...]:
        """Return what success is judged by, the one that counts first.

        A tolerance of task.yaml that bears the name of a protocol is for that protocol alone:
        'strict' may name the object only, 'reference' errors as the published code has them.
        """
        if self.name in facts.tolerances:
            return (facts.tolerance(self.name),)
        found = tuple(facts.tolerance(name) for name in facts.tolerances if name not in PROTOCOLS)
        if not found:
            raise ConfigError(f'task.yaml has no tolerance for protocol {self.name!r}, only '
                              f'{", ".join(facts.tolerances)}; add one')
        return found[:1] if self.unsolved_only else found


PROTOCOLS = {one.name: one for one in (
    Protocol('held-out', 'pairs of episodes that training never saw'),
    Protocol('reference', 'pairs of all episodes of the file, training episodes included, as the '
             'published numbers were made', held_out=False),
    Protocol('strict', 'pairs of episodes that training never saw, none of them solved at the '
             'start', unsolved_only=True))}


def protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f'protocol must be one of {", ".join(PROTOCOLS)}, got {name!r}')
    return PROTOCOLS[name]
