"""Every function that reads a message returns, or raises a LewmError: nothing else, ever."""

from collections.abc import Callable
from importlib import import_module
import inspect
import pkgutil
from types import UnionType
import typing

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.errors import LewmError  # noqa: E402
from lewm_model.robots.robot import RobotDescription  # noqa: E402
import lewm_ros.wire  # noqa: E402
from lewm_ros.wire.robot_interface import RobotInterface  # noqa: E402
from message_fuzz import Fuzz  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from wire_samples import samples_of  # noqa: E402

ROUNDS = 150
ROBOTS = ('sim_reacher', 'joint_trajectory_arm', 'diff_drive')
# What else such a function is given, by the name of the argument.
ARGUMENTS = {'names': ['shoulder', 'wrist'], 'interface': 2, 'stamp_ns': 5, 'other': Image(),
             'node': 'planner_node'}
STAMPED = ('header_stamp_ns',)   # take any message with a header, and do not say so


def message_kinds(annotation: object) -> tuple[type, ...]:
    """Return the message classes that an annotation names, none if it names something else."""
    kinds = (typing.get_args(annotation)
             if isinstance(annotation, UnionType) or typing.get_origin(annotation) is typing.Union
             else (annotation,))
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    return kinds if kinds and all(hasattr(kind, 'SLOT_TYPES') for kind in kinds) else ()


def readers() -> dict[str, tuple[Callable, tuple[type, ...]]]:
    """Return every function of wire/ whose first argument is a message, with what it may be."""
    found = {}
    for info in pkgutil.iter_modules(lewm_ros.wire.__path__):
        module = import_module(f'lewm_ros.wire.{info.name}')
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name.startswith('_'):
                continue
            first = next(iter(inspect.signature(function).parameters), None)
            kinds = message_kinds(typing.get_type_hints(function).get(first)) if first else ()
            if name in STAMPED:
                kinds = tuple(kind for kind in samples_of('sim_reacher')
                              if 'header' in kind.get_fields_and_field_types())
            if kinds:
                found[f'{info.name}.{name}'] = (function, kinds)
    return found


READERS = readers()


def outcome(function: Callable, message: object, arguments: dict) -> str:
    """Call a reader; return 'taken' or 'refused', fail on anything else."""
    try:
        function(message, **arguments)
    except LewmError as error:
        assert str(error), 'an error without a reason'
        assert len(str(error)) < 2000, f'{len(str(error))} characters of reason: {error!s:.200}'
        return 'refused'
    except Exception as error:
        raise AssertionError(f'{function.__name__} raised {error!r} for '
                             f'{message!s:.500}') from error
    return 'taken'


def test_the_readers_are_found():
    """The messages that move the robot are among them."""
    assert {'motion.msg_to_chunk', 'status.msg_to_plan_report', 'goals.msg_to_goal',
            'stamps.header_stamp_ns', 'pictures.image_to_rgb'} <= set(READERS)


@pytest.mark.parametrize('name', READERS)
def test_whatever_is_in_a_message_it_is_taken_or_refused(name):
    """Random fields, and good messages with a few fields changed."""
    function, kinds = READERS[name]
    parameters = list(inspect.signature(function).parameters.values())[1:]
    needed = {item.name for item in parameters if item.default is item.empty}
    assert needed <= set(ARGUMENTS), f'add to ARGUMENTS what {name} is given: {needed}'
    arguments = {item: ARGUMENTS[item] for item in needed}
    fuzz, samples = Fuzz(7), samples_of('sim_reacher')
    outcomes = set()
    for kind in kinds:
        if kind in samples:
            assert outcome(function, samples[kind], arguments) == 'taken'
        for _ in range(ROUNDS):
            outcomes.add(outcome(function, fuzz.random_message(kind), arguments))
            outcomes.add(outcome(function, fuzz.damaged(samples.get(kind, kind())), arguments))
    assert outcomes


@pytest.mark.parametrize('robot', ROBOTS)
def test_whatever_is_in_a_command_it_is_taken_or_refused(robot):
    """The command messages of every shipped kind of robot."""
    interface, samples, fuzz = (RobotInterface(RobotDescription.from_yaml(robot)),
                                samples_of(robot), Fuzz(7))

    for output, (_, kind) in enumerate(interface.outputs):
        def read(message, output=output):
            interface.read(output, message)

        assert outcome(read, samples[kind], {}) == 'taken'
        outcomes = {outcome(read, message, {}) for _ in range(ROUNDS)
                    for message in (fuzz.random_message(kind), fuzz.damaged(samples[kind]))}
        assert 'refused' in outcomes
