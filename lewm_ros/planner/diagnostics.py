"""What the planner says in /diagnostics, once a second."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lewm_ros.planner.loop.plan_loop import PlanLoop
from lewm_ros.wire.reports import PlanReport, PlanState
from lewm_ros.wire.status import diagnostics_to_msg


def planner_diagnostics(stamp_ns: int, name: str, report: PlanReport, loop: PlanLoop, *,
                        trouble: str, warnings: str, hardware_id: str,
                        values: Mapping[str, object]) -> DiagnosticArray:
    """Build the message.

    Args:
        stamp_ns: Now.
        name: Of the node.
        report: How planning is doing.
        loop: Knows latencies and the model.
        trouble: What stops the robot; '' if nothing does.
        warnings: What a person should look at; '' if nothing.
        hardware_id: The robot.
        values: Further values to show.
    """
    if trouble or report.state in (PlanState.FAULT, PlanState.NO_OBS):
        level = DiagnosticStatus.ERROR
    elif warnings or report.reason or report.state is PlanState.STALLED:
        level = DiagnosticStatus.WARN
    else:
        level = DiagnosticStatus.OK
    latency = loop.latency
    return diagnostics_to_msg(
        stamp_ns, f'{name}: planner', level=level, hardware_id=hardware_id,
        summary=trouble or report.reason.text or warnings or report.state.name,
        values={'state': report.state.name, 'goal': report.goal_id,
                'goal_distance': f'{report.goal_distance:.4f}',
                'encode_ms': f'{report.encode_ms:.1f}', 'plan_ms': f'{report.plan_ms:.1f}',
                'latency_p50_ms': f'{1e3 * latency.quantile_s(0.5):.1f}',
                'latency_p95_ms': f'{1e3 * latency.quantile_s(0.95):.1f}',
                'committed_steps': latency.steps(),
                'surprise': f'{report.surprise:.3g}',
                'surprise_limit': f'{report.surprise_limit:.3g}',
                'speed_scale': f'{report.speed_scale:g}',
                'deadline_misses': report.deadline_misses, **values,
                'model_id': loop.policy.bundle.model_id, 'backend': report.backend})
