"""Clicks become goals: over the pure part, then over the goal node as a process."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

from episode_sets import arm_bank
from lewm_model.errors import ConfigError
from lewm_model.images.decode import write_image
from lewm_model.images.gallery import draw_gallery
from lewm_model.robots.clicks import Clicks
from lewm_model.robots.robot import RobotDescription
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import Point, PointStamped, Pose, PoseStamped, Quaternion  # noqa: E402
from lewm_ros.goals.giving.bank import OpenBank  # noqa: E402
from lewm_ros.goals.giving.click_topics import ClickTopics  # noqa: E402
from lewm_ros.goals.giving.clicks import ClickGoals, clicks_of, yaw_of  # noqa: E402
from lewm_ros.goals.giving.resolve import Resolver  # noqa: E402
from lewm_ros.goals.giving.shape import GoalShape  # noqa: E402
from lewm_ros.msg import Goal, GoalSpec  # noqa: E402
from lewm_ros.srv import ListGoals, SelectGoal, SetGoal  # noqa: E402
from lewm_ros.wire import giving, qos  # noqa: E402
from lewm_ros.wire.checks import MessageError  # noqa: E402
from lewm_ros.wire.goal_specs import (  # noqa: E402
    GoalWish,
    msg_to_wish,
    point_to_wish,
    pose_to_wish,
)
from lewm_ros.wire.goals import msg_to_goal  # noqa: E402
from lewm_ros.wire.pictures import image_to_rgb, rgb_to_image  # noqa: E402
from lewm_ros.wire.reasons import Code, ReasonedError  # noqa: E402
from lewm_ros.wire.reports import GoalKind, GoalSource  # noqa: E402
from lewm_ros.wire.stamps import header  # noqa: E402
from lewm_sim.tasks import load_task, task_names  # noqa: E402
from ros_helpers import code_name, over_the_wire  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from test_live_robots import file_of  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

ROBOT = RobotDescription.from_yaml('sim_reacher')
SQUARE = ((0, 0, -1, 1), (1, 0, 1, 1), (1, 1, 1, -1), (0, 1, -1, -1))
# The joints stand for x and y, as those of a gantry would.
CLICKS = Clicks(become='bank', frame='world', x='shoulder', y='wrist', within=(-4, 4, -1, 1),
                near=0.5, pixels=SQUARE)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return arm_bank(tmp_path_factory.mktemp('bank'), count=12)


def pose(x, y, yaw=0.0, frame='world') -> PoseStamped:
    message = PoseStamped(header=header(0, frame), pose=Pose(orientation=Quaternion(
        z=np.sin(yaw / 2), w=np.cos(yaw / 2))))
    message.pose.position.x, message.pose.position.y = float(x), float(y)
    return message


def answer(source: ClickGoals, wish: GoalWish):
    return asyncio.run(source.pixel(wish) if wish.source is GoalSource.PIXEL
                       else source.pose(wish))


def test_a_pose_becomes_values_without_a_picture():
    """Its x, y and direction, by the names in the robot file; a point leaves the direction out."""
    source = ClickGoals(Clicks(become='quantities', frame='odom', x='x', y='y', yaw='heading',
                               within=(-2, 2, -2, 2)), None)
    found = answer(source, pose_to_wish(pose(1.5, -0.5, 2.0, 'odom')))
    assert found.rgb is None and found.names == ('x', 'y', 'heading')
    assert found.values == pytest.approx((1.5, -0.5, 2.0))
    assert found.tolerances == ()
    enough = ClickGoals(Clicks(become='quantities', frame='odom', x='x', y='y', enough=0.1,
                               within=(-2, 2, -2, 2)), None)
    assert answer(enough, pose_to_wish(pose(1, 0, 0, 'odom'))).tolerances == (0.1, 0.1)
    point = PointStamped(header=header(0, 'odom'), point=Point(x=1.0, y=0.5, z=9.0))
    found = answer(source, point_to_wish(point))
    assert (found.names, found.values) == (('x', 'y'), (1.0, 0.5))
    wish = GoalWish(GoalSource.POSE, frame_id='odom', position=np.zeros(3), names=('y',),
                    weights=(2.0,))
    found = answer(source, wish)
    assert (found.names, found.values, found.weights) == (('y',), (0.0,), (2.0,))
    with pytest.raises(MessageError, match='names must be among what the click says, x, y, got z'):
        answer(source, GoalWish(GoalSource.POSE, frame_id='odom', position=np.zeros(3),
                                names=('z',)))


def test_two_numbers_leave_the_turn_open_three_ask_for_it():
    """By the robot file of push_t: the T at a place, turned anyhow; or turned as the yaw says."""
    clicks = RobotDescription.from_yaml(load_task('push_t').robot_file).clicks
    source = ClickGoals(clicks, None)
    found = answer(source, msg_to_wish(over_the_wire(giving.pose(0.1, -0.05, frame='world'))))
    assert (found.names, found.values) == (('block x', 'block y'), (0.1, -0.05))
    assert found.tolerances == (clicks.enough, clicks.enough)
    for yaw, angle in ((0.0, np.pi / 2), (-np.pi / 2, 0.0)):    # the arrow is the stem
        found = answer(source, msg_to_wish(over_the_wire(giving.pose(0.1, -0.05, yaw,
                                                                     frame='world'))))
        assert found.names == ('block x', 'block y', 'block angle')
        assert found.values == pytest.approx((0.1, -0.05, angle), abs=1e-4)
    assert found.tolerances == (clicks.enough, clicks.enough, clicks.enough_yaw)


# A pixel of a picture of 64 x 64 px, and where in space it shows the plane [m]: half-way to the
# upper left corner, seen from straight above; of the cube the crossing of the diagonals.
SHOWN = {'reacher': ((15.5, 15.5), (-0.1415, 0.1415)), 'push_t': ((15.5, 15.5), (-0.1265, 0.1265)),
         'two_room': ((15.5, 15.5), (-0.56, 0.56)), 'cube': ((32.733, 39.18), (0.425, 0.0))}


@pytest.mark.parametrize('name', task_names())
def test_every_click_on_a_shipped_task_is_the_goal_that_was_meant(name):
    """Pose, point and pixel, from the messages of viewers to the goal, by the robot's own file."""
    robot = RobotDescription.from_yaml(load_task(name).robot_file)
    clicks, goals, heard = robot.clicks, [], {}
    source = ClickGoals(clicks, None)
    resolver = Resolver(root='', shape=GoalShape('', robot), capture=None, now_ns=lambda: 0)
    resolver.plug(GoalSource.POSE, source.pose)
    resolver.plug(GoalSource.PIXEL, source.pixel)

    def hear(kind, topic, callback, *_, **__):
        heard[topic] = callback

    async def take(wish):
        goals.append(msg_to_goal((await resolver.resolve_wish(wish)).goal))

    async def size():
        return 64, 64

    ClickTopics(SimpleNamespace(always=SimpleNamespace(subscription=hear)), robot,
                SimpleNamespace(bank=None), take, size)
    (column, row), (x, y) = SHOWN[name]
    for topic, message in (
            ('goal_pose', pose(x, y, clicks.arrow(0.5), clicks.frame)),
            ('clicked_point', PointStamped(header=header(0, clicks.frame), point=Point(x=x, y=y))),
            (f'{robot.all_cameras[0].topic}_mouse_left', Point(x=column, y=row))):
        asyncio.run(heard[topic](over_the_wire(message)))
        turns = [clicks.yaw] if clicks.yaw and topic == 'goal_pose' else []
        goal = goals.pop()
        assert (goal.kind, goal.names) == (GoalKind.PROBE, (clicks.x, clicks.y, *turns))
        assert goal.values == pytest.approx([x, y, *(0.5 for _ in turns)], abs=1e-4)
        assert goal.tolerances == pytest.approx(
            [clicks.enough, clicks.enough, *(clicks.enough_yaw for _ in turns)])


