"""The view of a model: crop, tiles, shape, and what another view is told."""

from dataclasses import replace

from lewm_model import Bundle
from lewm_model.errors import BundleError, ConfigError, ImageError
from lewm_model.images.decode import resize_square
from lewm_model.images.tiles import (
    cropped,
    goal_sheet,
    join,
    parse_crop,
    Tile,
    tiles_of,
    WHOLE,
)
from lewm_model.images.view import CameraView, goal_square, View
from lewm_model.robots.cameras import Camera
from nano import tiny_bundle
import numpy as np
import pytest
import yaml

VGA = View(64, (CameraView(640, 480),))
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def grey(value, height=48, width=64):
    return np.full((height, width, 3), value, np.uint8)


def test_a_crop_is_shares_of_the_picture_to_whole_pixels():
    """So one robot file fits every resolution of the camera."""
    np.testing.assert_array_equal(cropped(PICTURE, (0.25, 0.5, 0.5, 0.25)), PICTURE[24:36, 16:48])
    assert cropped(PICTURE, WHOLE) is PICTURE
    assert cropped(PICTURE, (0.99, 0.99, 0.01, 0.01)).shape == (1, 1, 3)
    large = PICTURE.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(cropped(large, (0.25, 0.5, 0.5, 0.25)), large[48:72, 32:96])


@pytest.mark.parametrize('value', [
    [0, 0, 640, 480], [0, 0, 1], [0.5, 0, 0.6, 1], [0, 0, 0, 1], [-0.1, 0, 1, 1], 'whole', 7,
    {'x': 0}, [0, 0, float('nan'), 1], [[0], 0, 1, 1]])
def test_what_is_no_part_of_a_picture_is_refused(value):
    """The message says that shares are meant, not pixels."""
    with pytest.raises(ConfigError, match='shares of the picture'):
        parse_crop(value)


def test_one_camera_fills_the_square_as_before():
    """The tile of a single camera without a crop is the square that always was made."""
    (tile,) = tiles_of([WHOLE], 24)
    assert tile == Tile(0, 0, 24, 24)
    np.testing.assert_array_equal(join([tile.fill(PICTURE)], [tile], 24),
                                  resize_square(PICTURE, 24))


@pytest.mark.parametrize('count', [2, 3, 4])
@pytest.mark.parametrize('size', [8, 9, 64])
def test_tiles_cover_the_square_once(count, size):
    """Two side by side, up to four in a grid; of three the last place stays black."""
    tiles = tiles_of([WHOLE] * count, size)
    square = join([tile.fill(grey(10 * place + 10)) for place, tile in enumerate(tiles)], tiles,
                  size)
    assert square.shape == (size, size, 3)
    corners = square[[0, 0, -1, -1], [0, -1, 0, -1], 0].tolist()
    assert corners == {2: [10, 20, 10, 20], 3: [10, 20, 30, 0], 4: [10, 20, 30, 40]}[count]
    areas = sum(tile.height * tile.width for tile in tiles)
    assert areas == (square[..., 0] > 0).sum()


def test_the_view_goes_through_json_and_the_bundle(tmp_path):
    """Nothing is lost; a bundle without one is an older one, and knows its frames all the same."""
    view = View(48, (CameraView(640, 480, (0.125, 0, 0.75, 1)), CameraView(320, 240)))
    assert View.from_json(view.to_json()) == view
    tiny_bundle(view=view).save(tmp_path / 'new')
    loaded = Bundle.load(tmp_path / 'new')
    assert (loaded.view, loaded.frame_px) == (view, 48)
    tiny_bundle(provenance={'frame_px': 32}).save(tmp_path / 'old')
    old = Bundle.load(tmp_path / 'old')
    assert (old.view, old.frame_px) == (None, 32)
    text = yaml.safe_load((tmp_path / 'new' / 'bundle.yaml').read_text())
    text['view']['cameras'][0]['width'] = 0
    (tmp_path / 'new' / 'bundle.yaml').write_text(yaml.safe_dump(text))
    with pytest.raises(BundleError, match='sizes of a view must be positive'):
        Bundle.load(tmp_path / 'new')


