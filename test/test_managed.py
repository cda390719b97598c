"""The base of lifecycle nodes: faults are heard, and every way down leaves nothing behind."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import ConfigError  # noqa: E402
from lewm_ros.node.guard import Guard  # noqa: E402
from lewm_ros.node.managed import ManagedNode  # noqa: E402
from lewm_ros.srv import SetGoal  # noqa: E402
from lewm_ros.wire.checks import MessageError  # noqa: E402
from lewm_ros.wire.reasons import Code, ReasonedError  # noqa: E402
import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn as Result  # noqa: E402
from rclpy.logging import get_logger  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_helpers import code_name, free_domain  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402


class Log:
    """Collects what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, text: str, **options) -> None:
        self.lines.append(text)

    fatal = warning = info = error


class Example(ManagedNode):
    """Does nothing but fail where it is told to."""

    def __init__(self, **options) -> None:
        self.log = Log()
        self.problems: dict[str, Exception] = {}
        self.done: list[str] = []
        super().__init__('example', **options)

    def get_logger(self):
        return self.log

    def _step(self, name: str) -> None:
        self.done.append(name)
        if name in self.problems:
            raise self.problems[name]

    def configure(self) -> None:
        self.talk = self.configured.publisher(String, 'talk', 10)
        self._step('configure')

    def activate(self) -> None:
        self.active.subscription(String, 'talk', lambda message: self._step('hear'), 10)
        self.active.timer(100.0, self.tick)
        self.active.service(Trigger, 'ask', lambda request, response: self._step('answer'))
        self._step('activate')

    def tick(self) -> None:
        """Never due."""

    def stop_acting(self) -> None:
        self._step('stop_acting')

    def release(self) -> None:
        self._step('release')

    def own_entities(self) -> tuple[int, int, int]:
        """Return publishers of talk, readers of talk, servers of ask."""
        return (sum(p.topic_name.endswith('/talk') for p in self.publishers),
                sum(s.topic_name.endswith('/talk') for s in self.subscriptions),
                sum(s.srv_name.endswith('ask') for s in self.services))


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=free_domain())
    made = Example(context=context, parameter_overrides=[Parameter('use_sim_time', value=False)])
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(made)
    yield made
    executor.shutdown()
    made.destroy_node()
    rclpy.shutdown(context=context)


def test_entities_live_as_long_as_their_state(node):
    """Publishers from configure to cleanup, readers and servers while active; twice over."""
    for _ in range(2):
        assert node.own_entities() == (0, 0, 0)
        assert node.trigger_configure() == Result.SUCCESS
        assert node.own_entities() == (1, 0, 0)
        assert node.trigger_activate() == Result.SUCCESS
        assert node.own_entities() == (1, 1, 1)
        assert node.trigger_deactivate() == Result.SUCCESS
        assert node.own_entities() == (1, 0, 0)
        assert node.trigger_cleanup() == Result.SUCCESS
    assert node.own_entities() == (0, 0, 0)
    assert node.done == ['configure', 'activate', 'stop_acting', 'release'] * 2


@pytest.mark.parametrize('hook', ['configure', 'activate'])
def test_a_refusal_is_logged_and_leaves_the_state_as_it_was(node, hook):
    """A LewmError says what is wrong; the way up is undone, and may be tried again."""
    node.problems[hook] = ConfigError('no such bundle')
    before = {'configure': ('unconfigured', (0, 0, 0)), 'activate': ('inactive', (1, 0, 0))}[hook]
    if hook == 'activate':
        node.trigger_configure()
    trigger = getattr(node, f'trigger_{hook}')
    assert trigger() == Result.FAILURE
    assert (node.state_label, node.own_entities()) == before
    assert node.log.lines == [f'cannot {hook}: no such bundle']
    node.problems.clear()
    assert trigger() == Result.SUCCESS


@pytest.mark.parametrize('hook', ['configure', 'activate', 'stop_acting', 'release'])
def test_a_bug_in_any_hook_is_logged_with_its_traceback_and_ends_unconfigured(node, hook):
    """Nothing is left behind, publishers included, and the node works afterwards."""
    node.problems[hook] = RuntimeError('CUDA out of memory')
    results = [getattr(node, f'trigger_{step}')()
               for step in ('configure', 'activate', 'deactivate', 'cleanup')
               if node.state_label != 'unconfigured' or step == 'configure']
    assert results[-1] == Result.ERROR
    assert (node.state_label, node.own_entities()) == ('unconfigured', (0, 0, 0))
    assert any('RuntimeError: CUDA out of memory' in line and '_step' in line
               for line in node.log.lines)
    assert node.done.count('release') >= 1
    node.problems.clear()
    assert node.trigger_configure() == Result.SUCCESS
    assert node.trigger_activate() == Result.SUCCESS
    assert node.own_entities() == (1, 1, 1)


