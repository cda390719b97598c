"""Every raw encoding against pixels computed by hand, and against itself in other layouts."""

import array

from lewm_model.errors import ImageError
from lewm_model.images.encodings import (
    DEPTH_ENCODINGS,
    ENCODINGS,
    is_mosaic,
    to_8_bits,
    to_rgb,
)
import numpy as np
import pytest

RED, GREEN, BLUE = (200, 30, 10), (20, 180, 40), (5, 60, 220)
PICTURE = np.array([[RED, GREEN, BLUE], [BLUE, RED, GREEN]], dtype=np.uint8)
ALPHA = np.full((2, 3), 9, np.uint8)
STORED = {'rgb': PICTURE, 'bgr': PICTURE[..., ::-1], 'rgba': np.dstack([PICTURE, ALPHA]),
          'bgra': np.dstack([PICTURE[..., ::-1], ALPHA])}
# BT.601 with black at 16: R = 1.164 (Y - 16) + 1.596 (V - 128), B = 1.164 (Y - 16)
# + 2.017 (U - 128), G = 1.164 (Y - 16) - 0.392 (U - 128) - 0.813 (V - 128). By hand:
# (81, 90, 240) is (254.4, -0.5, -1.0) and (41, 240, 110) is (0.4, -0.1, 255.0).
SHARED_COLOUR = ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21')
YUV_RED, YUV_BLUE, BLACK, WHITE = [254, 0, 0], [0, 0, 255], [0, 0, 0], [255, 255, 255]


def values_per_row(encoding: str, width: int) -> int:
    """Return how many values a row has, without padding."""
    per_pixel = {'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4, 'yuv422': 2, 'uyvy': 2,
                 'yuv422_yuy2': 2, 'yuyv': 2}
    return width * per_pixel.get(encoding.rstrip('168') if encoding[-1] in '68' else encoding, 1)


def rows_of(encoding: str, height: int) -> int:
    """Return how many rows of `step` bytes a message has."""
    return {'nv12': height * 3 // 2, 'nv21': height * 3 // 2, 'nv24': height * 3}.get(
        encoding, height)


@pytest.mark.parametrize('name', STORED)
@pytest.mark.parametrize('bits', [8, 16])
def test_colour_encodings_give_the_same_picture(name, bits):
    """Channel order and alpha do not change what is seen; 257 * v in 16 bits is v."""
    stored = STORED[name] if bits == 8 else STORED[name].astype('<u2') * 257
    step = stored[0].nbytes

    np.testing.assert_array_equal(
        to_rgb(f'{name}{bits}', 2, 3, step, False, stored.tobytes()), PICTURE)


def test_mono_becomes_grey():
    """A grey value goes into all three channels; 8UC1 has no other reading."""
    expected = [[[7] * 3, [250] * 3]]
    for encoding in ('mono8', '8UC1'):
        np.testing.assert_array_equal(to_rgb(encoding, 1, 2, 2, False, bytes([7, 250])), expected)
    np.testing.assert_array_equal(
        to_rgb('mono16', 1, 2, 4, True, bytes([7, 7, 250, 250])), expected)


@pytest.mark.parametrize(('encoding', 'rows'), [
    ('yuv422', [[90, 81, 240, 81, 128, 16, 128, 235], [240, 41, 110, 41, 128, 235, 128, 16]]),
    ('uyvy', [[90, 81, 240, 81, 128, 16, 128, 235], [240, 41, 110, 41, 128, 235, 128, 16]]),
    ('yuv422_yuy2', [[81, 90, 81, 240, 16, 128, 235, 128], [41, 240, 41, 110, 235, 128, 16, 128]]),
    ('yuyv', [[81, 90, 81, 240, 16, 128, 235, 128], [41, 240, 41, 110, 235, 128, 16, 128]]),
])
def test_packed_yuv_is_bt601(encoding, rows):
    """Two pixels share their colour; U and V are not exchanged."""
    np.testing.assert_array_equal(
        to_rgb(encoding, 2, 4, 8, False, np.array(rows, np.uint8)),
        [[YUV_RED, YUV_RED, BLACK, WHITE], [YUV_BLUE, YUV_BLUE, WHITE, BLACK]])


@pytest.mark.parametrize(('encoding', 'pairs'), [
    ('nv12', [90, 240, 128, 128]), ('nv21', [240, 90, 128, 128])])
