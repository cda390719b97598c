"""From what was heard to what a person reads: rows of a label, a text and how bad it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
import math
import textwrap

from lewm_ros.watch.snapshot import Driver, Snapshot
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.reports import CommandState, GoalKind, GuardPhase, PlanState

# Without a message for so long, who should speak is silent [s]. Reports come at 20 Hz and once per
# camera frame, diagnostics once a second.
REPORT_SILENT_S = 1.0
DIAGNOSTICS_SILENT_S = 3.0
_ALWAYS = ('command_node', 'guard_node')
_PLANNING = ('planner_node', 'goal_node')
_OTHERS = ('teleop_node', 'explore_node')    # that drive in the planner's place
_BESIDE = ('imagination_node', 'recorder_node', 'sim_node')    # speak of themselves, if they run
_LONGEST = 400       # of a text; whatever a peer says ends somewhere [characters]
_LABEL = 9           # width of the first column


class Level(IntEnum):
    """How bad a row is."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Row:
    """One thing to know."""

    label: str
    text: str
    level: Level = Level.OK


@dataclass(frozen=True)
class Screen:
    """What is shown."""

    rows: tuple[Row, ...]

    @property
    def level(self) -> Level:
        """That of the worst row."""
        return max(row.level for row in self.rows)

    @property
    def healthy(self) -> bool:
        """Whether every node of the system answers and nothing is an error.

        Warnings, no goal, and a robot that is not enabled are healthy.
        """
        return self.level < Level.ERROR


def judge(seen: Snapshot) -> Screen:
    """Return the screen of what was heard."""
    driver = seen.followed
    rows = [_robot(seen), _driver(seen), _planner(seen, driver), _goal(seen, driver)]
    if driver is not None:
        rows += [*_distance(seen, driver), _latency(driver), _surprise(driver)]
    rows += [_camera(seen, driver), _limits(seen), _guard(seen)]
    if seen.episode:
        rows.append(Row('records', f'episode {seen.episode}'))
    rows.append(_nodes(seen))
    if seen.refused:
        rows.append(Row('messages', f'one cannot be read: {seen.refused}', Level.WARN))
    return Screen(tuple(Row(row.label, printable(row.text), row.level) for row in rows))


def lines(screen: Screen, width: int) -> Iterator[tuple[str, Level]]:
    """Yield the lines of a screen, none longer than `width`, with how bad they are."""
    label = _LABEL if width >= 3 * _LABEL else 2
    for row in screen.rows:
        text = f'{row.label:<{label}}{row.text}' if label == _LABEL else f'{row.label}: {row.text}'
        for line in textwrap.wrap(text, max(width, 4), subsequent_indent=' ' * label,
                                  break_on_hyphens=False):
            yield line, row.level


def printable(text: str) -> str:
    """Return a text of a peer without control characters, which a terminal would obey."""
    plain = ''.join(one if one.isprintable() else ' ' for one in text[:_LONGEST + 1])
    return plain if len(plain) <= _LONGEST else f'{plain[:_LONGEST]}...'


def expected(nodes: frozenset[str]) -> tuple[str, ...]:
    """Return which nodes a system needs, by who is there."""
    others = tuple(name for name in _OTHERS if name in nodes)
    return (_ALWAYS + (others or _PLANNING)
            + tuple(name for name in _BESIDE if name in nodes))


# Rows ------------------------------------------------------------------------------------------


def _robot(seen: Snapshot) -> Row:
    if seen.controller is None:
        return Row('robot', f'nothing is heard of command_node{_why(seen, "command_node")}; '
                            f'the robot is not commanded', Level.ERROR)
    report, age_s = seen.controller.value, seen.now_s - seen.controller.at_s
    state = report.state
    if age_s > REPORT_SILENT_S:
        return Row('robot', f'command_node is silent for {age_s:.1f} s'
                            f'{_why(seen, "command_node")}; it was {state.name}', Level.ERROR)
    enabled = 'not enabled' if state is CommandState.DISABLED else 'enabled'
    text = ', '.join(filter(None, [
        enabled, state.name, 'E-STOP' if report.e_stop else '',
        '' if report.at_rest else 'in motion']))
    level = {CommandState.FAULT: Level.ERROR, CommandState.IDLE: Level.OK,
             CommandState.TRACKING: Level.OK}.get(state, Level.WARN)
    return Row('robot', f'{text}: {report.reason}' if report.reason else text,
               Level.ERROR if report.e_stop else level)


