"""Robots of strangers taken on the walk, in short: recorded, trained, driven, killed."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str) -> None:
    """Run a Python program; what it says of failed checks is the failure of the test."""
    result = subprocess.run([sys.executable, *command], capture_output=True, text=True,
                            check=False, cwd=ROOT, timeout=280)
    print(result.stdout, result.stderr)
    assert result.returncode == 0, '\n'.join(
        line for line in result.stdout.splitlines() if line.startswith('FAILED')) + result.stderr


def test_recordings_of_a_strangers_robot_become_a_model(tmp_path):
    """Both recorders, the suggested robot file, both data sets and a bundle; nothing is edited."""
    run('-m', 'lewm_ros.trials.zoo.walk', 'gripper_arm', '--out', str(tmp_path), '--short',
        '--until', 'train')


@pytest.mark.parametrize(('name', 'steps'), [
    ('jpeg_base', ('shadow', 'drive', 'e_stop', 'kill_planner')),
    ('two_topic_arm', ('stop', 'kill_command'))])
def test_a_strangers_robot_drives_and_is_stopped_in_time(tmp_path, name, steps):
    """Each live step of the walk by one of two robots: within the limits, and again."""
    run(str(ROOT / 'test' / 'zoo_live.py'), name, str(tmp_path), *steps)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['gripper_arm', 'jpeg_base', 'two_topic_arm'])
def test_a_strangers_robot_is_recorded_trained_driven_and_stopped(tmp_path, name):
    """No check of the walk fails: the same as `make zoo`, with fewer seconds and steps."""
    run('-m', 'lewm_ros.trials.zoo.walk', name, '--out', str(tmp_path), '--short')