def test_planes_that_share_colour_among_four_pixels(encoding, pairs):
    """Brightness first, then a pair for each two by two pixels; U and V are not exchanged."""
    luma = [[81, 81, 16, 235], [81, 81, 235, 16]]
    np.testing.assert_array_equal(
        to_rgb(encoding, 2, 4, 4, False, np.array([*luma, pairs], np.uint8)),
        [[YUV_RED, YUV_RED, BLACK, WHITE], [YUV_RED, YUV_RED, WHITE, BLACK]])


def test_nv24_has_colour_for_each_pixel():
    """Odd widths are fine, as nothing is shared."""
    data = bytes([81, 41, 235, 90, 240, 240, 110, 128, 128])
    np.testing.assert_array_equal(to_rgb('nv24', 1, 3, 3, False, data),
                                  [[YUV_RED, YUV_BLUE, WHITE]])


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize(('channel', 'colour'), [(0, 'r'), (1, 'g'), (2, 'b')])
def test_bayer_patterns_name_their_colours(pattern, channel, colour, bits):
    """A mosaic whose pixels of one colour are lit is a picture of that colour."""
    lit = np.array([[letter == colour for letter in pattern]]).reshape(2, 2) * np.uint8(200)
    mosaic = np.tile(lit, (4, 4)) if bits == 8 else np.tile(lit, (4, 4)).astype('<u2') * 257

    rgb = to_rgb(f'bayer_{pattern}{bits}', 8, 8, bits, False, mosaic.tobytes())

    expected = np.zeros(3)
    expected[channel] = 200
    np.testing.assert_allclose(rgb[2:6, 2:6].reshape(-1, 3), [expected] * 16)
    assert is_mosaic(f'bayer_{pattern}{bits}') and not is_mosaic(f'bayer_{pattern}9')