def test_a_pose_becomes_the_nearest_entry_of_the_bank(folder):
    """With its picture, its name and how far it is; too far is refused."""
    bank = OpenBank(folder, ROBOT)
    source = ClickGoals(CLICKS, bank)
    found = answer(source, pose_to_wish(pose(2.9, 0.3)))
    entry = bank.bank.entry(found.goal_id)
    assert bank.bank.named(entry)['shoulder'][0] == pytest.approx(3.0)
    assert found.distance == pytest.approx(0.1, abs=1e-6)
    np.testing.assert_array_equal(found.rgb, bank.picture(entry))
    with pytest.raises(ReasonedError, match='clicks.near of the robot file is 0.5 m') as refusal:
        answer(source, pose_to_wish(pose(0.0, 0.9)))
    assert refusal.value.reason.code is Code.NO_SUCH_GOAL
    with pytest.raises(ReasonedError, match='this goal node has none') as refusal:
        answer(ClickGoals(CLICKS, None), pose_to_wish(pose(0, 0)))
    assert refusal.value.reason.code is Code.NOT_SET_UP


def test_a_pixel_becomes_a_rendered_picture():
    """The point of the plane that it shows is what the picture is asked for."""
    asked = []

    async def render(wanted):
        asked.append(dict(wanted))
        return np.zeros((4, 4, 3), np.uint8)

    source = ClickGoals(clicks_of(CLICKS, 'render'), None, render)
    found = answer(source, GoalWish(GoalSource.PIXEL, point=(0.75, 0.25)))
    assert found.rgb.shape == (4, 4, 3)
    assert asked == [{'shoulder': pytest.approx(0.5), 'wrist': pytest.approx(0.5)}]


