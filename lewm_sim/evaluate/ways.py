"""How goals are given: as pictures, as quantities, or as some quantities of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import ConfigError
from lewm_model.planning.fleet import Fleet
from lewm_sim.evaluate.pairs import Pair
from lewm_sim.tasks import Task

WAYS = {'picture': 'the goal picture, all of it',
        'quantities': 'no picture: what the simulator says of the goal, as numbers',
        'counted': 'the goal picture, of which only these quantities count'}


@dataclass(frozen=True)
class Way:
    """One way to give goals."""

    kind: str = 'picture'           # one of WAYS
    names: tuple[str, ...] = ()     # quantities that count

    def __post_init__(self) -> None:
        if self.kind not in WAYS:
            raise ConfigError(f'goals are given as {", ".join(WAYS)}, got {self.kind!r}')

    def give(self, fleet: Fleet, task: Task, pairs: Sequence[Pair]) -> None:
        """Let a fleet begin anew, with the goals of pairs."""
        pictures = [pair.goal_rgb for pair in pairs]
        if self.kind == 'picture':
            fleet.set_goals(pictures)
        elif self.kind == 'counted':
            fleet.set_goals(pictures, self.names)
        else:
            fleet.set_goal_quantities(self.names, [known(task, pair, self.names)
                                                   for pair in pairs])


def known(task: Task, pair: Pair, names: Sequence[str]) -> list[float]:
    """Return what the simulator says of a goal."""
    truth = dict(zip((one.name for one in task.quantities), pair.goal.tolist(), strict=True))
    return [truth[name] for name in names]


def find_names(bundle: Bundle, task: Task, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the quantities that goals name: those wanted, or all that bundle and task know.

    Raises:
        ConfigError: If the bundle reads nothing, or not what is wanted.
    """
    reads = [] if bundle.readout is None else [one.name for one in bundle.readout.readable]
    both = [one.name for one in task.quantities if one.width == 1 and one.name in reads]
    unknown = [name for name in wanted if name not in both]
    if unknown or not both:
        raise ConfigError(f'goals cannot name {", ".join(unknown) or "anything"}: bundle and task '
                          f'both know {", ".join(both) or "nothing"}; `lewm train-policy --kind '
                          f'readout` adds what reads quantities')
    return tuple(wanted) or tuple(both)


def label(plan: str, way: Way, kinds: Sequence[str]) -> str:
    """Name a planner that is given goals in one of several ways."""
    return plan if tuple(kinds) == ('picture',) else f'{plan}, {way.kind}'


def combine(plans: Mapping[str, PlanConfig], kinds: Sequence[str], bundle: Bundle, task: Task,
            wanted: Sequence[str]) -> tuple[dict[str, PlanConfig], dict[str, Way]]:
    """Return every planner with every way, both by the same label; the first is the reference."""
    names = find_names(bundle, task, wanted) if set(kinds) - {'picture'} else ()
    settings, ways = {}, {}
    for plan, config in plans.items():
        for kind in kinds:
            way = Way(kind, () if kind == 'picture' else names)
            settings[label(plan, way, kinds)], ways[label(plan, way, kinds)] = config, way
    return settings, ways


def read_errors(fleet: Fleet, bundle: Bundle, task: Task, pairs: Sequence[Pair],
                names: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each pair how wrong the goal picture is read, by name of the quantity."""
    fleet.set_goals([pair.goal_rgb for pair in pairs])
    found = []
    for policy, pair in zip(fleet.policies, pairs, strict=True):
        target = bundle.readout.target(names, known(task, pair, names))
        errors = bundle.readout.errors(policy.goal.latent, target)
        found.append(dict(zip(names, errors.tolist(), strict=True)))
    return found
