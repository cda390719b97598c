"""What the fault trials measure, with known motions; and a few real trials."""

import os
from pathlib import Path
import subprocess
import sys
import time

from bag_factory import robot
from lewm_model.robots.robot import JOINT_TRAJECTORY
import numpy as np
import pytest

pytest.importorskip('rclpy')

from lewm_ros.trials.faults.__main__ import main  # noqa: E402
from lewm_ros.trials.faults.injections import FAULTS  # noqa: E402
from lewm_ros.trials.faults.results import report  # noqa: E402
from lewm_ros.trials.faults.results.store import Results  # noqa: E402
from lewm_ros.trials.faults.system.delays import worst_s  # noqa: E402
from lewm_ros.trials.faults.system.watch import REST_S, Watch  # noqa: E402
from lewm_ros.trials.faults.trial import Outcome  # noqa: E402

WHEELS = robot(interface='joint_velocity', min_command=[-2, -2], max_command=[2, 2],
               max_rate=[10, 10], stop_rate=[20, 20])      # at most 2 in one command
ARM = robot(interface='joint_position', command_type=JOINT_TRAJECTORY, min_command=[-3, -3],
            max_command=[3, 3], max_rate=[1, 1], stop_rate=[2, 2])   # 0.2 in one command


def test_what_was_injected_ends_with_the_program():
    """Killed in the middle of a fault, it leaves no busy process behind."""
    code = ('import sys, time; from types import SimpleNamespace as Of\n'
            'from lewm_ros.trials.faults.injections import cpu_load\n'
            'pids = []; cpu_load(Of(nice=Of(give=pids.append, process=0)))\n'
            'print(*pids, flush=True); time.sleep(100)')
    program = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in program.stdout.readline().split()]
    assert len(pids) == 3 * os.cpu_count()
    program.kill()
    program.wait()
    deadline_s = time.monotonic() + 30.0
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline_s, f'left behind: {pids}'
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Tell whether there is such a process that has not ended."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def watch_speeds(speeds: list[float]) -> Watch:
    """Return a watch that saw one joint with these speeds at 100 Hz from 0 s on."""
    watch = Watch(WHEELS)
    for k, speed in enumerate(speeds):
        watch.add_joints(0.01 * k, np.zeros(2), np.array([speed, 0.0]))
    return watch


def test_rest_begins_where_motion_ends_and_a_turning_point_is_none():
    """0.3 s of motion with a moment of zero in it, then rest: 0.3 s."""
    moving = [1.0] * 15 + [0.0] * 5 + [-1.0] * 10
    assert watch_speeds(moving + [0.01] * 50).rest_after(0.0) == pytest.approx(0.3)
    assert watch_speeds(moving + [0.01] * 50).rest_after(0.1) == pytest.approx(0.2)
    assert watch_speeds(moving + [0.01] * round(90 * REST_S)).rest_after(0.0) is None
    assert watch_speeds([1.0] * 500).rest_after(0.0) is None


def test_a_robot_that_moves_again_by_itself_was_not_at_rest():
    """The first rest that lasts counts, and one that began before the fault does not."""
    assert watch_speeds([0.0] * 20 + [1.0] * 100).rest_after(0.0) is None
    assert watch_speeds([0.0] * 100).rest_after(0.5) == pytest.approx(0.0, abs=0.011)


def commanded(description, commands, dt_s: float = 0.05) -> Watch:
    watch = Watch(description)
    watch.add_joints(-0.01, np.zeros(2), np.zeros(2))
    for k, value in enumerate(commands):
        watch.add_command(k * dt_s, np.array([value, 0.0], float))
    return watch


@pytest.mark.parametrize(('commands', 'limit', 'slew'), [
    ([0, 1, 2, 2], 0, 0), ([0, 1, 2.5], 0.5, 0), ([1, -1.5, -1.5], 0, 0.5),
    ([0, float('inf')], float('inf'), float('inf'))])
def test_a_jump_is_what_goes_beyond_the_limits(commands, limit, slew):
    """Past +-2, and past a change of 2 from one command to the next."""
    jump = commanded(WHEELS, commands).jump(0.0)
    assert (jump.over_limit, jump.over_slew) == (pytest.approx(limit), pytest.approx(slew))


