"""Driving a lifecycle node whose answers get lost, as DDS may lose them during discovery."""

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.startup import lifecycle  # noqa: E402
from lewm_ros.startup.lifecycle import LifecycleClient, LifecycleError  # noqa: E402
from rclpy.task import Future  # noqa: E402


class Target:
    """A node that obeys; the first `lost` answers, or requests, do not arrive."""

    def __init__(self, state='unconfigured', lost_answers=0, lost_requests=0, refuses=False,
                 lost_states=0):
        self.state, self.asked = state, 0
        self.questions: list[str] = []
        self.lost_states = lost_states
        self._lost_answers, self._lost_requests = lost_answers, lost_requests
        self._refuses = refuses

    def change(self, request):
        self.asked += 1
        self.questions.append('change')
        future = Future()
        if self._lost_requests:
            self._lost_requests -= 1
            return future
        possible = self.state == 'unconfigured' and not self._refuses
        if possible:
            self.state = 'inactive'
        if self._lost_answers:
            self._lost_answers -= 1
        else:
            future.set_result(SimpleNamespace(success=possible))
        return future

    def get(self, request):
        self.questions.append('state')
        future = Future()
        if self.lost_states:
            self.lost_states -= 1
            return future
        future.set_result(SimpleNamespace(current_state=SimpleNamespace(label=self.state)))
        return future


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(lifecycle, '_ANSWER_S', 0.02)

    def make(target):
        services = iter([target.change, target.get])
        node = SimpleNamespace(create_client=lambda kind, name: SimpleNamespace(
            service_is_ready=lambda: True, call_async=next(services),
            remove_pending_request=lambda future: None))
        executor = SimpleNamespace(spin_once=lambda timeout_sec: None)
        return LifecycleClient(node, executor, '/target')
    return make


def test_a_lost_answer_is_found_out_by_the_state(client):
    """The transition was made; it is not asked for twice."""
    target = Target(lost_answers=1)
    client(target).configure(5.0)
    assert (target.state, target.asked) == ('inactive', 1)


def test_a_node_that_does_not_know_us_yet_is_only_asked_what_may_be_asked_twice(client):
    """Its state, until an answer comes; then the answer to the transition will come, too."""
    target = Target(lost_states=3)
    client(target).configure(5.0)
    assert target.questions == ['state'] * 4 + ['change']


def test_a_lost_request_is_sent_again(client):
    """The node is still where it was, so it is asked once more."""
    target = Target(lost_requests=2)
    client(target).configure(5.0)
    assert (target.state, target.asked) == ('inactive', 3)


def test_a_lost_answer_about_the_state_is_asked_for_again(client):
    """Asking changes nothing, so it is repeated until an answer comes."""
    target = Target(state='active', lost_states=2)
    assert client(target).state(5.0) == 'active'
    assert target.lost_states == 0
    with pytest.raises(LifecycleError, match='/target did not answer in time'):
        client(Target(lost_states=1000)).state(0.1)


def test_a_refusal_is_not_taken_for_a_loss(client):
    """One request, one clear error."""
    target = Target(refuses=True)
    with pytest.raises(LifecycleError, match='/target refused to configure; its log says why'):
        client(target).configure(5.0)
    assert target.asked == 1


def test_a_node_that_never_answers_is_given_up(client):
    """After the time limit, with its name."""
    with pytest.raises(LifecycleError, match=r'/target did not answer in time \(configure\)'):
        client(Target(lost_requests=1000)).configure(0.2)
