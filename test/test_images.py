import cv2
from lewm_model.errors import ImageError
from lewm_model.images import (
    decode_compressed,
    ENCODINGS,
    read_image,
    resize_square,
    to_rgb,
    write_image,
)
import numpy as np
import pytest

RED, GREEN, BLUE = (200, 30, 10), (20, 180, 40), (5, 60, 220)


def picture() -> np.ndarray:
    """Return four different pixels in each corner of a 2x3 picture."""
    return np.array([[RED, GREEN, BLUE], [BLUE, RED, GREEN]], dtype=np.uint8)


@pytest.mark.parametrize(('encoding', 'stored'), [
    ('rgb8', picture()),
    ('bgr8', picture()[..., ::-1]),
    ('rgba8', np.dstack([picture(), np.full((2, 3), 9, np.uint8)])),
    ('bgra8', np.dstack([picture()[..., ::-1], np.full((2, 3), 9, np.uint8)])),
])
@pytest.mark.parametrize('padding', [0, 5])
def test_colour_encodings_give_the_same_picture(encoding, stored, padding):
    """Channel order, alpha and row padding do not change what is seen."""
    rows = stored.reshape(2, -1)
    step = rows.shape[1] + padding
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=77).tobytes()

    np.testing.assert_array_equal(to_rgb(encoding, 2, 3, step, False, data), picture())


def test_mono_becomes_grey():
    """A grey value goes into all three channels."""
    rgb = to_rgb('mono8', 1, 2, 2, False, bytes([7, 250]))

    np.testing.assert_array_equal(rgb, [[[7] * 3, [250] * 3]])


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize(('channel', 'colour'), [(0, 'r'), (1, 'g'), (2, 'b')])
def test_bayer_patterns_name_their_colours(pattern, channel, colour):
    """A mosaic whose pixels of one colour are lit is a picture of that colour."""
    lit = np.array([[letter == colour for letter in pattern]]).reshape(2, 2) * np.uint8(200)
    mosaic = np.tile(lit, (4, 4))

    rgb = to_rgb(f'bayer_{pattern}8', 8, 8, 8, False, mosaic.tobytes())

    expected = np.zeros(3)
    expected[channel] = 200
    np.testing.assert_allclose(rgb[2:6, 2:6].reshape(-1, 3), [expected] * 16)


def test_result_is_independent_of_the_message():
    """A driver may reuse its buffer after the picture was decoded."""
    data = np.zeros(12, dtype=np.uint8)
    rgb = to_rgb('rgb8', 2, 2, 6, False, data)
    data[:] = 255

    assert rgb.max() == 0


@pytest.mark.parametrize(('fields', 'message'), [
    (('yuv422', 2, 2, 4, False, bytes(8)), f'publish one of {", ".join(ENCODINGS)}'),
    (('rgb8', 0, 2, 6, False, b''), 'height=0'),
    (('rgb8', 2, 2, 5, False, bytes(12)), 'step 5 is too small for width=2'),
    (('rgb8', 2, 2, 6, False, bytes(11)), '11 bytes, but step=6 times height=2 is 12'),
    (('bayer_rggb8', 1, 4, 4, False, bytes(4)), 'too small'),
])
def test_contradictory_messages_are_refused(fields, message):
    """What cannot be a picture is an error that names the numbers."""
    with pytest.raises(ImageError, match=message):
        to_rgb(*fields)


def test_png_is_lossless_and_jpeg_is_close(tmp_path):
    """Compressed images keep the channel order."""
    rgb = np.full((16, 16, 3), RED, dtype=np.uint8)
    for name, tolerance in (('a.png', 0), ('a.jpg', 3)):
        write_image(tmp_path / name, rgb)
        decoded = decode_compressed((tmp_path / name).read_bytes(), 'anything; jpeg')
        assert np.abs(decoded.astype(int) - rgb).max() <= tolerance
        np.testing.assert_array_equal(read_image(tmp_path / name), decoded)


def test_damaged_or_foreign_compressed_images_are_refused(tmp_path):
    """Half a JPEG would decode to grey areas, so it is an error, as is any other format."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    jpeg = cv2.imencode('.jpg', noise)[1].tobytes()
    png = cv2.imencode('.png', noise)[1].tobytes()
    for damaged in (jpeg[:len(jpeg) // 2], png[:len(png) // 2]):
        with pytest.raises(ImageError, match='damaged or cut short'):
            decode_compressed(damaged)
    with pytest.raises(ImageError, match="'16UC1; compressedDepth' is neither JPEG nor PNG"):
        decode_compressed(b'\0' * 20, '16UC1; compressedDepth')
    with pytest.raises(ImageError, match='No such file'):
        read_image(tmp_path / 'missing.png')
    with pytest.raises(ImageError, match='must end in .png or .jpg'):
        write_image(tmp_path / 'a.gif', noise)


def test_resize_averages_areas_and_keeps_the_whole_view():
    """Shrinking by two is the mean of four pixels; a wide picture is squeezed, not cropped."""
    rgb = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    mean = rgb.reshape(4, 2, 4, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(resize_square(rgb, 4) - mean).max() <= 0.5

    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, :3] = wide[:, -3:] = 255
    squeezed = resize_square(wide, 10)
    assert squeezed.shape == (10, 10, 3)
    assert squeezed[:, 0].min() == squeezed[:, -1].min() == 255
    assert squeezed[:, 1:-1].max() == 0


def test_resize_leaves_fitting_pictures_alone():
    """At the right size nothing is computed, so recorded and live frames stay bit-identical."""
    rgb = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)

    assert resize_square(rgb, 16) is rgb
    with pytest.raises(ImageError, match='uint8'):
        resize_square(rgb.astype(np.float32), 16)