def _driver(seen: Snapshot) -> Row:
    talking = [one for one in seen.drivers if seen.now_s - one.said.at_s <= REPORT_SILENT_S]
    names = [one.node or 'somebody' for one in talking]
    if len(talking) > 1:
        return Row('driver', f'{" and ".join(sorted(names))} speak at once; stop all but one',
                   Level.ERROR)
    report = seen.controller.value if seen.controller else None
    if report is None or report.session == 0:
        waiting = f'; {names[0]} is there' if names else ''
        return Row('driver', f'nobody is followed{waiting}')
    followed = [one for one in seen.drivers if one.said.value.session == report.session]
    name = (followed[0].node if followed else '') or f'session {report.session:x}'
    return Row('driver', f'{name}; {report.steps_left} steps of its plan are left, made of a '
                         f'frame {_number(report.chunk_age_s, "s", 2)} ago')


def _planner(seen: Snapshot, driver: Driver | None) -> Row:
    name = next((one for one in _OTHERS if one in seen.nodes), 'planner_node')
    if driver is None:
        return Row('planner', f'nothing is heard of {name}{_why(seen, name)}', Level.ERROR)
    report, age_s = driver.said.value, seen.now_s - driver.said.at_s
    name = driver.node or name
    if age_s > REPORT_SILENT_S:
        return Row('planner', f'{name} is silent for {age_s:.1f} s{_why(seen, name)}', Level.ERROR)
    level = {PlanState.FAULT: Level.ERROR, PlanState.NO_OBS: Level.ERROR,
             PlanState.STALLED: Level.WARN}.get(report.state, Level.OK)
    reason = f': {report.reason}' if report.reason else ''
    slowed = (f'; it asks for {report.speed_scale:.0%} speed' if report.speed_scale < 1 else '')
    if report.reason and report.state is not PlanState.NO_GOAL:
        level = max(level, Level.WARN)
    return Row('planner', f'{report.state.name}{reason}{slowed}', level)


def _goal(seen: Snapshot, driver: Driver | None) -> Row:
    known, told = seen.goal, driver.said.value.goal_id if driver else ''
    if known is None or known.kind is GoalKind.NONE:
        return Row('goal', f'{told!r}' if told else 'none; ask for one with ~/set_goal')
    what = {GoalKind.PICTURE: 'a picture', GoalKind.PROBE: 'quantities'}[known.kind]
    counted = f' of {", ".join(known.names)}' if known.names else ''
    text = f'{known.goal_id!r}, {what}{counted}, by {known.source.name}'
    if driver and driver.node not in _OTHERS and told != known.goal_id:
        return Row('goal', f'{text}; the planner has {told!r}' if told
                   else f'{text}; the planner has not taken it', Level.WARN)
    return Row('goal', text)


def _distance(seen: Snapshot, driver: Driver) -> Iterator[Row]:
    report = driver.said.value
    if math.isfinite(report.goal_distance):
        yield Row('distance', f'{report.goal_distance:.4g}, reached below '
                              f'{_number(report.goal_tolerance)}; the plan gets from '
                              f'{_number(report.start_cost)} to {_number(report.best_cost)}')
    else:
        yield Row('distance', 'not known')
    if report.goal_errors:
        names = seen.goal.names if seen.goal else ()
        if len(names) != len(report.goal_errors):
            names = [f'quantity {place}' for place in range(len(report.goal_errors))]
        errors = zip(names, report.goal_errors, strict=True)
        yield Row('errors', ', '.join(f'{name} {_number(error)}' for name, error in errors))


def _latency(driver: Driver) -> Row:
    report = driver.said.value
    if not report.total_ms:
        return Row('latency', f'no plan yet, {report.backend}' if report.backend
                   else 'no plan yet')
    late = f', {report.deadline_misses} plans too late' if report.deadline_misses else ''
    return Row('latency', f'{report.total_ms:.0f} ms from camera to plan (encode '
                          f'{report.encode_ms:.0f}, plan {report.plan_ms:.0f}){late}; '
                          f'{report.backend}')


