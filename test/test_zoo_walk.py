"""Robots of strangers taken on the whole walk, shortened: recorded, trained, driven, killed."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize('name', ['gripper_arm', 'jpeg_base', 'two_topic_arm'])
def test_a_strangers_robot_is_recorded_trained_driven_and_stopped(tmp_path, name):
    """No check of the walk fails: the same as `make zoo`, with fewer seconds and steps."""
    result = subprocess.run(
        [sys.executable, '-m', 'lewm_ros.trials.zoo.walk', name, '--out', str(tmp_path),
         '--short'], capture_output=True, text=True, check=False, cwd=ROOT, timeout=280)
    print(result.stdout, result.stderr)
    assert result.returncode == 0, '\n'.join(
        line for line in result.stdout.splitlines() if line.startswith('FAILED')) + result.stderr
