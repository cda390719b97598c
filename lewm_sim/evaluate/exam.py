"""What is asked of a bundle: the settings of an evaluation, and the pairs they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lewm_model.bundles.bundle import Bundle
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError
from lewm_model.held_out import HeldOut, require_same_source
from lewm_model.images.goal_correction import check_correction
from lewm_sim.evaluate.pairs import corrected, Pair, photographed, sample_pairs, varied
from lewm_sim.evaluate.photograph import check_changes
from lewm_sim.evaluate.protocols import protocol
from lewm_sim.evaluate.ways import Way
from lewm_sim.look import check_factors
from lewm_sim.task_of import task_of
from lewm_sim.tasks import Task, Tolerance
import numpy as np


@dataclass(frozen=True)
class Settings:
    """What an evaluation does."""

    protocol: str = 'held-out'        # see `protocols`
    count: int = 50                   # pairs
    part: str = ''                    # of the held-out episodes, see `HeldOut.part`; '': report,
    #                                   or all where there are too few to divide
    goal_offset: int | None = None    # control steps from start to goal; None: the task's
    budget: int | None = None         # control steps allowed; None: the task's
    seed: int = 42                    # of pairs and floors
    seeds: int = 3                    # of the planner, from `PlanConfig.seed` on
    batch: int = 32                   # pairs that are planned for at once; 1: one plan at a time
    workers: int = 0                  # processes; 0: one per processor, one for few trials
    threads: int = 1                  # of torch, in each
    late: int = 0                     # control steps from a frame to when its plan counts
    backend: str = 'torch'            # engine, see `engines.registry`
    new_data: bool = False            # see `HeldOut`
    vary: Mapping[str, float] = field(default_factory=dict)   # strengths, see `lewm_sim.look`
    photo: Mapping[str, float] = field(default_factory=dict)  # of goal pictures, see `photograph`
    goal_correction: str = 'off'      # of goal pictures, one of CORRECTIONS
    goals: tuple[str, ...] = ('picture',)   # how they are given, see `ways`
    names: tuple[str, ...] = ()       # quantities that goals name; (): all that can be

    def __post_init__(self) -> None:
        protocol(self.protocol)
        check_factors(self.vary)
        check_changes(self.photo)
        check_correction(self.goal_correction)
        if not self.goals or len(set(self.goals)) < len(self.goals):
            raise ConfigError(f'goals must be different ways to give them, got {self.goals}')
        for kind in self.goals:
            Way(kind)
        for name, least in (('count', 1), ('seeds', 1), ('batch', 1), ('workers', 0),
                            ('threads', 1), ('late', 0)):
            if getattr(self, name) < least:
                raise ConfigError(f'{name} must be at least {least}, got {getattr(self, name)}')
        for name in ('goal_offset', 'budget'):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f'{name} must be at least 1, got {value}')


@dataclass(frozen=True, eq=False)
class Exam:
    """Everything that is settled before anybody acts."""

    task: Task
    tolerances: tuple[Tolerance, ...]   # what success is judged by, the one that counts first
    pairs: list[Pair]
    part: str                           # of the data that the pairs come from
    goal_offset: int                    # control steps from start to goal
    budget: int                         # control steps allowed
    image_size: int                     # of the pictures [px]
    corrections: Mapping[str, int]      # goal pictures corrected and doubted; {}: not asked for


def set_exam(bundle: Bundle, data: EpisodeFile, settings: Settings) -> Exam:
    """Draw the pairs; the same bundle, data and settings have the same exam.

    Raises:
        ConfigError: If the bundle's task is not a simulated one.
        DatasetError: If the data cannot serve.
    """
    rules = protocol(settings.protocol)
    task = task_of(bundle)
    episodes, part = _episodes(bundle, data, settings)
    tolerances = rules.tolerances(task.facts)
    offset = settings.goal_offset or task.facts.goal_offset
    image_size = int(data.pixels.shape[1])
    world = task.make_world(image_size)
    try:
        pairs = sample_pairs(data, episodes, task, world, count=settings.count,
                             goal_offset=offset, seed=settings.seed,
                             unsolved_by=tolerances[0] if rules.unsolved_only else None)
        if settings.vary:
            pairs = varied(pairs, task, world, settings.vary, settings.seed)
        if settings.photo:
            pairs = photographed(pairs, settings.photo, settings.seed)
        corrections = {}
        if settings.goal_correction != 'off':
            pairs, corrections = corrected(pairs, settings.goal_correction,
                                           bundle.view.tiles if bundle.view else ())
    finally:
        world.close()
    return Exam(task, tolerances, pairs, part, offset, settings.budget or task.facts.budget,
                image_size, corrections)


def _episodes(bundle: Bundle, data: EpisodeFile, settings: Settings) -> tuple[np.ndarray, str]:
    """Return which episodes pairs come from, and the name of that part of the data."""
    if not protocol(settings.protocol).held_out:
        if settings.part or settings.new_data:
            raise ConfigError(f'protocol {settings.protocol!r} uses all episodes of the file: '
                              f'leave --part and --new-data away, or choose another --protocol')
        require_same_source(bundle, data)
        return np.arange(len(data.ep_len)), 'all episodes'
    held_out = HeldOut(bundle, data, new_data=settings.new_data)
    part = settings.part or ('report' if len(held_out.held_out) > 1 else 'all')
    return held_out.part(part), part