def test_bayer_interpolates_neighbours():
    """The middle of a 4x4 mosaic, by hand: the mean of the nearest pixels of each colour."""
    mosaic = np.array([[10, 20, 30, 40], [50, 60, 70, 80], [90, 100, 110, 120],
                       [130, 140, 150, 160]], np.uint8)
    rgb = to_rgb('bayer_rggb8', 4, 4, 4, False, mosaic)
    # blue pixel: red of four corners, green of four sides
    assert rgb[1, 1].tolist() == [(10 + 30 + 90 + 110) // 4, (20 + 50 + 70 + 100) // 4, 60]
    # green pixel in a blue row: red above and below, blue left and right
    assert rgb[1, 2].tolist() == [(30 + 110) // 2, 70, (60 + 80) // 2]
    # red pixel
    assert rgb[2, 2].tolist() == [110, (70 + 100 + 120 + 150) // 4, (60 + 80 + 140 + 160) // 4]


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('shape', [(6, 8), (10, 4)])
def test_layout_never_changes_the_picture(encoding, shape):
    """Padding, byte order and the kind of buffer are packing, not content."""
    height, width = shape
    rng = np.random.default_rng(0)
    wide = encoding.endswith('16')
    rows = rng.integers(0, 256 ** (1 + wide),
                        (rows_of(encoding, height), values_per_row(encoding, width)))
    little, big = (rows.astype(kind).view(np.uint8) for kind in (('<u2', '>u2') if wide
                                                                 else ('u1', 'u1')))
    step = little.shape[1]
    expected = to_rgb(encoding, height, width, step, False, little.tobytes())
    assert expected.shape == (height, width, 3) and expected.dtype == np.uint8
    assert expected.std() > 10  # there is something to compare

    for data in (memoryview(little.tobytes()), array.array('B', little.tobytes()), little,
                 little.tobytes() + b'tail'):
        np.testing.assert_array_equal(to_rgb(encoding, height, width, step, False, data), expected)
    np.testing.assert_array_equal(
        to_rgb(encoding, height, width, step, True, big.tobytes()), expected)
    for padding in (1, 4, 37):  # an odd step puts 16-bit values at odd addresses
        padded = np.pad(little, ((0, 0), (0, padding)), constant_values=77)
        if encoding == 'nv24':  # its rows of colours are twice as long
            luma, pairs = little[:height], little[height:].reshape(height, 2 * width)
            padded = np.concatenate([
                np.pad(luma, ((0, 0), (0, padding))).ravel(),
                np.pad(pairs, ((0, 0), (0, 2 * padding)), constant_values=77).ravel()])
        np.testing.assert_array_equal(
            to_rgb(encoding, height, width, step + padding, False, padded.tobytes()), expected)


@pytest.mark.parametrize('encoding', [name for name in ENCODINGS if name not in SHARED_COLOUR])
def test_odd_sizes(encoding):
    """Only where pixels share their colour must sizes be even."""
    step = values_per_row(encoding, 5) * (2 if encoding.endswith('16') else 1)
    data = np.full(rows_of(encoding, 7) * step, 120, np.uint8)

    assert to_rgb(encoding, 7, 5, step, False, data).shape == (7, 5, 3)


def test_result_is_independent_of_the_message():
    """A driver may reuse its buffer after the picture was decoded."""
    for encoding in ENCODINGS:
        data = np.full(12 * 4 * 8, 40, dtype=np.uint8)
        rgb = to_rgb(encoding, 4, 4, 32, False, data)
        before = rgb.copy()
        data[:] = 255
        np.testing.assert_array_equal(rgb, before)


def test_16_bits_are_rounded_as_stated():
    """All values there are, against whole-number arithmetic."""
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    for full_scale in (65535, 4095, 1023, 1):
        used = np.minimum(values, full_scale)
        expected = (used.astype(int) * 255 * 2 + full_scale) // (2 * full_scale)
        np.testing.assert_array_equal(to_8_bits(used, full_scale).reshape(256, 256, 1), expected)


def test_white_of_a_12_bit_camera_must_be_true():
    """A brighter value shows that the setting is wrong; nothing is clipped in silence."""
    data = np.array([0, 4095], '<u2')
    rgb = to_rgb('mono16', 1, 2, 4, False, data.tobytes(), full_scale=4095)
    assert rgb[0, :, 0].tolist() == [0, 255]
    with pytest.raises(ImageError, match='16-bit value 4095, above full_scale=1023'):
        to_rgb('mono16', 1, 2, 4, False, data.tobytes(), full_scale=1023)
    with pytest.raises(ImageError, match=r'full_scale must be in \[1, 65535\], got 0'):
        to_rgb('mono16', 1, 2, 4, False, data.tobytes(), full_scale=0)


def test_nameless_channels_need_to_be_told():
    """8UC3 may be rgb or bgr; only the operator knows."""
    data = bytes([1, 2, 3])
    for assumed, expected in (('rgb8', [1, 2, 3]), ('bgr8', [3, 2, 1])):
        rgb = to_rgb('8UC3', 1, 1, 3, False, data, assume_encoding=assumed)
        assert rgb[0, 0].tolist() == expected
    with pytest.raises(ImageError, match="set assume_encoding to one of rgb8, bgr8, got ''"):
        to_rgb('8UC3', 1, 1, 3, False, data)
    with pytest.raises(ImageError, match="one of rgba8, bgra8, got 'rgb8'"):
        to_rgb('8UC4', 1, 1, 4, False, bytes(4), assume_encoding='rgb8')
    # what an encoding says is not overruled
    assert to_rgb('bgr8', 1, 1, 3, False, data, assume_encoding='rgb8')[0, 0].tolist() == [3, 2, 1]


@pytest.mark.parametrize('encoding', DEPTH_ENCODINGS)
def test_depth_is_never_a_picture(encoding):
    """Not even if somebody assumes it; the message says what to name instead."""
    with pytest.raises(ImageError, match=f"'{encoding}' holds depth, not colours.*colour camera"):
        to_rgb(encoding, 1, 1, 4, False, bytes(4), assume_encoding='mono16')


@pytest.mark.parametrize(('fields', 'message'), [
    (('h264', 2, 2, 4, False, bytes(8)), f'publish one of {", ".join(ENCODINGS)}'),
    (('rgb8', 0, 2, 6, False, b''), 'height=0'),
    (('rgb8', 2, 2, 5, False, bytes(12)), 'step 5 is too small for width=2'),
    (('rgb8', 2, 2, 6, False, bytes(11)), '11 bytes, but step=6 times height=2 is 12'),
    (('rgb16', 2, 2, 6, False, bytes(24)), r'too small for width=2 in rgb16 \(12 bytes a row\)'),
    (('bayer_rggb8', 2, 4, 4, False, bytes(8)), 'at least 3x3'),
    (('yuv422', 2, 3, 6, False, bytes(12)), 'image of 3x2 does not fit yuv422.* multiple of 2'),
    (('nv12', 3, 4, 4, False, bytes(18)), 'image of 4x3 does not fit nv12: .* must be even'),
    (('nv12', 4, 4, 4, False, bytes(23)), '7 bytes, but step=4 times height=2 is 8'),
    (('mono8', 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1, False, b''), 'more than 25000000 pixels'),
])
def test_contradictory_messages_are_refused(fields, message):
    """What cannot be a picture is an error that names the numbers."""
    with pytest.raises(ImageError, match=message):
        to_rgb(*fields)
