"""Answers to questions, in the planner thread between two frames.

A question uses the policy that drives, but nothing of it is remembered there: the plan in force,
its goal and its history stay as they are. It waits until there is time, and makes way for frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import time
import traceback
from typing import Any

from lewm_model.errors import EngineFailure, Interrupted, LewmError
from lewm_model.planning.policy import Policy
from lewm_model.types import Observation
from lewm_ros.msg import Goal
from lewm_ros.planner.loop.failures import code_of
from lewm_ros.planner.loop.goal_given import give
from lewm_ros.planner.loop.plan_loop import PlanLoop
from lewm_ros.planner.loop.robot_side import RobotSide
from lewm_ros.planner.loop.schedule import check_age
from lewm_ros.planner.loop.session import Session
from lewm_ros.planner.questions import Question, Questions
from lewm_ros.srv import EncodeImage, PlanOnce
from lewm_ros.wire.checks import MessageError
from lewm_ros.wire.goals import msg_to_goal
from lewm_ros.wire.questions import (
    encoded,
    latent_of_picture_to_msg,
    latent_to_msg,
    picture_of,
    planned,
)
from lewm_ros.wire.reasons import Code, Reason, ReasonedError
from lewm_ros.wire.refusals import reason_to_refuse, refuse
from lewm_ros.wire.reports import GoalKind
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.sight import Sight
import numpy as np


class Answers:
    """Answers one question at a time; see `worker.SideWork`.

    Args:
        questions: Where they wait.
        loop: Its policy is asked.
        session: Knows what is wrong with the camera.
        robot: Knows where it stands.
        interface: Of the robot.
        sight: Makes what the model sees of pictures.
        max_age_s: How old a camera frame may be to be planned on [s].
        now_ns: The node clock.
        say: Logs a text under a key, perhaps at a level; once a second for each key.
        steady_s: The clock of `robot`.
    """

    def __init__(self, questions: Questions, loop: PlanLoop, session: Session, *,
                 robot: RobotSide, interface: RobotInterface, sight: Sight,
                 max_age_s: Callable[[], float], now_ns: Callable[[], int],
                 say: Callable[..., None],
                 steady_s: Callable[[], float] = time.monotonic) -> None:
        self._questions, self._loop, self._session = questions, loop, session
        self._robot, self._interface, self._sight = robot, interface, sight
        self._max_age_s, self._now_ns, self._steady_s = max_age_s, now_ns, steady_s
        self._say = say
        self._kinds = {PlanOnce: self._plan, EncodeImage: self._encode}

    def ready(self) -> bool:
        """Tell whether somebody asks, and there is time for an answer."""
        question = self._questions.first()
        return question is not None and self._loop.can_spare(self._seconds(question))

    def why_not(self) -> str:
        """Say why nobody has time for a question; for any thread."""
        if self._loop.recovering:
            return self._loop.report.reason.text
        return (f'a plan takes {self._loop.latency.quantile_s(0.95):.2f} s, and those that the '
                f'robot follows leave too little time; ask again, or while it stands disabled')

    def work(self) -> None:
        """Answer the oldest question; whatever goes wrong is its answer."""
        question = self._questions.first()
        if question is None:
            return
        question.begun = True
        self._loop.policy.on_progress = lambda: self._on_progress(question)
        try:
            answer = self._kinds[question.kind](question.request)
        except LewmError as error:
            answer = self._refusal(question, _why(error))
        except Exception as error:   # a bug here is no reason for the robot to stop
            answer = self._refusal(question, Reason(
                Code.INTERNAL, f'{type(error).__name__}: {error}'))
            self._say('question', ''.join(traceback.format_exception(error)), 'error')
        self._questions.answer(question, answer)

    def _seconds(self, question: Question) -> float:
        """Return how long an answer usually takes [s]."""
        pictures = self._loop.looking.quantile_s(0.95)
        if question.kind is EncodeImage:
            return pictures if picture_of(question.request) is not None else 0.0
        return self._loop.latency.quantile_s(0.95) + pictures

    def _on_progress(self, question: Question) -> None:
        self._loop.progress_s = self._steady_s()
        if question.answer is not None:
            raise Interrupted('nobody waits for the answer any more')
        if self._loop.must_plan():
            raise Interrupted('the plan that the robot follows came to its end, so the search '
                              'made way for the next one; ask again')

    def _plan(self, request: PlanOnce.Request) -> PlanOnce.Response:
        started_s, policy, image = time.perf_counter(), self._loop.policy.aside(), picture_of(
            request)
        rgb = None if image is None else self._sight.picture(image)
        seen = self._give(policy, request.goal, rgb)
        if image is None:
            self._check_newest(policy)
        else:
            wanted = policy.goal
            policy.reset()               # what was seen and done before is another scene's
            policy.set_goal(wanted)
            policy.observe(Observation(self._now_ns(), rgb))
        rest = self._robot.rest(self._steady_s()) if self._robot.holds_position else None
        chunk, plan = policy.plan(self._now_ns(), rest=rest), policy.last_plan
        if not np.isfinite(chunk.actions).all():
            raise ReasonedError(Code.PLAN_INVALID, 'the plan has actions that are not finite')
        return planned(
            replace(chunk, session=0, epoch=0, sequence=0), names=self._interface.names,
            interface=self._interface.code, start_cost=plan.start_cost, final_cost=plan.cost,
            plan_time_s=time.perf_counter() - started_s, model_id=policy.bundle.model_id,
            note='; '.join(filter(None, (seen, getattr(policy.goal.target, 'note', '')))))

    def _give(self, policy: Policy, message: Goal, rgb: np.ndarray | None) -> str:
        """Make the goal of a request the policy's; say what was corrected in its picture."""
        beside, seen = self._loop.goal_sight, ''
        try:
            goal = msg_to_goal(message)
            if goal.rgb is not None:
                goal, seen = beside.alike(replace(goal, rgb=self._sight.goal(goal.rgb)),
                                          beside.newest if rgb is None else rgb)
            if goal.kind is not GoalKind.NONE:
                give(policy, goal)
        except (EngineFailure, Interrupted, MessageError):
            raise
        except LewmError as error:
            raise ReasonedError(Code.GOAL_REFUSED, str(error)) from error
        if policy.goal is None:
            raise ReasonedError(Code.NO_GOAL, 'no goal is in force, and the request has none; '
                                              'set one with goal_node, or send one')
        return seen

    def _encode(self, request: EncodeImage.Request) -> EncodeImage.Response:
        policy, image = self._loop.policy, picture_of(request)
        model_id = policy.bundle.model_id
        if image is None:
            self._check_newest(policy)
            return encoded(latent_to_msg(
                policy.newest_latent.float().cpu().numpy(), stamp_ns=policy.newest_stamp_ns,
                model_id=model_id))
        latent, = policy.encode_all([self._sight.picture(image)])
        return encoded(latent_of_picture_to_msg(latent.float().cpu().numpy(), image,
                                                model_id=model_id))

    def _check_newest(self, policy: Policy) -> None:
        """Refuse to answer from a frame that does not show the present."""
        if trouble := self._session.trouble:
            raise ReasonedError(trouble.code, f'no usable camera frame: {trouble.text}')
        if policy.newest_stamp_ns is None:
            raise ReasonedError(Code.NO_FRAME, 'no camera frame has been looked at yet; is the '
                                               'camera running? Else send a picture')
        # it may be the one that a plan was just made on, and the next one waits for its end
        check_age(policy.newest_stamp_ns, self._now_ns(), max_future_s=float('inf'),
                  max_age_s=self._max_age_s() + 2 * self._loop.latency.quantile_s(0.95))

    def _refusal(self, question: Question, why: Reason) -> Any:
        self._say('question', f'a question is not answered: {why}')
        return refuse(question.kind.Response(), why)


def _why(error: LewmError) -> Reason:
    """Return why a question is not answered."""
    if isinstance(error, Interrupted):
        return Reason(Code.BUSY, str(error))
    if isinstance(error, EngineFailure):
        return Reason(code_of(error), str(error))
    return reason_to_refuse(error, Code.PLANNER_FAILED)
