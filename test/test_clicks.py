"""The section `clicks` of robot files, and points of pictures on a plane."""

from dataclasses import asdict
from pathlib import Path

from bag_factory import robot
from lewm_model.config import load_yaml
from lewm_model.errors import ConfigError, ImageError
from lewm_model.heads.readable import Readable
from lewm_model.robots.clicks import Clicks, parse_clicks
from lewm_model.robots.describe import describe_robot
from lewm_model.robots.robot import RobotDescription
from lewm_sim.tasks import load_task, task_names
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

FLOOR = {'become': 'quantities', 'frame': 'odom', 'x': 'x', 'y': 'y', 'within': [-1, 2, -3, 4]}
SQUARE = [[0, 0, -1, 1], [1, 0, 1, 1], [1, 1, 1, -1], [0, 1, -1, -1]]


def clicks(**changes) -> Clicks:
    return parse_clicks({**FLOOR, **changes})


def test_a_click_becomes_values_of_the_named_quantities():
    """By their names; the direction only where the file names one and the click has one."""
    assert clicks().wanted(1.5, -2) == {'x': 1.5, 'y': -2.0}
    assert clicks().wanted(1.5, -2, 0.3) == {'x': 1.5, 'y': -2.0}
    turned = clicks(yaw='heading')
    assert turned.wanted(0, 0, 0.3) == {'x': 0.0, 'y': 0.0, 'heading': 0.3}
    assert turned.wanted(0, 0) == {'x': 0.0, 'y': 0.0}


def test_the_arrow_of_a_click_may_be_another_direction_than_the_quantity():
    """The quantity is ahead of the arrow, around the turn; a value has its arrow again."""
    stem = clicks(yaw='block angle', yaw_ahead=np.pi / 2)
    for arrow, angle in ((-np.pi / 2, 0.0), (0.0, np.pi / 2), (np.pi, -np.pi / 2)):
        assert stem.wanted(0, 0, arrow)['block angle'] == pytest.approx(angle)
        assert np.exp(1j * stem.arrow(angle)) == pytest.approx(np.exp(1j * arrow))
    assert set(stem.wanted(0, 0)) == {'x', 'y'}
    assert clicks(yaw='turn').arrow(0.3) == 0.3


def test_near_enough_is_said_for_both_or_for_none():
    """One number for x and y, one for the direction; without them the planner decides."""
    assert clicks().tolerances(['x', 'y']) == ()
    assert clicks(enough=0.1).tolerances(['x', 'y']) == (0.1, 0.1)
    both = clicks(enough=0.1, enough_yaw=0.3, yaw='turn')
    assert both.tolerances(['turn', 'y']) == (0.3, 0.1)
    for changes in ({'enough': 0.1, 'yaw': 'turn'}, {'enough_yaw': 0.1}):
        with pytest.raises(ConfigError, match='enough and enough_yaw must be both given, or none'):
            clicks(**changes)


def test_clicks_outside_and_in_other_frames_are_refused_with_the_fix():
    """The message has the place, the area, both frames, and what to set in the viewer."""
    for place in ((2.1, 0), (0, -3.1), (float('nan'), 0), (0, float('inf'))):
        with pytest.raises(ConfigError, match=r'outside of x -1 to 2, y -3 to 4 m.*within'):
            clicks().wanted(*place)
    clicks().require_frame('odom')
    for frame in ('map', '', '/odom'):
        with pytest.raises(ConfigError, match="clicks.frame of the robot file is 'odom'.*Fixed"):
            clicks().require_frame(frame)


def camera_points(pitch_rad: float, plane: np.ndarray) -> np.ndarray:
    """Return shares u, v at which a pinhole 1.5 m above the plane, looking down ahead, sees it."""
    axes = np.array([[0, -1, 0], [-np.sin(pitch_rad), 0, -np.cos(pitch_rad)],
                     [np.cos(pitch_rad), 0, -np.sin(pitch_rad)]])   # right, down, forward
    seen = (np.column_stack([plane, np.zeros(len(plane))]) - [0, 0, 1.5]) @ axes.T
    return 0.5 + 0.6 * seen[:, :2] / seen[:, 2:]


@pytest.mark.parametrize('pitch_rad', [0.3, 0.8, 1.5])
@pytest.mark.parametrize('count', [4, 9])
def test_points_of_a_pinhole_camera_are_found_on_the_plane(pitch_rad, count):
    """From four or more pairs, every other point comes out within 0.1 mm."""
    rng = np.random.default_rng(count)
    known = np.array([[1, -1], [1, 1], [3, 1], [3, -1], *rng.uniform([1, -1], [3, 1], (5, 2))])
    known = known[:count]
    made = clicks(pixels=np.hstack([camera_points(pitch_rad, known), known]).tolist())
    for place in rng.uniform([0.8, -2], [6, 2], (20, 2)):
        u, v = camera_points(pitch_rad, place[None])[0]
        np.testing.assert_allclose(made.on_plane(u, v), place, atol=1e-4)


