from pathlib import Path

from lewm_model.errors import ConfigError
from lewm_model.images.decode import write_image
from lewm_ros.trials.goal_set import GoalSet, Judge
import numpy as np
import pytest
import yaml

S = 1_000_000_000


def save(folder: Path, **changes) -> Path:
    folder.mkdir(exist_ok=True)
    write_image(folder / 'a.png', np.zeros((8, 8, 3), np.uint8))
    values = {'start': {'qpos': [0.1, 0.2]},
              'goals': [{'file': 'a.png', 'qpos': [1.0, 2.0], 'episode': 'e7', 'row': 30}]}
    (folder / 'goals.yaml').write_text(yaml.safe_dump({**values, **changes}))
    return folder


@pytest.fixture
def judge() -> Judge:
    made = Judge(tolerance_rad=0.1, dwell_s=0.25, free=np.array([True, False]))
    made.start(np.array([3.1, 1.0]))
    return made


def test_the_shipped_layout_is_read(tmp_path):
    """Positions, origin and the picture's path come out of goals.yaml."""
    goals = GoalSet.load(save(tmp_path / 'goals'))
    np.testing.assert_array_equal(goals.start_qpos, [0.1, 0.2])
    (goal,) = goals.goals
    assert (goal.file, goal.episode, goal.row) == (tmp_path / 'goals' / 'a.png', 'e7', 30)


@pytest.mark.parametrize(('changes', 'words'), [
    ({'goals': [{'file': 'b.png', 'qpos': [0, 0], 'episode': 1, 'row': 1}]}, 'missing.*b.png'),
    ({'goals': []}, 'missing pictures: all'),
    ({'goals': [{'file': '../a.png', 'qpos': [0, 0], 'episode': 1, 'row': 1}]}, 'must lie in'),
    ({'goals': [{'file': '/etc/a.png', 'qpos': [0, 0], 'episode': 1, 'row': 1}]}, 'must lie in'),
    ({'goals': [{'file': 'a.png', 'episode': 1, 'row': 1}]}, "KeyError.*'qpos'"),
    ({'start': {'qpos': [float('nan'), 0.0]}}, 'finite'),
])
def test_a_broken_goal_set_is_refused(tmp_path, changes, words):
    """The message names the file and what is wrong."""
    with pytest.raises(ConfigError, match=f'goals.yaml: .*{words}'):
        GoalSet.load(save(tmp_path / 'goals', **changes))


def test_only_free_joints_are_compared_modulo_a_turn(judge):
    """The shoulder at -3.1 is 0.08 from 3.1; the wrist at 1 + 2 pi is a whole turn away."""
    np.testing.assert_allclose(judge.errors([-3.1, 1.0]), [2 * np.pi - 6.2, 0.0], atol=1e-9)
    np.testing.assert_allclose(judge.errors([3.1 + 4 * np.pi, 1.0 + 2 * np.pi]),
                               [0.0, 2 * np.pi], atol=1e-9)


def test_reached_means_staying(judge):
    """Every joint within tolerance for the dwell; one joint leaving it starts anew."""
    assert not judge.reached(0, [3.1, 1.05])
    assert not judge.reached(S // 5, [3.1, 1.2])
    assert not judge.reached(2 * S // 5, [3.1, 1.05])
    assert not judge.reached(3 * S // 5, [3.15, 0.95])
    assert judge.reached(13 * S // 20, [3.1, 1.05])


def test_the_reacher_has_a_shoulder_that_turns_without_end():
    """config/tasks says which joints are free and what counts as reached."""
    judge = Judge.for_task('reacher', ('shoulder', 'wrist'), 0.25)
    judge.start(np.zeros(2))
    np.testing.assert_allclose(judge.errors([2 * np.pi, 2 * np.pi]), [0, 2 * np.pi], atol=1e-9)
    assert judge.tolerance_rad == 0.1
