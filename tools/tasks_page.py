"""Write the tables of docs/results/tasks.md from docs/results/tasks.json.

    python tools/tasks_page.py                                   # the tables alone
    python tools/tasks_page.py --collect out/reproduce_tasks     # first what was measured there

`--collect` takes over what the bundles in models/ say of themselves and every number that
tools/reproduce_tasks.sh left in its folder: evaluations without their trials (seed_0.json,
seed_1.json, ... pooled as `seeds`), those through ROS, demos, and what the models were trained
with. What the folder does not have stays as it is, each number with its `source`.

The page says where tables stand and what they are of; all else is written by hand:

    <!-- table: KIND WHICH... -->      up to <!-- end -->, which is written anew

    main, rows    evaluations, TASK/RESULT or TASK/RESULT/PLANNER, such as two_room/look_*
    horizons      goals at several distances, TASK/RESULT
    models        what models were trained with and what they know, TASK/MODEL
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
import re
from typing import Any, NamedTuple

from lewm_model.bundles.evaluation_table import (
    FLOORS,
    markdown_table,
    rate_text,
    short_number,
    tolerance_text,
)
from tasks_numbers import collect, dump, read, ROOT

PAGE = ROOT / 'docs/results/tasks.md'
DATA = PAGE.with_suffix('.json')
MARK = re.compile(r'<!-- table: ([^>]+?) -->\n(.*?)<!-- end -->', re.S)
MISSING, NOTHING = 'not measured', '–'
LIVE = 'through ROS'           # the policy that is called so in ros.json


def render(page: str, doc: Mapping[str, Any]) -> str:
    """Return the page with its tables made from `doc`."""
    marks = re.findall(r'<!-- (table: |end -->)', page)
    if marks != ['table: ', 'end -->'] * (len(marks) // 2):
        raise SystemExit(f'{PAGE}: every "<!-- table: ... -->" needs an "<!-- end -->" of its own')

    def table(found: re.Match[str]) -> str:
        kind, *which = found[1].split()
        if kind not in KINDS:
            raise SystemExit(f'{PAGE}: no kind of table is called {kind!r}, only '
                             f'{", ".join(KINDS)}')
        return '\n'.join([f'<!-- table: {found[1]} -->', '', *KINDS[kind](doc, which),
                          '<!-- end -->'])
    return MARK.sub(table, page)


class Line(NamedTuple):
    """One line of a table: a planner at one tolerance."""

    task: str
    name: str                       # of the result
    result: Mapping[str, Any]       # as tasks.json has it; empty: nobody has measured it
    row: Mapping[str, Any]          # of its scores


def find(doc: Mapping[str, Any], which: list[str], *, every_tolerance: bool = False
         ) -> list[Line]:
    """Return the lines of all that is meant, nearest goals first; one for what is missing."""
    found = []
    for words in which:
        task, name, planner = (words.split('/') + ['*'])[:3]
        results = {key: one for key, one in _task(doc, task)['results'].items()
                   if fnmatchcase(key, name)}
        lines = [Line(task, key, result, row) for key, result in sorted(
                     results.items(), key=lambda item: (item[1]['goal_offset'], item[0]))
                 for row in result['scores']
                 if row['policy'] not in FLOORS and fnmatchcase(row['policy'], planner)
                 and (every_tolerance or _counts(result, row))]
        found += lines or [Line(task, name, {}, {'policy': planner})]
    return found


def _task(doc: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in doc:
        raise SystemExit(f'{PAGE}: {DATA.name} has no task {name!r}, only {", ".join(doc)}')
    return doc[name]


def _counts(result: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Tell whether a row is of the tolerance that counts."""
    return tolerance_text(row) == tolerance_text(result['scores'][0])


