"""What the demo found out, as numbers: one JSON file. No rclpy."""

from __future__ import annotations

from importlib import metadata
import json
import os
from pathlib import Path
import platform
from typing import Any

import lewm_model
from lewm_ros.trials.record import GoalResult, Record
import numpy as np

_PACKAGES = ('ros-kilted-rclpy', 'torch', 'mujoco', 'numpy')
DEFINITIONS = {
    'success': 'every error below its limit in `tolerance` for dwell_s, by the truth of the '
               'simulator; the rule of the task, as in evaluations',
    'plan_ms': 'encoding and solving, one value per chunk, steady clock',
    'camera_to_command_ms': 'from the capture of a frame to the first command that the plan made '
                            'on it decided (its first row after the committed ones), simulated '
                            'time, see real_time_factor',
    'control_rate_hz': 'commands per second while tracking, steady clock',
    'plans_late': 'plans that came later than the control steps reserved for them',
    'deadline_misses': 'control steps that passed without a command while tracking',
    'surprise_alarms': 'raised by the surprise guard; some frames above its limit are none',
}


def summarize(results: list[GoalResult], record: Record, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the summary; `facts` (task, bundle, ...) come first."""
    successes = sum(result.reached for result in results)
    return {
        **facts,
        'model_id': record.model_id,
        'episodes': len(results),
        'successes': successes,
        'success_rate': successes / len(results),
        **live_facts(record),
        'goals': [result.to_dict() for result in results],
        'definitions': DEFINITIONS,
        'versions': versions(),
    }


def live_facts(record: Record) -> dict[str, Any]:
    """Return how fast the system was, and what it left out."""
    return {
        'plan_ms': _quantiles(record.plan_ms),
        'camera_to_command_ms': _quantiles(record.camera_to_command_ms),
        'control_rate_hz': _rate_hz(record.command_times_s),
        'real_time_factor': _quantiles(record.real_time_factors, digits=3),
        'plans': len(record.plan_ms),
        'plans_late': record.plans_late,
        'commands': len(record.command_times_s),
        'deadline_misses': record.deadline_misses,
        'surprise_alarms': record.surprise_alarms,
        'limits_hit': {'clipped': record.commands_clipped, 'slewed': record.commands_slewed},
    }


def write(summary: dict[str, Any], path: Path) -> None:
    """Write the summary as JSON, numbers that are not finite as null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_finite(summary), indent=2, allow_nan=False) + '\n',
                    encoding='utf-8')


def versions() -> dict[str, str]:
    """Return the versions of what ran, without importing any of it."""
    found = {'lewm_ros': lewm_model.__version__, 'python': platform.python_version(),
             'ros_distro': os.environ.get('ROS_DISTRO', 'none, packages from PyPI')}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # from a ROS distribution, or not needed here
            continue
    return found


def _quantiles(values: list[float], digits: int = 1) -> dict[str, float | None]:
    if not values:
        return {'p50': None, 'p95': None}
    return {'p50': round(float(np.quantile(values, 0.5)), digits),
            'p95': round(float(np.quantile(values, 0.95)), digits)}


def _rate_hz(times_s: list[float]) -> float | None:
    """Return the rate over all gaps but those of a second or more, which are not tracking."""
    gaps = np.diff(times_s)
    gaps = gaps[gaps < 1.0]
    return round(float(1 / gaps.mean()), 2) if len(gaps) else None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
