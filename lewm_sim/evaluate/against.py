"""An evaluation beside an earlier one, of another model perhaps, on the pairs that both have."""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

from lewm_model.errors import ConfigError
from lewm_sim.evaluate.scores import RULES
from lewm_sim.evaluate.statistics import compare
from lewm_sim.tasks import load_task, Outcome, Tolerance
import numpy as np

_Pairs = dict[tuple[str, int], list[dict[str, Any]]]     # trials, by episode and row


def _rules(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two evaluations must have in common for their trials to be of one exam."""
    look = {name: results.get(name, {}) for name in ('vary', 'photo')}
    return {**{name: results[name] for name in ('task', 'protocol', 'goal_offset', 'budget')},
            **look, 'goal_correction': results.get('goal_correction', {}).get('which', 'off'),
            'seed of looks': results['seed'] if any(look.values()) else '-'}


def compare_with(results: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Compare the first planner of `results` with the first of a file that `--out` wrote.

    Raises:
        ConfigError: If the file is none, was made under other rules, or has no pair in common.
    """
    try:
        earlier = json.loads(path.read_text(encoding='utf-8'))
        trials = earlier['trials']
        there, here = _rules(earlier), _rules(results)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f'{path} is no result of lewm evaluate --out ({error}); evaluate the '
                          f'other model again with this version') from error
    different = [f'{name} {there[name]} there, {here[name]} here' for name in here
                 if there[name] != here[name]]
    if different:
        raise ConfigError(f'{path} was made under other rules ({"; ".join(different)}); evaluate '
                          f'both in the same way')
    ours, theirs = (_by_pair(found[next(iter(found))]) for found in (results['trials'], trials))
    if not set(ours) & set(theirs):
        raise ConfigError(f'{path} has no pair in common with this evaluation; use the same data, '
                          f'--part and --seed, and as many --episodes')
    return _compare(_name(results), ours, _name(earlier), theirs, counting_tolerance(results))


def counting_tolerance(results: Mapping[str, Any]) -> Tolerance:
    """Return the tolerance that results are judged by in the first place."""
    text = results['scores'][0]['tolerance']
    facts = load_task(results['task']).facts
    return next(one for one in facts.all_tolerances() if str(one) == text)


def _name(results: Mapping[str, Any]) -> str:
    """Return the model, with the loss it was trained with where that is not LeWM's."""
    loss = results.get('loss', 'lewm')
    return f'model {results["model_id"]}' + (f' (loss {loss})' if loss != 'lewm' else '')


def compare_trials(trials: Mapping[str, list[dict[str, Any]]], tolerance: Tolerance
                   ) -> list[dict[str, Any]]:
    """Compare two policies, trials by name as `evaluate` writes them, on the pairs of both."""
    (first, ours), (second, theirs) = trials.items()
    return _compare(first, _by_pair(ours), second, _by_pair(theirs), tolerance)


def _compare(first: str, ours: _Pairs, second: str, theirs: _Pairs, tolerance: Tolerance
             ) -> list[dict[str, Any]]:
    both = sorted(set(ours) & set(theirs))
    return [{'first': first, 'second': second, 'rule': rule, 'tolerance': str(tolerance),
             **compare(*(_successes(found, both, tolerance, rule) for found in (ours, theirs)),
                       [episode for episode, _ in both]).to_dict()} for rule in RULES]


def _by_pair(trials: list[dict[str, Any]]) -> _Pairs:
    found: _Pairs = {}
    for trial in trials:
        found.setdefault((trial['episode'], trial['row']), []).append(trial)
    return found


def _successes(found: _Pairs, pairs: list[tuple[str, int]], tolerance: Tolerance, rule: str
               ) -> np.ndarray:
    """Return bool (seeds, pairs)."""
    def solved(trial: dict[str, Any]) -> bool:
        errors = trial['errors']
        instants = range(1, len(next(iter(errors.values()))))
        return any(Outcome({name: values[instant] for name, values in errors.items()}).solved(
            tolerance) for instant in (instants if rule == 'reached' else instants[-1:]))
    return np.array([[solved(trial) for trial in found[pair]] for pair in pairs]).T
