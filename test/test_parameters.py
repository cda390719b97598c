"""Parameter dataclasses: checks and documentation; the ROS side is tested with the nodes."""

from dataclasses import dataclass, fields, replace
from types import SimpleNamespace

from lewm_model.errors import ConfigError
from lewm_ros.command.parameters import CommandParameters
from lewm_ros.node.parameters import markdown_table, NodeParameters, parameter, validate
from lewm_ros.planner.parameters import PlannerParameters
import pytest


@dataclass(frozen=True)
class Example:
    rate_hz: float = parameter(5.0, 'how often [Hz]', low=0.5, high=50.0)
    steps: int = parameter(3, 'how many', low=1, high=9)
    mode: str = parameter('fast', 'which way', choices=('fast', 'slow'), read_only=True)
    loud: bool = parameter(False, 'log more')
    model: str = parameter('small', 'which one', when='unconfigured')
    patience_s: float = parameter(1.0, 'how long [s]', low=0.0, high=9.0, when='inactive')


def test_defaults_are_valid():
    """Of the example and of the command node."""
    assert validate(Example()) == Example()
    assert validate(CommandParameters()) == CommandParameters()


@pytest.mark.parametrize('changes', [
    {'rate_hz': 0.5}, {'rate_hz': 50.0}, {'steps': 1}, {'steps': 9}, {'mode': 'slow'}])
def test_limits_belong_to_the_range(changes):
    """Both ends are allowed."""
    validate(replace(Example(), **changes))


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'rate_hz': 0.4}, r'rate_hz must be in \[0.5, 50.0\], got 0.4'),
    ({'rate_hz': float('nan')}, r'rate_hz must be in .* got nan'),
    ({'rate_hz': 5}, r'rate_hz must be of type float, got 5 \(int\); write 5.0'),
    ({'steps': 10}, r'steps must be in \[1, 9\], got 10'),
    ({'steps': True}, 'steps must be of type int, got True'),
    ({'steps': 2.0}, 'steps must be of type int'),
    ({'mode': 'other'}, "mode must be one of 'fast', 'slow', got 'other'"),
    ({'loud': 'yes'}, 'loud must be of type bool')])
def test_what_is_not_allowed_is_refused_with_the_reason(changes, reason):
    """The message names parameter, value and what is allowed."""
    with pytest.raises(ConfigError, match=reason):
        validate(replace(Example(), **changes))


@pytest.mark.parametrize('arguments', [{'default': [1]}, {'default': 1.0, 'low': 0.0},
                                       {'default': 1.0, 'when': 'sometimes'}])
def test_a_table_that_makes_no_sense_is_refused(arguments):
    """Types ROS parameters do not have here, half a range, and a state that does not exist."""
    with pytest.raises(ConfigError):
        parameter(text='x', **arguments)


def test_markdown_has_one_row_per_parameter():
    """Name, type, default, range, whether it changes, meaning."""
    lines = markdown_table(Example).splitlines()
    assert len(lines) == 2 + len(fields(Example))
    assert lines[2] == ('| `rate_hz` | float | `5.0` | in [0.5, 50.0] | yes | how often [Hz] |')
    assert lines[4] == ("| `mode` | str | `'fast'` | one of 'fast', 'slow' | no | which way |")
    assert '| before configure | which one |' in lines[6]
    assert '| while not active | how long [s] |' in lines[7]


class FakeNode:
    """As much of a node as parameters need."""

    def __init__(self, **overrides) -> None:
        self._parameter_overrides = overrides

    def get_name(self) -> str:
        return 'example_node'

    def declare_parameter(self, name, default, descriptor):
        return SimpleNamespace(value=self._parameter_overrides.get(name, default))

    def add_on_set_parameters_callback(self, callback) -> None:
        self.check = callback

    def add_post_set_parameters_callback(self, callback) -> None:
        self.apply = callback

    def set(self, **values) -> str:
        """Set a batch; return why not, or nothing."""
        changes = [SimpleNamespace(name=name, value=value) for name, value in values.items()]
        result = self.check(changes)
        if result.successful:
            self.apply(changes)
        return result.reason


@pytest.mark.parametrize(('name', 'hint'), [
    ('rate_hs', 'has no parameter .rate_hs.; did you mean rate_hz?'),
    ('xyz', 'it has rate_hz, steps, mode')])
