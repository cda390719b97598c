"""Goal pictures in another light or from beside: known gains, shifts and things that moved."""

from goal_pictures import pair, put, taken, textured, walled
from lewm_model.errors import ConfigError
from lewm_model.images.goal_correction import correct_goal
from lewm_model.images.shift import fine_shift, moved, shown, whole_shift
from lewm_model.images.tiles import tiles_of
import numpy as np
import pytest

SIZES = (64, 224)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('share', [0.02, 0.1, 0.4])
@pytest.mark.parametrize('which', ['exposure', 'all'])
def test_a_goal_of_the_same_light_stays_the_very_same(size, share, which):
    """Whatever moved, up to 40 % of the picture: not one bit changes and nothing is said."""
    rng = np.random.default_rng(size)
    for scene in [textured(size, rng) for _ in range(2)] + [walled(size)] * 2 + [
            np.full((size, size, 3), grey, np.uint8) for grey in (20, 128, 236)]:
        live, goal = pair(scene, rng, share)
        found = correct_goal(goal, live, which)
        assert found.rgb is goal and not found.text


@pytest.mark.parametrize('pixels', [1, 2, 3])
@pytest.mark.parametrize('share', [0.05, 0.4])
def test_a_thing_that_moved_a_little_is_no_camera_that_moved(pixels, share):
    """Alone on a plain floor, so that nothing but the thing tells; and in a room."""
    side = int(64 * share ** 0.5)
    top = (64 - side) // 2
    for scene in (np.full((64, 64, 3), 236, np.uint8), walled(64)):
        for down, right in ((0, pixels), (pixels, 0), (-pixels, pixels)):
            live = put(scene, top, top, side, side)
            goal = put(scene, top + down, top + right, side, side)
            found = correct_goal(goal, live, 'all')
            assert found.rgb is goal and not found.text


@pytest.mark.parametrize('noise', [1.0, 3.0, 6.0])
def test_noise_is_no_other_light(noise):
    """Both pictures have it, of this standard deviation in levels."""
    rng = np.random.default_rng(3)
    for scene in [textured(64, rng) for _ in range(4)] + [walled(64)] * 4:
        live, goal = (taken(one, noise=noise, rng=rng) for one in pair(scene, rng, 0.3))
        found = correct_goal(goal, live, 'all')
        assert found.rgb is goal and not found.text


@pytest.mark.parametrize(('size', 'gain', 'offset'), [
    (224, 0.7, 0), (224, 1.2, 10)] + [(64, *one) for one in [
    (0.5, 0), (0.7, 0), (0.85, 0), (1.2, 0), (1.5, 0), (1, 30), (1, -30), (0.5, 30), (0.8, -15),
    (1.5, -30), (1.3, 20), ((0.8, 1.0, 1.2), 0), ((0.9, 1.1, 0.7), (5, -10, 20))]])
def test_gain_and_offset_are_found_and_undone(size, gain, offset):
    """With a third of the picture moved; pixels that were cut off at white cannot come back.

    Where only one colour is left between black and white, gains alone can be told.
    """
    rng = np.random.default_rng(7)
    gain, offset = np.broadcast_to(gain, 3), np.broadcast_to(offset, 3)
    cut = (taken(walled(size), gain, offset) % 255 == 0).any()
    rooms = [] if cut and offset.any() else [walled(size)]
    for scene in [textured(size, rng) for _ in range(2)] + rooms:
        live, goal = pair(scene, rng, 0.3)
        photo = taken(goal, gain, offset)
        found = correct_goal(photo, live, 'exposure')
        clear = ((photo > 0) & (photo < 255)).all(axis=2)
        assert found.said and not found.doubt
        assert np.abs(found.rgb.astype(int) - goal)[clear].max() <= 1 + max(3, 2.5 / gain.min())
        same = (live == goal).all(axis=2)
        assert (found.rgb == goal).all(axis=2)[same].mean() > 0.9


def test_what_was_cut_off_at_white_becomes_what_the_camera_shows_there():
    """Floor that the robot stands on now is floor in the goal: no ghost of the robot."""
    live, goal = put(walled(64), 10, 10, 12, 12), put(walled(64), 40, 40, 12, 12)
    photo = taken(goal, 1.2)
    assert (photo[10:22, 10:22] == 255).all()
    found = correct_goal(photo, live, 'exposure')
    np.testing.assert_array_equal(found.rgb[10:22, 10:22], goal[10:22, 10:22])
    wrong = np.abs(found.rgb.astype(int) - goal)
    assert wrong[photo < 255].max() <= 1 and wrong.max() <= 255 - 255 / 1.2


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('shift', [(1, 0), (0, -1), (2, 2), (-3, 1), (0.5, 0.4), (-1.4, 2.3)])
@pytest.mark.parametrize('gain', [1.0, 0.8])
def test_a_shift_is_found_and_undone_also_in_other_light(size, shift, gain):
    """To 0.15 px, though a thing moved; a whole one without a trace.

    At 224 px, and of half a pixel, only the room with its sharp walls tells on all sides: in soft
    scenes so little may be left as it is.
    """
    rng, soft = np.random.default_rng(11), size < 224 and max(map(abs, shift)) >= 1
    for scene in [textured(size, rng) for _ in range(2 * soft)] + [walled(size)]:
        live, goal = pair(scene, rng, 0.2)
        photo = taken(goal, gain, shift=shift)
        found = correct_goal(photo, live, 'all')
        np.testing.assert_allclose(found.shift, shift, atol=0.15)
        assert found.said and not found.doubt
        inner = np.s_[4:-4, 4:-4]
        wrong, before = (np.abs(one[inner].astype(int) - goal[inner]).mean()
                         for one in (found.rgb, photo))
        whole = all(float(pixels).is_integer() for pixels in shift)
        assert wrong < (0.1 if whole else 0.6) * before
        if whole and gain == 1:
            np.testing.assert_allclose(found.rgb[inner], goal[inner], atol=2)


