import math

from lewm_ros.planner.loop.goal_progress import GoalProgress
from lewm_ros.wire.reports import PlanState
import pytest

S = 1_000_000_000


@pytest.fixture
def progress() -> GoalProgress:
    return GoalProgress(tolerance=0.1, dwell_s=0.25, stall_s=2.0)


def test_reached_means_met_for_the_whole_dwell(progress):
    """Touching the goal is not enough: leaving it starts the dwell again."""
    assert progress.update(0, 0.05) is PlanState.PLANNING
    assert progress.update(S // 5, 0.2) is PlanState.PLANNING
    assert progress.update(2 * S // 5, 0.05) is PlanState.PLANNING
    assert progress.update(3 * S // 5, 0.05) is PlanState.PLANNING
    assert progress.update(13 * S // 20, 0.05) is PlanState.REACHED


def test_no_new_best_distance_for_long_is_a_stall(progress):
    """Improvements below 5% are no progress; a real one ends the stall."""
    assert progress.update(0, 1.0) is PlanState.PLANNING
    assert progress.update(1 * S, 0.99) is PlanState.PLANNING
    assert progress.update(2 * S, 0.98) is PlanState.STALLED
    assert progress.update(3 * S, 0.5) is PlanState.PLANNING


def test_a_distance_that_is_not_a_number_is_no_progress(progress):
    """NaN never reaches a goal, and stalls in the end."""
    assert progress.update(0, 1.0) is PlanState.PLANNING
    assert progress.update(S, float('nan')) is PlanState.PLANNING
    assert progress.update(3 * S, float('nan')) is PlanState.STALLED


def test_a_new_goal_starts_from_nothing(progress):
    """After a restart a larger distance is no stall and an old dwell does not count."""
    progress.update(0, 0.05)
    progress.restart()
    assert progress.update(S, 0.05) is PlanState.PLANNING
    assert progress.update(S + S // 2, 5.0) is PlanState.PLANNING


def test_one_distance_that_is_not_finite_does_not_hide_progress():
    """A robot that halves its distance every second is not stalled by a NaN."""
    progress = GoalProgress(tolerance=1e-9, dwell_s=0.1, stall_s=2.0)
    states = [progress.update(k * 10 ** 9, math.nan if k == 0 else 2.0 ** -k) for k in range(12)]
    assert set(states) == {PlanState.PLANNING}


def test_only_distances_that_are_not_finite_are_a_stall():
    """Not finite is neither met nor closer."""
    progress = GoalProgress(tolerance=1.0, dwell_s=0.0, stall_s=2.0)
    states = [progress.update(k * 10 ** 9, math.nan) for k in range(4)]
    assert states == [PlanState.PLANNING] * 2 + [PlanState.STALLED] * 2


def test_a_robot_that_does_not_move_does_not_stall():
    """The time begins when it moves."""
    progress = GoalProgress(tolerance=1.0, dwell_s=0.0, stall_s=2.0)
    states = [progress.update(k * 10 ** 9, 5.0, moving=k >= 6) for k in range(9)]
    assert states == [PlanState.PLANNING] * 7 + [PlanState.STALLED] * 2
