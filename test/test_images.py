import cv2
from lewm_model.errors import ImageError
from lewm_model.images.decode import (
    decode_compressed,
    read_image,
    resize_square,
    square_from_compressed,
    square_from_raw,
    to_rgb,
    write_image,
)
import numpy as np
import pytest

RED = (200, 30, 10)
RNG = np.random.default_rng(0)
# smooth as a view, with some noise as of a sensor
VIEW = np.clip(cv2.GaussianBlur(RNG.integers(0, 256, (480, 640, 3)).astype(np.float32), (0, 0), 9)
               * 6 - 640 + RNG.normal(0, 3, (480, 640, 3)), 0, 255).astype(np.uint8)


def encoded(suffix: str, pixels: np.ndarray, *options: int) -> bytes:
    """Compress rgb (H, W, 3) or other pixels as they are."""
    stored = pixels[..., ::-1] if pixels.ndim == 3 and pixels.shape[2] == 3 else pixels
    return cv2.imencode(suffix, stored, options)[1].tobytes()


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
    with pytest.raises(ImageError, match="'h264' is neither JPEG nor PNG nor WebP"):
        decode_compressed(b'\0' * 20, 'h264')
    with pytest.raises(ImageError, match='No such file'):
        read_image(tmp_path / 'missing.png')
    with pytest.raises(ImageError, match='must end in .png or .jpg'):
        write_image(tmp_path / 'a.gif', noise)


@pytest.mark.parametrize('image_format', [
    '16UC1; compressedDepth', '16UC1; compressedDepth png', '32FC1; compressedDepth rvl',
    '16UC1; png compressed ', '32FC1'])
def test_depth_is_never_a_picture(image_format):
    """Millimetres in a PNG look like a 16-bit grey picture; only the message's text tells."""
    with pytest.raises(ImageError, match='holds depth, not colours'):
        decode_compressed(encoded('.png', np.full((4, 4), 1200, np.uint16)), image_format)


def test_grey_palette_and_alpha_become_rgb():
    """Grey goes into all channels, alpha is dropped."""
    grey = np.array([[7, 250], [0, 99]], np.uint8)
    np.testing.assert_array_equal(decode_compressed(encoded('.png', grey)),
                                  np.repeat(grey[..., None], 3, axis=2))
    smooth = np.full((16, 16), 77, np.uint8)
    np.testing.assert_array_equal(decode_compressed(encoded('.jpg', smooth), 'mono8; jpeg'), 77)
    bgra = np.array([[[10, 30, 200, 0]]], np.uint8)
    np.testing.assert_array_equal(decode_compressed(encoded('.png', bgra)), [[RED]])


def test_16_bit_png_is_scaled_as_raw_messages_are():
    """257 times a value is that value; the white of a 12-bit camera can be said."""
    grey = np.array([[0, 257 * 9, 65535]], np.uint16)
    np.testing.assert_array_equal(decode_compressed(encoded('.png', grey))[..., 0], [[0, 9, 255]])
    colour = np.array([[RED]], np.uint16) * 257
    np.testing.assert_array_equal(decode_compressed(encoded('.png', colour)), [[RED]])
    dark = np.array([[0, 2048, 4095]], np.uint16)
    np.testing.assert_array_equal(
        decode_compressed(encoded('.png', dark), full_scale=4095)[..., 1], [[0, 128, 255]])


def test_lossless_webp():
    """Same pixels, any of the three kinds of file."""
    picture = VIEW[:21, :33]
    np.testing.assert_array_equal(
        decode_compressed(encoded('.webp', picture, cv2.IMWRITE_WEBP_QUALITY, 101)), picture)
    lossy = decode_compressed(encoded('.webp', picture, cv2.IMWRITE_WEBP_QUALITY, 90))
    assert np.abs(lossy.astype(int) - picture).mean() < 8
    bgra = np.dstack([picture[..., ::-1], np.full((21, 33), 128, np.uint8)])
    np.testing.assert_array_equal(
        decode_compressed(encoded('.webp', bgra, cv2.IMWRITE_WEBP_QUALITY, 101)), picture)