def test_exposure_alone_leaves_a_shift_and_says_it():
    """A camera on the robot is moved on purpose, so that is not undone unless it is asked for."""
    live, goal = put(walled(64), 10, 10, 12, 12), put(walled(64), 40, 40, 12, 12)
    photo = taken(goal, shift=(2, 0))
    found = correct_goal(photo, live, 'exposure')
    assert found.rgb is photo and not found.said
    assert 'everything 2.0 px right' in found.doubt
    dark = correct_goal(taken(goal, 0.7, shift=(2, 0)), live, 'exposure')
    assert '0.70, 0.70, 0.70 times the light' in dark.said and '2.0 px right' in dark.doubt


def test_another_light_that_no_gain_explains_is_doubted():
    """The floor became dark and the walls bright."""
    live, goal = put(walled(64), 10, 10, 12, 12), put(walled(64), 40, 40, 12, 12)
    photo = 255 - goal
    found = correct_goal(photo, live, 'all')
    assert found.rgb is photo and not found.said and 'other colours' in found.doubt


def test_another_scene_is_neither_corrected_nor_explained():
    """Two pictures that have nothing to do with each other."""
    rng = np.random.default_rng(5)
    for _ in range(10):
        live, goal = textured(64, rng), textured(64, rng)
        assert correct_goal(goal, live, 'all').rgb is goal


def test_pictures_of_one_grey_tell_nothing():
    """Any gain would explain them."""
    live, goal = np.full((64, 64, 3), 90, np.uint8), np.full((64, 64, 3), 140, np.uint8)
    assert correct_goal(goal, live, 'all').rgb is goal


def test_each_camera_has_a_light_of_its_own():
    """Two side by side, of which one was taken at 0.7."""
    tiles = tiles_of([(0, 0, 1, 1)] * 2, 64)
    live, goal = put(walled(64), 10, 10, 12, 8), put(walled(64), 40, 12, 12, 8)
    photo = goal.copy()
    photo[:, 32:] = taken(goal[:, 32:], 0.7)
    rng = np.random.default_rng(2)
    live[:, 32:] = textured(64, rng)[:, 32:]
    photo[:, 32:] = taken(live[:, 32:], 0.7)
    found = correct_goal(photo, live, 'exposure', tiles)
    assert found.said.startswith('camera 2: it was taken with 0.70')
    np.testing.assert_array_equal(found.rgb[:, :32], goal[:, :32])
    np.testing.assert_array_equal(found.rgb[:, 32:], live[:, 32:])
    assert correct_goal(goal, goal.copy(), 'exposure', tiles).rgb is goal


def test_what_cannot_be_compared_stays():
    """Off, another size, too small, the same bytes; an unknown word is refused."""
    live = walled(64)
    dark = taken(live, 0.7)
    assert correct_goal(dark, live, 'off').rgb is dark
    assert correct_goal(dark, walled(96), 'all').rgb is dark
    assert correct_goal(dark[:8, :8], live[:8, :8], 'all').said == ''
    assert correct_goal(live, live.copy(), 'all').rgb is live
    with pytest.raises(ConfigError, match="one of off, exposure, all, got 'some'"):
        correct_goal(dark, live, 'some')


def test_shifts_are_those_of_the_second_picture():
    """A picture moved by known pixels: what is shown, the whole shift and the fine one."""
    picture = textured(64, np.random.default_rng(1)).astype(np.float32)
    there = moved(picture, (2.0, -1.0))
    np.testing.assert_array_equal(there[:-1, 2:], picture[1:, :-2])
    inside = shown(picture.shape, (2.0, -1.0))
    assert not inside[:, :2].any() and not inside[-1].any() and inside[:-1, 2:].all()
    assert whole_shift(picture, 0.5 * there + 20) == (2.0, -1.0)
    half = moved(picture, (1.7, -0.6))
    found = fine_shift(picture, half, (2.0, -1.0), lambda levels: levels)
    np.testing.assert_allclose(found, (1.7, -0.6), atol=0.02)
