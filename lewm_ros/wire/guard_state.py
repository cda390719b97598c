"""What the guard hears and says: messages to values and back."""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.errors import ShapeError
from lewm_ros.msg import ControllerState, ExecutedCommand, GuardState
from lewm_ros.wire import checks
from lewm_ros.wire.reports import CommandState, GuardPhase, GuardReport
from lewm_ros.wire.stamps import header, header_stamp_ns
import numpy as np


def msg_to_heard(message: ExecutedCommand, names: Sequence[str]
                 ) -> tuple[np.ndarray, int, bool, bool]:
    """Return what the command node told the robot.

    That is (command float64 (A,), stamp_ns, part of a stop, at rest). It is at rest when it was
    told to stand still and the limits let it: a step of a stop whose command is the one that was
    asked for.

    Raises:
        ShapeError: If it is for other joints.
        MessageError: If a number, state or stamp cannot be.
    """
    if list(message.names) != list(names):
        raise ShapeError(f'an executed command of this robot is for [{", ".join(names)}], got one '
                         f'for [{", ".join(message.names[:20])}]')
    executed = checks.finite(message.executed, (len(names),), 'executed')
    requested = checks.finite(message.requested, (len(names),), 'requested')
    state = checks.enum(CommandState, message.state, 'state')
    stop = message.overridden and state is not CommandState.HOLD
    return executed, header_stamp_ns(message), stop, bool(stop and (executed == requested).all())


def msg_to_rest(message: ControllerState) -> tuple[bool, int]:
    """Return (the robot was told to stand still, stamp_ns) of a report of the command node.

    Raises:
        MessageError: If its state or stamp cannot be.
    """
    checks.enum(CommandState, message.state, 'state')
    return message.at_rest, header_stamp_ns(message)


def guard_report_to_msg(report: GuardReport) -> GuardState:
    """Build the guard's message."""
    return GuardState(header=header(report.stamp_ns), phase=int(report.phase),
                      stops=report.stops, reason=report.reason)


def msg_to_guard_report(message: GuardState) -> GuardReport:
    """Return the guard's report of its message; raises MessageError for what cannot be."""
    return GuardReport(stamp_ns=header_stamp_ns(message),
                       phase=checks.enum(GuardPhase, message.phase, 'phase'),
                       stops=message.stops, reason=message.reason[:checks.MAX_REASON])