def main_table(doc: Mapping[str, Any], which: list[str]) -> list[str]:
    """Return one row for each task and protocol: what it reaches, floors, cost, through ROS."""
    lines = find(doc, which)
    return [*markdown_table(
        ('task', 'model', 'planner', 'protocol', 'pairs', 'reached', 'end',
         'floors: uniform / still / exploration', 'one plan', 'FLOPs per control step', LIVE,
         'live demo'),
        [(one.task, _model(one.result.get('bundle')), *_judged(one), _floors(one.result),
          *_cost(one), _through_ros(doc[one.task], one.result), _demo(doc[one.task]))
         for one in lines]), *_sources(one.result for one in lines)]


def rows_table(doc: Mapping[str, Any], which: list[str]) -> list[str]:
    """Return one row for each planner and tolerance, beside the first planner of its result."""
    lines = find(doc, which, every_tolerance=True)
    return [*markdown_table(
        ('model', 'planner', 'protocol', 'pairs', 'reached', 'end', 'one plan',
         'FLOPs per control step', 'solved alone'),
        [(_model(one.result.get('bundle', one.task)), *_judged(one), *_cost(one), _alone(one))
         for one in lines]), *_sources(one.result for one in lines)]


def horizons_table(doc: Mapping[str, Any], which: list[str]) -> list[str]:
    """Return one row for each distance of the goal, one column for each planner and floor."""
    results = list({one.name: one.result for one in find(doc, which) if one.result}.values())
    if not results:
        return [f'{MISSING.capitalize()}.', '']
    rows = [{row['policy']: row for row in result['scores'] if _counts(result, row)}
            for result in results]
    policies = list(dict.fromkeys(policy for row in rows for policy in row))
    return [*markdown_table(
        ('steps to the goal', *(FLOORS.get(one, _code(one)) for one in policies)),
        [(result['goal_offset'], *(' / '.join(_rates(row.get(one, {}))) for one in policies))
         for result, row in zip(results, rows, strict=True)]), *_sources(results)]


def models_table(doc: Mapping[str, Any], which: list[str]) -> list[str]:
    """Return one row for each model: what it was trained with, and what its latents keep."""
    found = []
    for words in which:
        task, name = words.split('/')
        models = _task(doc, task)['models']
        found += [(key, one) for key, one in models.items() if fnmatchcase(key, name)
                  ] or [(name, {})]
    return [*markdown_table(
        ('model', 'parameters', 'picture [px]', 'latent', 'weights of terms', 'steps', 'minutes',
         'linear probes, R2'),
        [(_model(name), *(one.get(key, NOTHING) for key in (
            'parameters', 'frame_px', 'latent_dim')),
          _named(one.get('terms', {}), 'g') or NOTHING,
          *(one.get(key, NOTHING) for key in ('steps', 'training_minutes')),
          _named(one.get('probes', {}), '.2f') or MISSING) for name, one in found]),
        *_sources(one for _, one in found)]


KINDS = {'main': main_table, 'rows': rows_table, 'horizons': horizons_table,
         'models': models_table}


# Cells -------------------------------------------------------------------------------------------

def _model(name: str | None) -> str:
    """Return the name of a model, with its card if it ships."""
    ships = name and (ROOT / 'models' / name / 'README.md').is_file()
    return f'[{name}](../../models/{name}/README.md)' if ships else name or NOTHING


def _judged(line: Line) -> tuple[str, ...]:
    """Return the cells of planner, protocol, pairs and both rates."""
    planner, result, row = line.row['policy'], line.result, line.row
    if not result:
        return (NOTHING if '*' in planner else _code(planner),
                line.name.replace('_', ' ').rstrip('* '), NOTHING, MISSING, MISSING)
    changed = [f'{switch}={strength:g}' for switch, strength in result.get('vary', {}).items()]
    steps = result.get('late', 0)
    late = [f'plans {steps} step{"s" if steps > 1 else ""} late'] if steps else []
    half = ['half to choose by'] if result.get('part') == 'choose' else []
    trainings = f' x {result["trainings"]} trainings' if 'trainings' in result else ''
    return (_code(planner), ', '.join([result['protocol'], tolerance_text(row),
                                       f'{result["goal_offset"]} steps away', *changed, *late,
                                       *half]),
            f'{row["pairs"]}{trainings}', *_rates(row))


