"""Pairs of an evaluation on the live system: what counts as which instant, and a real run."""

import json

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.trials.evaluate import LIVE, main  # noqa: E402
from lewm_ros.trials.live_pairs import instants  # noqa: E402

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
