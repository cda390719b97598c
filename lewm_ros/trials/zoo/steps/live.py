"""The live half of a walk: shadow mode, enable, drive, stop, e-stop, killed planner and commander.

One driver runs all the while; our nodes are started, killed and started again beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
import time

from lewm_ros.msg import GoalSpec
from lewm_ros.srv import SetGoal
from lewm_ros.trials.zoo.results import rest
from lewm_ros.trials.zoo.results.rows import Rows
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.steps.ears import Ears, TrialError
from lewm_ros.trials.zoo.steps.lengths import Lengths
from lewm_ros.trials.zoo.steps.processes import Nodes
from lewm_ros.trials.zoo.strangers import second_source
from lewm_ros.wire.reports import CommandState, PlanState
import numpy as np
from std_srvs.srv import SetBool, Trigger

_PLANS = (PlanState.PLANNING, PlanState.REACHED, PlanState.STALLED)   # what plans say
_ANSWERED = 0.95         # of the frames that the driver sent
_UNDER_WAY = 1          # frame that was sent in time and is answered a moment later
_SECOND_SOURCE_S = 4.0
_GUARD_S = 0.3          # a killed command node: somebody says the last word within this
_PLANS_S = 40.0
_FIRST_S = 20.0
_AGAIN_S = 10.0         # from the request to motion
_SLACK = 1.02           # of a slew step: float32, and the clocks of two processes
_JUMP = 1.1             # of the first step: the robot is measured a moment before


class Live:
    """One robot with its nodes, and the rows that come of it."""

    def __init__(self, robot: ZooRobot, ears: Ears, nodes: Nodes, rows: Rows, goal: Path,
                 lengths: Lengths, others: Sequence[Live] = ()) -> None:
        self.robot, self.ears, self.nodes, self.rows = robot, ears, nodes, rows
        self._goal, self._lengths = goal, lengths
        self._pace = robot.pace
        self._limit_s = rest.stop_limit_s(robot.control_dt_s) / self._pace
        self._begin_s = time.monotonic()   # of the present step
        self._others = others     # in other namespaces: what happens here must not reach them

    def take(self, step: str) -> None:
        """Take one step; others drive on meanwhile."""
        if step == 'drive':
            for other in self._others:
                other.go()
        begin_s = self._begin_s = time.monotonic()
        getattr(self, step)()
        for other in self._others if step not in ('shadow', 'drive') else ():
            self.rows.at_least(step, 'the other robot in TRACKING, share of the time',
                               other.tracking_share(begin_s), 0.95)

    def driver_pause_s(self) -> float:
        """Return by how much the driver was late in this step, by when it told of its body."""
        gaps = np.diff([seconds for seconds, *_ in self.ears.truth if seconds > self._begin_s])
        return float(gaps.max() - np.median(gaps)) if len(gaps) else 0.0

    def go(self) -> None:
        """Drive, without judging anything."""
        self.nodes.start(dry_run=False)
        self.set_goal()
        self.wait_for_plans()
        self.enable()
        self._wait_for_motion('the other robot', _FIRST_S)

    # Steps -------------------------------------------------------------------------------------

    def shadow(self) -> None:
        """Plan and report, and command nothing, even enabled."""
        ears, rows, robot = self.ears, self.rows, self.robot
        ears.commands.clear()
        pose = ears.truth[-1][1]
        self.nodes.start(dry_run=True)
        self.set_goal()
        self.wait_for_plans()
        ears.plans.clear()
        before = ears.frames_sent
        ears.spin(self._lengths.shadow_s / robot.pace)
        sent = max(ears.frames_sent - before, 1)
        answered = len(ears.plans) + _UNDER_WAY
        rows.at_least('shadow', 'share of the frames answered',
                      round(min(answered / sent, 1.0), 3), _ANSWERED)
        self.enable()
        ears.spin(1.0)
        self.disable()
        rows.at_most('shadow', 'commands on the command topic', float(len(ears.commands)), 0.0)
        moved = float(np.abs(ears.truth[-1][1] - pose).max())
        rows.at_most('shadow', 'motion of the robot', moved, 0.01)

    def drive(self) -> None:
        """Enable, and watch it drive towards the goal."""
        ears, rows, robot = self.ears, self.rows, self.robot
        self.nodes.end('planner_node')
        self.nodes.start('planner_node', dry_run=False)
        self.wait_for_plans()
        ears.spin(0.5)
        pose = ears.truth[-1][1]
        ears.commands.clear()
        answer = self.enable()
        rows.true('drive', 'enabled', answer.success, answer.message)
        self._wait_for_motion('the first command', _FIRST_S)
        begin_s = time.monotonic()
        distance = ears.plans[-1][2]
        ears.spin(self._lengths.drive_s / self._pace)
        commands = list(ears.commands)
        rows.at_most('drive', 'first command from where the robot is',
                     rest.first_jump(robot, commands, pose), _JUMP, 'slew steps')
        rows.at_most('drive', 'past a limit', rest.past_limits(robot, commands), 1e-6)
        rows.at_most('drive', 'largest change between two commands',
                     rest.largest_step(robot, commands), _SLACK, 'slew steps')
        rows.at_least('drive', 'share of the time in TRACKING', self.tracking_share(begin_s),
                      0.95)
        travel = sum(float(np.abs(after[1] - before[1]).max()) for before, after in zip(
            list(ears.truth)[:-1], list(ears.truth)[1:], strict=True) if before[0] > begin_s)
        rows.at_least('drive', 'way that the robot went', travel, 0.02)
        rows.note('drive', 'latent distance to the goal, first and last',
                  f'{distance:.3g}, {ears.plans[-1][2]:.3g}')
        if robot.second_source:
            self._second_source()

    def stop(self) -> None:
        """`~/stop`, and again."""
        self._stopped_by('stop', lambda: self.ears.call(
            Trigger, 'command_node/stop', Trigger.Request()))
        self.again('stop')

    def e_stop(self) -> None:
        """Press it; enabling is refused until it is released; and again."""
        self._stopped_by('e_stop', lambda: self.ears.press_e_stop(True))
        refused = self.enable()
        self.rows.true('e_stop', 'enable is refused while it is pressed', not refused.success,
                       refused.message)
        self.ears.press_e_stop(False)
        self.ears.spin(0.3)
        self.again('e_stop')

    def kill_planner(self) -> None:
        """SIGKILL while it drives; a new planner goes on."""
        self._stopped_by('kill_planner', lambda: self.nodes.kill('planner_node'))
        self.nodes.start('planner_node', dry_run=False)
        self.wait_for_plans()
        self.again('kill_planner')

    def kill_command(self) -> None:
        """SIGKILL while it drives; somebody else says the last word; a new one goes on."""
        killed_s = self._stopped_by('kill_command', lambda: self.nodes.kill('command_node'),
                                    limit_s=_GUARD_S)
        last = [seconds for seconds, *_ in self.ears.commands if seconds > killed_s]
        self.rows.note('kill_command', 'words on the command topic after the kill', len(last))
        self.nodes.start('command_node')
        self.again('kill_command')

    def _second_source(self) -> None:
        """Somebody else begins to report the same joints: stopped, with both named."""
        ears, processes = self.ears, self.nodes.processes
        ears.commands.clear()
        begin_s = time.monotonic()
        processes.stranger(self.robot, 'second_source')
        ears.spin(_SECOND_SOURCE_S)
        self.rows.true('drive', 'stopped when a second source reports its joints',
                       not self.tracking, f'{self.state.name}')
        reasons = ' | '.join(dict.fromkeys(reason for seconds, _, reason in ears.controller
                                           if seconds > begin_s and reason))
        self.rows.true('drive', 'both sources are named',
                       'driver' in reasons and second_source.NAME in reasons, reasons[-300:])
        self.rows.at_most('drive', 'largest change between two commands, two sources',
                          rest.largest_step(self.robot, list(ears.commands)), _SLACK,
                          'slew steps')
        processes.end('second_source')
        ears.spin(1.0)
        self.again('drive')

    # Parts -------------------------------------------------------------------------------------

    @property
    def state(self) -> CommandState | None:
        """Newest state of the command node."""
        return CommandState(self.ears.controller[-1][1]) if self.ears.controller else None

    @property
    def tracking(self) -> bool:
        """Whether the command node follows a plan."""
        return self.state is CommandState.TRACKING

    def tracking_share(self, since_s: float) -> float:
        """Return the share of the time since then in which it followed one."""
        states = [state for seconds, state, _ in self.ears.controller if seconds > since_s]
        return round(sum(state == CommandState.TRACKING for state in states)
                     / max(len(states), 1), 3)

    def set_goal(self) -> None:
        """Make the picture that was taken earlier the goal."""
        answer = self.ears.call(SetGoal, 'goal_node/set_goal', SetGoal.Request(
            spec=GoalSpec(source=GoalSpec.FILE, uri=str(Path(self._goal).resolve()))))
        self.rows.true('shadow', 'goal accepted', answer.success, answer.message)

    def wait_for_plans(self) -> None:
        """Wait until the planner plans."""
        plans = self.ears.plans
        plans.clear()
        try:
            self.ears.wait_for(lambda: plans and plans[-1][1] in _PLANS, 'plans', _PLANS_S)
        except TrialError as error:
            raise TrialError(f'{error}: {plans[-1][3] if plans else "nothing on plan_status"}'
                             ) from error

    def enable(self):
        """Ask the command node to move."""
        return self.ears.call(SetBool, 'command_node/enable', SetBool.Request(data=True))

    def disable(self):
        """Ask the command node not to move."""
        return self.ears.call(SetBool, 'command_node/enable', SetBool.Request(data=False))

    def again(self, step: str) -> None:
        """Enable and drive on."""
        ears = self.ears
        ears.commands.clear()
        pose = ears.truth[-1][1]
        begin_s = time.monotonic()
        answer = self.enable()
        if not answer.success:
            self.rows.true(step, 'enabled again', False, answer.message)
            return
        self._wait_for_motion('motion again', _AGAIN_S)
        self.rows.at_most(step, 'drives again after', time.monotonic() - begin_s, _AGAIN_S, 's')
        ears.spin(self._lengths.again_s / self._pace)
        self.rows.at_most(step, 'first command from where the robot is',
                          rest.first_jump(self.robot, list(ears.commands), pose), _JUMP,
                          'slew steps')

    def _wait_for_motion(self, what: str, timeout_s: float) -> None:
        """Wait until a plan is followed and commands go out."""
        begin_s = time.monotonic()
        try:
            self.ears.wait_for(lambda: self.tracking and self.ears.commands, what, timeout_s)
        except TrialError as error:
            said = dict.fromkeys(f'{CommandState(state).name} {reason}'.strip()
                                 for seconds, state, reason in self.ears.controller
                                 if seconds > begin_s)
            raise TrialError(f'{error}: {"; ".join(list(said)[-4:]) or "no controller_state"}'
                             ) from error

    def _stopped_by(self, step: str, event: Callable[[], object], limit_s: float | None = None
                    ) -> float:
        """Let something happen while the robot moves; judge how it came to rest."""
        ears, robot = self.ears, self.robot
        ears.commands.clear()
        ears.wait_for(lambda: len(ears.commands) > 5 and rest.moves(
            robot, ears.commands, len(ears.commands) - 1), 'motion before the event')
        event_s = time.monotonic()
        event()
        ears.spin(self._lengths.watch_s / self._pace)
        found = rest.at_rest(robot, ears.commands, ears.truth, event_s)
        limit_s = self._limit_s if limit_s is None else limit_s
        self.rows.at_most(step, 'told to stand still after', found.commanded_s, limit_s, 's')
        self.rows.at_most(step, 'body at rest after', found.body_s,
                          limit_s + rest.braking_s(robot), 's')
        if robot.interface == 'joint_position':
            self.rows.at_most(step, 'held where it is, off by', found.target_off, 0.03)
        self.rows.at_most(step, 'largest change between two commands', rest.largest_step(
            robot, list(ears.commands)), _SLACK if step != 'kill_command' else rest.NEVER,
            'slew steps')
        return event_s