def test_a_burst_of_allowed_steps_is_a_jump():
    """Four steps of 1 within 4 ms are 4, and two steps' worth is what they may be."""
    assert commanded(WHEELS, [-2, -1, 0, 1, 2], dt_s=0.001).jump(0.0).over_slew > 1.9


def test_after_a_pause_a_position_starts_from_where_the_joints_are():
    """Not from the command of long ago; for speeds it does not matter who sent the last one."""
    watch = commanded(ARM, [1.0])
    watch.add_joints(5.0, np.array([-1.0, 0.0]), np.zeros(2))
    watch.add_command(5.01, np.array([-0.9, 0.0]))
    assert watch.jump(0.0).over_slew == 0
    watch.add_command(9.0, np.array([1.0, 0.0]))
    assert watch.jump(0.0).over_slew == pytest.approx(1.8)


def test_results_are_kept_row_by_row_and_a_run_goes_on(tmp_path):
    """A second run finds what the first has written; a row can be forgotten."""
    good = Outcome(0.3, 0.0, 0.0, None, 1.5, 'nothing')
    results = Results(tmp_path / 'velocity.json')
    results.add('planner_killed', good)
    results.add('camera_freezes', Outcome(None, 0.0, 0.0, None, None, 'nothing', 'why'))
    again = Results(tmp_path / 'velocity.json')
    assert again.outcomes('planner_killed') == [good]
    assert again.count() == 2
    again.drop(['camera_freezes'])
    assert Results(tmp_path / 'velocity.json').count() == 1


@pytest.mark.parametrize(('change', 'kept'), [
    ({}, True), ({'rest_s': 0.51}, False), ({'rest_s': None}, False), ({'over_slew': 0.1}, False),
    ({'over_limit': 0.1}, False)])
def test_a_row_is_kept_only_if_every_trial_is(change, kept, tmp_path):
    """One trial of two out of the limits breaks the row, and the page says so."""
    good = Outcome(0.3, 0.0, 0.0, None, 1.5, 'nothing')
    bad = Outcome(**{**good.to_json(), **change})
    assert report.Row.of('planner_killed', [good, bad]).kept is kept
    results = Results(tmp_path / 'position.json')
    results.add('planner_killed', good)
    results.add('planner_killed', bad)
    report.write(tmp_path, tmp_path / 'page.md')
    assert ('**no**' in (tmp_path / 'page.md').read_text()) is not kept


def test_the_machine_s_own_delays_are_those_that_touch_the_trial():
    """Lines are (woke, late): one ended before, one lies within, one began after, one is torn."""
    notes = '1.0 0.2\n2.5 0.7\n9.0 0.5\n2.'
    assert worst_s(notes, 2.0, 3.0) == 0.7
    assert worst_s(notes, 1.5, 1.7) == 0.0
    assert worst_s('', 0.0, 9.0) == 0.0


def test_every_fault_says_what_it_is():
    """The table has a text for each row, and the shared list of rows is not lost."""
    assert len(FAULTS) == 25
    assert all(fault.text and '|' not in fault.text for fault in FAULTS.values())


QUICK = ['planner_hangs', 'command_node_paused', 'camera_freezes']
SLOW = [name for name in FAULTS if name not in QUICK]


@pytest.mark.ros
@pytest.mark.sim
@pytest.mark.parametrize(('arm', 'rows'), [
    ('velocity', QUICK), pytest.param('position', QUICK, marks=pytest.mark.slow),
    pytest.param('velocity', SLOW, marks=pytest.mark.slow),
    pytest.param('position', SLOW, marks=pytest.mark.slow)])
def test_the_arm_rests_after_faults_for_real(arm, rows, tmp_path):
    """One trial each: it rests, within 0.5 s unless the machine was late, and moves again.

    No command is past a limit or a slew step.
    """
    main([*rows, '--arm', arm, '--trials', '1', '--out', str(tmp_path)])
    outcomes = {row: Results(tmp_path / f'{arm}.json').outcomes(row) for row in rows}
    for row, trials in outcomes.items():
        assert len(trials) == 1, row
        [one] = trials
        assert (one.over_limit, one.over_slew) == (0, 0), (row, one)
        assert one.recovery_s is not None and one.rest_s is not None, (row, one)
        busy = one.late_s > 0.02 or one.waited > 0.2
        assert busy or one.rest_s <= report.REST_LIMIT_S, (row, one)
