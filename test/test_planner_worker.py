"""The planner thread of one activation: it hangs, dies or ends without touching the next one."""

import threading

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.planner.glance import Look  # noqa: E402
from lewm_ros.planner.worker import Inbox, Worker  # noqa: E402
from lewm_ros.wire.reasons import Code, Reason  # noqa: E402
from lewm_ros.wire.reports import PlanState  # noqa: E402
from plan_rig import Rig  # noqa: E402

LIMIT_S = 0.25
PATIENCE_S = 10.0


class Bench:
    """A worker whose `handle` shows a frame to a real loop, or hangs until it is let go."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.hung_limit_s = float('inf')
        self.rig = Rig().goal()
        self.taken: list[Inbox] = []
        self.ended: list[str] = []
        self.told: list[int] = []        # epochs
        self.hang = threading.Event()    # set: do not hang
        self.hang.set()
        self.busy, self.idle = threading.Event(), threading.Event()
        self.problem: Exception | None = None
        self.worker = Worker(self.rig.loop, self.rig.session, self.handle,
                             stuck_limit_s=lambda: LIMIT_S,
                             hung_limit_s=lambda: self.hung_limit_s, give_up=self.ended.append,
                             tell=lambda: self.told.append(self.worker.report().epoch),
                             steady_s=lambda: self.now_s)
        self.worker.start()

    def handle(self, inbox: Inbox) -> None:
        self.taken.append(inbox)
        self.busy.set()
        self.hang.wait(PATIENCE_S)
        if self.problem:
            raise self.problem
        if inbox.look is not None:
            self.rig.frames(inbox.look, inbox.look)
        self.idle.set()

    def show(self, frame: int) -> None:
        """Leave a frame and wait until the thread has taken it, and unless it hangs, ended it."""
        self.busy.clear()
        self.idle.clear()
        self.worker.put(look=frame)
        assert self.busy.wait(PATIENCE_S)
        assert not self.hang.is_set() or self.problem or self.idle.wait(PATIENCE_S)


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.hang.set()
    made.worker.close()
    assert made.worker.join(PATIENCE_S)


def test_a_frame_takes_along_what_waited_for_it(bench):
    """Executed commands do not wake the thread; the newest frame, goal and reset count."""
    bench.worker.put_waiting('executed', 'a')
    bench.worker.put_waiting('joints', 'b')
    bench.show(1)
    assert [(kind, message) for kind, message, _ in bench.taken[0].waiting] == [
        ('executed', 'a'), ('joints', 'b')]
    assert bench.rig.stamps == [1]


def test_a_thread_that_hangs_is_said_and_its_plans_are_withdrawn_once(bench):
    """The time it took; another epoch, the same however often one looks."""
    bench.show(1)
    epoch = bench.rig.session.epoch
    assert bench.worker.report().state is PlanState.PLANNING
    bench.hang.clear()
    bench.show(2)
    bench.now_s += LIMIT_S
    assert bench.worker.report().epoch == epoch
    bench.now_s += 0.01
    for _ in range(3):
        report = bench.worker.report()
        assert report.state is PlanState.PLANNING   # no fault: it may pass
        assert report.reason.code is Code.PLANNER_STUCK
        assert 'at one frame for 0.26 s, allowed are 0.25 s' in report.reason.text
        assert report.epoch == epoch + 1
    bench.hang.set()
    assert bench.idle.wait(PATIENCE_S)
    bench.show(3)
    assert bench.worker.report().state is PlanState.PLANNING   # it goes on by itself
    assert bench.ended == []


def test_a_search_whose_model_does_not_answer_hangs_before_the_whole_plan_does(bench):
    """With every answer the time begins anew; without one the plan is withdrawn."""
    bench.hung_limit_s = 0.1
    bench.hang.clear()
    bench.show(1)
    for _ in range(2):
        bench.now_s += 0.08
        assert not bench.worker.became_stuck()
        bench.rig.loop.progress_s = bench.now_s
    bench.now_s += 0.08
    assert not bench.worker.became_stuck()      # 0.24 s at this frame
    bench.rig.loop.progress_s = bench.now_s - 0.11
    assert bench.worker.became_stuck()
    assert ('no answer of the model for 0.11 s, allowed are 0.10 s'
            in bench.worker.report().reason.text)


def test_trouble_with_the_camera_withdraws_a_plan_that_is_being_made(bench):
    """At once and once, in every report until a good frame comes; then it plans anew."""
    bench.show(1)
    epoch, sent = bench.rig.session.epoch, len(bench.rig.published)
    bench.hang.clear()
    bench.rig.policy.during_plan = lambda: bench.hang.wait(PATIENCE_S)
    bench.show(6)
    for times in (3, 4):
        bench.worker.see(Look(None, Reason(Code.FRAME_FROZEN, f'the same picture {times} times')))
        report = bench.worker.report()
        assert (report.epoch, report.state) == (epoch + 1, PlanState.NO_OBS)
        assert report.reason.code is Code.FRAME_FROZEN
    bench.worker.put(look=None)
    bench.hang.set()
    assert bench.idle.wait(PATIENCE_S)
    assert len(bench.rig.published) == sent
    assert bench.rig.report.reason.code is Code.FRAME_FROZEN   # not that it took too long
    bench.worker.see(Look(None))     # a good frame: the trouble is over
    bench.rig.policy.during_plan = lambda: None
    bench.show(7)
    assert bench.worker.report().state is PlanState.PLANNING
    assert len(bench.rig.published) == sent + 1


def test_plans_that_the_thread_withdraws_are_told_of_at_once(bench):
    """Not with the next frame, which may be a camera period away; a plan is told by itself."""
    bench.show(1)
    assert bench.told == []
    bench.rig.loop.clear_goal()
    before = bench.rig.session.epoch
    bench.rig.goal()
    bench.show(6)
    assert bench.told == []
    bench.worker._handle = lambda inbox: (bench.rig.loop.clear_goal(), bench.busy.set(),
                                          bench.idle.set())
    bench.show(11)
    bench.worker.close()
    assert bench.worker.join(PATIENCE_S)
    assert bench.told == [before + 2]   # the plan to the new goal had an epoch of its own


def test_that_a_thread_became_stuck_is_news_once(bench):
    """For who looks between two frames: until a report has told of it."""
    bench.show(1)
    assert not bench.worker.became_stuck()
    bench.hang.clear()
    bench.show(2)
    bench.now_s += LIMIT_S
    assert not bench.worker.became_stuck()
    bench.now_s += 0.01
    assert bench.worker.became_stuck()
    bench.worker.report()
    assert not bench.worker.became_stuck()


def test_a_thread_that_hangs_can_be_left_and_never_acts_again(bench):
    """Closed and not joined: when it comes back it sends nothing, and ends."""
    bench.show(1)
    bench.hang.clear()
    bench.show(6)
    last = bench.worker.close()
    assert last.state is PlanState.IDLE
    assert last.epoch == bench.rig.session.epoch
    assert not bench.worker.join(0.05)
    assert 'handle' in bench.worker.where()
    bench.hang.set()
    assert bench.worker.join(PATIENCE_S)
    assert bench.rig.stamps == [1]


def test_a_bug_in_the_thread_ends_the_activation_with_its_traceback(bench):
    """Plans are withdrawn, the reason stays in every report, and somebody is told once."""
    bench.show(1)
    epoch = bench.rig.session.epoch
    bench.problem = KeyError('a bug')
    bench.show(2)
    assert bench.worker.join(PATIENCE_S)
    assert len(bench.ended) == 1
    assert 'KeyError' in bench.ended[0]
    assert 'Traceback' in bench.ended[0]
    report = bench.worker.report()
    assert (report.state, report.reason.code) == (PlanState.FAULT, Code.PLANNER_FAILED)
    assert report.epoch == epoch + 1


def test_an_engine_that_is_given_up_ends_the_activation(bench):
    """With the reason of the loop, and in the last report, too."""
    bench.rig.loop.broken = Reason(Code.ENGINE_FAILED, 'CUDA error; giving up')
    bench.show(1)
    assert bench.worker.join(PATIENCE_S)
    assert bench.ended == ['CUDA error; giving up']
    assert bench.worker.close().reason.code is Code.ENGINE_FAILED


def test_the_end_of_a_closed_worker_is_nobodys_business(bench):
    """A thread that hung and then dies does not take down the next activation."""
    bench.hang.clear()
    bench.show(1)
    bench.problem = RuntimeError('too late')
    bench.worker.close()
    bench.hang.set()
    assert bench.worker.join(PATIENCE_S)
    assert bench.ended == []


def test_preparing_another_engine_is_not_stuck(bench):
    """It takes long, and the report says what is going on."""
    bench.hang.clear()
    bench.show(1)
    bench.rig.loop.recovering = True
    bench.now_s += 60.0
    assert not bench.worker.trouble()
    bench.rig.loop.recovering = False
    assert bench.worker.trouble()


def test_a_worker_can_be_closed_before_anything_came(bench):
    """Deactivated at once."""
    assert bench.worker.close().reason.code is Code.INACTIVE
    assert bench.worker.join(PATIENCE_S)
    assert bench.taken == []
