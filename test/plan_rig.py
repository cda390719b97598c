"""A plan loop with a policy that plans in a known way and clocks that are set by hand."""

from __future__ import annotations

import copy
from types import SimpleNamespace

from lewm_model.robots.robot import RobotDescription
from lewm_model.types import ActionChunk, Observation
from lewm_ros.planner.loop.latency import Latency
from lewm_ros.planner.loop.plan_loop import LoopSettings, PlanLoop
from lewm_ros.planner.loop.robot_side import RobotSide
from lewm_ros.planner.loop.session import Session
from lewm_ros.wire.reports import CommandState, ControllerReport, GoalKind, GoalRequest
import numpy as np
from sensor_msgs.msg import JointState
import torch

STEP_NS = 50_000_000
ROWS = 20
PICTURE = np.zeros((4, 4, 3), np.uint8)
ARM = RobotDescription.from_yaml('sim_reacher')


class FakePolicy:
    """Row k of plan n is (n, k) after the committed rows; solving takes `solve_ns`.

    Attributes:
        problems: Errors to raise, by the method that raises them; `plan` pops a list of them.
    """

    def __init__(self, clock, backend='fake') -> None:
        self._latent = None
        self.bundle = SimpleNamespace(control_dt_s=0.05, action_names=('a', 'b'), model_id='m')
        self.config = SimpleNamespace(num_candidates=7, budget_ms=None)
        self.backend = backend
        self.goal = None
        self.goal_distance, self.goal_errors = 5.0, ()
        self.last_plan = None
        self.solve_ns = 0
        self.problems: dict[str, Exception] = {}
        self.during_plan = self.on_progress = lambda: None
        self.seen: list[int] = []
        self.rest = None
        self.budget_ms = None
        self._clock = clock
        self._sequence = 0

    def _may_fail(self, name: str) -> None:
        if name in self.problems:
            raise self.problems[name]

    def set_goal_image(self, rgb, goal_id='', source='image') -> None:
        self._may_fail('set_goal_image')
        self.goal = SimpleNamespace(goal_id=goal_id, image=rgb, source=source, target=None)

    def set_goal(self, goal) -> None:
        self.goal = goal

    def clear_goal(self) -> None:
        self.goal = None

    def set_budget_ms(self, budget_ms) -> None:
        self.budget_ms = budget_ms

    def reset(self) -> None:
        self.seen.clear()
        self.goal = None

    def executed(self, stamp_ns, action) -> None:
        """Ignore what the robot was told."""

    def observe(self, observation) -> None:
        self._may_fail('observe')
        self.seen.append(observation.stamp_ns)

    def aside(self):
        other = copy.copy(self)
        other.seen = list(self.seen)
        return other

    @property
    def newest_stamp_ns(self):
        return self.seen[-1] if self.seen else None

    @property
    def newest_latent(self):
        """What was set, else a latent that tells the stamp."""
        return (torch.tensor([float(self.newest_stamp_ns), 0.0]) if self._latent is None
                else self._latent)

    @newest_latent.setter
    def newest_latent(self, latent) -> None:
        self._latent = latent

    def encode_all(self, frames):
        self._may_fail('encode_all')
        return [torch.tensor([float(frame.mean()), 1.0]) for frame in frames]

    def plan(self, now_ns, committed=None, rest=None) -> ActionChunk:
        self._may_fail('plan')
        self.during_plan()
        self.rest = rest
        self._clock.now_ns += self.solve_ns
        self._sequence += 1
        actions = np.array([(self._sequence, k) for k in range(ROWS)], np.float32)
        if committed is not None:
            actions[:len(committed)] = committed
        self.last_plan = SimpleNamespace(cost=1.0, start_cost=2.0, elite_std=0.5, iterations=3)
        return ActionChunk(self.seen[-1], 0.05, actions, 0, self._sequence, self.seen[-1])


class Rig:
    """A loop, its clock and what it published."""

    def __init__(self, robot: RobotDescription = ARM, fall_back=None, **settings) -> None:
        self.now_ns = 0
        self.policy = FakePolicy(self)
        self.published: list[tuple[ActionChunk, int]] = []
        self.session = Session(lambda chunk, steps, _: self.published.append((chunk, steps)))
        self.robot = RobotSide(robot)
        self.loop = PlanLoop(
            self.policy, LoopSettings(**{'replan_steps': 5, 'goal_tolerance': 1.0,
                                         'goal_dwell_s': 0.1, **settings}),
            session=self.session, robot=self.robot,
            latency=Latency(dt_s=0.05, max_steps=10, margin_s=0.0, first_s=0.1),
            now_ns=lambda: self.now_ns, fall_back=fall_back, steady_s=lambda: self.now_ns / 1e9)

    def goal(self, goal_id: str = 'g', tolerance: float = 0.0) -> Rig:
        """Ask for a picture."""
        self.loop.set_goal(GoalRequest(GoalKind.PICTURE, 0, goal_id, rgb=PICTURE,
                                       tolerance=tolerance))
        return self

    def frame(self, stamp_ns: int, **options) -> None:
        """Show a frame at once."""
        self.loop.step(Observation(stamp_ns, PICTURE), **options)

    def frames(self, first: int, last: int, delay_ns: int = 0) -> None:
        """Show the frames of these control steps, both included, each as soon as it is taken."""
        for step in range(first, last + 1):
            self.now_ns = max(self.now_ns, step * STEP_NS + delay_ns)
            self.frame(step * STEP_NS)

    def controller(self, state: CommandState, **values) -> None:
        """Let the command node say how it is."""
        report = ControllerReport(stamp_ns=self.now_ns, state=state, **{
            'session': self.session.number, **values})
        if self.robot.controller(report, self.now_ns / 1e9):
            self.loop.robot_enabled()

    def joints(self, **positions: float) -> None:
        """Measure the joints now."""
        self.robot.measured(JointState(name=list(positions), position=list(positions.values())),
                            self.now_ns / 1e9)

    @property
    def report(self):
        """What the loop says."""
        return self.loop.report

    @property
    def stamps(self) -> list[int]:
        """Control steps that were planned on."""
        return [chunk.stamp_ns // STEP_NS for chunk, _ in self.published]
