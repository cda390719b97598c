"""The soak run: its numbers from known series, and a short run of the whole system."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.trials import soak  # noqa: E402
from lewm_ros.trials.record import Record  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import free_domain, ROOT  # noqa: E402


def run_of(leak_mb_per_s: float, lag_ms: float = 40.0, misses: int = 0, drift_ms: float = 0.0,
           plan_ms: float = 30.0):
    """Return the summary of ten minutes with one leaking process."""
    record = Record(plan_ms=[10.0] * 90 + [plan_ms] * 10, camera_to_command_ms=[
                        lag_ms + drift_ms * k / 100 for k in range(100)],
                    command_times_s=[0.05 * k for k in range(12000)], deadline_misses=misses,
                    real_time_factors=[1.0, 0.5, 1.0])
    at_s = list(map(float, range(601)))
    samples = soak.Samples(at_s=at_s, lag_s=[6.0 * k for k in range(100)], memory_mb={
        'flat': [100.0 + 20 * min(second, 60) / 60 for second in at_s],   # fills, then is flat
        'leak': [50.0 + leak_mb_per_s * second for second in at_s]})
    return soak.summarize(record, samples, [True, False, True], 0.05)


def test_a_leak_is_found_and_a_warm_up_is_none():
    """0.1 MB/s is 6 MB per minute; 20 MB in the first minute are the caches."""
    memory = run_of(0.1)['memory_mb']
    assert memory['leak']['per_minute'] == pytest.approx(6.0)
    assert memory['leak']['growth'] == pytest.approx(0.1 * 420, rel=0.05)
    assert (memory['flat']['growth'], memory['flat']['per_minute']) == (0.0, 0.0)
    assert (memory['flat']['first'], memory['flat']['last']) == (100.0, 120.0)


@pytest.mark.parametrize(('changes', 'broken'), [
    ({}, None), ({'leak_mb_per_s': 0.1}, 'no_process_grew_by_5_mb'),
    ({'lag_ms': 51.0}, 'camera_to_command_p99_within_one_control_period'),
    ({'drift_ms': 9.0}, 'camera_to_command_did_not_rise_by_5_ms'),
    ({'misses': 1}, 'no_deadline_missed')])
def test_each_limit_is_broken_by_its_own_fault(changes, broken):
    """One fault, one limit; without a fault all are kept."""
    limits = run_of(**{'leak_mb_per_s': 0.0, **changes})['limits']
    assert [name for name, kept in limits.items() if not kept] == ([broken] if broken else [])


def test_a_plan_that_takes_longer_than_a_period_need_not_be_done_in_one():
    """At 20 Hz with plans of 60 ms only the other limits count."""
    limits = run_of(0.0, lag_ms=150.0, plan_ms=60.0)['limits']
    assert len(limits) == 3 and all(limits.values())


def waves(rise_ms: float) -> np.ndarray:
    """Return 24 medians: the machine is slow now and then, the program gets slower."""
    slow = np.repeat([0, 40, 0, 60, 20, 0, 50, 10], 3)
    return 150.0 + slow + np.linspace(0, rise_ms, 24)


def test_a_slow_minute_is_no_drift_and_a_drift_is_found_among_slow_minutes():
    """The interval holds what the program rose by; slow blocks make it wide, not wrong."""
    steady, slower = soak.rise(waves(0.0)), soak.rise(waves(150.0))
    assert steady['low'] < 0 < steady['high']
    assert slower['low'] > 5.0
    assert slower['low'] < 150 < slower['high']
    assert soak.rise(np.linspace(100, 109, 24)) == {'value': 9.0, 'low': 9.0, 'high': 9.0}


def test_pieces_are_medians_of_the_time_after_the_warm_up():
    """Of 0 to 100 s the first 20 s do not count; 24 pieces of the rest."""
    at_s = np.linspace(0, 100, 1001)
    medians = soak.pieces(list(at_s), list(np.where(at_s < 20, 1e6, at_s)))
    np.testing.assert_allclose(medians, 20 + (np.arange(24) + 0.5) * 80 / 24, atol=0.2)
    assert len(soak.pieces([0.0] * 5, [1.0] * 5)) == 0


def test_nothing_measured_keeps_no_limit():
    """A run in which nothing happened is not a good one."""
    empty = soak.summarize(Record(), soak.Samples([0.0], {'node': [10.0]}), [], 0.05)
    assert not any(empty['limits'].values())
    assert empty['camera_to_command_ms'] == {'p50': None, 'p95': None, 'p99': None, 'max': None}


def test_memory_is_what_the_kernel_says():
    """A hundred megabytes that are written to appear in the resident set."""
    before_mb = soak.resident_mb(os.getpid())
    block = np.ones(100_000_000, np.uint8)
    assert soak.resident_mb(os.getpid()) - before_mb == pytest.approx(100, abs=20)
    assert block.all()


@pytest.mark.slow
@pytest.mark.sim
def test_a_short_soak_leaves_numbers_and_a_picture(tmp_path):
    """0.3 minutes with a VGA camera; whether it was fast is the machine's affair."""
    done = subprocess.run(
        [sys.executable, '-m', 'lewm_ros.trials.soak', '--minutes', '0.3',
         '--image-size', '640x480', '--out', str(tmp_path)],
        env={**os.environ, 'ROS_DOMAIN_ID': str(free_domain()),
             'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'},
        capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads((tmp_path / 'soak.json').read_text())
    assert (tmp_path / 'soak.png').stat().st_size > 10_000
    assert report['goals'] >= 1 and report['commands'] > 0 and report['plans'] > 0
    assert report['plan_ms']['p50'] <= report['plan_ms']['p99'] <= report['plan_ms']['max']
    assert set(report['memory_mb']) == {
        'sim_node', 'command_node', 'guard_node', 'planner_node', 'goal_node'}
    assert len(report['samples']['at_s']) >= 15
    assert (done.returncode == 0) == all(report['limits'].values())
