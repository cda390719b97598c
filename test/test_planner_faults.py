"""A planner whose engine raises, hangs or goes NaN, as a process of its own over real DDS."""

import re

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.reports import PlanState  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from planner_rig import FOLLOWED, Rig  # noqa: E402

ERROR = b'\x02'


class FaultyRig(Rig):
    """A planner with a goal and a first plan, and a file that says how its engine fails."""

    def __init__(self, graph, folder, monkeypatch, **parameters) -> None:
        self.fault_file = folder / 'fault'
        self.fault('')
        monkeypatch.setenv('LEWM_TEST_FAULT', str(self.fault_file))
        super().__init__(graph, folder, module='faulty_planner_node', **parameters)
        self.send_goal(10)
        self.film_planning()

    def fault(self, words: str) -> None:
        """Let the engine fail from now on."""
        whole = self.fault_file.with_suffix('.new')
        whole.write_text(words)
        whole.rename(self.fault_file)

    def film_until_it_left(self) -> None:
        """Film until the node is unconfigured by itself, with the last word of the planner."""
        self.film_until(lambda: self.last.state == PlanState.IDLE, 'the last status')
        self.graph.wait_for(lambda: self.lifecycle_state() == 'unconfigured', 'unconfigured')


@pytest.mark.parametrize(('fault', 'code'), [
    ('raise', Code.ENGINE_FAILED), ('nan', Code.PLAN_INVALID)])
def test_an_engine_that_keeps_failing_is_replaced_by_torch_on_the_cpu(
        graph, tmp_path, monkeypatch, fault, code):
    """FAULT with the reason, another epoch; then it plans on with the engine named in status."""
    rig = FaultyRig(graph, tmp_path, monkeypatch)
    epoch = rig.last.epoch
    rig.fault(fault)
    rig.film_until(lambda: rig.last.reason.code == code, code.name)
    assert rig.last.state == PlanState.FAULT
    assert rig.last.epoch > epoch
    rig.film_planning('a plan of the fall-back engine')
    assert rig.last.backend.startswith('torch:fp32 on cpu')
    assert rig.lifecycle_state() == 'active'


@pytest.mark.parametrize(('fault', 'parameters'), [
    ('raise', {'fallback': False}), ('raise all', {}), ('nan', {'fallback': False})])
def test_without_another_engine_the_node_leaves_the_active_state_and_can_come_back(
        graph, tmp_path, monkeypatch, fault, parameters):
    """Log, diagnostics and last status have the reason; the same process plans again."""
    rig = FaultyRig(graph, tmp_path, monkeypatch, **parameters)
    epoch, session = rig.last.epoch, rig.last.session
    rig.fault(fault)
    rig.film_until_it_left()
    assert rig.last.reason.code == (Code.PLAN_INVALID if fault == 'nan' else Code.ENGINE_FAILED)
    assert rig.last.session == session
    assert rig.last.epoch > epoch
    word = 'finite' if 'nan' in fault else 'illegal memory access'
    assert word in rig.last.reason.text
    graph.wait_for(lambda: any(item.status[0].level == ERROR and word in item.status[0].message
                               for _, item in rig.diagnostics), 'the reason in diagnostics')
    graph.wait_for(lambda: 'leaving the active state' in rig.log.read_text(), 'the log')
    rig.fault('')
    graph.transition('planner_node', 'configure', 'activate')
    rig.film_planning()
    assert rig.last.session != session


def test_a_thread_that_hangs_withdraws_the_plan_soon_and_goes_on_by_itself(
        graph, tmp_path, monkeypatch):
    """Heartbeats say PLANNER_STUCK; when the engine answers again, plans follow."""
    rig = FaultyRig(graph, tmp_path, monkeypatch)
    epoch = rig.last.epoch
    rig.fault('hang')
    rig.film_until(lambda: rig.last.reason.code == Code.PLANNER_STUCK, 'PLANNER_STUCK')
    assert rig.last.state in FOLLOWED and rig.last.epoch > epoch    # no fault: it may pass
    assert re.search('the planner has (been at one frame|got no answer of the model) for .* s, '
                     'allowed are', rig.last.reason.text)    # whichever limit comes first
    rig.fault('')
    rig.film_planning()


def test_deactivating_a_thread_that_hangs_fails_and_nothing_of_it_is_left(
        graph, tmp_path, monkeypatch):
    """Unconfigured with the stack in the log; configure is refused until the thread has ended."""
    rig = FaultyRig(graph, tmp_path, monkeypatch)
    session = rig.last.session
    rig.fault('hang')
    rig.film_until(lambda: rig.last.reason.code == Code.PLANNER_STUCK, 'PLANNER_STUCK')
    assert not rig.change(Transition.TRANSITION_DEACTIVATE)
    assert rig.lifecycle_state() == 'unconfigured'
    graph.wait_for(lambda: 'in _spoil' in rig.log.read_text(), 'the stack')
    assert not rig.change(Transition.TRANSITION_CONFIGURE)
    graph.wait_for(lambda: 'earlier activation still hangs' in rig.log.read_text(), 'the log')
    count = len(rig.chunks)
    rig.fault('')
    graph.wait_for(lambda: rig.change(Transition.TRANSITION_CONFIGURE), 'configured')
    graph.transition('planner_node', 'activate')
    rig.film_planning()
    assert {chunk.session for _, chunk in rig.chunks[count:]} == {rig.last.session}
    assert rig.last.session != session
    assert graph.interrupt(rig.process) == 0