def test_an_unknown_parameter_is_refused_with_the_nearest_name(name, hint):
    """A misspelled override would otherwise leave the default in force without a word."""
    pytest.importorskip('rclpy')
    with pytest.raises(ConfigError, match=hint):
        NodeParameters(FakeNode(**{name: 1.0}), Example)


def test_parameters_of_rclpy_are_not_unknown():
    """Simulated time and QoS overrides belong to every node."""
    pytest.importorskip('rclpy')
    node = FakeNode(**{'use_sim_time': True, 'qos_overrides./image.subscription.depth': 5,
                       'steps': 4})
    assert NodeParameters(node, Example).values.steps == 4


@pytest.mark.parametrize(('state', 'refused'), [
    ('active', {'model', 'patience_s'}), ('inactive', {'model'}), ('unconfigured', set())])
def test_what_may_change_depends_on_the_lifecycle_state(state, refused):
    """The answer says what to do first."""
    pytest.importorskip('rclpy')
    node = FakeNode()
    held = NodeParameters(node, Example, state=lambda: state)
    for name, value in (('model', 'large'), ('patience_s', 2.0), ('steps', 5)):
        reason = node.set(**{name: value})
        assert (name in refused) == bool(reason)
        assert not reason or f'cannot change while the node is {state}; deactivate' in reason
        assert (getattr(held.values, name) == value) == (not reason)
    assert node.set(model='small' if 'model' in refused else 'large') == ''   # no change, no harm


def test_a_batch_is_accepted_or_refused_as_a_whole():
    """The owner's check sees the values as they would be, all at once."""
    pytest.importorskip('rclpy')

    def check(old, new):
        if new.rate_hz * new.steps > 100:
            raise ConfigError('too much')

    node = FakeNode()
    held = NodeParameters(node, Example, check_change=check)
    assert node.set(rate_hz=50.0, steps=9) == 'too much'
    assert (held.values.rate_hz, held.values.steps) == (5.0, 3)
    assert node.set(rate_hz=50.0, steps=2) == ''
    assert (held.values.rate_hz, held.values.steps) == (50.0, 2)


@dataclass(frozen=True)
class Paths:
    model: str = parameter('small', 'which one', path=True)


@pytest.mark.parametrize(('first', 'allowed', 'refused'), [
    ('small', ['large', ''], ['/etc/passwd', 'models/large', '~/large', '../large', 'large.yaml',
                              '.', '\0/']),
    ('MINE/a', ['large', 'MINE/b', 'MINE/b/c', 'MINE/../mine/b'],
     ['/etc/passwd', 'MINE/../other', 'MINE/link/x', '~nobody-has-this-name/x'])])
def test_the_network_cannot_choose_any_path(tmp_path, first, allowed, refused):
    """Who starts a node may; a change may be to a name, or stay in the same folder."""
    pytest.importorskip('rclpy')
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'link').symlink_to('/etc')
    node = FakeNode(model=first.replace('MINE', str(mine)))
    held = NodeParameters(node, Paths)
    for value in (one.replace('MINE', str(mine)) for one in allowed):
        assert node.set(model=value) == ''
        assert held.values.model == value
    for value in (one.replace('MINE', str(mine)) for one in refused):
        assert 'can be changed to the name of something that ships, or' in node.set(model=value)
    assert node.set(model=node._parameter_overrides['model']) == ''   # back to the first


@pytest.mark.ros
def test_paths_of_our_nodes_are_named_as_such():
    """Every parameter that is a path and can change while the node runs."""
    from lewm_ros.goals.goal_node import GoalParameters
    from lewm_ros.guard.guard_node import GuardParameters
    from lewm_ros.recording.parameters import RecorderParameters

    for kind, names in ((PlannerParameters, {'bundle', 'robot', 'plan'}),
                        (CommandParameters, {'robot'})):
        assert {item.name for item in fields(kind) if item.metadata['ros'].path} == names
    with_paths = ('file', 'folder', 'path', 'YAML')
    for kind in (PlannerParameters, CommandParameters, GoalParameters, GuardParameters,
                 RecorderParameters):
        for item in fields(kind):
            about = item.metadata['ros']
            if any(word in about.text for word in with_paths) and type(item.default) is str:
                assert about.path or about.when == 'start' or about.choices, item.name
