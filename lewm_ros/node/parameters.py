"""ROS parameters from a frozen dataclass: declared, described, checked, documented.

A node's settings are one dataclass whose fields are made by `parameter`. `NodeParameters`
declares them on a node with type, range and description, and always holds one consistent,
validated value; an update that does not fit is refused with the reason, and changes nothing.
The same fields make the tables in the documentation. rclpy is imported where it is used, so
the tables and the pure parts of the nodes need no ROS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
import difflib
from pathlib import Path
from typing import Any, Generic, TYPE_CHECKING, TypeVar

from lewm_model.errors import ConfigError, LewmError

if TYPE_CHECKING:
    from rclpy.node import Node

ParametersT = TypeVar('ParametersT')

# When a parameter may change; the text is what the documentation says.
WHEN = {'always': 'yes',
        'inactive': 'while not active',
        'unconfigured': 'before configure',
        'start': 'no'}
_STATES = {'inactive': ('unconfigured', 'inactive'), 'unconfigured': ('unconfigured',)}
# Declared by rclpy for every node, some of them only later.
_OF_RCLPY = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


@dataclass(frozen=True)
class Description:
    """What a person needs to know about one parameter."""

    text: str
    low: float | int | None = None
    high: float | int | None = None
    choices: tuple[str, ...] = ()
    when: str = 'always'
    path: bool = False    # the name of something that ships, or a path

    def check(self, name: str, value: Any, default: Any) -> None:
        """Raise ConfigError unless `value` has the type of `default` and is allowed."""
        if type(value) is not type(default):
            hint = f'; write {float(value)}' if _is_int_for_float(value, default) else ''
            raise ConfigError(f'parameter {name} must be of type {type(default).__name__}, '
                              f'got {value!r} ({type(value).__name__}){hint}')
        too_low = self.low is not None and not value >= self.low
        too_high = self.high is not None and not value <= self.high
        if too_low or too_high or (self.choices and value not in self.choices):
            raise ConfigError(f'parameter {name} must be {self.allowed()}, got {value!r}')

    def allowed(self) -> str:
        """Say in words what values are allowed."""
        if self.choices:
            return 'one of ' + ', '.join(map(repr, self.choices))
        if self.low is not None:
            return f'in [{self.low}, {self.high}]'
        return 'any'


def parameter(default: Any, text: str, *, low: Any = None, high: Any = None,
              choices: tuple[str, ...] = (), when: str = 'always',
              read_only: bool = False, path: bool = False) -> Any:
    """Describe one field of a parameter dataclass.

    Args:
        default: A bool, int, float or str; its type is the parameter's type.
        text: One line for people; units in brackets.
        low: Smallest allowed number; give both bounds or none.
        high: Largest allowed number.
        choices: Allowed strings.
        when: It may change: 'always'; 'inactive', of a lifecycle node that is not active;
            'unconfigured', of one that reads it at configure; 'start', never while it runs.
        read_only: Short for `when='start'`.
        path: The name of something that ships, or a path. Whoever starts the node may give any;
            a later change, which anybody on the network can ask for, only a name, or a path in
            the folder of the one that was given.
    """
    if when not in WHEN:
        raise ConfigError(f'when must be one of {", ".join(WHEN)}, got {when!r}')
    if type(default) not in (bool, int, float, str):
        raise ConfigError(f'a parameter is a bool, int, float or str, got {default!r}')
    if (low is None) != (high is None):
        raise ConfigError(f'a range needs both ends, got [{low}, {high}]')
    return field(default=default,
                 metadata={'ros': Description(
                     text, low, high, choices, 'start' if read_only else when, path)})


def _is_int_for_float(value: Any, default: Any) -> bool:
    return type(value) is int and type(default) is float


def validate(values: ParametersT) -> ParametersT:
    """Return `values` if every field has the declared type and is allowed, else raise."""
    for item in fields(values):
        item.metadata['ros'].check(item.name, getattr(values, item.name), item.default)
    return values


def markdown_table(kind: type) -> str:
    """Return the documentation table of a parameter dataclass."""
    rows = ['| parameter | type | default | allowed | changes while running | meaning |',
            '|---|---|---|---|---|---|']
    for item in fields(kind):
        about = item.metadata['ros']
        default = f'`{item.default!r}`'
        rows.append(f'| `{item.name}` | {type(item.default).__name__} | {default} '
                    f'| {about.allowed()} | {WHEN[about.when]} '
                    f'| {about.text} |')
    return '\n'.join(rows) + '\n'


class NodeParameters(Generic[ParametersT]):
    """The parameters of one node; `values` is always complete and valid."""

    def __init__(self, node: Node, kind: type[ParametersT],
                 on_change: Callable[[ParametersT], None] | None = None, *,
                 check_change: Callable[[ParametersT, ParametersT], None] = lambda old, new: None,
                 state: Callable[[], str] = lambda: 'active') -> None:
        """Declare every field of `kind` on `node` and keep following updates.

        Args:
            node: Owner; overrides come from its launch file or command line.
            kind: Frozen dataclass whose fields are made by `parameter`; its `__post_init__`
                may check fields against each other and raise ConfigError.
            on_change: Called with the new values after an update was accepted.
            check_change: Called with the present and the proposed values, as one batch; raises
                ConfigError to refuse what is only allowed in some situations.
            state: Label of the lifecycle state, for parameters that depend on it.

        Raises:
            ConfigError: If an override has the wrong type, is not allowed, or has an unknown name.
        """
        self._on_change, self._check_change, self._state = on_change, check_change, state
        _refuse_unknown(node, [item.name for item in fields(kind)])
        given = {item.name: self._declare(node, item) for item in fields(kind)}
        self.values: ParametersT = validate(kind(**given))
        self._first = self.values      # of whoever started the node
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    def _declare(self, node: Node, item: Any) -> Any:
        from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
        from rclpy.exceptions import ParameterException

        about: Description = item.metadata['ros']
        descriptor = ParameterDescriptor(description=about.text, read_only=about.when == 'start')
        if about.choices:
            descriptor.additional_constraints = about.allowed()
        if about.low is not None and type(item.default) is float:
            descriptor.floating_point_range = [FloatingPointRange(
                from_value=float(about.low), to_value=float(about.high))]
        elif about.low is not None:
            descriptor.integer_range = [IntegerRange(from_value=about.low, to_value=about.high)]
        try:
            return node.declare_parameter(item.name, item.default, descriptor).value
        except ParameterException as error:  # an override of the wrong type or out of range
            raise ConfigError(f'parameter {item.name} must be of type '
                              f'{type(item.default).__name__}, {about.allowed()}: {error}'
                              ) from error

    def _updated(self, changes: list[Any]) -> ParametersT:
        known = {item.name for item in fields(self.values)}
        return validate(replace(self.values, **{change.name: change.value for change in changes
                                                if change.name in known}))

    def _check_when(self, new: ParametersT) -> None:
        """Refuse changes that the present state does not allow; raises ConfigError."""
        state = self._state()
        for item in fields(new):
            when = item.metadata['ros'].when
            changed = getattr(new, item.name) != getattr(self.values, item.name)
            if changed and state not in _STATES.get(when, (state,)):
                down = 'deactivate' if when == 'inactive' else 'deactivate and clean up'
                raise ConfigError(f'parameter {item.name} cannot change while the node is '
                                  f'{state}; {down} first')

    def _check_paths(self, new: ParametersT) -> None:
        """Refuse paths that nobody chose who started this node; raises ConfigError."""
        for item in fields(new):
            first, value = getattr(self._first, item.name), getattr(new, item.name)
            if item.metadata['ros'].path and not _may_be_read(value, first):
                raise ConfigError(
                    f'parameter {item.name} can be changed to the name of something that ships, '
                    f'or to a path in the folder of {first!r}, with which the node was started; '
                    f'got {value!r}')

    def _check(self, changes: list[Any]) -> Any:
        from rcl_interfaces.msg import SetParametersResult

        try:
            new = self._updated(changes)
            self._check_when(new)
            self._check_paths(new)
            self._check_change(self.values, new)
        except LewmError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply(self, changes: list[Any]) -> None:
        values = self._updated(changes)
        if values != self.values:
            self.values = values
            if self._on_change is not None:
                self._on_change(values)


def _may_be_read(value: str, first: str) -> bool:
    """Tell whether `value` is a plain name, or lies in the folder of the path `first`."""
    if value == first or not _is_path(value):
        return True
    try:
        return _is_path(first) and Path(value).expanduser().resolve().is_relative_to(
            Path(first).expanduser().resolve().parent)
    except (OSError, RuntimeError, ValueError):   # a loop of links, no such user, a zero byte
        return False


def _is_path(value: str) -> bool:
    return '/' in value or value.startswith(('.', '~')) or value.endswith('.yaml')


def _refuse_unknown(node: Node, known: list[str]) -> None:
    """Refuse overrides of the command line or a file that no parameter has the name of."""
    for name in node._parameter_overrides:
        if name not in known and not name.startswith(_OF_RCLPY):
            near = difflib.get_close_matches(name, known, 1)
            hint = f'did you mean {near[0]}?' if near else f'it has {", ".join(known)}'
            raise ConfigError(f'{node.get_name()} has no parameter {name!r}; {hint}')
