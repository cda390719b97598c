"""Turn plan.json and encode.json of a folder into FOLDER.md; see tools/bench_gpu.sh."""

from __future__ import annotations

import json
from pathlib import Path
import sys
from typing import Any

GOALS_MS = {'plan': 20.0, 'encode': 1.0}   # of the fastest backend: 50 plans a second
REFERENCE = 'stable-worldmodel'
GRAPHS, TENSORRT = ('cuda-graph', 'cuda-graph-compiled'), 'tensorrt'


def page(plan: dict[str, Any], encode: dict[str, Any]) -> str:
    """Lay out both reports as Markdown, goals first."""
    facts = {name: value for name, value in plan['machine'].items() if name != 'load_average'}
    lines = ['# Planning on an NVIDIA GPU', '',
             'Made by `tools/bench_gpu.sh`. All rows of a table were measured in turns in one '
             'process, warmed up, after the GPU had finished each call; a backend that is missing '
             'could not run or did not agree with eager fp32.', '',
             ', '.join(f'{name} {value}' for name, value in facts.items()) + '.', '',
             '| goal | measured | met |', '|---|---|---|']
    for report, what in ((plan, 'one plan at the reference budget'), (encode, 'one encode')):
        goal, fastest = GOALS_MS[report['kind']], _fastest(report['groups'][0])
        median_ms = 1e3 * fastest['median_s']
        lines.append(f'| {what} in at most {goal:g} ms | {median_ms:.2f} ms, {fastest["name"]} | '
                     f'{"yes" if median_ms <= goal else "no"} |')
    for report in (plan, encode):
        lines += ['', f'## {report["kind"].capitalize()}', '', f'`{report["command"]}`']
        for group in report['groups']:
            lines += ['', *_table(group)]
    return '\n'.join(lines) + '\n'


def _fastest(group: dict[str, Any]) -> dict[str, Any]:
    ours = [row for row in group['measured'] if row['name'] != REFERENCE]
    return min(ours, key=lambda row: row['median_s'])


def _table(group: dict[str, Any]) -> list[str]:
    """Lay out one group: rows, what they were compared on, and TensorRT against CUDA graphs."""
    rows = {row['name']: row for row in group['measured']}
    first = next(iter(rows))
    lines = [f'{group["title"]}:', '',
             f'| backend | median [ms] | p10 | p99 | times faster than {first} | runs |',
             '|---|---|---|---|---|---|']
    for name, row in rows.items():
        times_ms = (f'{1e3 * row[key]:.3f}' for key in ('median_s', 'p10_s', 'p99_s'))
        lines.append(f'| {name} | {" | ".join(times_ms)} | '
                     f'{row["times_faster_than_first"]["median"]:.2f} | '
                     f'{row["facts"].get("engine", "")} |')
    lines.append('')
    if REFERENCE not in rows:
        lines.append(f'- {REFERENCE} did not take part: it is not installed')
    graphs = [rows[name] for name in rows if name.partition(':')[0] in GRAPHS]
    engines = [rows[name] for name in rows if name.partition(':')[0] == TENSORRT]
    if graphs and engines:
        graph, engine = (min(found, key=lambda row: row['median_s'])
                         for found in (graphs, engines))
        ratio = engine['median_s'] / graph['median_s']
        lines.append(f'- TensorRT takes {ratio:.2f} times as long as CUDA graphs '
                     f'({engine["name"]}, {graph["name"]})')
    else:
        lines.append('- TensorRT is not compared with CUDA graphs: one of them did not run')
    return lines + [f'- {name}: {value}' for name, value in group['notes'].items()]


def main() -> int:
    """Read FOLDER/*.json, write FOLDER.md."""
    if len(sys.argv) != 2:
        print(f'usage: {Path(sys.argv[0]).name} FOLDER', file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    try:
        plan, encode = (json.loads((folder / f'{kind}.json').read_text(encoding='utf-8'))
                        for kind in ('plan', 'encode'))
        folder.with_name(folder.name + '.md').write_text(page(plan, encode), encoding='utf-8')
    except (OSError, ValueError) as error:
        print(f'{folder}: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
