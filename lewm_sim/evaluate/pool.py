"""Several trainings of one recipe, judged on the same pairs, as one result with both spreads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lewm_model.errors import ConfigError
from lewm_sim.evaluate.against import (
    by_pair,
    Pairs,
    read_results,
    require_same_rules,
    rules,
    successes,
    tolerance_of,
)
from lewm_sim.evaluate.scores import RULES, Score
from lewm_sim.evaluate.statistics import compare, rate
from lewm_sim.evaluate.trials import FLOORS
import numpy as np


def pool(paths: Sequence[Path]) -> dict[str, Any]:
    """Return one result of several trainings.

    A training's rate is its mean over planner seeds, and the standard deviation is that between
    trainings. Intervals are over pairs: another training is no new pair. In comparisons a pair
    counts as solved if more than half of all trials on it did. Times are those of the first file.

    Args:
        paths: What `lewm evaluate --out` wrote, one file of each training.

    Returns:
        In the form of `evaluate`, of the planners that all files have, with `trainings`, and the
        trials of all: it can be compared as any result can.

    Raises:
        ConfigError: If a file is no result, or if two are of one model, or not of the same
            rules, loss, planner settings and pairs.
    """
    several = [read_results(path) for path in paths]
    first = several[0]
    _require_alike(paths, several)
    names = [name for name in first['trials'] if all(name in one['trials'] for one in several)]
    planners = [name for name in names if name not in FLOORS]
    found = {name: [by_pair(one['trials'][name]) for one in several] for name in names}
    pairs = _same_pairs(paths, found[planners[0]])
    episodes = [episode for episode, _ in pairs]

    def solved(name: str, tolerance: str, rule: str) -> np.ndarray:
        """Return the share of planner seeds that solved each pair, (trainings, pairs)."""
        limits = tolerance_of(first['task'], tolerance)
        return np.stack([successes(one, pairs, limits, rule).mean(axis=0)
                         for one in found[name]])

    counting = first['scores'][0]['tolerance']
    scores = [Score(name, tolerance, len(pairs), *(
        rate(solved(name, tolerance, rule), episodes) for rule in RULES), row['solved_at_start'])
        for row in first['scores']
        for name, tolerance in [(row['policy'], row['tolerance'])] if name in names]
    comparisons = [{
        'first': planners[0], 'second': other, 'rule': rule, 'tolerance': counting, **compare(
            *(solved(name, counting, rule) for name in (planners[0], other)), episodes).to_dict()}
        for other in planners[1:] for rule in RULES]
    return {
        **{key: value for key, value in first.items() if key != 'choice'},
        'model_id': ' + '.join(one['model_id'] for one in several), 'trainings': len(several),
        'efforts': {name: effort for name, effort in first.get('efforts', {}).items()
                    if name in planners},
        'scores': [one.to_dict() for one in scores], 'comparisons': comparisons,
        'trials': {name: [trial for one in several for trial in one['trials'][name]]
                   for name in names}}


def _require_alike(paths: Sequence[Path], several: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what is not the same exam of the same recipe, trained several times."""
    if len(paths) < 2:
        raise ConfigError(f'pooling needs the results of at least 2 trainings, got {len(paths)}')
    first, models = several[0], {}
    planner = next(iter(first['trials']))
    for path, one in zip(paths, several, strict=True):
        if 'trainings' in one:
            raise ConfigError(f'{path} is pooled already; give the files that it was pooled from')
        if one['model_id'] in models:
            raise ConfigError(f'{path} and {models[one["model_id"]]} are both of model '
                              f'{one["model_id"]}; a training counts once')
        models[one['model_id']] = path
        if planner not in one['trials']:
            raise ConfigError(f'{path} has no planner {planner!r}, the first of {paths[0]}, only '
                              f'{", ".join(_plans(one))}; judge all with the same --plan')
        require_same_rules(_rules(one), _rules(first), path)
        for name, plan in _plans(first).items():
            other = _plans(one).get(name, plan)
            different = [f'{key} {other.get(key)} there, {plan.get(key)} in {paths[0]}'
                         for key in {**plan, **other} if other.get(key) != plan.get(key)]
            if different:
                raise ConfigError(f'{path} has other settings of planner {name!r} '
                                  f'({"; ".join(different)}); judge all with the same --plan')


def _same_pairs(paths: Sequence[Path], several: Sequence[Pairs]) -> list[tuple[str, int]]:
    """Return the pairs that all were judged on, in order; refuse files that differ in them."""
    pairs = sorted(several[0])
    for path, one in zip(paths, several, strict=True):
        if sorted(one) != pairs:
            raise ConfigError(f'{path} has {len(set(one) & set(pairs))} of the {len(pairs)} pairs '
                              f'of {paths[0]}, and {len(set(one) - set(pairs))} others; judge all '
                              f'on the same --data, --part, --seed and --episodes, best of a '
                              f'--new-data set that none has seen')
    return pairs


def _rules(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules of an exam, and what else must be alike in trainings of one recipe."""
    return {**rules(results), 'loss': results.get('loss', 'lewm'),
            'planner seeds': results['planner_seeds']}


def _plans(results: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the settings of each planner, by name."""
    return results.get('plans') or {results['scores'][0]['policy']: results['plan']}
