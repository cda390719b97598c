"""Parameter dataclasses: checks and documentation; the ROS side is tested with the nodes."""

from dataclasses import dataclass, fields, replace

from lewm_model.errors import ConfigError
from lewm_ros.command.control_loop import CommandParameters
from lewm_ros.node.parameters import markdown_table, parameter, validate
import pytest


@dataclass(frozen=True)
class Example:
    rate_hz: float = parameter(5.0, 'how often [Hz]', low=0.5, high=50.0)
    steps: int = parameter(3, 'how many', low=1, high=9)
    mode: str = parameter('fast', 'which way', choices=('fast', 'slow'), read_only=True)
    loud: bool = parameter(False, 'log more')


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


@pytest.mark.parametrize('arguments', [{'default': [1]}, {'default': 1.0, 'low': 0.0}])
def test_a_table_that_makes_no_sense_is_refused(arguments):
    """Types ROS parameters do not have here, and half a range."""
    with pytest.raises(ConfigError):
        parameter(text='x', **arguments)


def test_markdown_has_one_row_per_parameter():
    """Name, type, default, range, whether it changes, meaning."""
    lines = markdown_table(Example).splitlines()
    assert len(lines) == 2 + len(fields(Example))
    assert lines[2] == ('| `rate_hz` | float | `5.0` | in [0.5, 50.0] | yes | how often [Hz] |')
    assert lines[4] == ("| `mode` | str | `'fast'` | one of 'fast', 'slow' | no | which way |")
