"""The zoo as a table: zoo.json with every row, zoo.md with robot x step. No rclpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
import json
import os
from pathlib import Path

from lewm_ros.trials import report
from lewm_ros.trials.zoo.results.rows import LIVE, LOAD, PAUSE, Row, STEPS
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.robots.table import ROBOTS

_COMMAND = 'make zoo'
# column: step, check, and how the number is shown
_COLUMNS = {
    'rows ours / stock': ('ingest', ('rows of the recording by ours',
                                     'rows of the recording by stock'), '{:.0f}'),
    'commands in shadow mode': ('shadow', ('commands on the command topic',), '{:.0f}'),
    'first command [slew steps]': ('drive', ('first command from where the robot is',), '{:.2f}'),
    'in TRACKING': ('drive', ('share of the time in TRACKING',), '{:.0%}'),
    'stop [s]': ('stop', ('told to stand still after', 'body at rest after'), '{:.2f}'),
    'e-stop [s]': ('e_stop', ('told to stand still after', 'body at rest after'), '{:.2f}'),
    'planner killed [s]': ('kill_planner', ('told to stand still after', 'body at rest after'),
                           '{:.2f}'),
    'command node killed [s]': ('kill_command', ('told to stand still after',
                                                 'body at rest after'), '{:.2f}'),
}


def write(rows: Sequence[Row], folder: Path) -> list[Row]:
    """Write both files; rows of robots that were not walked now are kept. Return all rows."""
    file = folder / 'zoo.json'
    walked = {row.robot for row in rows}
    kept = []
    if file.is_file():
        kept = [Row(**row) for row in json.loads(file.read_text(encoding='utf-8'))['rows']
                if row['robot'] not in walked]
    order = {robot.name: robot.number for robot in ROBOTS}
    everything = sorted([*kept, *rows], key=lambda row: (order.get(row.robot, 99),
                                                         STEPS.index(row.step)))
    report.write({'command': _COMMAND, 'cores': os.cpu_count(),
                  'load_average': [round(load, 2) for load in os.getloadavg()],
                  'versions': report.versions(),
                  'rows': [asdict(row) for row in everything]}, file)
    (folder / 'zoo.md').write_text(text(everything), encoding='utf-8')
    return everything


def text(rows: Sequence[Row]) -> str:
    """Return the page."""
    failed = [row for row in rows if not row.passed]
    measured = [row.value for row in rows if row.check == LOAD]
    loads = f'{min(measured):.0f} to {max(measured):.0f}' if measured else 'not measured'
    pauses = [row.value for row in rows if row.check == PAUSE and row.step in LIVE]
    pause = f'{max(pauses):.2f} s' if pauses else 'a time that was not measured'
    walked = [robot for robot in ROBOTS if any(row.robot == robot.name for row in rows)]
    lines = [
        '# Robots of strangers', '',
        f'Written by `{_COMMAND}`; every number and what was allowed is in [zoo.json](zoo.json).',
        'Each robot is a process of its own with the habits of a real driver and controller. Its',
        "model was trained for a few steps: these are checks of the way from a stranger's robot",
        'to a driving one, not of how well the model plans. Two numbers of a stop: when the last',
        'command that moves the robot was over, and when its body stood.', '',
        f'{len(walked)} of {len(ROBOTS)} robots, {len(rows)} rows, {len(failed)} failed. A dash '
        'is a step that was not taken.',
        f'The load average was {loads} on {os.cpu_count()} cores: from one per core on, times are '
        f'those of a busy', 'machine, and a robot that is seen too late is stopped. It kept the '
        'trial or a driver waiting', f'for {pause} at most in the live steps.', '',
        '| | robot | ' + ' | '.join(_COLUMNS) + ' | failed |',
        '|---|---|' + '---|' * (len(_COLUMNS) + 1)]
    for robot in walked:
        mine = [row for row in rows if row.robot == robot.name]
        cells = [_cell(mine, *column) for column in _COLUMNS.values()]
        lines.append(f'| {robot.number} | `{robot.name}`: {robot.about} | {" | ".join(cells)} '
                     f'| {sum(not row.passed for row in mine) or "-"} |')
    if failed:
        lines += ['', '## Failed', '', '| robot | step | check | value | allowed |',
                  '|---|---|---|---|---|']
        lines += [f'| `{row.robot}` | {row.step} | {row.check} | {_short(row.value)} '
                  f'| {row.allowed} |' for row in failed]
    return '\n'.join([*lines, *_by_people(rows, walked)]) + '\n'


def _by_people(rows: Sequence[Row], walked: Sequence[ZooRobot]) -> list[str]:
    """Return the table of what a person had to say about each robot."""
    keys = {row.robot: _short(row.value) for row in rows if row.check == 'keys that a person sets'}
    lines = ['', '## What a person had to write', '',
             'Keys of the file of `lewm inspect --robot-out`, and parameters of the nodes. One '
             'iteration of the', 'search keeps a model of so few training steps from standing '
             'still; it says nothing about the robot.', '',
             '| robot | keys | parameters |', '|---|---|---|']
    for robot in walked:
        given = [f'{node}: {name} {value:g}' for node, values in robot.parameters.items()
                 for name, value in values.items()]
        lines.append(f'| `{robot.name}` | {keys.get(robot.name, "-")} '
                     f'| {"; ".join(given) or "-"} |')
    return lines


def _cell(rows: Sequence[Row], step: str, checks: Sequence[str], shown: str) -> str:
    cells = []
    for check in checks:
        row = next((row for row in rows if (row.step, row.check) == (step, check)), None)
        value = '-' if row is None else (
            shown.format(row.value) if isinstance(row.value, (int, float)) else 'never')
        cells.append(f'**{value}**' if row is not None and not row.passed else value)
    return ' / '.join(cells)


def _short(value: float | str | None) -> str:
    if isinstance(value, float):
        return f'{value:.4g}'
    return 'never' if value is None else str(value).replace('|', '/').replace('\n', ' ')[:200]
