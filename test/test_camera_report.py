"""The camera bench judges what it measured, and the docs show what it wrote."""

from __future__ import annotations

from dataclasses import asdict
import json
from pathlib import Path

from lewm_ros.trials.camera_report import CASES, missed, table, write
import pytest

ROOT = Path(__file__).resolve().parents[1]


def row(name: str, **changes) -> dict:
    """Return what is written of a case in which all went well."""
    case = next(case for case in CASES if case.name == name)
    times = {'p50': 60.0, 'p99': 80.0}
    return {**asdict(case), 'sent': 1800, 'answered': 1800, 'share': 1.0, 'plans': 200,
            'within_limit': 200, 'camera_to_command_ms': {**times, 'max': 90.0}, 'plan_ms': times,
            'chunk_ms': {'p50': 70.0, 'p95': 75.0},
            'load_average': [1.0, 1.0, 1.0], **changes}


@pytest.mark.parametrize(('changes', 'words'), [
    ({}, ''),
    ({'share': 0.9899}, '99.0% of the frames answered'),
    ({'within_limit': 197}, '98.5% of the plans within one control period and one plan'),
    ({'plans': 0, 'within_limit': 0}, '0.0% of the plans'),
])
def test_both_goals_are_judged(changes, words):
    """Fewer than 99 % of the frames, or of the plans in time, is a miss; no plan at all, too."""
    found = missed(row('vga_reliable', **changes))
    assert len(found) == bool(words)
    assert words in ' '.join(found)


def test_a_camera_that_defaults_cannot_carry_is_shown_and_not_judged():
    """Raw best effort without the profile is in the table, and with the profile it is judged."""
    lost = {'share': 0.1, 'answered': 180}
    assert not missed(row('vga_best_effort', **lost))
    assert missed(row('vga_best_effort_profile', **lost))
    assert 'best effort, default: not enough | 180 of 1800 (10.0%)' in table(
        [row('vga_best_effort', **lost)])
    assert 'best effort, with the profile |' in table([row('vga_best_effort_profile')])


def test_a_case_is_measured_anew_and_the_others_stay(tmp_path):
    """One file for cases that were run one by one, in the order of the table."""
    file = tmp_path / 'cameras.json'
    write([row('hd_jpeg_reliable'), row('vga_reliable', share=0.5)], file)
    assert [case['share'] for case in write([row('vga_reliable')], file)] == [1.0, 1.0]
    assert [case['name'] for case in json.loads(file.read_text())['cases']] == [
        'vga_reliable', 'hd_jpeg_reliable']


@pytest.mark.ros
def test_one_plan_is_what_steps_are_reserved_for():
    """20 chunks after 0.1 s, one after 0.3 s, 0.02 s reserved: 0.17 s, 0.35 s for the slow one."""
    pytest.importorskip('rclpy')
    from lewm_ros.trials.camera_ear import in_time
    lags = [(0.17, 0.1)] * 19 + [(0.18, 0.1), (0.35, 0.3)]
    assert in_time(lags, 0.05) == 20
    assert in_time([], 0.05) == 0
