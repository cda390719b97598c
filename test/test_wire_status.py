"""What peers say about themselves: fields that cannot be are refused, long texts are cut."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros import msg  # noqa: E402
from lewm_ros.wire.checks import MAX_NAMES, MAX_REASON, MessageError  # noqa: E402
from lewm_ros.wire.guard_state import msg_to_guard_report  # noqa: E402
from lewm_ros.wire.status import msg_to_controller_report, msg_to_plan_report  # noqa: E402

NAN = float('nan')


def plan_status(**fields) -> msg.PlanStatus:
    return msg.PlanStatus(**{'session': 1, 'speed_scale': 1.0, **fields})


@pytest.mark.parametrize(('fields', 'words'), [
    ({'session': 0}, 'session 0'),
    ({'state': 99}, 'state must be one of'),
    ({'reason': msg.Reason(code=99)}, 'reason.code must be one of'),
    ({'speed_scale': 1.5}, r'speed_scale must be in \[0, 1\], got 1.5'),
    ({'speed_scale': NAN}, 'speed_scale must be in'),
    ({'goal_id': 'x' * 300}, 'goal_id must be at most 200 printable'),
    ({'goal_id': 'a\nb'}, 'goal_id must be'),
    ({'goal_errors': [0.0] * (MAX_NAMES + 1)}, 'goal_errors must be at most 1000 numbers, got')])
def test_a_status_that_cannot_be_is_refused_by_its_field(fields, words):
    """It is no sign of life of a planner."""
    with pytest.raises(MessageError, match=words):
        msg_to_plan_report(plan_status(**fields))


def test_errors_of_a_goal_may_be_unknown():
    """NaN is what a planner says of a quantity that it could not read."""
    first, second = msg_to_plan_report(plan_status(goal_errors=[0.5, NAN])).goal_errors
    assert first == 0.5
    assert second != second


@pytest.mark.parametrize('scale', [-0.1, 1.1, NAN])
def test_a_controller_without_a_scale_that_can_be_is_refused(scale):
    """As the planner's own."""
    with pytest.raises(MessageError, match='speed_scale must be in'):
        msg_to_controller_report(msg.ControllerState(speed_scale=scale))


def test_reasons_of_any_length_are_heard_and_cut():
    """A planner whose error is long still lives; nobody repeats a megabyte ten times a second."""
    long = msg.Reason(code=msg.Reason.ENGINE_FAILED, text='x' * 10 ** 6)
    assert len(msg_to_plan_report(plan_status(reason=long)).reason.text) == MAX_REASON
    assert len(msg_to_controller_report(msg.ControllerState(reason=long)).reason.text) == (
        MAX_REASON)
    assert len(msg_to_guard_report(msg.GuardState(reason=long.text)).reason) == MAX_REASON
