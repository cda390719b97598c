"""Choosing planner settings on some episodes and reporting them on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError
from lewm_sim.evaluate.exam import Settings
from lewm_sim.evaluate.protocols import protocol
from lewm_sim.evaluate.run import evaluate

BEFORE = 'recommended before'


def choose(bundle: Bundle, data: EpisodeFile, plans: Mapping[str, PlanConfig],
           settings: Settings, *,
           report: Callable[[int, int], None] = lambda done, total: None
           ) -> tuple[str, dict[str, Any]]:
    """Find the planner settings that a bundle shall recommend, and what they are worth.

    One of several is chosen by its success at the end of the budget on one half of the held-out
    episodes (the first of the equally good ones). What is reported was measured on the other
    half, beside the settings recommended so far: being chosen does not raise it.

    Args:
        bundle: Whose planner it is.
        data: As for `evaluate`.
        plans: Candidates by name.
        settings: Protocol and effort, of each of the two rounds.
        report: Told the trials done, and how many there are; begins again with the second round.

    Returns:
        The chosen name, and the second round's results with the table of the first as 'choice'.

    Raises:
        ConfigError: If a part of the data was named.
        LewmError: As `evaluate`.
    """
    if settings.part:
        raise ConfigError('choosing needs both parts of the held-out episodes; leave --part away')
    if not protocol(settings.protocol).held_out:
        raise ConfigError(f'protocol {settings.protocol!r} holds no episodes out, so that what is '
                          f'chosen would be reported on the same ones; choose another --protocol')
    table: list[dict[str, Any]] = []
    chosen = next(iter(plans))
    if len(plans) > 1:
        found = evaluate(bundle, data, plans, replace(settings, part='choose'), report=report)
        counting = found['scores'][0]['tolerance']
        table = [{'plan': row['policy'], 'tolerance': counting, 'reached': row['reached'],
                  'final': row['final'], 'pairs': row['pairs']}
                 for row in found['scores']
                 if row['policy'] in plans and row['tolerance'] == counting]
        chosen = max(table, key=lambda row: (row['final'], row['reached']))['plan']
    again = {chosen: plans[chosen]}
    if plans[chosen] != bundle.plan_config:
        again[BEFORE] = bundle.plan_config
    results = evaluate(bundle, data, again, replace(settings, part='report'), report=report)
    return chosen, {**results, 'choice': table}