def test_publishers_are_silent_after_a_refused_activation(node):
    """What `activate` had enabled is disabled again."""
    node.problems['activate'] = ConfigError('no camera')
    node.trigger_configure()
    node.trigger_activate()
    assert not node.talk.is_activated


def test_shut_down_from_active_releases_everything(node):
    """Also if the last word fails."""
    node.problems['stop_acting'] = RuntimeError('no last word')
    node.trigger_configure()
    node.trigger_activate()
    node.trigger_shutdown()
    assert node.state_label == 'finalized'
    assert node.own_entities() == (0, 0, 0)
    assert node.done[-1] == 'release'


def test_a_node_can_leave_the_active_state_by_itself(node):
    """It ends unconfigured once the executor runs, with the reason in the log."""
    node.trigger_configure()
    node.trigger_activate()
    node.leave('the engine failed three times')
    assert node.state_label == 'active'
    node.executor.spin_once(timeout_sec=1.0)
    assert node.state_label == 'unconfigured'
    assert 'the engine failed three times' in node.log.lines[0]
    assert node.done == ['configure', 'activate', 'stop_acting', 'release']


def test_a_message_that_cannot_be_used_does_not_end_the_node(node):
    """The callback's exception is logged with its traceback, and is the guard's fault."""
    node.trigger_configure()
    node.trigger_activate()
    node.problems['hear'] = ValueError('9 is not a valid GoalSource')
    for _ in range(100):    # one message may come before both ends know each other
        if 'hear' in node.done:
            break
        node.talk.publish(String(data='x'))
        node.executor.spin_once(timeout_sec=0.1)
    assert node.guard.fault == 'message on talk: ValueError: 9 is not a valid GoalSource'
    assert 'Traceback' in node.log.lines[-1]
    assert node.state_label == 'active'


def test_faults_of_one_source_are_logged_once_a_second_and_shown_for_five():
    """A flood of bad messages neither fills the log nor hides the faults of other topics."""
    log, now = Log(), [100.0]
    guard = Guard(log, now_s=lambda: now[0])
    assert guard.fault == ''
    for _ in range(5):
        guard.note('message on a', ConfigError('bad'))
    guard.note('message on b', ConfigError('worse'))
    assert log.lines == ['message on a: bad', 'message on b: worse']
    now[0] = 101.0
    guard.note('message on a', ConfigError('bad'))
    assert log.lines[2:] == ['message on a: bad']
    now[0] = 106.1
    assert guard.fault == ''


def test_only_a_bug_alarms_the_node():
    """A LewmError is the sender's fault; after anything else the node must stop what it moves."""
    alarms = []
    guard = Guard(Log(), alarms.append)
    for error in (ConfigError('bad message'), ValueError('a bug')):
        def fail(error=error):
            raise error
        guard.listener(fail, 'tick')()
    assert alarms == ['tick: ValueError: a bug']


def test_a_service_that_fails_answers_with_the_reason():
    """The caller is not left waiting, and a half-filled answer is not sent."""
    def answer(request, response):
        response.success = True
        raise ConfigError('no file')

    response = Guard(Log()).server(answer, 'service ask')(None, Trigger.Response())
    assert (response.success, response.message) == (False, 'service ask: no file')


@pytest.mark.parametrize(('error', 'code'), [
    (ValueError('a bug'), 'INTERNAL'), (ConfigError('no file'), 'INTERNAL'),
    (MessageError('a field'), 'BAD_ARGUMENT'),
    (ReasonedError(Code.BUSY, 'later'), 'BUSY')])
def test_a_service_that_fails_answers_with_the_code_of_its_error(error, code):
    """A field of the request that cannot be is the caller's fault, anything unforeseen ours."""
    def answer(request, response):
        raise error

    response = Guard(Log()).server(answer, 'service ask')(None, SetGoal.Response())
    assert not response.success and code_name(response) == code


def test_warnings_and_errors_of_one_guard_do_not_end_the_node():
    """Rclpy raises where one line of code logs with two severities; this ended a planner."""
    guard = Guard(get_logger('severities'))
    guard.say('camera', 'a warning')
    assert guard.note('peer', ValueError('odd')) == 'peer: ValueError: odd'
    guard.say('camera 2', 'a warning again')
