"""A planner and a command node in one object, for going to goals; no ROS runs."""

from dataclasses import replace

from lewm_ros.goals.reaching.reach import Reach, ReachLimits
from lewm_ros.wire.reaching import (
    Ending,
    ReachOrder,
    Target,
)
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import (
    CommandState,
    ControllerReport,
    PlanReport,
    PlanState,
)

STEP_S = 0.05
DOOR = Target('door')
LIMITS = ReachLimits(no_progress_s=2.0, silence_s=1.5, trouble_s=1.0, stop_s=1.0, rest_s=0.0,
                     find_s=0.5)
DISABLED = CommandState.DISABLED


class World:
    """A planner and a command node that speak every 50 ms, until told otherwise."""

    def __init__(self, *targets: Target, **order) -> None:
        self.now_s = 100.0
        self.plan = PlanReport(stamp_ns=0, session=7, epoch=0, state=PlanState.PLANNING,
                               goal_distance=1.0, goal_tolerance=0.1, plan_ms=20.0,
                               total_ms=30.0, surprise=1.5)
        self.controller = ControllerReport(stamp_ns=0, state=CommandState.TRACKING,
                                           at_rest=False, session=7)
        self.speaks = {'planner', 'command'}
        self.obeys = True       # the planner does what the goal topic says
        self.reach = Reach(targets or (DOOR,), ReachOrder(**order), LIMITS, now_ns=self.now_ns,
                           steady_s=self.now_s)
        self.targets = targets or (DOOR,)

    @property
    def now_ns(self) -> int:
        return round(self.now_s * 1e9)

    @property
    def ending(self) -> Ending | None:
        return None if self.reach.result is None else self.reach.result.ending

    def step(self, **plan) -> None:
        """Let one frame pass; fields of the planner's report may change with it."""
        self.now_s += STEP_S
        self.plan = replace(self.plan, frame_stamp_ns=self.now_ns, **plan)
        if self.obeys and self.reach.result is None:
            if self.reach.wanted is None:
                self.plan = replace(self.plan, state=PlanState.NO_GOAL, goal_id='')
                self.controller = replace(self.controller, state=CommandState.STOPPED,
                                          at_rest=True) if (
                    self.controller.state in (CommandState.TRACKING, CommandState.HOLD)
                ) else self.controller
            else:
                self.plan = replace(self.plan, goal_id=self.targets[self.reach.wanted].goal_id)
        now = (self.now_ns, self.now_s)
        if 'planner' in self.speaks:
            self.reach.hear_plan(self.plan, *now)
        if 'command' in self.speaks:
            self.reach.hear_controller(self.controller, *now)
        self.reach.tick(*now)

    def run(self, seconds: float, **plan) -> float:
        """Let time pass until it ends; return how long that took."""
        begun_s = self.now_s
        while self.now_s - begun_s < seconds - 1e-6 and self.reach.result is None:
            self.step(**plan)
        return self.now_s - begun_s

    def controls(self, state: CommandState, code: Code = Code.OK, text: str = '', **values):
        self.controller = replace(self.controller, state=state, reason=Reason(code, text),
                                  at_rest=True, **values)