def _surprise(driver: Driver) -> Row:
    """Say how surprising the newest frame is; the guard says when that is an alarm."""
    report = driver.said.value
    alarm = report.reason.code is Code.SURPRISED
    if not math.isfinite(report.surprise):
        text = 'not known'
    elif not math.isfinite(report.surprise_limit):
        text = f'{report.surprise:.2f}, 1 is ordinary; no limit was calibrated'
    else:
        text = f'{report.surprise:.2f} of {report.surprise_limit:.2f}, 1 is ordinary'
        if report.surprise > report.surprise_limit and not alarm:
            text += '; above the limit, no alarm'
    return Row('surprise', f'{text}, ALARM' if alarm else text, Level.WARN if alarm else Level.OK)


def _camera(seen: Snapshot, driver: Driver | None) -> Row:
    if driver is None or driver.frame_s is None:
        return Row('camera', 'no frame is known', Level.WARN)
    age_s = seen.now_s - driver.frame_s
    return Row('camera', f'newest frame {age_s:.2f} s old',
               Level.ERROR if age_s > REPORT_SILENT_S else Level.OK)


def _limits(seen: Snapshot) -> Row:
    if seen.controller is None:
        return Row('limits', 'not known')
    report = seen.controller.value
    slowed = report.speed_scale < 1
    return Row('limits', f'{report.commands_clipped} commands cut to their range, '
                         f'{report.commands_slewed} to their rate; '
                         f'{report.deadline_misses} control steps missed; speed '
                         f'{report.speed_scale:.0%}; {report.rate_hz:.1f} commands/s',
               Level.WARN if slowed else Level.OK)


def _guard(seen: Snapshot) -> Row:
    if seen.guard is None:
        return Row('guard', f'nothing is heard of guard_node{_why(seen, "guard_node")}; nobody '
                            f'stops the robot if command_node dies', Level.ERROR)
    report, age_s = seen.guard.value, seen.now_s - seen.guard.at_s
    if age_s > DIAGNOSTICS_SILENT_S:
        return Row('guard', f'guard_node is silent for {age_s:.1f} s', Level.ERROR)
    level = {GuardPhase.WATCHING: Level.OK, GuardPhase.WAITING: Level.WARN}.get(
        report.phase, Level.ERROR)
    stops = f', it stopped the robot {report.stops} times' if report.stops else ''
    return Row('guard', f'{report.phase.name}{stops}'
                        f'{f": {report.reason}" if report.reason else ""}', level)


def _nodes(seen: Snapshot) -> Row:
    """Say which nodes are missing, silent, or complain; good news is short."""
    needed = expected(seen.nodes)
    level, texts = Level.OK, []
    for name in sorted({*needed, *seen.health}):
        heard = seen.health.get(name)
        age_s = seen.now_s - (heard.at_s if heard else seen.began_s)
        if age_s > DIAGNOSTICS_SILENT_S or heard is None:
            label = seen.lifecycle.get(name, '')
            if name not in seen.nodes:
                problem = 'is not there'
            elif label not in ('', 'active'):
                problem = f'is {label}'
            elif age_s > DIAGNOSTICS_SILENT_S:
                problem = f'is silent for {age_s:.0f} s'
            else:
                problem = 'was not heard yet'
            texts.append(f'{name} {problem}')
            level = Level.ERROR
        elif heard.value.level:
            texts.append(f'{name}: {heard.value.summary}')
            level = max(level, Level.WARN if heard.value.level == 1 else Level.ERROR)
    well = len({*needed, *seen.health}) - len(texts)
    return Row('nodes', '; '.join([f'{well} are well', *texts]), level)


def _why(seen: Snapshot, name: str) -> str:
    """Say what is known about a node that does not speak."""
    if name not in seen.nodes:
        return ', it is not there'
    label = seen.lifecycle.get(name, '')
    return f', it is {label}' if label not in ('', 'active') else ''


def _number(value: float, unit: str = '', digits: int | None = None) -> str:
    if not math.isfinite(value):
        return 'unknown'
    text = f'{value:.4g}' if digits is None else f'{value:.{digits}f}'
    return f'{text} {unit}' if unit else text
