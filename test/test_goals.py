"""Goal pictures come from held-out episodes and lie in reach of each other."""

from types import SimpleNamespace

import cv2
from lewm_model.data.clips import split_episodes
from lewm_model.errors import ConfigError, DatasetError
from lewm_sim.evaluate.exam import set_exam, Settings
from lewm_sim.goals import choose_chain, write_goals
from lewm_sim.tasks import load_task
from nano import tiny_bundle
import numpy as np
import pytest
import yaml


def test_goals_are_held_out_frames_with_their_true_pose(tmp_path):
    """Every picture is, pixel by pixel, the frame it names; none is from a training episode."""
    rng = np.random.default_rng(0)
    names = tuple(f'episode_{index}' for index in range(60))
    rows = 60 * 20
    data = SimpleNamespace(
        path='set.h5', attributes={}, view=None, control_dt_s=None, action=np.zeros((rows, 2)),
        ep_id=names, ep_name=names, ep_len=np.full(60, 20), ep_offset=np.arange(60) * 20,
        columns={'qpos': rng.uniform(-2, 2, (rows, 2))},
        pixels=rng.integers(0, 255, (rows, 8, 8, 3)).astype(np.uint8))
    bundle = tiny_bundle(provenance={'validation_split': 0.1, 'frame_px': 8})
    path = write_goals(bundle, data, tmp_path, count=6, seed=3)
    content = yaml.safe_load(path.read_text())
    held_out = {names[index] for index in split_episodes(names, 0.1)[1]}
    task = load_task('reacher')
    own, (nearest, farthest) = task.facts.tolerance(), task.facts.goal_chain
    previous = content['start']['state'][1:3]
    assert content['start']['state'][3:] == [0, 0]    # no velocities in the file: at rest
    for goal in content['goals']:
        assert goal['episode'] in held_out
        row = names.index(goal['episode']) * 20 + goal['row']
        picture = cv2.cvtColor(cv2.imread(str(tmp_path / goal['file'])), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(picture, data.pixels[row])
        here = [goal['truth'][name] for name in ('shoulder', 'wrist')]
        np.testing.assert_allclose(here, data.columns['qpos'][row], atol=1e-5)
        apart = task.outcome(np.array([*here, 0, 0]), np.array([*previous, 0, 0])).distance(own)
        assert nearest < apart < farthest
        previous = here
    assert len(content['goals']) == 6


def test_goals_of_objects_start_where_they_are_in_reach(tmp_path):
    """`goal_offset` steps before, in the same held-out episode, and the T has to be moved."""
    task, names = load_task('push_t'), tuple(f'episode_{index}' for index in range(40))
    length, offset = 40, task.facts.goal_offset
    assert task.facts.own_starts and offset == 25
    rows, steps = 40 * length, np.tile(np.arange(length), 40)
    state = np.zeros((rows, 5))
    state[:, 0], state[:, 3] = 0.002 * steps, -0.15      # T moves 2 mm a step: 50 mm in 25 steps
    state[:20 * length, 0] = 0.0                         # in half of the episodes it stands
    data = SimpleNamespace(
        path='set.h5', attributes={}, view=None, control_dt_s=None, action=np.zeros((rows, 2)),
        ep_id=names, ep_name=names, ep_len=np.full(40, length), ep_offset=np.arange(40) * length,
        columns={'qpos': state},
        pixels=np.random.default_rng(0).integers(0, 255, (rows, 8, 8, 3)).astype(np.uint8))
    bundle = tiny_bundle(task='push_t', provenance={'validation_split': 0.5, 'frame_px': 8})
    content = yaml.safe_load(write_goals(bundle, data, tmp_path, count=5, seed=1).read_text())
    assert len(content['goals']) == 5
    for goal in content['goals']:
        assert int(goal['episode'].rpartition('_')[2]) >= 20 and goal['row'] >= offset
        assert goal['truth']['block x'] == pytest.approx(0.002 * goal['row'])
        world = task.make_world()
        world.reset(np.array(goal['start']['state']))
        assert task.named(world.truth())['block x'] == pytest.approx(
            0.002 * (goal['row'] - offset), abs=1e-9)
        world.close()


@pytest.mark.parametrize('task', ['', 'reach'])
def test_a_model_of_a_real_robot_has_no_simulated_task(tmp_path, task):
    """Its recordings may name one of their own; the message says what to do instead."""
    bundle = tiny_bundle(task=task, robot='mobi')
    for act in (lambda: write_goals(bundle, None, tmp_path, count=1, seed=0),
                lambda: set_exam(bundle, None, Settings())):
        with pytest.raises(ConfigError, match='no simulated task.*robot mobi.*goal_node') as it:
            act()
        assert (f"task '{task}'" in str(it.value)) == bool(task)


def test_a_chain_that_breaks_off_is_an_error():
    """Two poses far apart cannot follow each other."""
    with pytest.raises(DatasetError, match='only 1 of 3 goal frames'):
        choose_chain(load_task('reacher'), np.array([[0.0, 0.0, 0, 0], [9.0, 9.0, 0, 0]]), 3,
                     np.random.default_rng(0))
