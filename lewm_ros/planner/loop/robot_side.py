"""What the planner knows of the robot: where it stands, and whether plans are executed.

Standing still is a value of the interface: zero for speeds, the present position for positions.
"""

from __future__ import annotations

from typing import Any

from lewm_model.recordings.joints import JoinedJoints
from lewm_model.robots.robot import JOINT_STATE, RobotDescription
from lewm_ros.wire.reasons import Code, Reason, ReasonedError
from lewm_ros.wire.reports import CommandState, ControllerReport
import numpy as np

_HEARD_S = 1.0   # 20 periods of controller_state: after this long its node counts as gone
_EXECUTES = (CommandState.TRACKING, CommandState.HOLD)
_WILL_NOT_MOVE = (CommandState.DISABLED, CommandState.FAULT)
_LEAST_AGE_S, _STEPS = 0.2, 2.5   # measured positions count for so many control steps, at least


class RobotSide:
    """Follows joint states, executed commands and the state of the command node.

    All times are of one steady clock [s].

    Args:
        robot: Its interface decides what standing still is.
        max_age_s: Older positions are no place to start from [s]; 0: 2.5 control steps, at least
            0.2 s.
    """

    def __init__(self, robot: RobotDescription, max_age_s: float = 0.0) -> None:
        self._robot = robot
        self._max_age_s = max_age_s or max(_LEAST_AGE_S, _STEPS * robot.control_dt_s)
        self._joints = JoinedJoints(robot.joint_names, self._max_age_s)
        self._executed: tuple[np.ndarray, float] | None = None
        self._report: ControllerReport | None = None
        self._heard_s = 0.0

    @property
    def holds_position(self) -> bool:
        """Whether standing still is a position."""
        return self._robot.interface == 'joint_position'

    @property
    def needs_joints(self) -> bool:
        """Whether `measured` has to be called."""
        return self.holds_position and self._robot.state_type == JOINT_STATE

    def measured(self, message: Any, now_s: float) -> None:
        """Take a JointState; one of other joints, or that cannot be read, changes nothing."""
        self._joints.add(message, now_s)

    def executed(self, action: np.ndarray, now_s: float) -> None:
        """Take what the robot was told, (A,) robot units."""
        self._executed = (action, now_s)

    def controller(self, report: ControllerReport, now_s: float) -> bool:
        """Take the command node's state; return whether plans began to be wanted with it."""
        could = self._report is None or self._may_move(self._report)
        self._report, self._heard_s = report, now_s
        return self._may_move(report) and not could

    def executes(self, session: int, now_s: float) -> bool:
        """Tell whether the robot follows the plans of this session; unknown counts as yes."""
        if self._report is None:
            return True
        return (self._is_heard(now_s) and self._report.session == session
                and self._report.state in _EXECUTES)

    def idle_reason(self, now_s: float) -> Reason:
        """Say why the robot does not follow plans now; false if it does, or would."""
        if self._report is None:
            return Reason()
        if not self._is_heard(now_s):
            return Reason(Code.NOT_ENABLED, f'plans are not executed: the command node was not '
                          f'heard for {now_s - self._heard_s:.1f} s')
        if self._may_move(self._report):
            return Reason()
        why = self._report.reason.text or self._report.state.name
        return Reason(Code.E_STOP if self._report.e_stop else Code.NOT_ENABLED,
                      f'plans are not executed: {why}')

    def rest(self, now_s: float) -> np.ndarray:
        """Return the action that stands still, (A,) robot units.

        Of positions: the one last sent, if it was just now, else the one that is measured.

        Raises:
            ReasonedError: If the position is not known.
        """
        if not self.holds_position:
            return np.zeros(self._robot.action_dim, np.float32)
        if self._executed is not None and now_s - self._executed[1] <= self._max_age_s:
            return self._executed[0].astype(np.float32)
        newest = self._joints.newest(now_s)
        if newest is not None:
            return newest[0].astype(np.float32)
        where = (f'no position of {", ".join(self._joints.missing(now_s))} on '
                 f'{self._robot.joint_state_topic}' if self.needs_joints else
                 f'{self._robot.joint_state_topic} has no joint positions')
        raise ReasonedError(
            Code.NO_ROBOT_STATE, f'it is not known where the robot stands: {where}, and no '
            f'executed command, in the last {self._max_age_s:.2f} s')

    def _is_heard(self, now_s: float) -> bool:
        return now_s - self._heard_s <= _HEARD_S

    def _may_move(self, report: ControllerReport) -> bool:
        return report.state not in _WILL_NOT_MOVE and not report.e_stop
