"""What people are shown, without ROS: things, strips, curves, what came true. Known answers."""

from lewm_model.errors import ConfigError
from lewm_model.heads.decoder import Decoder, DecoderConfig
from lewm_model.heads.readable import Readable
from lewm_model.robots.robot import RobotDescription
from lewm_model.types import Imagined
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.show import strip  # noqa: E402
from lewm_ros.show.curve import SPAN_S, SurpriseCurve  # noqa: E402
from lewm_ros.show.mind import Mind  # noqa: E402
from lewm_ros.show.past import Past  # noqa: E402
from lewm_ros.show.scene import cost_colours, fan_shapes, plan_shapes  # noqa: E402
from lewm_ros.show.things import Thing, things_of  # noqa: E402
from lewm_ros.wire.reports import GoalKind, GoalRequest  # noqa: E402
from lewm_ros.wire.shapes import markers_to_msg, path_to_msg  # noqa: E402
from lewm_sim.tasks import load_task  # noqa: E402
from lewm_sim.tasks.push_t.expert import turned  # noqa: E402
from lewm_sim.tasks.push_t.shape import OUTLINE  # noqa: E402
from nano import SIZES  # noqa: E402
from readout_bundles import bundle_that_reads, entry  # noqa: E402
from ros_helpers import over_the_wire  # noqa: E402
from visualization_msgs.msg import Marker  # noqa: E402

SECOND = 1_000_000_000


def reads(*names):
    """Describe quantities given as 'name of kind'."""
    return tuple(Readable(name, kind, of=of, read_error=0.1, read_error_95=0.2, low=-1.0, high=1.0)
                 for name, of, kind in names)


def test_a_thing_is_what_has_x_and_y():
    """Of the T: place and angle; of the disk: its place once, not again as joints; z counts."""
    push_t = things_of(reads(
        ('pusher_x', 'joint', 'position'), ('pusher_y', 'joint', 'position'),
        ('pusher x', 'agent', 'position'), ('pusher y', 'agent', 'position'),
        ('block x', 'block', 'position'), ('block y', 'block', 'position'),
        ('block angle', 'block', 'angle')))
    assert push_t == (Thing('agent', (2, 3), ('pusher x', 'pusher y')),
                      Thing('block', (4, 5), ('block x', 'block y'), 6, 'block angle'))
    assert things_of(reads(('x', 'cube', 'position'), ('y', 'cube', 'position'),
                           ('z', 'cube', 'position')))[0].axes == (0, 1, 2)
    assert things_of(reads(('shoulder', 'joint', 'angle'), ('max', 'arm', 'position'))) == ()
    pixels = [Readable(name, 'position', 'px', read_error=1.0, read_error_95=1.0, low=0.0,
                       high=9.0) for name in ('x', 'y')]
    assert things_of(pixels) == ()          # no viewer can place pixels in metres


def test_poses_take_their_columns():
    """X, y and yaw where they belong; z is 0 where nobody reads it."""
    values = np.arange(14.0).reshape(2, 7)
    assert Thing('block', (4, 5), ('block x', 'block y'), 6).poses(values).tolist() == [
        [4, 5, 0, 6], [11, 12, 0, 13]]


def test_a_goal_says_a_place_and_perhaps_a_turn():
    """NaN where any turn will do; without the whole place there is no pose."""
    block = Thing('block', (4, 5), ('block x', 'block y'), 6, 'block angle')
    np.testing.assert_equal(block.pose_said({'block x': 1.0, 'block y': 2.0}), [1, 2, 0, np.nan])
    said = {'block angle': 3.0, 'block y': 2.0, 'block x': 1.0, 'pusher x': 9.0}
    np.testing.assert_equal(block.pose_said(said), [1, 2, 0, 3])
    assert block.pose_said({'block x': 1.0, 'block angle': 3.0}) is None


