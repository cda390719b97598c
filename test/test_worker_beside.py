"""What the planner thread does between two frames: in turns, watched, and frames know of it."""

import threading
import time

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.planner.glance import Look  # noqa: E402
from lewm_ros.planner.worker import Worker  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from plan_rig import Rig  # noqa: E402

LIMIT_S, PATIENCE_S = 0.25, 10.0


class Bench:
    """A worker whose frames and questions take until they are let go, one step at a time."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.rig = Rig().goal()
        self.done: list = []            # 'question', or the inbox of a frame
        self.questions = 0
        self.began, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.worker = Worker(
            self.rig.loop, self.rig.session, self.handle, stuck_limit_s=lambda: LIMIT_S,
            hung_limit_s=lambda: 0.1, give_up=self.done.append, beside=self,
            steady_s=lambda: self.now_s)
        self.worker.start()

    def ready(self) -> bool:
        return self.questions > 0

    def work(self) -> None:
        self.questions -= 1
        self._take('question')

    def handle(self, inbox) -> None:
        self._take(inbox)

    def _take(self, what) -> None:
        self.began.release()
        assert self.go.acquire(timeout=PATIENCE_S)
        self.done.append(what)

    def ask(self) -> None:
        """Leave a question."""
        self.questions += 1
        self.worker.wake()

    def begun(self) -> None:
        """Wait until the thread has begun with the next thing."""
        assert self.began.acquire(timeout=PATIENCE_S)

    def idle(self) -> None:
        """Wait until the thread waits."""
        while self.worker._busy_since_s is not None:
            time.sleep(0.001)

    def end(self) -> None:
        """Let it end what it does."""
        self.go.release()


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.questions = 0
    made.worker.close()
    for _ in range(10):
        made.end()
    assert made.worker.join(PATIENCE_S)


def test_a_question_is_answered_at_once_where_there_is_nothing_else_to_do(bench):
    """No frame has to come."""
    bench.ask()
    bench.begun()
    bench.end()
    bench.idle()
    bench.worker.put(look=Look(None))
    bench.begun()
    bench.end()
    bench.ask()
    bench.begun()
    assert bench.done[0] == 'question' and not bench.done[1].look.waited


def test_a_frame_that_came_meanwhile_knows_that_it_waited(bench):
    """The next one does not."""
    bench.ask()
    bench.begun()
    for _ in range(2):
        bench.worker.put(look=Look(None))
    bench.end()
    bench.begun()
    bench.worker.put(look=Look(None))
    bench.end()
    bench.begun()
    bench.end()
    bench.ask()
    bench.begun()
    assert [one.look.waited for one in bench.done[1:]] == [True, False]


def test_frames_and_questions_take_turns_and_goals_come_first(bench):
    """Neither frames nor questions without end keep the other away."""
    bench.worker.put(look=Look(None))
    bench.begun()
    bench.questions = 3
    for _ in range(2):
        bench.worker.put(look=Look(None))
        bench.end()            # the frame
        bench.begun()
        bench.end()            # a question, though a frame waits
        bench.begun()
    bench.worker.put(look=Look(None), goal='a goal')
    bench.end()
    bench.begun()
    bench.end()                # the goal is not kept waiting by the third question
    bench.begun()
    kinds = ['question' if one == 'question' else one.goal for one in bench.done]
    assert kinds == [None, 'question', None, 'question', None, 'a goal']


def test_a_question_hangs_when_the_model_does_not_answer_for_as_long_as_a_frame_may_take(bench):
    """Not when the search is long; then plans are withdrawn as for a frame."""
    epoch = bench.rig.session.epoch
    bench.ask()
    bench.begun()
    for _ in range(5):
        bench.now_s += 0.24
        assert not bench.worker.became_stuck()
        bench.rig.loop.progress_s = bench.now_s
    bench.now_s += 0.26
    assert bench.worker.became_stuck()
    report = bench.worker.report()
    assert report.reason.code is Code.PLANNER_STUCK
    assert ('at a question for 1.46 s, without an answer of the model for 0.26 s, allowed are '
            '0.25 s' in report.reason.text)
    assert report.epoch == epoch + 1
    bench.end()
    bench.worker.put(look=Look(None))
    bench.begun()
    assert not bench.worker.trouble()
