"""docs/tasks.md goes on in the live system: its demo runs the task of the page."""

import json

import pytest
import test_tasks_page as page

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.sim, pytest.mark.slow, pytest.mark.ros]

from ros_helpers import free_domain  # noqa: E402

walk = page.walk


def test_the_demo_of_the_page_runs(walk):
    """It finds task, bundle and goals by their names."""
    python, *words = page.lines_with('lewm_ros.trials.demo')[0].split()
    assert python == 'python'
    done = page.run(walk, [*words, '--time-limit', '2', '--out', 'result'], walk,
                    ROS_DOMAIN_ID=str(free_domain()))
    assert done.returncode in (0, 1), done.stdout + done.stderr
    summary = json.loads((walk / 'result' / 'summary.json').read_text(encoding='utf-8'))
    assert (summary['task'], summary['episodes']) == ('slider', 2)
    assert summary['units'] == {'x': 'm', 'y': 'm'} and summary['commands'] > 0
