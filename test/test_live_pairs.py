"""Pairs of an evaluation on the live system: what counts as which instant, and a real run."""

from argparse import Namespace
import dataclasses
import json
from pathlib import Path
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import ConfigError  # noqa: E402
from lewm_ros.goals.giving.clicks import yaw_of  # noqa: E402
from lewm_ros.trials import evaluate  # noqa: E402
from lewm_ros.trials.evaluate import faults, LIVE, main, summary, table  # noqa: E402
from lewm_ros.trials.live_pairs import click_at, instants, run_pairs  # noqa: E402
from lewm_ros.trials.record import Record  # noqa: E402
from lewm_sim.cli import build_parser  # noqa: E402
from lewm_sim.evaluate import Exam  # noqa: E402
from lewm_sim.evaluate.run import PLANNER  # noqa: E402
from lewm_sim.evaluate.scores import score  # noqa: E402
from lewm_sim.evaluate.trials import plain_trials, Trial  # noqa: E402
from lewm_sim.tasks import load_task, Outcome  # noqa: E402

DT = 50


def told(*stamps: int) -> list[tuple[int, float]]:
    return [(stamp, float(stamp)) for stamp in stamps]


def test_each_control_step_after_the_reset_has_its_truth():
    """What was true before the reset, or at it, is of another scene; one that was lost is old."""
    truths = told(900, 1000, 1050, 1100, 1200, 1250)
    assert instants(truths, 1000, DT, 5) == [1050, 1100, 1100, 1200, 1250]
    assert instants(truths, 1000, DT, 3) == [1050, 1100, 1100]


def test_there_is_no_result_before_the_budget_is_over():
    """Nor without any truth."""
    assert instants(told(1050, 1100), 1000, DT, 3) is None
    assert instants(told(900), 1000, DT, 3) is None
    assert instants([], 1000, DT, 1) is None


def test_stamps_between_control_steps_count_for_the_step_that_they_are_in():
    """The scene is reset at any tick of the clock, pictures come at whole control steps."""
    assert instants(told(1010, 1060, 1110, 1160), 1000, DT, 3) == [1010, 1060, 1110]


class Live:
    """A system in which a control step passes whenever somebody waits; the truth is the time."""

    def __init__(self):
        self.truths, self.truth_stamp_ns, self.did = [], 0, []
        self.record, self.fault_since_s = SimpleNamespace(plan_ms=[4.0]), None

    def spin(self):
        self.truth_stamp_ns += DT
        self.truths.append((self.truth_stamp_ns, float(self.truth_stamp_ns)))
        self.record.plan_ms.append(5.0)

    def clear(self):
        self.did.append('clear')
        self.spin()

    def reset(self, state):
        self.did.append(f'reset to {state}')
        self.spin()
        self.spin()

    def give(self, spec):
        self.did.append('goal')
        self.spin()


def test_the_goal_is_told_in_the_scene_that_it_is_for(tmp_path):
    """Nothing plans to it from where the last pair ended; telling it is part of the time."""
    task = SimpleNamespace(control_dt_s=DT / 1e9, outcome=lambda truth, goal: Outcome(
        {'x': truth - goal}))
    pairs = [SimpleNamespace(episode=0, row=row, start=f'start {row}', start_truth=-1.0, goal=0.0,
                             goal_rgb=np.zeros((4, 4, 3), np.uint8)) for row in range(2)]
    live = Live()
    trials = run_pairs(live, SimpleNamespace(task=task, pairs=pairs, budget=3), tmp_path)
    assert live.did == ['clear', 'reset to start 0', 'goal', 'clear', 'reset to start 1', 'goal']
    told = 3 * DT
    assert [one.errors['x'] for one in trials[0].outcomes] == [
        -1.0, told + DT, told + 2 * DT, told + 3 * DT]
    assert trials[0].plan_seconds == [0.005] * 3       # its own, not those before


def test_a_click_asks_for_the_place_and_the_direction_of_the_goal():
    """What the goal node reads from it is the truth again; outside of the table none is sent."""
    task = load_task('push_t')
    clicks = task.robot.clicks
    names = [one.name for one in task.quantities]
    truth = np.zeros(len(names))
    truth[[names.index(name) for name in (clicks.x, clicks.y, clicks.yaw)]] = 0.1, -0.05, 2.5
    spec = click_at(clicks, task, truth)
    place, turn = spec.pose.pose.position, spec.pose.pose.orientation
    assert spec.pose.header.frame_id == clicks.frame
    wanted = clicks.wanted(place.x, place.y, yaw_of(np.array([turn.x, turn.y, turn.z, turn.w])))
    assert wanted == pytest.approx({clicks.x: 0.1, clicks.y: -0.05, clicks.yaw: 2.5})
    truth[names.index(clicks.x)] = clicks.within[1] + 0.01
    assert click_at(clicks, task, truth) is None