def _code(planner: str) -> str:
    """Return the name of planner settings as code; `planner` are those of the bundle."""
    return 'its own settings' if planner == 'planner' else (
        f'`{planner}`' if re.fullmatch(r'\w+', planner) else planner)


def _rates(row: Mapping[str, Any]) -> list[str]:
    """Return both rates, with their spreads as far as they are known."""
    return [MISSING if key not in row else rate_text(row, key) if f'{key}_interval' in row
            else f'{100 * row[key]:.0f} %' for key in ('reached', 'final')]


def _floors(result: Mapping[str, Any]) -> str:
    """Return what is reached without a model, at the tolerance that counts."""
    found = {row['policy'].replace('random', 'exploration'): row
             for row in result.get('scores', ()) if _counts(result, row)}
    rates = [f'{100 * found[name]["reached"]:.0f}' if name in found else NOTHING
             for name in ('uniform', 'still', 'exploration')]
    return f'{" / ".join(rates)} %' if result else MISSING


def _cost(line: Line) -> list[str]:
    """Return the time of one plan, and the operations of a control step."""
    result, planner = line.result, line.row['policy']
    effort = result.get('efforts', {}).get(planner, {})
    seconds = effort.get('plan_seconds_median')
    if seconds is None and result and result['scores'][0]['policy'] == planner:
        seconds = result.get('plan_seconds_median')
    return [MISSING if seconds is None else f'{1e3 * seconds:.3g} ms',
            short_number(effort['flops_per_step']) if effort else MISSING]


def _alone(line: Line) -> str:
    """Return how often this planner alone reached the goal, and how often the first alone."""
    for one in line.result.get('comparisons', ()):
        if (one['second'], one['rule']) == (line.row['policy'], 'reached') and _counts(
                line.result, line.row):
            return (f'{one["only_second"]} against {one["only_first"]} of {_code(one["first"])}, '
                    f'p = {one["p"]:.2g}')
    return ''


def _through_ros(task: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Return what the model reaches through ROS, and the control steps without a command."""
    ros = task['results'].get('ros', {})
    if not (ros and result) or any(ros.get(key) != result.get(key) for key in (
            'protocol', 'model_id', 'goal_offset', 'part')):
        return MISSING
    row = next(row for row in ros['scores'] if row['policy'] == LIVE and _counts(ros, row))
    live = ros['live']
    return (f'{" / ".join(_rates(row))} of {row["pairs"]}; {live["deadline_misses"]} of '
            f'{live["commands"]} control steps missed')


def _demo(task: Mapping[str, Any]) -> str:
    """Return the goals of the live demo that were reached."""
    demo = task.get('demo')
    return MISSING if not demo else f'{demo["successes"]} of {demo["episodes"]} goals'


def _named(values: Mapping[str, float], form: str) -> str:
    """Return names with their numbers: decoder 1, sigreg 0.1."""
    return ', '.join(f'{key.removesuffix("_weight")} {value:{form}}'
                     for key, value in values.items())


def _sources(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line that says where the numbers of a table are from."""
    sources = dict.fromkeys(one['source'] for one in found if 'source' in one)
    return [f'Source: {"; ".join(sources)}.', ''] if sources else []


def main() -> None:
    """Collect what is asked for, then write the tables."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--collect', type=Path, metavar='WORK',
                        help='folder of tools/reproduce_tasks.sh to take numbers from')
    args = parser.parse_args()
    doc = read(DATA)
    if args.collect:
        if not args.collect.is_dir():
            parser.error(f'{args.collect} is no folder; give WORK of tools/reproduce_tasks.sh '
                         f'(out/reproduce_tasks)')
        collect(doc, args.collect)
        DATA.write_text(dump(doc) + '\n', encoding='utf-8')
    PAGE.write_text(render(PAGE.read_text(encoding='utf-8'), doc), encoding='utf-8')
    print(f'written: {PAGE}')


if __name__ == '__main__':
    main()
