"""The planner's decisions with a policy that plans in a known way and a clock set by hand."""

from types import SimpleNamespace

from lewm_model.errors import PlanningError
from lewm_model.types import ActionChunk, Observation
from lewm_ros.planner.goal_progress import GoalProgress
from lewm_ros.planner.latency import Latency
from lewm_ros.planner.plan_loop import LoopSettings, PlanLoop
from lewm_ros.wire.reports import PlanState
import numpy as np
import pytest

STEP_NS = 50_000_000
ROWS = 20
PICTURE = np.zeros((4, 4, 3), np.uint8)
SESSION = 1000


class FakePolicy:
    """Row k of plan n is (n, k) after the committed rows; solving takes `solve_ns`."""

    def __init__(self, clock) -> None:
        self.bundle = SimpleNamespace(control_dt_s=0.05, action_names=('a', 'b'))
        self.config = SimpleNamespace(num_candidates=7)
        self.goal = None
        self.goal_distance = 5.0
        self.last_plan = None
        self.solve_ns = 0
        self.problem: Exception | None = None
        self.seen: list[int] = []
        self._clock = clock
        self._sequence = 0

    def set_goal_image(self, rgb, goal_id='', source='image') -> None:
        self.goal = SimpleNamespace(goal_id=goal_id)

    def set_goal(self, goal) -> None:
        self.goal = goal

    def clear_goal(self) -> None:
        self.goal = None

    def reset(self) -> None:
        self.seen.clear()
        self.goal = None

    def observe(self, observation) -> None:
        self.seen.append(observation.stamp_ns)

    def plan(self, now_ns, committed) -> ActionChunk:
        if self.problem:
            raise self.problem
        self._clock.now_ns += self.solve_ns
        self._sequence += 1
        actions = np.array([(self._sequence, k) for k in range(ROWS)], np.float32)
        actions[:len(committed)] = committed
        self.last_plan = SimpleNamespace(cost=1.0, start_cost=2.0, elite_std=0.5, iterations=3)
        return ActionChunk(self.seen[-1], 0.05, actions, 0, self._sequence, self.seen[-1])


class Rig:
    """A loop, its clock and what it published."""

    def __init__(self, **settings) -> None:
        self.now_ns = 0
        self.policy = FakePolicy(self)
        self.published: list[tuple[ActionChunk, int]] = []
        self.loop = PlanLoop(
            self.policy,
            LoopSettings(**{'replan_steps': 5, 'obs_max_age_s': 0.25, 'obs_max_future_s': 0.05,
                            **settings}),
            latency=Latency(dt_s=0.05, max_steps=10, margin_s=0.0, first_s=0.1),
            progress=GoalProgress(tolerance=1.0, dwell_s=0.1, stall_s=5.0), session=SESSION,
            publish=lambda chunk, steps, _: self.published.append((chunk, steps)),
            now_ns=lambda: self.now_ns)

    def frames(self, first: int, last: int, delay_ns: int = 0) -> None:
        """Show the frames of these control steps, both included, each as soon as it is taken."""
        for step in range(first, last + 1):
            self.now_ns = max(self.now_ns, step * STEP_NS + delay_ns)
            self.loop.step(Observation(step * STEP_NS, PICTURE))

    @property
    def stamps(self) -> list[int]:
        return [chunk.stamp_ns // STEP_NS for chunk, _ in self.published]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_without_a_goal_there_is_a_report_but_no_chunk(rig):
    """Frames are encoded and answered with NO_GOAL."""
    rig.frames(1, 3)
    assert rig.published == []
    assert rig.policy.seen == [STEP_NS, 2 * STEP_NS, 3 * STEP_NS]
    assert rig.loop.report.state is PlanState.NO_GOAL
    assert 'goal' in rig.loop.report.reason.text


def test_a_plan_is_made_at_once_and_then_every_replan_steps(rig):
    """Replanning every 5 steps from step 1 means plans at 1, 6, 11."""
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 12)
    assert rig.stamps == [1, 6, 11]
    assert [chunk.sequence for chunk, _ in rig.published] == [1, 2, 3]


def test_a_long_receding_horizon_replans_before_the_rows_run_out():
    """With 20 rows and 2 reserved steps the next plan starts at row 16, not at row 20."""
    rig = Rig(replan_steps=20)
    rig.policy.solve_ns = 2 * STEP_NS
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 30)
    assert rig.stamps[:2] == [1, 17]


def test_committed_rows_are_those_of_the_last_chunk_on_the_absolute_grid(rig):
    """The first plan commits to standing still, the second to what plays when it arrives."""
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 6)
    first, second = (chunk for chunk, _ in rig.published)
    assert [steps for _, steps in rig.published][0] == 2
    np.testing.assert_array_equal(first.actions[:2], 0)
    d = rig.published[1][1]
    np.testing.assert_array_equal(second.actions[:d], first.actions[5:5 + d])
    np.testing.assert_array_equal(second.actions[d], [2, d])


