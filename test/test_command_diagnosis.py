"""What the command node says in /diagnostics: how bad, and why."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lewm_ros.command.diagnosis import diagnose  # noqa: E402
from lewm_ros.wire.reasons import Code, Reason  # noqa: E402
from lewm_ros.wire.reports import CommandState, ControllerReport  # noqa: E402

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
FINE = Reason()
WHO_DRIVES = (Code.FOREIGN_COMMANDS, Code.NO_LISTENER, Code.SECOND_PLANNER,
              Code.JOINT_STATE_CONFLICT, Code.PROCESS_PAUSED, Code.GUARD_ACTED)


def told(state=CommandState.TRACKING, reason=FINE, *, fault='', doubts=(), notes=(),
         clipped_share=0.0):
    report = ControllerReport(stamp_ns=1, state=state, reason=reason)
    return diagnose(report, fault=fault, doubts=doubts, notes=notes, clipped_share=clipped_share)


@pytest.mark.parametrize('code', WHO_DRIVES)
@pytest.mark.parametrize('state', [CommandState.TRACKING, CommandState.DISABLED])
def test_doubts_about_who_drives_are_errors_in_motion_and_at_rest(code, state):
    """As the reason of the state, and as a doubt beside it."""
    word = Reason(code, 'somebody else')
    assert told(state, word) == (ERROR, f'{state.name} somebody else')
    assert told(state, doubts=[word]) == (ERROR, f'{state.name}; somebody else')


@pytest.mark.parametrize(('state', 'level'), [
    (CommandState.DISABLED, OK), (CommandState.IDLE, OK), (CommandState.TRACKING, OK),
    (CommandState.HOLD, WARN), (CommandState.RAMP_DOWN, WARN), (CommandState.STOPPED, WARN),
    (CommandState.FAULT, ERROR)])
def test_a_state_is_as_bad_as_it_is(state, level):
    """Who is not enabled is well; who had to stop is not."""
    assert told(state) == (level, state.name)


def test_what_people_should_know_is_a_warning_and_does_not_hide_an_error():
    """A missing guard, a joint at its end, commands that hit a limit; empty notes are none."""
    missing = told(notes=['', 'no guard_node'])
    assert missing == (WARN, 'TRACKING; no guard_node')
    assert told(doubts=[Reason(Code.POSITION_LIMIT, 'at the end')]) == (
        WARN, 'TRACKING; at the end')
    assert told(CommandState.FAULT, notes=['no guard_node'])[0] == ERROR
    level, text = told(clipped_share=0.3)
    assert level == WARN
    assert '30% of the last commands' in text
    assert told(clipped_share=0.2) == (OK, 'TRACKING')


def test_a_fault_of_a_callback_comes_first_and_nothing_is_said_twice():
    """What the reason says is no further doubt."""
    level, text = told(reason=Reason(Code.NO_JOINT_STATE, 'no joints'), fault='message on x: bad')
    assert (level, text) == (ERROR, 'TRACKING message on x: bad')
    twice = Reason(Code.NO_LISTENER, 'nobody listens on x')
    assert told(CommandState.IDLE, twice, doubts=[twice, twice]) == (
        ERROR, 'IDLE nobody listens on x')
