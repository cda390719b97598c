"""A task of a user's own, in one folder outside the package, walks all the way."""

import json
import os
from pathlib import Path
import subprocess
import sys

from lewm_model import Bundle
from lewm_model.data.episodes import EpisodeFile
from lewm_model.quantities import from_json
from lewm_sim.cli import main
from lewm_sim.tasks import load_task
import numpy as np
import pytest
from test_offline import RECIPE
import yaml

pytestmark = [pytest.mark.sim, pytest.mark.slow]
OWN_TASKS = Path(__file__).parent / 'own_tasks'
OUTSIDE = {**RECIPE, 'model': {**RECIPE['model'], 'image_size': 32, 'patch_size': 16}}


@pytest.fixture(scope='module')
def walk(tmp_path_factory):
    """The commands of docs/tasks.md, from nothing to a judged bundle with goals."""
    folder = tmp_path_factory.mktemp('own')
    (folder / 'tiny.yaml').write_text(yaml.safe_dump(OUTSIDE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('LEWM_TASKS', str(OWN_TASKS))
        patch.chdir(folder)
        for line in ('collect --task pusher --policy noisy_expert --episodes 16 --steps 40 '
                     '--out bags/pusher',
                     'ingest bags/pusher --out data/pusher.h5',
                     'inspect data/pusher.h5',
                     'train data/pusher.h5 --config tiny.yaml --out models/pusher',
                     'evaluate models/pusher --data data/pusher.h5 --episodes 2 --out result.json '
                     '--save',
                     'analyse models/pusher --data data/pusher.h5 --quick --out report',
                     'goals models/pusher --data data/pusher.h5 --count 2'):
            assert main(line.split()) == 0, line
        yield folder


def test_twist_odometry_and_truth_are_recorded(walk):
    """Five actions, three states, and the truth with its kinds: nothing is taken for a joint."""
    data, task = EpisodeFile.open(walk / 'data' / 'pusher.h5'), load_task('pusher')
    assert (data.action.shape[1], data.columns['proprio'].shape[1]) == (5, 3)
    assert data.pixels.shape[1:] == (32, 32, 3)
    assert data.attributes['action_names'] == list(task.robot.joint_names)
    assert data.attributes['state_names'] == ['x', 'y', 'yaw']
    assert from_json(data.attributes['truth_quantities']) == task.quantities
    truth = data.columns['truth']
    np.testing.assert_allclose(truth[:, :2], data.columns['proprio'][:, :2], atol=1e-5)
    block = np.diff(truth[:, 3], axis=0)
    assert np.abs(block).max() > 0.001, 'the expert never pushed the block'


def test_evaluation_speaks_of_the_task(walk):
    """Tolerances, errors and budget are those of task.yaml, each error with its unit."""
    result = json.loads((walk / 'result.json').read_text())
    assert (result['goal_offset'], result['budget']) == (10, 20)
    assert {row['tolerance'] for row in result['scores']} == {
        'bar 0.1 m, block 0.05 m, turn 0.35 rad', 'block 0.05 m, turn 0.35 rad'}
    errors = result['trials']['planner'][0]['errors']
    assert {name: len(values) for name, values in errors.items()} == {
        'bar': 21, 'block': 21, 'turn': 21}
    assert 'bar 0.1 m, block 0.05 m' in (walk / 'models/pusher/README.md').read_text()


def test_the_bundle_and_the_report_know_the_quantities(walk):
    """Probes bear the names of what was measured; impossible events come from the task."""
    bundle = Bundle.load(walk / 'models' / 'pusher')
    assert (bundle.task, bundle.robot) == ('pusher', 'sim_pusher')
    report, = (walk / 'report').glob('*.json')
    document = json.loads(report.read_text())
    assert {'block x', 'block turn', 'yaw'} <= set(document['probes']['scores'])
    assert {'colour', 'teleport', 'teleport block'} <= set(document['surprise']['versions'])


def test_goals_carry_state_and_truth(walk):
    """What the demo needs: a whole start state, and the truth of every picture."""
    goals = yaml.safe_load((walk / 'models/pusher/goals/goals.yaml').read_text())
    world = load_task('pusher').make_world(32)
    world.reset(np.array(goals['start']['state']))
    assert set(goals['goals'][0]['truth']) == {one.name for one in load_task('pusher').quantities}
    assert len(goals['goals'][0]['truth']['block turn']) == 4


@pytest.mark.ros
def test_the_demo_runs_the_task_and_judges_by_its_outcome(walk):
    """The whole live system, odometry and twist: goals are missed by metres and radians."""
    pytest.importorskip('rclpy')
    from ros_helpers import free_domain, ROOT

    environment = {**os.environ, 'ROS_DOMAIN_ID': str(free_domain()), 'LEWM_TASKS': str(OWN_TASKS),
                   'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'}
    done = subprocess.run(
        [sys.executable, '-m', 'lewm_ros.trials.demo', '--task', 'pusher', '--bundle',
         str(walk / 'models' / 'pusher'), '--time-limit', '2', '--out', 'result'],
        env=environment, cwd=walk, timeout=120, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode in (0, 1), text
    assert 'bar off [m]' in text and 'turn off [rad]' in text, text
    summary = json.loads((walk / 'result' / 'summary.json').read_text())
    assert summary['task'] == 'pusher' and summary['episodes'] == 2
    assert summary['tolerance'] == {'bar': 0.1, 'block': 0.05, 'turn': 0.35}
    assert summary['units'] == {'bar': 'm', 'block': 'm', 'turn': 'rad'}
    assert summary['commands'] > 0 and summary['plans'] > 0
    assert set(summary['goals'][0]['final_errors']) == {'bar', 'block', 'turn'}
    assert (walk / 'result' / 'demo.mp4').stat().st_size > 1000