def test_a_late_plan_is_counted_and_reserves_more_steps(rig):
    """A plan that takes 3 steps with 2 reserved is a miss; the next one reserves 3."""
    rig.policy.solve_ns = 3 * STEP_NS
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 6, delay_ns=0)
    assert rig.loop.report.deadline_misses == 1
    assert [steps for _, steps in rig.published] == [2, 3]


def test_a_new_goal_changes_the_epoch_with_its_first_plan_only(rig):
    """The old plan stays valid until the new one is there, and is what the new one starts with."""
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 3)
    before = rig.loop.report.epoch
    rig.loop.set_goal(PICTURE, 'h', 'file')
    assert rig.loop.report.epoch == before
    rig.frames(4, 4)
    (old, _), (new, d) = rig.published
    assert (old.epoch, new.epoch, rig.loop.report.epoch) == (before, before + 1, before + 1)
    assert rig.loop.report.goal_id == 'h'
    np.testing.assert_array_equal(new.actions[:d], old.actions[3:3 + d])


def test_a_failed_plan_withdraws_the_old_one_and_the_loop_goes_on(rig):
    """FAULT comes with a newer epoch and the reason; the next frame plans again."""
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 5)
    epoch = rig.loop.report.epoch
    rig.policy.problem = PlanningError('no finite plan')
    rig.frames(6, 8)
    assert rig.loop.report.state is PlanState.FAULT
    assert rig.loop.report.reason.text == 'no finite plan'
    assert rig.loop.report.epoch == epoch + 1
    assert len(rig.published) == 1
    rig.policy.problem = None
    rig.frames(9, 9)
    assert rig.loop.report.state is PlanState.PLANNING
    assert rig.published[-1][0].epoch == epoch + 1
    np.testing.assert_array_equal(rig.published[-1][0].actions[0], 0)


@pytest.mark.parametrize(('delay_s', 'word'), [(0.3, 'old'), (-0.1, 'future')])
def test_frames_that_do_not_show_the_present_are_not_planned_on(rig, delay_s, word):
    """A stale frame and one from the future are NO_OBS, and withdraw the plan in force."""
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 5)
    epoch = rig.loop.report.epoch
    rig.now_ns = round(6 * STEP_NS + delay_s * 1e9)
    rig.loop.step(Observation(6 * STEP_NS, PICTURE))
    assert rig.loop.report.state is PlanState.NO_OBS
    assert word in rig.loop.report.reason.text
    assert rig.loop.report.epoch == epoch + 1
    assert len(rig.published) == 1


def test_camera_time_that_jumps_back_resets_and_keeps_the_goal(rig):
    """A bag that starts again bumps the epoch; planning goes on with the goal as it was."""
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(100, 101)
    epoch = rig.loop.report.epoch
    rig.now_ns = 0
    rig.frames(1, 1)
    assert rig.policy.seen == [STEP_NS]
    assert rig.stamps == [100, 1]
    assert rig.published[-1][0].epoch == epoch + 1
    assert rig.loop.report.goal_id == 'g'
    np.testing.assert_array_equal(rig.published[-1][0].actions[0], 0)


def test_after_a_scene_reset_older_frames_are_ignored(rig):
    """Frames up to the stamp of the reset show the scene as it was."""
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 3)
    rig.loop.reset('the scene was reset', not_before_ns=5 * STEP_NS)
    rig.frames(4, 5)
    assert rig.stamps == [1]
    rig.frames(6, 6)
    assert rig.stamps == [1, 6]


def test_the_same_frame_twice_counts_once(rig):
    """A repeated stamp changes nothing."""
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 1)
    rig.frames(1, 1)
    assert rig.policy.seen == [STEP_NS]
    assert len(rig.published) == 1


def test_a_refused_goal_stops_the_robot_until_there_is_another(rig):
    """The reason stays in the report although frames keep coming."""
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 1)
    rig.loop.refuse_goal('not a picture')
    rig.frames(2, 4)
    assert rig.loop.report.state is PlanState.FAULT
    assert rig.loop.report.reason.text == 'not a picture'
    assert len(rig.published) == 1
    rig.loop.set_goal(PICTURE, 'h', 'file')
    rig.frames(5, 5)
    assert rig.loop.report.state is PlanState.PLANNING
    assert len(rig.published) == 2


def test_a_dry_run_plans_and_reports_but_publishes_nothing():
    """The report shows the plan; as nothing moves, nothing is committed."""
    rig = Rig(dry_run=True)
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 12)
    assert rig.published == []
    assert rig.policy.last_plan is not None
    assert rig.loop.report.best_cost == 1.0


def test_reached_is_reported_and_the_robot_keeps_regulating(rig):
    """Within tolerance for the dwell means REACHED; plans go on."""
    rig.policy.goal_distance = 0.5
    rig.loop.set_goal(PICTURE, 'g', 'file')
    rig.frames(1, 12)
    assert rig.loop.report.state is PlanState.REACHED
    assert rig.stamps == [1, 6, 11]