def test_a_robot_without_clicks_cannot_be_judged_by_them(monkeypatch):
    """The message names the key of the robot file."""
    robot = dataclasses.replace(load_task('push_t').robot, clicks=None)
    monkeypatch.setattr(evaluate, 'load_task', lambda name: Namespace(robot=robot))
    with pytest.raises(ConfigError, match='--clicks: .* add `clicks` to it'):
        evaluate._clicks('push_t')


# What is said of it -----------------------------------------------------------------------------

def trials(reached: int, pairs: int = 10) -> list[Trial]:
    """One pair of each episode; the first `reached` end at the goal."""
    return [Trial(number, 0, [Outcome({'shoulder': error, 'wrist': 0.0}) for error in
                              (1.0, 0.01 if number < reached else 1.0)], [0.03])
            for number in range(pairs)]


def judged(offline: int, live: int, record: Record) -> dict:
    """Return the result of a live system beside the offline one, of 10 pairs."""
    task = load_task('reacher')
    exam = Exam(task, task.facts.all_tolerances()[:1], [], 'report', 25, 50, 64, {})
    names = {number: f'e{number}' for number in range(10)}
    said = {'pairs': 10, 'goal_offset': 25, 'budget': 50, 'seed': 42, 'threads': 1,
            'plan_seconds_median': 0.03,
            'scores': [score(PLANNER, [trials(offline)], exam.tolerances[0]).to_dict()],
            'trials': {PLANNER: plain_trials([trials(offline)], names)}}
    return summary(exam, said, trials(live), record, names)


def test_a_system_is_well_if_it_is_not_worse_beyond_chance_and_misses_no_step():
    """10 of 10 offline: 9 live can be chance (p = 1), 2 cannot (8 pairs, p = 2 / 2^8)."""
    well = judged(10, 9, Record())
    assert [row['reached'] for row in well['scores']] == [0.9, 1.0]
    assert faults(well) == [] and table(well)[0].startswith('**Through ROS as offline')
    worse = judged(10, 2, Record())
    assert faults(worse) == ['reached -80.0 points (p = 0.0078)',
                             'at the end -80.0 points (p = 0.0078)']
    assert faults(judged(2, 10, Record())) == []        # better is no fault


@pytest.mark.parametrize(('missed', 'said'), [(1, '1 control step without a command'),
                                              (3, '3 control steps without a command')])
def test_a_missed_control_step_is_a_fault_whatever_was_reached(missed, said):
    """And the first thing that people read."""
    results = judged(10, 10, Record(deadline_misses=missed))
    assert faults(results) == [said]
    assert table(results)[0] == f'**Through ROS not as offline: {said}.**'


def test_new_episodes_are_those_of_task_and_bundle_and_other_settings_use_no_old_ones(
        tmp_path, monkeypatch):
    """Who acts, how large pictures are, how many; the same again is not recorded again."""
    asked = []

    def ran(words, check):
        args = build_parser(words[3]).parse_args(words[3:])
        asked.append(args)
        if args.command == 'collect':
            args.out.mkdir()
        else:
            args.out.write_bytes(b'')
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(evaluate.subprocess, 'run', ran)

    def recorded(frame_px=96, policy=None, episodes=50):
        bundle = Namespace(task='push_t', frame_px=frame_px)
        return evaluate._record(bundle, Namespace(policy=policy, episodes=episodes), tmp_path)

    first = recorded()
    collect, ingest = asked
    assert (collect.task, collect.image_size, collect.episodes) == ('push_t', 96, 25)
    assert collect.policy == load_task('push_t').facts.acting != 'random'
    assert collect.steps == 75       # a goal 25 steps away, and the budget after it
    assert ingest.bags == [collect.out] and str(ingest.out) == first
    assert list(tmp_path.iterdir()) == [Path(first)]      # the bags are not needed any more
    assert recorded() == first and len(asked) == 2
    others = {recorded(frame_px=64), recorded(policy='random'), recorded(episodes=200)}
    assert len({first, *others}) == 4 and len(asked) == 8


@pytest.mark.slow
@pytest.mark.sim
def test_the_shipped_model_is_judged_through_ros_on_the_pairs_of_the_offline_evaluation(tmp_path):
    """Recorded, evaluated offline and live; the same pairs, no control step without a command."""
    assert main(['--task', 'reacher', '--episodes', '10', '--out', str(tmp_path)]) == 0
    offline, live = (json.loads((tmp_path / 'reacher' / f'{name}.json').read_text())
                     for name in ('offline', 'ros'))
    pairs = [[(trial['episode'], trial['row']) for trial in found]
             for found in (offline['trials']['planner'], live['trials'][LIVE])]
    assert pairs[0] == pairs[1] and len(pairs[0]) == 10
    starts = [[{name: values[0] for name, values in trial['errors'].items()} for trial in found]
              for found in (offline['trials']['planner'], live['trials'][LIVE])]
    assert starts[0] == starts[1]
    scores = {row['policy']: row['reached'] for row in live['scores']}
    assert scores[LIVE] >= 0.7 > scores['uniform']
    assert live['live']['deadline_misses'] == 0
    assert np.isfinite(live['live']['plan_ms']['p95'])
