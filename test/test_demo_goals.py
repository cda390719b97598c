from pathlib import Path

from lewm_model.errors import ConfigError
from lewm_model.images.decode import write_image
from lewm_ros.trials.goal_set import GoalSet, Judge
from lewm_sim.tasks import load_task
import numpy as np
import pytest
import yaml

S = 1_000_000_000
TASK = load_task('reacher')
TRUTH = {'shoulder': 1.0, 'wrist': 2.0, 'tip x': 0.0, 'tip y': 0.1}


def save(folder: Path, **changes) -> Path:
    folder.mkdir(exist_ok=True)
    write_image(folder / 'a.png', np.zeros((8, 8, 3), np.uint8))
    values = {'start': {'state': [0.0, 0.1, 0.2, 0.0, 0.0]},
              'goals': [{'file': 'a.png', 'truth': TRUTH, 'episode': 'e7', 'row': 30}]}
    (folder / 'goals.yaml').write_text(yaml.safe_dump({**values, **changes}))
    return folder


def truth(shoulder: float, wrist: float) -> np.ndarray:
    return np.array([shoulder, wrist, 0.0, 0.0])   # the tip does not count


@pytest.fixture
def judge() -> Judge:
    made = Judge(TASK, dwell_s=0.25)
    made.start(truth(3.1, 1.0))
    return made


def test_the_shipped_layout_is_read(tmp_path):
    """Positions, origin and the picture's path come out of goals.yaml."""
    goals = GoalSet.load(save(tmp_path / 'goals'), TASK)
    np.testing.assert_array_equal(goals.start, [0.0, 0.1, 0.2, 0.0, 0.0])
    (goal,) = goals.goals
    np.testing.assert_array_equal(goal.truth, [1.0, 2.0, 0.0, 0.1])
    assert (goal.file, goal.episode, goal.row) == (tmp_path / 'goals' / 'a.png', 'e7', 30)


@pytest.mark.parametrize(('changes', 'words'), [
    ({'goals': [{'file': 'b.png', 'truth': TRUTH, 'episode': 1, 'row': 1}]}, 'missing.*b.png'),
    ({'goals': []}, 'missing pictures: all'),
    ({'goals': [{'file': '../a.png', 'truth': TRUTH, 'episode': 1, 'row': 1}]}, 'must lie in'),
    ({'goals': [{'file': '/etc/a.png', 'truth': TRUTH, 'episode': 1, 'row': 1}]}, 'must lie in'),
    ({'goals': [{'file': 'a.png', 'episode': 1, 'row': 1}]}, "KeyError.*'truth'"),
    ({'start': {'state': [float('nan'), 0.0]}}, 'finite'),
    ({'goals': [{'file': 'a.png', 'truth': {'wrist': 1}, 'episode': 1, 'row': 1}]}, 'shoulder'),
])
def test_a_broken_goal_set_is_refused(tmp_path, changes, words):
    """The message names the file and what is wrong."""
    with pytest.raises(ConfigError, match=f'goals.yaml: .*{words}'):
        GoalSet.load(save(tmp_path / 'goals', **changes), TASK)


def test_a_goal_may_have_a_start_of_its_own(tmp_path):
    """Others begin where the goal before has ended."""
    item = {'file': 'a.png', 'truth': TRUTH, 'episode': 'e7', 'row': 30}
    own = {**item, 'start': {'state': [0.5, 1.0, 1.5, 0.0, 0.0]}}
    first, second = GoalSet.load(save(tmp_path / 'goals', goals=[own, item]), TASK).goals
    np.testing.assert_array_equal(first.start, [0.5, 1.0, 1.5, 0.0, 0.0])
    assert second.start is None
    own['start'] = {'state': 'here'}
    with pytest.raises(ConfigError, match='goals.yaml: malformed entry'):
        GoalSet.load(save(tmp_path / 'goals', goals=[own]), TASK)


def test_a_demo_may_go_to_the_first_goals_alone(tmp_path):
    """In their order, from the same start; more than there are is refused with their number."""
    goals = GoalSet.load(save(tmp_path / 'goals', goals=[
        {'file': 'a.png', 'truth': TRUTH, 'episode': 'e', 'row': row} for row in (3, 1, 2)]), TASK)
    assert [goal.row for goal in goals.first(2).goals] == [3, 1]
    assert goals.first(2).start is goals.start
    assert goals.first(None).goals == goals.first(3).goals == goals.goals
    for count in (0, 4):
        with pytest.raises(ConfigError, match=rf'count must be in \[1, 3\].*got {count}'):
            goals.first(count)


def test_only_free_joints_are_compared_modulo_a_turn(judge):
    """The shoulder at -3.1 is 0.08 from 3.1; the wrist at 1 + 2 pi is a whole turn away."""
    near = judge.outcome(truth(-3.1, 1.0)).errors
    assert near == pytest.approx({'shoulder': 2 * np.pi - 6.2, 'wrist': 0.0}, abs=1e-9)
    turned = judge.outcome(truth(3.1 + 4 * np.pi, 1.0 + 2 * np.pi)).errors
    assert turned == pytest.approx({'shoulder': 0.0, 'wrist': 2 * np.pi}, abs=1e-9)


def test_reached_means_staying(judge):
    """Every joint within tolerance for the dwell; one joint leaving it starts anew."""
    assert not judge.reached(0, truth(3.1, 1.05))
    assert not judge.reached(S // 5, truth(3.1, 1.2))
    assert not judge.reached(2 * S // 5, truth(3.1, 1.05))
    assert not judge.reached(3 * S // 5, truth(3.15, 0.95))
    assert judge.reached(13 * S // 20, truth(3.1, 1.05))


def test_the_demo_judges_by_its_own_tolerance():
    """task.yaml says what counts as reached in the demo, else the first tolerance counts."""
    assert str(Judge(TASK, 0.25).tolerance) == '0.1 rad'
    assert str(Judge(TASK, 0.25, TASK.facts.tolerance()).tolerance) == '0.05 rad'


def test_goals_of_earlier_versions_are_read(tmp_path):
    """Joint positions instead of state and truth: the scene says the rest."""
    goals = GoalSet.load(save(tmp_path / 'goals', start={'qpos': [0.1, 0.2]}, goals=[
        {'file': 'a.png', 'qpos': [0.0, np.pi / 2], 'episode': 'e7', 'row': 30}]), TASK)
    np.testing.assert_array_equal(goals.start, [0.0, 0.1, 0.2, 0.0, 0.0])
    np.testing.assert_allclose(goals.goals[0].truth, [0.0, np.pi / 2, 0.12, 0.12], atol=1e-9)
