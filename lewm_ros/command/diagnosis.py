"""What the command node says in /diagnostics: how bad it is, in words and in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState, ControllerReport

_LEVELS = {CommandState.FAULT: DiagnosticStatus.ERROR, CommandState.HOLD: DiagnosticStatus.WARN,
           CommandState.RAMP_DOWN: DiagnosticStatus.WARN,
           CommandState.STOPPED: DiagnosticStatus.WARN}
_ERRORS = {Code.SECOND_PLANNER, Code.JOINT_STATE_CONFLICT, Code.FOREIGN_COMMANDS,
           Code.NO_LISTENER, Code.PROCESS_PAUSED, Code.GUARD_ACTED}   # in any state
_CLIPPED_SHARE = 0.2    # of commands; more is worth a word


def diagnose(report: ControllerReport, *, fault: str, doubts: Sequence[Reason],
             notes: Sequence[str], clipped_share: float) -> tuple[bytes, str]:
    """Return level and summary.

    Args:
        report: Of the control loop.
        fault: Of a callback; empty if there was none.
        doubts: What is wrong though it may not stop the robot now.
        notes: What else people should know; empty ones are left out.
        clipped_share: Of the last commands of plans, which hit a value limit.
    """
    texts = [text for text in dict.fromkeys(doubt.text for doubt in doubts)
             if text not in report.reason.text]
    texts += filter(None, notes)
    if clipped_share > _CLIPPED_SHARE:
        texts.append(f'{clipped_share:.0%} of the last commands were beyond min_command or '
                     f'max_command; the model was trained with wider limits, or plans badly')
    level = _LEVELS.get(report.state, DiagnosticStatus.OK)
    if fault or _ERRORS & {report.reason.code, *(doubt.code for doubt in doubts)}:
        level = DiagnosticStatus.ERROR
    elif texts:
        level = max(level, DiagnosticStatus.WARN)
    return level, '; '.join([f'{report.state.name} {fault or report.reason}'.strip(), *texts])


def numbers(report: ControllerReport) -> dict[str, object]:
    """Return the values for people to watch."""
    return {'rate_hz': f'{report.rate_hz:.1f}', 'chunk_age_s': f'{report.chunk_age_s:.3f}',
            'deadline_misses': report.deadline_misses, 'session': f'{report.session:x}',
            'epoch': report.epoch, 'speed_scale': f'{report.speed_scale:.2f}',
            'commands_clipped': report.commands_clipped,
            'commands_slewed': report.commands_slewed, 'e_stop': report.e_stop}
