"""What `lewm evaluate` found, as Markdown: for the terminal and for the card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_PAIRS = {'held-out': 'held-out pairs', 'strict': 'held-out pairs, not solved at the start,',
          'reference': 'pairs of the training file'}
FLOORS = {'uniform': 'floor: uniform random', 'still': 'floor: stands still',
          'exploration': 'floor: exploration', 'random': 'floor: exploration'}


def evaluation_table(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the lines of one evaluation; also of a bundle made by an older version."""
    seeds, trainings = evaluation.get('planner_seeds', 1), evaluation.get('trainings', 1)
    between = 'trainings' if trainings > 1 else 'planner seeds' if seeds > 1 else ''
    rows = [(FLOORS.get(row['policy'], row['policy']), tolerance_text(row),
             *(rate_text(row, rule) for rule in ('reached', 'final')),
             f'{100 * row["solved_at_start"]:.0f} %') for row in evaluation['scores']]
    part = evaluation.get('part', 'all')
    half = {'report': ' (of the half that nothing is chosen by)',
            'choose': ' (of the half that settings are chosen by)'}.get(part, '')
    first_step = ('counts any step after the start' if 'planner_seeds' in evaluation else
                  'counts any step')
    lines = [f'{evaluation["pairs"]} {_PAIRS[evaluation.get("protocol", "held-out")]} '
             f'{evaluation["goal_offset"]} control steps apart{half}, budget '
             f'{evaluation["budget"]} steps, seed {evaluation["seed"]}, '
             f'{f"{trainings} trainings, " * (trainings > 1)}{seeds} planner '
             f'seed{"s" * (seeds > 1)}; 95 % intervals over pairs in brackets'
             f'{f", after ± the standard deviation between {between}" * bool(between)}. '
             f'"Reached" {first_step} (the reference\'s rule), "at the end" the last one.'
             f'{_varied(evaluation)}{_given(evaluation)}', '',
             *markdown_table(('policy', 'tolerance', 'reached', 'at the end',
                              'solved at the start'), rows),
             f'One plan took {evaluation["plan_seconds_median"]:.3f} s (median) on '
             f'{evaluation["threads"]} CPU thread(s).', '']
    lines += _efforts(evaluation)
    choice = evaluation.get('choice')
    if choice:
        lines += ['Chosen on the other half of the held-out episodes:', '', *markdown_table(
            ('settings', 'tolerance', 'reached', 'at the end'),
            [(row['plan'], row['tolerance'], f'{100 * row["reached"]:.0f} %',
              f'{100 * row["final"]:.0f} %') for row in choice])]
    if evaluation.get('comparisons'):
        lines += ['Pair by pair:', '', *(f'- {comparison_text(one)}.'
                                         for one in evaluation['comparisons']), '']
    return lines


def _efforts(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the lines of what decisions cost; none of an older evaluation."""
    efforts = evaluation.get('efforts') or {}
    rows = [(name, f'{1e3 * one["plan_seconds_median"]:.1f} ms', short_number(one['encode_flops']),
             short_number(one['plan_flops']), short_number(one['flops_per_step'])) for name, one
            in efforts.items()]
    return [] if not rows else [
        'What a decision costs (operations of eager torch, a multiplication and its addition are '
        'two; one plan at a time):', '',
        *markdown_table(('planner', 'one plan', 'FLOPs, frame', 'FLOPs, plan',
                         'FLOPs per control step'), rows)]


def short_number(count: float) -> str:
    """Write three digits and a unit: 12.3 M."""
    for unit, size in (('T', 1e12), ('G', 1e9), ('M', 1e6)):
        if count >= size:
            return f'{count / size:.3g} {unit}'
    return f'{count / 1e3:.3g} k'


def comparison_text(one: Mapping[str, Any]) -> str:
    """Say in one sentence what a paired comparison found."""
    low, high = (100 * value for value in one['interval'])
    better = one['first'] if one['difference'] > 0 else one['second']
    verdict = f'{better} is better' if one['p'] < 0.05 else 'this can be chance'
    rule = 'reached' if one['rule'] == 'reached' else 'at the end'
    return (f'{one["first"]} minus {one["second"]}, {rule} ({one["tolerance"]}): '
            f'{100 * one["difference"]:+.1f} points [{low:+.1f}, {high:+.1f}]; of {one["pairs"]} '
            f'pairs {one["only_first"]} are solved by the first alone, {one["only_second"]} by '
            f'the second (p = {one["p"]:.2g}): {verdict}')


def markdown_table(header: tuple[str, ...], rows: Iterable[Any]) -> list[str]:
    """Return the lines of a table, with an empty one after it."""
    return [f'| {" | ".join(header)} |', '|' + '---|' * len(header),
            *(f'| {" | ".join(str(cell) for cell in row)} |' for row in rows), '']


def _varied(evaluation: Mapping[str, Any]) -> str:
    strengths, late = evaluation.get('vary', {}), evaluation.get('late', 0)
    return ((' Every pair looks otherwise than in training: ' + ', '.join(
        f'{name} {strength:g}' for name, strength in strengths.items()) + '.' if strengths else '')
            + (f' Plans count from {late} control step{"s" if late > 1 else ""} after their frame '
               f'on.' if late else ''))


def _given(evaluation: Mapping[str, Any]) -> str:
    names, photo = evaluation.get('goal_names', ()), evaluation.get('photo', {})
    correction = evaluation.get('goal_correction')
    return ((f' Goals name {", ".join(names)}.' if names else '')
            + (' Goal pictures were taken otherwise: ' + ', '.join(
                f'{name} {value:g}' for name, value in photo.items()) + '.' if photo else '')
            + (f' Correction of goal pictures ({correction["which"]}): '
               f'{correction["corrected"]} corrected, {correction["doubted"]} doubted.'
               if correction else ''))


def rate_text(row: Mapping[str, Any], key: str) -> str:
    """Return a success rate, 'reached' or 'final', with its spreads: 97 ± 1.2 % (92-99)."""
    low, high = row[f'{key}_interval']
    spread = row.get(f'{key}_seed_std')
    between = '' if spread is None else f' ± {100 * spread:.1f}'
    return f'{100 * row[key]:.0f}{between} % ({100 * low:.0f}-{100 * high:.0f})'


def tolerance_text(row: Mapping[str, Any]) -> str:
    """Return the tolerance of a score; bundles before there were units have radians."""
    return row['tolerance'] if 'tolerance' in row else f'{row["tolerance_rad"]:.2f} rad'
