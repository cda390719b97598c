"""What the nodes say about themselves: plan status, controller state, diagnostics."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lewm_ros import msg as interfaces
from lewm_ros.wire import checks
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState, ControllerReport, PlanReport, PlanState
from lewm_ros.wire.stamps import header, header_stamp_ns, ns_to_stamp, stamp_to_ns

CALIBRATION = 'surprise_calibration'    # key of what came of the planner's ~/calibrate_surprise

# fields that messages carry under the same name; the rest is converted by hand
_PLAN_FIELDS = [f for f in fields(PlanReport)
                if f.name not in ('stamp_ns', 'frame_stamp_ns', 'state', 'reason',
                                  'goal_errors')]
_CONTROLLER_FIELDS = [f for f in fields(ControllerReport)
                      if f.name not in ('stamp_ns', 'state', 'sequence', 'reason')]


def reason_to_msg(reason: Reason) -> interfaces.Reason:
    """Build the message of a reason."""
    return interfaces.Reason(code=int(reason.code), text=reason.text)


def msg_to_reason(message: interfaces.Reason) -> Reason:
    """Return the reason of a message, a long text cut; raises MessageError for an unknown code."""
    return Reason(checks.enum(Code, message.code, 'reason.code'),
                  message.text[:checks.MAX_REASON])


def plan_report_to_msg(report: PlanReport) -> interfaces.PlanStatus:
    """Build the planner's status message."""
    return interfaces.PlanStatus(
        header=header(report.stamp_ns), state=int(report.state),
        reason=reason_to_msg(report.reason), frame_stamp=ns_to_stamp(report.frame_stamp_ns),
        goal_errors=[float(error) for error in report.goal_errors],
        **_values(report, _PLAN_FIELDS))


def msg_to_plan_report(message: interfaces.PlanStatus) -> PlanReport:
    """Return the planner's report of its status message.

    Raises:
        MessageError: If it has no session, or a state, code, stamp, scale, goal id or number of
            errors that cannot be.
    """
    if message.session == 0:
        raise checks.MessageError('plan_status has session 0; a planner draws a random one')
    checks.within(message.speed_scale, 0.0, 1.0, 'speed_scale')
    checks.text(message.goal_id, 'goal_id')
    return PlanReport(
        stamp_ns=header_stamp_ns(message), frame_stamp_ns=stamp_to_ns(message.frame_stamp),
        state=checks.enum(PlanState, message.state, 'state'),
        reason=msg_to_reason(message.reason),
        goal_errors=checks.at_most(message.goal_errors, checks.MAX_NAMES, 'goal_errors'),
        **_values(message, _PLAN_FIELDS))


def controller_report_to_msg(report: ControllerReport) -> interfaces.ControllerState:
    """Build the command side's status message."""
    return interfaces.ControllerState(
        header=header(report.stamp_ns), state=int(report.state), chunk_seq=report.sequence,
        reason=reason_to_msg(report.reason),
        **_values(report, _CONTROLLER_FIELDS))


def msg_to_controller_report(message: interfaces.ControllerState) -> ControllerReport:
    """Return the command side's report of its status message.

    Raises:
        MessageError: If a state, code, stamp or scale cannot be.
    """
    checks.within(message.speed_scale, 0.0, 1.0, 'speed_scale')
    return ControllerReport(
        stamp_ns=header_stamp_ns(message), sequence=message.chunk_seq,
        state=checks.enum(CommandState, message.state, 'state'),
        reason=msg_to_reason(message.reason),
        **_values(message, _CONTROLLER_FIELDS))


def diagnostics_to_msg(stamp_ns: int, name: str, *, level: bytes, summary: str,
                       values: dict[str, object], hardware_id: str = '') -> DiagnosticArray:
    """Build a /diagnostics message with one status; `level` is of DiagnosticStatus."""
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticArray(header=header(stamp_ns), status=[DiagnosticStatus(
        level=level, name=name, message=summary, hardware_id=hardware_id, values=pairs)])


def msg_to_health(message: DiagnosticArray) -> list[tuple[str, int, str]]:
    """Return what nodes say about themselves: (node, level, summary) of each status.

    A status is named by its node, perhaps with a part of it after a colon.
    """
    return [(_node_of(status), int.from_bytes(status.level, 'little'), status.message)
            for status in message.status]


def msg_to_values(message: DiagnosticArray, node: str) -> dict[str, str]:
    """Return what a node tells beside its health, by key; {} where the message has none of it."""
    return {pair.key: pair.value for status in message.status if _node_of(status) == node
            for pair in status.values}


def _node_of(status: DiagnosticStatus) -> str:
    return status.name.partition(':')[0].strip().lstrip('/')


def _values(source: Any, wanted: list[Field]) -> dict[str, Any]:
    """Read fields; serializing an integer in a float field would abort the process."""
    return {field.name: float(getattr(source, field.name)) if field.type == 'float'
            else getattr(source, field.name) for field in wanted}
