"""What people name becomes a goal message, or a refusal that says what is missing."""

import asyncio
import math

from lewm_model.errors import LewmError
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_ros.goals.giving.resolve import Found, Resolver  # noqa: E402
from lewm_ros.goals.giving.shape import GoalShape  # noqa: E402
from lewm_ros.msg import GoalSpec  # noqa: E402
from lewm_ros.wire.goals import msg_to_goal  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reasons import Code, ReasonedError  # noqa: E402
from lewm_ros.wire.reports import GoalKind, GoalSource  # noqa: E402

RED = np.zeros((6, 7, 3), np.uint8) + np.array([250, 10, 20], np.uint8)


def resolver(**options):
    async def capture():
        return RED, 77

    robot = RobotDescription.from_yaml('sim_reacher')
    return Resolver(root='', shape=GoalShape('', robot), capture=capture, now_ns=lambda: 5,
                    **options)


def resolve(spec, by=None):
    return asyncio.run((by or resolver()).resolve(spec))


def test_quantities_become_a_probe_goal_with_an_id_of_its_own():
    """Names, values, weights and tolerances go over; the same wish has the same id."""
    spec = GoalSpec(source=GoalSpec.QUANTITIES, names=['x', 'angle'], values=[0.25, -1.0],
                    weights=[1.0, 0.0], tolerances=[0.01, 0.1], tolerance=0.5)
    goal = msg_to_goal(resolve(spec).goal)
    assert (goal.kind, goal.source, goal.stamp_ns) == (GoalKind.PROBE, GoalSource.QUANTITIES, 5)
    assert goal.names == ('x', 'angle') and goal.tolerance == 0.5
    np.testing.assert_array_equal(goal.values, [0.25, -1.0])
    np.testing.assert_array_equal(goal.weights, [1.0, 0.0])
    np.testing.assert_array_equal(goal.tolerances, [0.01, 0.1])
    assert goal.goal_id == resolve(spec).goal.goal_id and len(goal.goal_id) == 12
    spec.values[0] = 0.26
    assert resolve(spec).goal.goal_id != goal.goal_id


def test_a_picture_with_names_counts_only_these():
    """The names go out with the picture."""
    goal = msg_to_goal(resolve(GoalSpec(source=GoalSpec.MESSAGE, image=rgb_to_image(RED, 0),
                                        names=['angle'], tolerances=[0.1])).goal)
    assert (goal.kind, goal.names) == (GoalKind.PICTURE, ('angle',))
    np.testing.assert_array_equal(goal.tolerances, [0.1])
    np.testing.assert_array_equal(goal.rgb, RED)


def test_a_capture_carries_the_stamp_of_its_frame():
    """The picture is what the camera saw, and when."""
    goal = msg_to_goal(resolve(GoalSpec(source=GoalSpec.CAPTURE)).goal)
    assert (goal.source, goal.stamp_ns) == (GoalSource.CAPTURE, 77)


@pytest.mark.parametrize(('fields', 'reason'), [
    ({'source': 9}, 'source must be one of'),
    ({'source': GoalSpec.QUANTITIES}, 'at least one quantity'),
    ({'source': GoalSpec.QUANTITIES, 'names': ['x']}, 'values must have 1 numbers, got 0'),
    ({'source': GoalSpec.QUANTITIES, 'names': ['x'], 'values': [math.nan]}, 'must be finite'),
    ({'source': GoalSpec.QUANTITIES, 'names': ['x', 'x'], 'values': [1.0, 2.0]}, 'different'),
    ({'source': GoalSpec.QUANTITIES, 'names': ['x'], 'values': [1.0], 'weights': [0.0]},
     'not all 0'),
    ({'source': GoalSpec.QUANTITIES, 'names': ['x'], 'values': [1.0], 'tolerances': [-1.0]},
     'tolerances must be above 0'),
    ({'source': GoalSpec.CAPTURE, 'tolerances': [1.0]}, 'there are no names'),
    ({'source': GoalSpec.CAPTURE, 'tolerance': math.inf}, 'tolerance must be in'),
    ({'source': GoalSpec.CAPTURE, 'task': 'a\nb'}, 'at most 200 printable'),
    ({'source': GoalSpec.FILE, 'uri': 'x' * 5000}, 'uri must be at most 1000'),
    ({'source': GoalSpec.FILE, 'uri': 'a.png'}, 'goal_root'),
    ({'source': GoalSpec.PIXEL, 'u': 1.5}, 'u must be in [0, 1]'),
    ({'source': GoalSpec.PIXEL, 'u': math.nan}, 'u must be in [0, 1]')])
def test_nonsense_is_refused_with_its_reason(fields, reason):
    """Every refusal names the field and what is allowed."""
    with pytest.raises(LewmError) as refusal:
        resolve(GoalSpec(**fields))
    assert reason in str(refusal.value)


def test_sources_that_nobody_answers_say_what_is_missing():
    """Until a bank or a robot file is there."""
    for source in (GoalSpec.BANK, GoalSpec.POSE, GoalSpec.PIXEL):
        spec = GoalSpec(source=source)
        with pytest.raises(ReasonedError, match=r'need a goal bank .* it takes FILE, MESS') as it:
            resolve(spec)
        assert it.value.reason.code is Code.NOT_SET_UP


def test_a_source_plugs_in():
    """It gets the checked wish, and says how far away what it found is."""
    asked = []

    async def find(wish):
        asked.append(wish)
        return Found(names=('x', 'y'), values=(1.0, 2.0), goal_id='near', distance=0.25, text='ok')

    by = resolver()
    by.plug(GoalSource.POSE, find)
    spec = GoalSpec(source=GoalSpec.POSE)
    spec.pose.header.frame_id = 'map'
    spec.pose.pose.position.x = 3.0
    spec.pose.pose.orientation.z, spec.pose.pose.orientation.w = 2.0, 0.0   # w is 1 by default
    found = resolve(spec, by)
    assert (found.distance, found.text, found.goal.goal_id) == (0.25, 'ok', 'near')
    assert msg_to_goal(found.goal).source is GoalSource.POSE
    wish, = asked
    assert wish.frame_id == 'map'
    np.testing.assert_array_equal(wish.position, [3, 0, 0])
    np.testing.assert_array_equal(wish.orientation, [0, 0, 1, 0])
    spec.pose.pose.orientation.z = 1e-9
    with pytest.raises(LewmError, match='all 0, which is any direction, or a quaternion'):
        resolve(spec, by)
    spec.pose.pose.orientation.z = 0.0
    resolve(spec, by)
    assert asked[-1].orientation is None


def test_one_of_several_is_named():
    """People see which of their way-points is wrong."""
    specs = [GoalSpec(source=GoalSpec.CAPTURE), GoalSpec(source=GoalSpec.FILE)]
    with pytest.raises(LewmError, match='goal 2 of 2: goals from files are off'):
        asyncio.run(resolver().resolve_all(specs))
