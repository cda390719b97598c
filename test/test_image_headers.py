"""Compressed pictures are understood before they are decoded; what is not whole is refused."""

import struct
import zlib

import cv2
from lewm_model.errors import ImageError
from lewm_model.images.decode import decode_compressed
from lewm_model.images.headers import MAX_PIXELS, MAX_SCANS, PictureHeader, read_header
import numpy as np
import pytest

BGR = np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)


def encoded(suffix: str, pixels: np.ndarray = BGR, *options: int) -> bytes:
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack('>H', len(body) + 2) + body


def with_png_size(content: bytes, width: int, height: int) -> bytes:
    """Return a PNG that claims another size, with a true checksum."""
    header = b'IHDR' + struct.pack('>II', width, height) + content[24:29]
    return content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:]


@pytest.mark.parametrize(('content', 'expected'), [
    (encoded('.jpg'), PictureHeader('jpeg', 21, 34, 8, False)),
    (encoded('.jpg', BGR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
     PictureHeader('jpeg', 21, 34, 8, False)),
    (encoded('.jpg', BGR[..., 0]), PictureHeader('jpeg', 21, 34, 8, True)),
    (encoded('.png'), PictureHeader('png', 21, 34, 8, False)),
    (encoded('.png', BGR[..., 0].astype(np.uint16)), PictureHeader('png', 21, 34, 16, True)),
    (encoded('.webp', BGR, cv2.IMWRITE_WEBP_QUALITY, 80),
     PictureHeader('webp', 21, 34, 8, False)),
    (encoded('.webp', BGR, cv2.IMWRITE_WEBP_QUALITY, 101),
     PictureHeader('webp', 21, 34, 8, False)),
])
def test_headers_say_what_was_written(content, expected):
    """Size, depth and kind, without decoding."""
    assert read_header(content) == expected
    assert decode_compressed(content).shape == (21, 34, 3)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_every_truncation_is_noticed(suffix):
    """A picture that ends early would be grey below; also where a thumbnail has an end."""
    content = encoded(suffix)
    if suffix == '.jpg':
        content = content[:2] + segment(0xE1, b'Exif\0\0' + encoded('.jpg', BGR[:8, :8])) \
            + content[2:]
    assert decode_compressed(content).shape == (21, 34, 3)
    for length in range(12, len(content) - 1):
        with pytest.raises(ImageError, match='damaged or cut short'):
            read_header(content[:length])


def test_padding_behind_the_end_is_no_damage():
    """Some cameras send buffers of constant size."""
    for suffix in ('.jpg', '.png', '.webp'):
        content = encoded(suffix)
        np.testing.assert_array_equal(decode_compressed(content + bytes(100)),
                                      decode_compressed(content))


def test_every_changed_byte_of_a_png_is_noticed():
    """Each part has a checksum."""
    content = encoded('.png', BGR[:5, :5])
    for place in range(8, len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x10
        with pytest.raises(ImageError):
            decode_compressed(bytes(changed))


def test_enormous_claims_are_refused_before_decoding():
    """Hundreds of bytes can claim gigabytes."""
    jpeg = bytearray(encoded('.jpg'))
    frame = jpeg.index(b'\xff\xc0')
    jpeg[frame + 5:frame + 9] = struct.pack('>HH', 60_000, 50_000)
    webp = bytearray(encoded('.webp', BGR, cv2.IMWRITE_WEBP_QUALITY, 80))
    webp[26:30] = struct.pack('<HH', 16383, 16383)
    for bomb in (bytes(jpeg), bytes(webp), with_png_size(encoded('.png'), 50_000, 60_000)):
        with pytest.raises(ImageError, match=f'more than {MAX_PIXELS} pixels'):
            decode_compressed(bomb)
    for nothing in (with_png_size(encoded('.png'), 0, 5), with_png_size(encoded('.png'), 5, 0)):
        with pytest.raises(ImageError, match='image is empty'):
            decode_compressed(nothing)


def test_progressive_jpeg_with_endless_scans_is_refused():
    """Each scan of a few bytes costs a pass over all pixels."""
    jpeg = encoded('.jpg', BGR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = jpeg.rindex(b'\xff\xda')
    assert jpeg.count(b'\xff\xda') < MAX_SCANS
    with pytest.raises(ImageError, match=f'more than {MAX_SCANS} scans'):
        decode_compressed(jpeg[:last] + jpeg[last:-2] * MAX_SCANS + jpeg[-2:])


@pytest.mark.parametrize(('change', 'reason'), [
    ((0xC3, 8, 3), 'marker c3, 8 bits, 3 channels'),     # lossless
    ((0xC9, 8, 3), 'marker c9'),                         # arithmetic coding
    ((0xC1, 12, 3), '12 bits'),
    ((0xC0, 8, 4), '4 channels'),                        # CMYK
])
def test_rare_jpeg_is_refused_by_name(change, reason):
    """No camera sends them, and decoders disagree about them."""
    marker, bits, channels = change
    jpeg = bytearray(encoded('.jpg'))
    frame = jpeg.index(b'\xff\xc0')
    jpeg[frame + 1], jpeg[frame + 4], jpeg[frame + 9] = marker, bits, channels
    with pytest.raises(ImageError, match=f'rare kind .*{reason}.* publish 8-bit'):
        decode_compressed(bytes(jpeg))


def test_animations_are_refused():
    """Which of the pictures would it be?"""
    png = encoded('.png')
    body = b'acTL' + struct.pack('>II', 2, 0)
    animated = png[:33] + struct.pack('>I', 8) + body + struct.pack('>I', zlib.crc32(body))
    with pytest.raises(ImageError, match='animated PNG'):
        decode_compressed(animated + png[33:])
    webp = b'WEBPVP8X' + struct.pack('<IBxxx', 10, 0x02) + bytes(6)
    with pytest.raises(ImageError, match='animated WebP'):
        decode_compressed(b'RIFF' + struct.pack('<I', len(webp)) + webp)


@pytest.mark.parametrize('content', [
    b'\xff\xd8\xff\xda\x00\x02\xff\xd9',                              # pixels before a header
    b'\xff\xd8\xff\xe0\x00\x01' + bytes(20),                          # a length that goes nowhere
    b'\xff\xd8\xff\xd9',                                              # nothing inside
    b'\xff\xd8' + b'\xff' * 1000,                                     # fill without end
    b'\xff\xd8\xff\xe0\x00\x04ab' + b'cd',                            # no marker after a segment
    b'\x89PNG\r\n\x1a\n' + struct.pack('>I4sI', 0, b'IEND', zlib.crc32(b'IEND')),
    b'\x89PNG\r\n\x1a\n' + struct.pack('>I4s', 2 ** 31, b'IHDR') + bytes(30),
    b'RIFF' + struct.pack('<I', 12) + b'WEBPABCD' + bytes(4),
])
def test_broken_headers_are_refused(content):
    """Lengths are never believed beyond the end, and each loop goes forward."""
    with pytest.raises(ImageError, match='damaged or cut short'):
        read_header(content)