@pytest.mark.parametrize(('suffix', 'dtype', 'bits'), [
    ('.png', np.uint8, 8), ('.png', np.uint16, 16)])
def test_compressed_mosaics_are_demosaiced(suffix, dtype, bits):
    """image_transport compresses a Bayer message as grey; the text tells the pattern."""
    mosaic = RNG.integers(0, 256, (6, 8)).astype(dtype) * (257 if bits == 16 else 1)
    content, name = encoded(suffix, mosaic), f'bayer_grbg{bits}'
    expected = to_rgb(name, 6, 8, 8 * bits // 8, False, mosaic)

    np.testing.assert_array_equal(decode_compressed(content, f'{name}; png compressed '), expected)
    np.testing.assert_array_equal(
        square_from_compressed(content, f'{name}; png compressed ', size=6),
        resize_square(expected, 6))
    # converted before it was compressed, and grey by chance
    grey = decode_compressed(content, f'{name}; png compressed bgr8')
    assert (grey[..., 0] == grey[..., 2]).all()


def test_jpeg_mosaics_are_never_decoded_at_part_of_their_size():
    """Averaging neighbours of a mosaic would mix its colours into grey."""
    red = np.zeros((64, 64), np.uint8)
    red[::2, ::2] = 200
    rgb = square_from_compressed(encoded('.jpg', red, cv2.IMWRITE_JPEG_QUALITY, 100),
                                 'bayer_rggb8; jpeg compressed ', size=8)
    np.testing.assert_allclose(rgb[2:6, 2:6].reshape(-1, 3), [[200, 0, 0]] * 16, atol=4)


@pytest.mark.parametrize(('size', 'shape'), [
    (None, (480, 640)), (481, (480, 640)), (241, (480, 640)), (240, (240, 320)),
    (224, (240, 320)), (120, (120, 160)), (64, (120, 160)), (60, (60, 80)), (8, (60, 80))])
def test_jpeg_is_decoded_as_small_as_the_shorter_side_allows(size, shape):
    """1/2, 1/4, 1/8, but never below what is asked for."""
    at_least = size and (size, size)
    assert decode_compressed(encoded('.jpg', VIEW), at_least=at_least).shape == (*shape, 3)
    odd = decode_compressed(encoded('.jpg', VIEW[:479, :639]), at_least=at_least)
    assert odd.shape == (*shape, 3) if shape != (480, 640) else (479, 639, 3)


@pytest.mark.parametrize('size', [64, 100, 224])
def test_jpeg_at_part_of_its_size_shows_the_same(size):
    """Against full decoding and area averaging: two grey levels on average, no shift."""
    content = encoded('.jpg', VIEW, cv2.IMWRITE_JPEG_QUALITY, 90)
    full = resize_square(decode_compressed(content), size).astype(float)
    fast = square_from_compressed(content, size=size).astype(float)

    difference = np.abs(fast - full).mean()
    assert difference < 2
    assert difference < np.abs(np.roll(full, 1, axis=1) - full).mean() / 4
    assert abs((fast - full).mean()) < 0.2


def test_nothing_is_skipped_where_nothing_shrinks():
    """PNG, raw pictures and large squares are decoded in full, then averaged."""
    for content in (encoded('.png', VIEW), encoded('.jpg', VIEW[:100, :120])):
        np.testing.assert_array_equal(square_from_compressed(content, size=64),
                                      resize_square(decode_compressed(content), 64))
    np.testing.assert_array_equal(
        square_from_raw('rgb8', 480, 640, 1920, False, VIEW, size=64), resize_square(VIEW, 64))
    assert square_from_raw('rgb8', 480, 640, 1920, False, VIEW, size=None).shape == VIEW.shape


def test_orientation_tags_turn_nothing():
    """Raw messages have none, so the same camera must not be turned when it compresses."""
    plain = encoded('.jpg', VIEW)
    exif = (b'Exif\0\0II*\0\x08\0\0\0' + b'\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0'
            + bytes(4))
    turned = plain[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + plain[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[0] == 640
    for size in (None, 224):
        np.testing.assert_array_equal(square_from_compressed(turned, size=size),
                                      square_from_compressed(plain, size=size))


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