def test_the_sky_shows_no_floor():
    """At and above the horizon there is no place; without pairs there is none anywhere."""
    plane = np.array([[1, -1], [1, 1], [3, 1], [3, -1]], float)
    made = clicks(pixels=np.hstack([camera_points(0.3, plane), plane]).tolist())
    horizon = 0.5 - 0.6 * np.tan(0.3)
    for v in (horizon, horizon - 0.1, -5.0):
        with pytest.raises(ImageError, match='at or above the horizon'):
            made.on_plane(0.5, v)
    with pytest.raises(ConfigError, match='write clicks.pixels: four points'):
        clicks().on_plane(0.5, 0.5)


def test_a_pair_that_was_measured_wrongly_is_named():
    """Of nine pairs one is half a metre off: the message says which."""
    plane = np.array([[x, y] for x in (1, 2, 3) for y in (-1, 0, 1)], float)
    pixels = np.hstack([camera_points(0.8, plane), plane])
    pixels[4, 2] += 0.8
    with pytest.raises(ConfigError, match=r'do not go together: \[.*, 2.8, 0\] is 0.\d+ m off'):
        clicks(pixels=pixels.tolist())


@pytest.mark.parametrize(('changes', 'message'), [
    ({'become': 'magic'}, "clicks.become must be one of bank, render, quantities, got 'magic'"),
    ({'frame': ''}, 'clicks.frame must be a text that is not empty'),
    ({'x': 3}, 'clicks.x must be a text that is not empty, got 3'),
    ({'y': 'x'}, 'clicks.x, y and yaw must be different quantities'),
    ({'within': [0, 1, 2]}, 'clicks.within must be 4 finite numbers'),
    ({'within': [1, 0, 0, 1]}, 'clicks.within must be x from, x to, y from, y to'),
    ({'within': [0, float('nan'), 0, 1]}, 'clicks.within must be 4 finite numbers'),
    ({'near': -1}, 'clicks.near must be a distance'),
    ({'near': True}, 'clicks.near must be a finite number'),
    ({'enough': -0.1}, 'clicks.enough must be a distance'),
    ({'yaw': 'turn', 'yaw_ahead': 90}, r'clicks.yaw_ahead must be an angle \[rad\]'),
    ({'yaw_ahead': 1.5}, 'and 0 without yaw, got 1.5'),
    ({'pixels': SQUARE[:3]}, 'clicks.pixels must be 4 to 100 points'),
    ({'pixels': [*SQUARE[:3], [0, 0, 1]]}, r'clicks.pixels\[3\] must be 4 finite numbers'),
    ({'pixels': [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2], [0, 1, 0, 1]]}, 'no three are on one'),
    ({'pixels': [SQUARE[0]] * 4}, 'no three are on one line'),
    ({'pixels': [SQUARE[0], [1, 0, 1, -1], [1, 1, 1, 1], SQUARE[3]]}, 'one camera'),
    ({'colour': 1}, 'clicks must have become, frame, x, y, within and perhaps yaw, yaw_a'),
])
def test_nonsense_is_refused(changes, message):
    """A robot file is refused as a whole, with the robot's name."""
    with pytest.raises(ConfigError, match=f'robot .*{message}'):
        robot(clicks={**FLOOR, **changes})


@pytest.mark.parametrize('name', task_names())
def test_clicks_of_a_task_are_what_it_measures_and_its_model_reads(name):
    """The quantities exist, and goals are where training was."""
    task = load_task(name)
    made = RobotDescription.from_yaml(task.robot_file).clicks
    clicked = {made.x, made.y, *filter(None, [made.yaw])}
    kinds = {one.name: one.kind for one in task.quantities}
    assert kinds[made.x] == kinds[made.y] == 'position'
    assert not made.yaw or kinds[made.yaw] == 'angle'
    settings = load_yaml(ROOT / 'models' / task.bundle / 'bundle.yaml')
    read = {one['name']: Readable(**one) for one in settings['readout']['quantities']}
    assert clicked <= set(read)
    low_x, high_x, low_y, high_y = made.within
    assert read[made.x].low <= low_x < high_x <= read[made.x].high
    assert read[made.y].low <= low_y < high_y <= read[made.y].high


def test_a_robot_file_has_them_or_not():
    """They are described in words, and are no reason to make a data set again."""
    assert robot().clicks is None
    made = robot(clicks={**FLOOR, 'pixels': SQUARE})
    assert made.clicks == parse_clicks(made.clicks)
    assert asdict(made.clicks)['within'] == (-1.0, 2.0, -3.0, 4.0)
    words = describe_robot(made)
    assert 'clicks   in frame odom become values, without a picture, of x, y' in words
    assert 'by 4 points' in words
    assert 'turn (1.571 rad where the arrow points along x)' in describe_robot(robot(
        clicks={**FLOOR, 'yaw': 'turn', 'yaw_ahead': np.pi / 2}))
    with pytest.raises(ConfigError, match='clicks must have become, .* got 3'):
        robot(clicks=3)
