"""What is asked of the planner, with a policy that plans in a known way and clocks set by hand."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import EngineFailure, NotFinite, PlanningError  # noqa: E402
from lewm_model.images.view import CameraView, View  # noqa: E402
from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_ros.planner.answers import Answers  # noqa: E402
from lewm_ros.planner.questions import MOST, PATIENCE_S, Questions  # noqa: E402
from lewm_ros.srv import EncodeImage, PlanOnce  # noqa: E402
from lewm_ros.wire.goals import picture_goal_to_msg  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reasons import Code, Reason  # noqa: E402
from lewm_ros.wire.reports import CommandState  # noqa: E402
from lewm_ros.wire.robot_interface import RobotInterface  # noqa: E402
from lewm_ros.wire.sight import Sight  # noqa: E402
import numpy as np  # noqa: E402
from plan_rig import ARM, PICTURE, Rig, ROWS, STEP_NS  # noqa: E402
from ros_helpers import code_name  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

POSITIONS = 'joint_trajectory_arm'


class Desk(Rig):
    """A loop that is asked."""

    def __init__(self, robot=ARM, **settings) -> None:
        super().__init__(robot, **settings)
        self.questions = Questions(steady_s=lambda: self.now_ns / 1e9)
        self.said: list[tuple] = []
        self.told: list = []
        self.answers = Answers(
            self.questions, self.loop, self.session, robot=self.robot,
            interface=RobotInterface(robot), sight=Sight(robot, len(PICTURE), None),
            max_age_s=lambda: 0.25, now_ns=lambda: self.now_ns,
            say=lambda *what: self.said.append(what), steady_s=lambda: self.now_ns / 1e9)

    def ask(self, kind=PlanOnce, **fields) -> Reason:
        """Leave a question; return why it is refused."""
        return self.questions.ask(kind, kind.Request(**fields), self.told.append)

    def answer(self, kind=PlanOnce, **fields):
        """Ask, and let the thread answer at once."""
        assert not self.ask(kind, **fields)
        assert self.answers.ready()
        self.answers.work()
        self.questions.hand_over(Reason())
        return self.told.pop()

    def state(self) -> tuple:
        """Return what a question must not change."""
        policy = self.policy
        return (policy.goal, policy.last_plan, list(policy.seen), self.loop._schedule.chunk,
                self.session.epoch, self.report, self.loop.latency.quantile_s(0.95),
                len(self.published))


@pytest.fixture
def desk() -> Desk:
    made = Desk().goal('mug')
    made.frames(1, 1)
    return made


def test_questions_beyond_a_few_are_refused_until_one_was_answered():
    """A stranger who asks without end costs the memory of a few pictures."""
    desk = Desk()
    assert not any(desk.ask() for _ in range(MOST))
    refusal = desk.ask()
    assert refusal.code is Code.BUSY
    assert 'the planner is busy: 4 questions are waiting' in refusal.text
    desk.answers.work()
    assert desk.ask().code is Code.BUSY
    desk.questions.hand_over(Reason())
    assert len(desk.told) == 1
    assert not desk.ask()


def test_who_waits_too_long_is_told_what_the_planner_does():
    """Not one that is being answered."""
    desk = Desk()
    desk.ask()
    desk.ask()
    desk.questions.first().begun = True
    desk.now_ns = round(PATIENCE_S * 1e9)
    desk.questions.hand_over(Reason(), desk.answers.why_not)
    assert desk.told == []
    desk.now_ns += 1
    desk.questions.hand_over(Reason(), desk.answers.why_not)
    told, = desk.told
    assert 'no time for it in 5 s: a plan takes 0.10 s, and those that the robot' in told.message
    assert code_name(told) == 'BUSY'


def test_trouble_answers_everybody_once_and_ends_a_search(desk):
    """Whatever the thread finds out later."""
    during = []

    def search() -> None:
        desk.questions.hand_over(Reason(Code.PLANNER_STUCK, 'it hangs'))
        desk.policy.on_progress()
        during.append('not reached')

    desk.policy.during_plan = search
    desk.ask()
    desk.ask(EncodeImage)
    desk.answers.work()
    desk.questions.hand_over(Reason())
    assert [(answer.success, code_name(answer), answer.message) for answer in desk.told] == [
        (False, 'PLANNER_STUCK', 'it hangs')] * 2
    assert during == [] and desk.questions.first() is None


def test_a_plan_of_now_changes_nothing(desk):
    """It starts at the newest frame, has no session and nothing committed; the robot drives on."""
    desk.frames(2, 2)
    before = desk.state()
    answer = desk.answer()
    assert answer.success and (code_name(answer), answer.message) == ('OK', '')
    chunk = answer.chunk
    assert (chunk.session, chunk.epoch, chunk.seq, chunk.committed_steps) == (0, 0, 0, 0)
    assert chunk.names == list(ARM.joint_names)
    assert (chunk.horizon, chunk.model_id) == (ROWS, 'm')
    assert chunk.header.stamp.nanosec == 2 * STEP_NS
    assert (answer.start_cost, answer.final_cost) == (2.0, 1.0)
    assert desk.state() == before


def test_a_goal_that_is_sent_along_is_used_for_this_answer_only(desk):
    """The one in force stays; also if there is none."""
    seen = []
    plan = type(desk.policy).plan
    goal = picture_goal_to_msg(PICTURE + 9, stamp_ns=0, goal_id='cup')
    type(desk.policy).plan = lambda self, *args, **kinds: (seen.append(self.goal.goal_id),
                                                           plan(self, *args, **kinds))[1]
    try:
        before = desk.state()
        assert desk.answer(goal=goal).success
        assert desk.answer().success
        assert desk.state() == before
        desk.loop.clear_goal()
        assert desk.answer(goal=goal).success
        refused = desk.answer()
    finally:
        type(desk.policy).plan = plan
    assert seen == ['cup', 'mug', 'cup']
    assert 'no goal is in force, and the request has none' in refused.message
    assert code_name(refused) == 'NO_GOAL'
    goal.sha256[0] ^= 1
    refused = desk.answer(goal=goal)
    assert 'do not match their SHA-256' in refused.message
    assert code_name(refused) == 'GOAL_REFUSED'
    goal.goal_id = 'x' * 300
    assert code_name(desk.answer(goal=goal)) == 'BAD_ARGUMENT'


def test_a_picture_that_is_sent_along_stands_for_the_frame():
    """Its plan begins now, and the camera may be dead."""
    desk = Desk().goal()
    desk.now_ns = 7 * STEP_NS
    refused = desk.answer()
    assert 'no camera frame has been looked at yet' in refused.message
    assert code_name(refused) == 'NO_FRAME'
    answer = desk.answer(image=rgb_to_image(PICTURE, 0))
    assert answer.success
    assert answer.chunk.header.stamp.nanosec == 7 * STEP_NS
    assert desk.policy.seen == []


@pytest.mark.parametrize(('image', 'words', 'code'), [
    (Image(width=4, height=4, encoding='rgb8', step=12), 'the picture cannot be read',
     'FRAME_UNREADABLE'),
    (Image(width=4, height=4, encoding='smell'), 'smell', 'FRAME_UNREADABLE'),
    (Image(width=2 ** 31, height=2 ** 31, encoding='rgb8', step=3), 'the picture cannot be read',
     'FRAME_UNREADABLE'),
    (rgb_to_image(np.zeros((4, 40, 3), np.uint8), 0), 'the picture does not fit',
     'FRAME_MISFIT')])
@pytest.mark.parametrize('kind', [PlanOnce, EncodeImage])
def test_a_picture_that_cannot_be_is_refused_with_words(desk, kind, image, words, code):
    """Of another encoding or shape, or cut short."""
    desk.answers._sight = Sight(ARM, 4, View(4, (CameraView(4, 4),)))
    answer = desk.answer(kind, image=image)
    assert not answer.success and words in answer.message
    assert code_name(answer) == code
    assert desk.said[-1][0] == 'question'


def test_an_old_or_troubled_frame_is_not_answered_from(desk):
    """The reason is that of the camera."""
    desk.now_ns += 3 * 10 ** 9
    for kind in (PlanOnce, EncodeImage):
        answer = desk.answer(kind)
        assert 'the camera frame is 3.0' in answer.message and code_name(answer) == 'FRAME_STALE'
    desk.now_ns -= 3 * 10 ** 9
    for code in (Code.FRAME_FROZEN, Code.FRAME_FUTURE, Code.FRAME_MISFIT, Code.FRAME_UNREADABLE):
        desk.session.see(Reason(code, 'the same picture'))
        for kind in (PlanOnce, EncodeImage):
            answer = desk.answer(kind)
            assert answer.message == 'no usable camera frame: the same picture'
            assert code_name(answer) == code.name
    assert desk.answer(EncodeImage, image=rgb_to_image(PICTURE, 5)).success


def test_latents_of_pictures_and_of_the_newest_frame(desk):
    """With the stamp of what was encoded."""
    newest = desk.answer(EncodeImage)
    assert newest.success and newest.latent.latent.tolist() == [STEP_NS, 0.0]
    assert newest.latent.header.stamp.nanosec == STEP_NS
    sent = desk.answer(EncodeImage, image=rgb_to_image(PICTURE + 7, 123, 'camera'))
    assert sent.latent.latent.tolist() == [7.0, 1.0]
    assert (sent.latent.header.stamp.nanosec, sent.latent.header.frame_id) == (123, 'camera')
    assert sent.latent.model_id == 'm'


@pytest.mark.parametrize(('problem', 'code'), [
    (EngineFailure('CUDA error'), 'ENGINE_FAILED'), (NotFinite('no number'), 'PLAN_INVALID'),
    (PlanningError('no context'), 'PLANNER_FAILED'), (KeyError('a bug'), 'INTERNAL')])
def test_whatever_goes_wrong_is_the_answer_and_the_robot_drives_on(desk, problem, code):
    """It is no failure of planning, and is not retried."""
    before = desk.state()
    desk.policy.problems['plan'] = problem
    answer = desk.answer()
    assert not answer.success and str(problem) in answer.message
    assert code_name(answer) == code
    desk.policy.problems.clear()
    assert desk.state() == before and not desk.loop.broken


def test_an_arm_must_know_where_it_stands():
    """For positions, rest is where the robot is."""
    desk = Desk(RobotDescription.from_yaml(POSITIONS)).goal()
    desk.now_ns = STEP_NS
    answer = desk.answer(image=rgb_to_image(PICTURE, 0))
    assert not answer.success and 'it is not known where the robot stands' in answer.message
    assert code_name(answer) == 'NO_ROBOT_STATE'


def test_there_is_time_until_the_next_plan_is_due(desk):
    """Of 20 rows 5 are followed; a step is reserved twice, so after 18 rows nothing may wait."""
    assert desk.loop.can_spare(0.89)         # a plan was just made, of step 1
    assert not desk.loop.can_spare(0.91)
    desk.frames(2, 3)                        # row 2: three steps are left
    assert desk.loop.can_spare(0.149) and not desk.loop.can_spare(0.151)
    desk.loop.robot_enabled()
    assert not desk.loop.can_spare(0.0)      # a plan is wanted with the next frame
    desk.controller(CommandState.DISABLED)
    assert desk.loop.can_spare(60.0)         # nobody follows


def test_without_anything_in_force_there_is_time():
    """No goal, a dry run, or rows that ran out because no frame came."""
    desk = Desk()
    desk.frames(1, 1)
    assert desk.loop.can_spare(60.0)
    desk = Desk(dry_run=True).goal()
    desk.frames(1, 1)
    assert desk.loop.can_spare(60.0)
    desk = Desk().goal()
    desk.frames(1, 1)
    desk.now_ns += 18 * STEP_NS
    assert not desk.loop.can_spare(0.001)
    desk.now_ns += 10 * STEP_NS              # they are over: the next plan is late, and comes
    assert not desk.loop.can_spare(0.001) and desk.loop.must_plan()
    desk.controller(CommandState.STOPPED)    # for want of a plan
    assert not desk.loop.can_spare(0.001)
    desk.now_ns += 13 * STEP_NS
    assert desk.loop.can_spare(60.0)


def test_a_search_makes_way_before_the_plan_in_force_runs_out(desk):
    """It ends at row 18 of 20, says so, and the next frame is planned on."""
    def search() -> None:
        for _ in range(20):
            desk.now_ns += STEP_NS
            desk.policy.on_progress()

    desk.policy.during_plan = search
    before = len(desk.published)
    answer = desk.answer()
    assert not answer.success and 'made way for the next one; ask again' in answer.message
    assert code_name(answer) == 'BUSY'
    assert desk.now_ns == 19 * STEP_NS
    desk.policy.during_plan = lambda: None
    desk.frames(19, 19)
    assert len(desk.published) == before + 1


def test_a_frame_that_waited_for_an_answer_is_looked_at_and_the_next_one_is_planned_on(desk):
    """So the wait is no latency and no deadline missed; meanwhile no other question begins."""
    before = desk.loop.latency.quantile_s(0.95)
    desk.now_ns = 7 * STEP_NS + STEP_NS // 2
    desk.frame(7 * STEP_NS, waited=True)
    assert desk.stamps == [1] and desk.policy.seen[-1] == 7 * STEP_NS
    assert not desk.loop.can_spare(0.0)
    desk.frames(8, 8)
    assert desk.stamps == [1, 8]
    assert desk.loop.latency.quantile_s(0.95) == before
    assert desk.report.deadline_misses == 0
    desk.now_ns = 9 * STEP_NS
    desk.frame(9 * STEP_NS, waited=True)     # nothing was due: nothing is owed
    assert desk.loop.can_spare(0.0)


def test_no_question_is_begun_while_a_goal_waits(desk):
    """A plan is due with the next frame; after it there is time."""
    desk.goal('cup')
    assert not desk.ask() and not desk.answers.ready()
    desk.frames(2, 2)
    assert desk.report.goal_id == 'cup' and desk.stamps[-1] == 2
    assert desk.answers.ready()
