"""tools/draw_operator.py: what it draws where, reads, and publishes for a click."""

import importlib.util
from pathlib import Path

from lewm_model.robots.clicks import Clicks
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from geometry_msgs.msg import PointStamped, PoseStamped  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.shapes import Dots, Label, Line, markers_to_msg  # noqa: E402
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
# The picture shows 2 m; its middle is x 0, y 0, and y points up in it.
CLICKS = Clicks(become='quantities', frame='world', x='x', y='y', within=(-1, 1, -1, 1),
                pixels=((0, 0, -1, 1), (1, 0, 1, 1), (1, 1, 1, -1), (0, 1, -1, -1)))
GREEN, BLUE = (0.0, 1.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)
GREY = np.full((64, 64, 3), 128, np.uint8)


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('draw_operator',
                                                  ROOT / 'tools' / 'draw_operator.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def at(picture, x, y):
    """Return the colour where a picture shows a place [m]."""
    side = len(picture)
    return picture[round((1 - y) / 2 * side), round((x + 1) / 2 * side)].tolist()


def markers(**shapes):
    return markers_to_msg(shapes, 0, 'world', 1.0)


def test_markers_are_drawn_where_they_are(tool):
    """Upwards is +y; as wide as they are; what is half transparent lets the camera through."""
    point = np.array([[0.5, 0.25, 0.0]])
    drawn = tool.over_the_camera(GREY, CLICKS, [
        markers(goal=[Dots(point, GREEN, 0.1)]),
        markers(plan=[Line(np.array([[-0.5, -0.5, 0], [-0.5, 0.5, 0.0]]), BLUE, 0.04)])])
    assert at(drawn, 0.5, 0.25) == at(drawn, 0.54, 0.25) == [0, 255, 0]
    assert at(drawn, 0.5, -0.25) == at(drawn, 0.57, 0.25) == at(drawn, 0, 0) == [128] * 3
    assert at(drawn, -0.5, 0.0) == at(drawn, -0.5, 0.45) == [0, 0, 255]
    assert at(drawn, -0.4, 0.0) == at(drawn, -0.5, 0.6) == [128] * 3
    half = tool.over_the_camera(GREY, CLICKS, [
        markers(goal=[Dots(point, (0.0, 1.0, 0.0, 0.5), 0.1)])])
    assert at(half, 0.5, 0.25) == pytest.approx([64, 191, 64], abs=1)


def test_a_text_has_room_beside_its_point(tool):
    """Also at the right border: it is written to the left of it there."""
    for x in (-0.9, 0.95):
        drawn = tool.over_the_camera(GREY, CLICKS, [
            markers(plan=[Label(np.array([x, 0.0, 0.0]), 'block +2.50 s', BLUE, 0.1)])])
        inked = np.argwhere((drawn != 128).any(axis=2))[:, 1]
        assert len(inked) and inked.min() > 0 and inked.max() < len(drawn) - 1


def test_a_sheet_has_an_even_size_and_the_pictures_side_by_side(tool):
    """As films want it, whatever the sizes of the pictures; each title has its picture."""
    class Seen:
        newest = {name: markers() for name in ('Candidates', 'Plan and goal')}
        pictures: dict = {}

        def picture(self, name):
            return self.pictures[name]

    for height, width in ((161, 481), (420, 612)):
        Seen.pictures = {'Camera': GREY, 'Goal': GREY // 2,
                         'Imagination': np.full((height, width, 3), (200, 0, 0), np.uint8),
                         'Surprise': np.full((160, 481, 3), (0, 200, 0), np.uint8)}
        page = tool.sheet(Seen(), CLICKS)
        assert page.shape[0] % 2 == page.shape[1] % 2 == 0
        for colour, size in (((200, 0, 0), height * width), ((0, 200, 0), 160 * 481),
                             ((64, 64, 64), 240 * 240)):
            assert (page == colour).all(axis=2).sum() == size


def test_the_viewer_reads_what_the_file_of_rviz_says(tool):
    """Every enabled display of a kind that it draws, with its topic and quality of service."""
    made = {}

    class Node:
        def create_subscription(self, kind, topic, callback, profile):
            made[topic] = kind.__name__, profile, callback

    viewer = tool.Viewer(Node(), ROOT / 'config' / 'rviz' / 'plan.rviz')
    assert {topic: kind for topic, (kind, *_) in made.items()} == {
        'image': 'Image', 'goal_picture': 'Image', 'imagination': 'Image',
        'surprise_curve': 'Image', 'diagnostics_board': 'Image', 'candidates': 'MarkerArray',
        'imagined_markers': 'MarkerArray', 'imagined_path': 'Path'}
    profile = made['goal_picture'][1]
    assert (profile.reliability, profile.durability, profile.depth) == (
        ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 1)
    profile = made['image'][1]
    assert (profile.reliability, profile.durability) == (
        ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
    assert made['candidates'][1].reliability == ReliabilityPolicy.RELIABLE
    assert viewer.lacks({'Camera', 'Goal'}) == 'Camera, Goal'
    made['image'][2](rgb_to_image(GREY, 0))
    assert viewer.lacks({'Camera', 'Goal'}) == 'Goal'
    np.testing.assert_array_equal(viewer.picture('Camera'), GREY)


def test_two_numbers_are_a_point_three_a_pose(tool, capsys):
    """As RViz publishes them; any other number is refused before something starts."""
    topic, message = tool.clicked([0.5, -0.4], 'world')
    assert (topic, type(message)) == ('clicked_point', PointStamped)
    assert (message.point.x, message.point.y, message.header.frame_id) == (0.5, -0.4, 'world')
    topic, message = tool.clicked([0.5, -0.4, np.pi], 'world')
    assert (topic, type(message)) == ('goal_pose', PoseStamped)
    assert message.pose.orientation.z == pytest.approx(1.0)
    options = tool.parser().parse_args(['two_room', 'x.png', '--click', '0.5', '-0.4'])
    assert options.click == [0.5, -0.4]
    for count in (1, 4):
        with pytest.raises(SystemExit):
            tool.main(['two_room', 'x.png', '--click', *['0.5'] * count])
        assert f'takes x, y and perhaps yaw, got {count} numbers' in capsys.readouterr().err