def test_a_way_needs_a_robot_file_that_says_what_clicks_are():
    """The parameter alone does not: it would be a guess."""
    assert clicks_of(None, '') is None
    assert clicks_of(CLICKS, '') is CLICKS
    with pytest.raises(ConfigError, match='the robot file has no section clicks'):
        clicks_of(None, 'render')


@pytest.mark.parametrize('yaw', [0.0, 1.0, -3.0, np.pi / 2])
def test_the_direction_of_a_pose_is_its_turn_about_the_vertical(yaw):
    """As RViz sends it."""
    assert yaw_of(np.array([0, 0, np.sin(yaw / 2), np.cos(yaw / 2)])) == pytest.approx(yaw)


# The node ------------------------------------------------------------------------------------


def start(graph, tmp_path, folder=None, clicks=None, **parameters):
    """Start a goal node of the arm whose joints stand for x and y; return the goals it sets."""
    said = {'become': 'quantities', 'frame': 'world', 'x': 'shoulder', 'y': 'wrist',
            'within': [-4, 4, -1, 1], 'pixels': [list(map(float, one)) for one in SQUARE]}
    robot = file_of('sim_reacher', tmp_path, clicks=said if clicks is None else clicks)
    if folder is not None:
        parameters['goal_bank'] = str(folder)
    goals = graph.collect(Goal, 'goal', qos.LATCHED)
    graph.spawn('lewm_ros.goals.goal_node', output=tmp_path / 'log',
                parameters={'robot': robot, **parameters})
    return goals


def click(graph, kind, topic, message, done, what):
    """Publish until the condition holds: one that comes before discovery is lost."""
    publisher = graph.node.create_publisher(kind, topic, qos.LATEST)
    graph.wait_for(publisher.get_subscription_count, f'a reader of {topic}')
    return graph.send_until(lambda: (publisher.publish(message), graph.spin(0.3)), done, what)


def test_poses_points_and_pixels_become_the_goal(graph, tmp_path):
    """What RViz and rqt_image_view publish; the camera's size comes from its pictures."""
    goals = start(graph, tmp_path)
    click(graph, PoseStamped, 'goal_pose', pose(1.0, 0.5), lambda: goals, 'the goal of a pose')
    goal = msg_to_goal(goals[-1][1])
    assert (goal.kind, goal.source) == (GoalKind.PROBE, GoalSource.POSE)
    assert (goal.names, goal.values.tolist()) == (('shoulder', 'wrist'), [1.0, 0.5])

    def values():
        return msg_to_goal(goals[-1][1]).values.tolist()

    click(graph, PointStamped, 'clicked_point',
          PointStamped(header=header(0, 'world'), point=Point(x=-2.0, y=0.25)),
          lambda: values() == [-2.0, 0.25], 'the goal of a point')

    camera = graph.node.create_publisher(Image, 'image', qos.IMAGE)
    graph.node.create_timer(0.05, lambda: camera.publish(rgb_to_image(
        np.zeros((20, 40, 3), np.uint8), graph.node.get_clock().now().nanoseconds)))
    click(graph, Point, 'image_mouse_left', Point(x=29.5, y=4.5),
          lambda: np.allclose(values(), [0.5, 0.5]), 'the goal of a pixel')
    assert msg_to_goal(goals[-1][1]).source is GoalSource.PIXEL
    answer = graph.call(SelectGoal, '/goal_node/select_goal', SelectGoal.Request(
        spec=GoalSpec(source=GoalSpec.PIXEL, u=0.25, v=0.5)))
    assert answer.success and list(answer.goal.values) == pytest.approx([-0.5, 0.0])


def test_bad_clicks_set_nothing_and_say_why(graph, tmp_path):
    """Another frame, no number, outside, no quaternion: in diagnostics and the log."""
    goals = start(graph, tmp_path)
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)

    def told(words):
        return lambda: any(words in status.message for _, array in diagnostics
                           for status in array.status)

    crooked = pose(0, 0)
    crooked.pose.orientation = Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)
    for message, words in ((pose(0, 0, frame='map'), "is in frame 'map'"),
                           (pose(np.nan, 0), 'must be finite'),
                           (pose(0, 1.5), 'outside of x -4 to 4'), (crooked, 'not all 0')):
        click(graph, PoseStamped, 'goal_pose', message, told(words), words)
    assert goals == []
    log = (tmp_path / 'log').read_text()
    assert 'Fixed Frame' in log and 'Traceback' not in log
    assert graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(spec=GoalSpec(
        source=GoalSpec.POSE, pose=pose(1.0, 0.5)))).success