def test_what_is_drawn_looks_where_a_click_would_point():
    """The stem of the T, as its shape has it, is the arrow that is clicked and drawn."""
    clicks = RobotDescription.from_yaml(load_task('push_t').robot_file).clicks
    block, = things_of(reads(('block x', 'block', 'position'), ('block y', 'block', 'position'),
                             ('block angle', 'block', 'angle')), clicks)
    stem = OUTLINE[np.abs(OUTLINE[:, 1]).argmax()] * [0, 1]        # the end that is farthest away
    for angle in (0.0, np.pi / 2, 3.0, -3.0):
        points = turned(stem, angle) / np.linalg.norm(stem)
        pose = block.poses(np.array([0.0, 0.0, angle]))
        np.testing.assert_allclose([np.cos(pose[3]), np.sin(pose[3])], points, atol=1e-5)
        arrow = clicks.arrow(angle)
        np.testing.assert_allclose([np.cos(arrow), np.sin(arrow)], points, atol=1e-5)
        said = block.pose_said(clicks.wanted(0.0, 0.0, arrow))
        np.testing.assert_allclose([np.cos(said[3]), np.sin(said[3])], points, atol=1e-5)


def imagined(stamp_s, steps=2, dim=4):
    return Imagined(round(stamp_s * SECOND), 1, 'g', np.zeros(dim), np.zeros(dim),
                    np.zeros((steps, dim)), np.zeros(0), np.zeros((0, steps, dim)))