@pytest.mark.parametrize(('other', 'words'), [
    (VGA, ''),
    (View(64, (CameraView(320, 240),)), ''),
    (View(64, (CameraView(640, 477),)), ''),
    (View(64, (CameraView(1280, 720),)), 'picture is 1280x720 instead of 640x480'),
    (View(64, (CameraView(640, 480, (0, 0, 0.5, 1)),)), 'crop [0, 0, 0.5, 1] instead of [0, 0, 1'),
    (View(64, VGA.cameras * 2), '2 cameras instead of 1'),
    (View(32, VGA.cameras), 'frames of 32 px instead of 64 px')])
def test_another_view_is_told_in_words(other, words):
    """Resolution and a pixel of rounding do not count; shape, crop, number and size do."""
    assert words in VGA.difference(other)
    assert bool(words) == bool(VGA.difference(other))


def test_a_picture_of_another_shape_is_refused_with_both():
    """A 16:9 camera before a model of 4:3 would show everything squeezed; cropped it fits."""
    VGA.check(0, 320, 240, WHOLE)
    VGA.check(0, 1280, 720, (0.125, 0, 0.75, 1))
    with pytest.raises(ImageError, match=r'picture is 1280x720 px \(1\.78 to 1\), the model was '
                                         r'trained on 640x480 \(1\.33 to 1\)'):
        VGA.check(0, 1280, 720, WHOLE)
    square = View(64, (CameraView(64, 64),))
    wide = np.hstack([grey(1, 48, 8), grey(9, 48, 48), grey(1, 48, 8)])
    cropped_to_square = tiles_of([(0.125, 0, 0.75, 1)], 64)
    assert (goal_square(wide, square, cropped_to_square) == 9).all()


def test_goals_are_finished_squares_or_whole_pictures():
    """A square of the stored size is taken as it is; a picture is cropped as the camera's."""
    square = grey(7, 64, 64)
    assert goal_square(square, VGA) is square
    np.testing.assert_array_equal(goal_square(PICTURE, VGA), resize_square(PICTURE, 64))
    half = View(64, (CameraView(640, 480, (0.5, 0, 0.5, 1)),))
    np.testing.assert_array_equal(goal_square(PICTURE, half), resize_square(PICTURE[:, 32:], 64))
    with pytest.raises(ImageError, match='90x90 px'):
        goal_square(grey(7, 90, 90), VGA)


def test_a_sheet_of_several_cameras_is_what_the_cameras_would_give():
    """Whole pictures in equal tiles become the same square as live, bit for bit if of one size."""
    view = View(64, (CameraView(640, 480, (0.25, 0, 0.5, 1)), CameraView(640, 480)))
    pictures = [PICTURE, PICTURE[::-1]]
    live = join([tile.fill(one) for tile, one in zip(view.tiles, pictures, strict=True)],
                view.tiles, 64)
    sheet = goal_sheet(pictures)
    assert sheet.shape == (48, 128, 3)
    np.testing.assert_array_equal(goal_square(sheet, view), live)
    with pytest.raises(ImageError, match='of camera 1'):
        goal_square(PICTURE, view)
    mixed = replace(view, cameras=(CameraView(640, 480), CameraView(1280, 720)))
    assert goal_square(goal_sheet([PICTURE, grey(9, 36, 64)]), mixed)[0, -1, 0] == 9


def test_a_camera_says_whether_it_is_compressed_by_type_or_name():
    """As image_transport names topics."""
    assert Camera('a/compressed').compressed
    assert not Camera('a/compressed', type='sensor_msgs/msg/Image').compressed
    assert Camera('video', type='sensor_msgs/msg/CompressedImage').compressed