def test_a_bank_is_listed_shown_and_clicked(graph, tmp_path, folder):
    """List, gallery and places, latched; by name, by a click in the gallery, by a pose."""
    goals = start(graph, tmp_path, folder.name, goal_root=str(folder.parent), clicks={
        'become': 'bank', 'frame': 'world', 'x': 'shoulder', 'y': 'wrist',
        'within': [-4, 4, -1, 1]})
    listed = graph.call(ListGoals, '/goal_node/list_goals', ListGoals.Request())
    bank = OpenBank(folder, ROBOT)
    assert listed.names == [one.name for one in bank.bank.entries]
    assert listed.success and not listed.message
    assert 'shoulder' in listed.texts[0]
    shown = graph.collect(Image, 'goal_node/gallery', qos.LATCHED)
    markers = graph.collect(MarkerArray, 'goal_node/gallery_markers', qos.LATCHED)
    graph.wait_for(lambda: shown and markers, 'gallery and markers')
    gallery = draw_gallery([bank.picture(one) for one in bank.bank.entries],
                           [bank.bank.lines(one) for one in bank.bank.entries])
    np.testing.assert_array_equal(image_to_rgb(shown[0][1]), gallery.rgb)
    made = markers[0][1].markers
    assert [one.text for one in made if one.type == Marker.TEXT_VIEW_FACING] == listed.names
    first = bank.bank.named(bank.bank.entries[0])
    assert made[0].pose.position.x == pytest.approx(first['shoulder'][0])
    assert made[0].header.frame_id == 'world'

    assert graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(spec=GoalSpec(
        source=GoalSpec.BANK, uri=listed.names[3]))).goal_id == listed.names[3]
    graph.wait_for(lambda: goals, 'the goal by name')
    x, y = gallery.centre(7)
    click(graph, Point, 'goal_node/gallery_mouse_left', Point(x=x, y=y),
          lambda: goals[-1][1].goal_id == listed.names[7], 'the clicked entry')
    np.testing.assert_array_equal(msg_to_goal(goals[-1][1]).rgb,
                                  bank.picture(bank.bank.entries[7]))
    last = bank.bank.named(bank.bank.entries[5])
    click(graph, PoseStamped, 'goal_pose', pose(last['shoulder'][0] + 0.01, last['wrist'][0]),
          lambda: goals[-1][1].goal_id == listed.names[5], 'the entry near the pose')
    unknown = graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(spec=GoalSpec(
        source=GoalSpec.BANK, uri='goal_999')))
    assert code_name(unknown) == 'NO_SUCH_GOAL' and "no entry 'goal_999'" in unknown.message


def test_a_bank_that_cannot_be_used_is_told_and_the_node_goes_on(graph, tmp_path):
    """One damaged picture: no bank, an ERROR in diagnostics, other goals are taken."""
    bank = arm_bank(tmp_path, count=4)
    write_image(bank / 'goal_002.png', np.zeros((9, 9, 3), np.uint8))
    goals = start(graph, tmp_path, bank)
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
    graph.wait_for(lambda: any('the goal bank cannot be used: picture goal_002.png'
                               in array.status[0].message for _, array in diagnostics), 'why')
    listed = graph.call(ListGoals, '/goal_node/list_goals', ListGoals.Request())
    assert listed.names == [] and 'goal_002.png' in listed.message
    assert code_name(listed) == 'NOT_SET_UP'
    assert graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(spec=GoalSpec(
        source=GoalSpec.QUANTITIES, names=['wrist'], values=[0.5]))).success
    graph.wait_for(lambda: goals, 'another goal')


def test_a_way_chosen_by_the_parameter_wins(graph, tmp_path):
    """Rendered pictures without a simulator are refused at once, with what to do."""
    said = {'become': 'quantities', 'frame': 'world', 'x': 'shoulder', 'y': 'wrist',
            'within': [-4, 4, -1, 1]}
    robot = file_of('sim_reacher', tmp_path, clicks=said)
    graph.spawn('lewm_ros.goals.goal_node', parameters={'robot': robot, 'clicks': 'render'})
    refused = graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(spec=GoalSpec(
        source=GoalSpec.POSE, pose=pose(1.0, 0.5))))
    assert code_name(refused) == 'NO_ANSWER'
    assert "nobody answers 'sim_node/render'" in refused.message
    refused = graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(spec=GoalSpec(
        source=GoalSpec.PIXEL, u=0.5, v=0.5)))
    assert code_name(refused) == 'NOT_SET_UP' and 'write clicks.pixels' in refused.message
    refused = graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(spec=GoalSpec(
        source=GoalSpec.BANK, uri='goal_000')))
    assert code_name(refused) == 'NOT_SET_UP' and 'parameter goal_bank' in refused.message
