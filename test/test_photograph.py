"""Goal pictures that were taken otherwise: known pixels."""

from goal_pictures import put, taken, walled
from lewm_model.errors import ConfigError
from lewm_sim.evaluate.exam import Settings
from lewm_sim.evaluate.pairs import corrected, Pair, photographed
from lewm_sim.evaluate.photograph import parse_changes, photograph
import numpy as np
import pytest

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


def test_what_changes_nothing_changes_no_pixel():
    """Exposure 1, gamma 1, shift 0."""
    np.testing.assert_array_equal(
        photograph(RGB, {'exposure': 1.0, 'gamma': 1.0, 'shift': 0.0}, 1.0), RGB)


def test_exposure_and_gamma_are_those_of_the_formula():
    """200 at exposure 0.5 is 100, at 2 it is white; 64 at gamma 2 is 64^2 / 255."""
    def one(value, **changes):
        return int(photograph(np.full((1, 1, 3), value, np.uint8), changes)[0, 0, 0])

    assert (one(200, exposure=0.5), one(200, exposure=2.0)) == (100, 255)
    assert one(64, gamma=2.0) == round(64 ** 2 / 255)
    assert one(64, gamma=0.5) == round((64 * 255) ** 0.5)


def test_a_shift_moves_the_picture_and_repeats_its_border():
    """Two pixels to the right; half a pixel down is the mean of two rows."""
    moved = photograph(RGB, {'shift': 2.0})
    np.testing.assert_array_equal(moved[:, 2:], RGB[:, :-2])
    np.testing.assert_array_equal(moved[:, :2], np.repeat(RGB[:, :1], 2, axis=1))
    half = photograph(RGB, {'shift': 0.5}, np.pi / 2).astype(float)
    np.testing.assert_allclose(half[1:], (RGB[1:].astype(float) + RGB[:-1]) / 2, atol=0.51)


def test_every_pair_has_a_direction_of_its_own_and_the_start_stays():
    """The same for the same pair, whoever asks."""
    pairs = [Pair(0, row, *(np.zeros(1),) * 3, RGB, RGB) for row in range(2)]
    first, again = (photographed(pairs, {'shift': 3.0}, seed=1) for _ in range(2))
    assert not np.array_equal(first[0].goal_rgb, first[1].goal_rgb)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.goal_rgb, other.goal_rgb)
        assert one.start_rgb is RGB


def test_goal_pictures_are_corrected_by_that_of_the_start():
    """One at 0.7 of the light, one as it is, one beside; the same code as in the planner."""
    live, goal = put(walled(64), 10, 10, 12, 12), put(walled(64), 40, 40, 12, 12)
    photos = (taken(goal, 0.7), goal, taken(goal, shift=(1, 0)))
    pairs = [Pair(0, row, *(np.zeros(1),) * 3, live, photo) for row, photo in enumerate(photos)]
    found, counts = corrected(pairs, 'exposure')
    assert np.abs(found[0].goal_rgb.astype(int) - goal).max() <= 1
    assert all(one.goal_rgb is photo for one, photo in zip(found[1:], photos[1:], strict=True))
    assert counts == {'corrected': 1, 'doubted': 1}
    assert corrected(pairs, 'all')[1] == {'corrected': 2, 'doubted': 0}


@pytest.mark.parametrize(('text', 'words'), [
    ('blur=1', "no change 'blur'; there are exposure, gamma, shift"),
    ('gamma', "written gamma=0.7, got 'gamma'"),
    ('gamma=0', r'gamma must be in \[0.05, 20\], got 0'),
    ('shift=nan', 'shift must be in'),
])
def test_changes_that_cannot_be_are_refused(text, words):
    """The message says what is allowed."""
    with pytest.raises(ConfigError, match=words):
        parse_changes([text])
    assert parse_changes(['gamma=0.7,shift=2', 'exposure=1.5']) == {
        'gamma': 0.7, 'shift': 2.0, 'exposure': 1.5}
    with pytest.raises(ConfigError):
        Settings(photo={'blur': 1.0})
    with pytest.raises(ConfigError, match='goal_correction must be one of off, exposure, all'):
        Settings(goal_correction='some')
