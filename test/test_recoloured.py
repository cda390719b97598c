"""Pictures that differ in colours, in light, or in where things are."""

from lewm_model.images.recoloured import recoloured, unexplained
import numpy as np
import pytest


def scene(place=20, floor=(230, 230, 220), thing=(200, 40, 30)):
    picture = np.tile(np.array(floor, np.uint8), (64, 64, 1))
    picture[place:place + 16, 10:30] = thing
    return picture


def test_other_colours_are_explained_whatever_they_are():
    """Floor and thing both change: nothing is left over."""
    assert unexplained(scene(), scene(floor=(200, 240, 190), thing=(220, 60, 0))) == 0
    assert unexplained(scene(), (scene() * 0.6).astype(np.uint8)) == pytest.approx(0, abs=1e-3)


def test_a_thing_that_moved_is_not_explained():
    """It covers floor and uncovers floor: a map of colours explains less than half."""
    assert unexplained(scene(), scene(place=28)) > 0.5


def test_a_small_move_in_other_light_is_mostly_colour():
    """Both at once: the share of the motion is between the two."""
    both = (scene(place=21) * 0.8).astype(np.uint8)
    assert 0 < unexplained(scene(), both) < unexplained(scene(), scene(place=21))


def test_a_covered_camera_is_no_change_of_colours():
    """All colours become one grey, which cannot become them again."""
    noise = np.random.default_rng(0).normal(25, 3, (64, 64, 3)).astype(np.uint8)
    assert unexplained(scene(), np.full((64, 64, 3), 25, np.uint8)) == pytest.approx(1)
    assert unexplained(scene(), noise) > 0.9


def test_equal_pictures_have_no_difference():
    """NaN: there is nothing to explain; neither where the first picture shows nothing."""
    assert np.isnan(unexplained(scene(), scene()))
    assert np.isnan(unexplained(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8, 3), np.uint8)))


def test_only_much_change_without_motion_is_another_colour():
    """The whole scene in other light; not a small thing in another colour, nor one that moved."""
    assert recoloured(scene(), (scene() * 0.7).astype(np.uint8))
    assert recoloured(scene(), scene(floor=(210, 240, 200)))
    assert not recoloured(scene(), scene(thing=(30, 200, 40)))
    assert not recoloured(scene(), scene(place=40))
    assert not recoloured(scene(), np.roll(scene(floor=(60, 60, 60)), 30, axis=0))
    assert not recoloured(scene(), scene())
