"""An evaluation beside an earlier one, of another model perhaps, on the pairs that both have."""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

from lewm_model.errors import ConfigError, without_path
from lewm_sim.evaluate.scores import RULES
from lewm_sim.evaluate.statistics import compare
from lewm_sim.tasks import load_task, Outcome, Tolerance
import numpy as np

Pairs = dict[tuple[str, int], list[dict[str, Any]]]     # trials, by episode and row


def rules(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two evaluations must have in common for their trials to be of one exam."""
    look = {name: results.get(name, {}) for name in ('vary', 'photo')}
    return {**{name: results[name] for name in ('task', 'protocol', 'goal_offset', 'budget')},
            **look, 'goal_correction': results.get('goal_correction', {}).get('which', 'off'),
            'seed of looks': results['seed'] if any(look.values()) else '-'}


def read_results(path: Path) -> dict[str, Any]:
    """Return what `lewm evaluate --out` or `lewm pool --out` wrote.

    Raises:
        ConfigError: If the file is none, or lacks what a comparison needs.
    """
    try:
        results = json.loads(path.read_text(encoding='utf-8'))
        rules(results)
        if not (results['scores'] and results['trials']):
            raise ValueError('it has no trials')
        return results
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(f'{path} is no result of lewm evaluate --out ({without_path(error)}); '
                          f'evaluate the model again with this version') from error


def require_same_rules(there: Mapping[str, Any], here: Mapping[str, Any], path: Path) -> None:
    """Raise a ConfigError unless two evaluations, one of them from a file, are of one exam.

    Args:
        there: Rules of the evaluation in the file.
        here: Rules of the other.
        path: The file.
    """
    different = [f'{name} {there[name]} there, {here[name]} here' for name in here
                 if there[name] != here[name]]
    if different:
        raise ConfigError(f'{path} was made under other rules ({"; ".join(different)}); evaluate '
                          f'both in the same way')


def compare_with(results: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Compare the first planner of `results` with the first of a file that `--out` wrote.

    Raises:
        ConfigError: If the file is none, was made under other rules, or has no pair in common.
    """
    earlier = read_results(path)
    require_same_rules(rules(earlier), rules(results), path)
    ours, theirs = (by_pair(found[next(iter(found))]) for found in (results['trials'],
                                                                    earlier['trials']))
    if not set(ours) & set(theirs):
        raise ConfigError(f'{path} has no pair in common with this evaluation; use the same data, '
                          f'--part and --seed, and as many --episodes')
    tolerance = tolerance_of(results['task'], results['scores'][0]['tolerance'])
    return _compare(_name(results), ours, _name(earlier), theirs, tolerance)


def tolerance_of(task: str, text: str) -> Tolerance:
    """Return the tolerance of a task that results call by its text, such as '0.05 rad'."""
    known = {str(one): one for one in load_task(task).facts.all_tolerances()}
    if text not in known:
        raise ConfigError(f'results were judged by {text}, which task {task!r} does not have any '
                          f'more ({", ".join(known)}); evaluate again')
    return known[text]


def _name(results: Mapping[str, Any]) -> str:
    """Return the model, with the loss it was trained with where that is not LeWM's."""
    loss = results.get('loss', 'lewm')
    return f'model {results["model_id"]}' + (f' (loss {loss})' if loss != 'lewm' else '')


def compare_trials(trials: Mapping[str, list[dict[str, Any]]], tolerance: Tolerance
                   ) -> list[dict[str, Any]]:
    """Compare two policies, trials by name as `evaluate` writes them, on the pairs of both."""
    (first, ours), (second, theirs) = trials.items()
    return _compare(first, by_pair(ours), second, by_pair(theirs), tolerance)


def _compare(first: str, ours: Pairs, second: str, theirs: Pairs, tolerance: Tolerance
             ) -> list[dict[str, Any]]:
    both = sorted(set(ours) & set(theirs))
    return [{'first': first, 'second': second, 'rule': rule, 'tolerance': str(tolerance),
             **compare(*(successes(found, both, tolerance, rule) for found in (ours, theirs)),
                       [episode for episode, _ in both]).to_dict()} for rule in RULES]


def by_pair(trials: list[dict[str, Any]]) -> Pairs:
    """Group trials as `evaluate` writes them; each pair has one of every planner seed."""
    found: Pairs = {}
    for trial in trials:
        found.setdefault((trial['episode'], trial['row']), []).append(trial)
    return found


def successes(found: Pairs, pairs: list[tuple[str, int]], tolerance: Tolerance, rule: str
              ) -> np.ndarray:
    """Return bool (seeds, pairs) by a rule, 'reached' or 'final'."""
    def solved(trial: dict[str, Any]) -> bool:
        errors = trial['errors']
        instants = range(1, len(next(iter(errors.values()))))
        return any(Outcome({name: values[instant] for name, values in errors.items()}).solved(
            tolerance) for instant in (instants if rule == 'reached' else instants[-1:]))
    return np.array([[solved(trial) for trial in found[pair]] for pair in pairs]).T