def test_a_plan_has_come_true_when_its_last_picture_was_due():
    """The newest of those; a new epoch forgets plans, time that steps back everything."""
    past = Past(slack_ns=SECOND // 20)
    for tenth in range(31):
        past.see(tenth * SECOND // 10, np.full((2, 2, 3), tenth, np.uint8))
    for stamp_s in (0.5, 1.0, 2.0, 2.8):
        past.plan(imagined(stamp_s), (1, 1))
    assert past.come_true(SECOND // 2).stamp_ns == 2 * SECOND
    assert past.at(round(1.52 * SECOND))[0, 0, 0] == 15 and past.at(4 * SECOND) is None
    past.plan(imagined(2.9), (1, 2))
    assert past.come_true(SECOND // 2) is None and past.at(SECOND) is not None
    past.plan(imagined(2.0, steps=9), (1, 3))
    assert past.come_true(SECOND // 2) is None       # it is the newest itself
    past.plan(imagined(2.5, steps=9), (1, 3))
    assert past.come_true(SECOND // 2).stamp_ns == 2 * SECOND
    past.see(SECOND, np.zeros((2, 2, 3), np.uint8))
    assert past.at(2 * SECOND) is None


def test_a_strip_shows_each_picture_in_its_place():
    """Rows downwards, time to the right; what nobody knows is grey."""
    red, blue = (np.full((64, 64, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    drawn = strip.draw([strip.Row('now', [red, blue], ['now', '+0.25 s']),
                        strip.Row('then', [None, red], ['now', '+0.25 s'])])
    side, head = strip.SIDE, 18
    middle = [head + side // 2, 2 * head + side + head + side // 2]
    columns = [6 + side // 2, 6 + side + 6 + side // 2]
    assert drawn[middle[0], columns[0]].tolist() == [200, 0, 0]
    assert drawn[middle[0], columns[1]].tolist() == [0, 0, 200]
    assert drawn[middle[1], columns[1]].tolist() == [200, 0, 0]
    assert np.ptp(drawn[middle[1], columns[0]]) < 10
    assert strip.seconds(0, 0.25) == 'now' and strip.seconds(2, 0.25) == '+0.50 s'


def test_the_curve_rises_with_surprise_and_forgets_a_past_that_steps_back():
    """A high value is drawn higher; without any the picture says so, and nothing breaks."""
    def top_of_curve(value, limit):
        curve = SurpriseCurve()
        curve.add(0, 1.0, limit)
        curve.add(SECOND, value, limit)
        return np.argwhere((curve.draw() == (31, 97, 191)).all(axis=2))[:, 0].min()
    assert top_of_curve(8.0, 10.0) < top_of_curve(2.0, 10.0)

    def red_title(alarm):
        curve = SurpriseCurve()
        curve.add(0, 9.0, 3.0, alarm)
        return bool((curve.draw()[:23] == (200, 40, 45)).all(axis=2).any())
    assert red_title(True) and not red_title(False)      # one frame above the limit is none
    empty = SurpriseCurve()
    empty.add(0, float('nan'), float('nan'))
    assert empty.draw().shape == (160, 480, 3)
    again = SurpriseCurve()
    for stamp_s in (100, 101, 1):
        again.add(stamp_s * SECOND, 1.0, 3.0)
    assert len(again._points) == 1 and SPAN_S > 0


def test_the_best_candidate_is_green_and_drawn_last():
    """Costs are compared among themselves; equal ones are all good."""
    colours = cost_colours(np.array([1.0, 2.0, 3.0]))
    assert colours[0][1] > colours[0][0] and colours[2][0] > colours[2][1]
    assert len(set(cost_colours(np.array([2.0, 2.0])))) == 1 and cost_colours(np.zeros(0)) == []
    thing = Thing('block', (0, 1), ('x', 'y'))
    lines = fan_shapes({thing: np.zeros((3, 2, 4))}, np.array([1.0, 2.0, 3.0]), 1.0)['block']
    assert [line.colour for line in lines] == colours[::-1]


def test_what_has_no_height_is_drawn_over_the_ground_the_plan_on_top():
    """At 0 lies the floor of a robot description. A height that is read stays as it is."""
    way = np.zeros((1, 3, 4))
    for thing, heights in ((Thing('block', (0, 1), ('x', 'y')), (0.024, 0.012)),
                           (Thing('cube', (0, 1, 2), ('x', 'y', 'z')), (0.0, 0.0))):
        plan, goal = plan_shapes({thing: way[0]}, {thing: way[0, 0]}, 2.0, 0.25).values()
        fan, = fan_shapes({thing: way}, np.zeros(1), 2.0)[thing.name]
        assert [shape.points[0, 2] for shape in (plan[0], plan[1], goal[0], fan)] == (
            pytest.approx([heights[0]] * 3 + [heights[1]]))


@pytest.mark.parametrize(('yaw', 'ahead'), [(0.0, (1, 0)), (np.pi / 2, (0, 1))])
def test_the_end_of_a_plan_and_a_goal_look_somewhere(yaw, ahead):
    """A line from the place in the direction, at the same height; none where any turn will do."""
    block = Thing('block', (0, 1), ('x', 'y'), 2, 'angle')
    way = np.array([[0.0, 0, 0, 9], [0.1, 0.2, 0, yaw]])
    plan, goal = plan_shapes({block: way}, {block: way[1]}, 2.0, 0.25).values()
    for line in (plan[-1], goal[-1]):
        start, end = line.points
        np.testing.assert_allclose(start, [0.1, 0.2, 0.024])
        np.testing.assert_allclose((end - start) / np.linalg.norm(end - start), [*ahead, 0],
                                   atol=1e-9)
    plan, goal = plan_shapes({block: way[:, [0, 1, 2, 2]]}, {block: np.array([0, 0, 0, np.nan])},
                             2.0, 0.25).values()
    assert (len(plan), len(goal)) == (4, 1)
    point = Thing('agent', (0, 1), ('x', 'y'))
    plan, goal = plan_shapes({point: way}, {point: way[1]}, 2.0, 0.25).values()
    assert (len(plan), len(goal)) == (3, 1)


def test_markers_and_path_say_where_and_when():
    """First all earlier markers go; then line, dots and label of each thing, and the goal."""
    thing = Thing('block', (0, 1), ('x', 'y'))
    way = np.array([[0.0, 0, 0, 0], [0.1, 0.2, 0, np.pi]])
    shapes = plan_shapes({thing: way}, {thing: way[1]}, 2.0, 0.25)
    markers = over_the_wire(markers_to_msg(shapes, 5 * SECOND, 'world', 1.5)).markers
    assert [marker.type for marker in markers[1:]] == [
        Marker.LINE_STRIP, Marker.SPHERE_LIST, Marker.TEXT_VIEW_FACING, Marker.SPHERE_LIST]
    assert markers[0].action == Marker.DELETEALL
    line, label = markers[1], markers[3]
    assert (line.points[1].x, line.points[1].y) == (0.1, 0.2) and line.scale.x > 0
    assert (line.header.frame_id, line.header.stamp.sec, line.lifetime.sec) == ('world', 5, 1)
    assert label.text == 'block +0.25 s' and {marker.ns for marker in markers[1:]} == {
        'block: plan', 'block: goal'}
    path = over_the_wire(path_to_msg(way, [5 * SECOND, 6 * SECOND], 5 * SECOND, 'world'))
    assert [pose.header.stamp.sec for pose in path.poses] == [5, 6]
    assert path.poses[1].pose.orientation.z == pytest.approx(1.0)


@pytest.fixture
def mind(tmp_path):
    """What a bundle that reads (x, y) = (0.3, -0.2) from everything lets people see."""
    from dataclasses import replace

    from lewm_model.heads.readout import Readout, ReadoutConfig
    bundle = bundle_that_reads()
    readout = Readout(ReadoutConfig([entry('x'), entry('y')], hidden_dim=8, hidden_layers=1,
                                    places=3), SIZES.latent_dim)
    readout.std.zero_()
    readout.mean[:] = readout.mean.new_tensor([0.3, -0.2])
    decoder = Decoder(DecoderConfig(hidden_dim=8, channels=4), SIZES.latent_dim)
    replace(bundle, readout=readout, decoder=decoder).save(tmp_path / 'bundle')
    return Mind(str(tmp_path / 'bundle'))


def test_a_mind_reads_places_and_paints(mind):
    """Poses of every latent; pictures as small as they are decoded; nothing is missing."""
    assert mind.notes == () and mind.extent == 10.0
    thing, = mind.things
    poses = mind.poses(np.zeros((5, 3, SIZES.latent_dim), np.float32))[thing]
    assert poses.shape == (5, 3, 4)
    np.testing.assert_allclose(poses[0, 0], [0.3, -0.2, 0, 0], atol=1e-6)
    assert [picture.shape for picture in mind.paint(np.zeros((2, SIZES.latent_dim)))] == [
        (64, 64, 3)] * 2


def test_the_place_of_a_goal_is_what_it_says_or_what_its_picture_shows(mind):
    """A picture's by the readout, unless it does not count; a target's by its numbers."""
    thing, = mind.things
    latent = np.zeros(SIZES.latent_dim, np.float32)
    picture = GoalRequest(GoalKind.PICTURE, 0, rgb=np.zeros((4, 4, 3), np.uint8))
    np.testing.assert_allclose(mind.goal_poses(picture, latent)[thing][:2], [0.3, -0.2], atol=1e-6)
    other = GoalRequest(GoalKind.PICTURE, 0, names=('angle',))
    assert mind.goal_poses(other, latent) == {}
    target = GoalRequest(GoalKind.PROBE, 0, names=('y', 'x'), values=np.array([1.0, 2.0]),
                         weights=np.ones(2))
    np.testing.assert_equal(mind.goal_poses(target, np.zeros(0))[thing], [2, 1, 0, np.nan])
    assert mind.goal_poses(None, np.zeros(0)) == {}
    assert mind.goal_picture(picture) is picture.rgb
    assert mind.goal_picture(target).shape == (64, 64, 3)
    assert mind.goal_picture(GoalRequest(GoalKind.NONE, 0)) is None
    unknown = GoalRequest(GoalKind.PROBE, 0, names=('colour',), values=np.ones(1),
                          weights=np.ones(1))
    with pytest.raises(ConfigError, match="cannot read 'colour'"):
        mind.goal_picture(unknown)


def test_a_bundle_that_cannot_be_seen_into_says_what_to_add(tmp_path):
    """Both commands, by name; nothing is shown, and nothing fails."""
    from nano import tiny_bundle
    tiny_bundle().save(tmp_path / 'bare')
    bare = Mind(str(tmp_path / 'bare'))
    assert ['--kind decoder' in bare.notes[0], '--kind readout' in bare.notes[1]] == [True] * 2
    assert bare.paint(np.zeros((2, 16))) == [None, None] and bare.poses(np.zeros((2, 16))) == {}
