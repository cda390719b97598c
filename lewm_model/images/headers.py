"""What a picture says about itself, checked before a decoder allocates or believes anything.

JPEG, PNG and WebP are walked segment by segment: what is cut short, too large or of a rare kind
is refused here with its reason, because decoders fill gaps with grey or trust the claimed size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import struct
import zlib

from lewm_model.errors import ImageError

MAX_PIXELS = 25_000_000  # rgb of 75 MB; a small file can claim to be enormous
MAX_SCANS = 32           # of a progressive JPEG, each one costs a pass over all pixels; usual: 10

_JPEG_START, _JPEG_END, _JPEG_SCAN = b'\xff\xd8\xff', b'\xff\xd9', b'\xff\xda'
_PNG_START = b'\x89PNG\r\n\x1a\n'
_FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_READ_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_LONE_MARKERS = {0x01, *range(0xD0, 0xD8)}  # without a length


@dataclass(frozen=True)
class PictureHeader:
    """What a compressed picture claims to be."""

    kind: str      # 'jpeg', 'png' or 'webp'
    height: int    # [px]
    width: int     # [px]
    bits: int      # per channel
    is_grey: bool


def check_size(height: int, width: int) -> None:
    """Refuse pictures that are empty or larger than `MAX_PIXELS`.

    Raises:
        ImageError: With both numbers.
    """
    if height < 1 or width < 1:
        raise ImageError(f'image is empty: height={height}, width={width}')
    if height * width > MAX_PIXELS:
        raise ImageError(f'image is {width}x{height}, more than {MAX_PIXELS} pixels; let the '
                         f'camera publish smaller pictures')


def read_header(content: bytes, image_format: str = '') -> PictureHeader:
    """Read what a whole JPEG, PNG or WebP claims; none of its pixels is decoded.

    Args:
        content: All bytes of the file.
        image_format: The message's `format`, for error messages.

    Returns:
        A header whose size has passed `check_size`.

    Raises:
        ImageError: Another format, a rare kind, too large, damaged or cut short.
    """
    if content.startswith(_JPEG_START):
        reader = _jpeg
    elif content.startswith(_PNG_START):
        reader = _png
    elif content[:4] == b'RIFF' and content[8:12] == b'WEBP':
        reader = _webp
    else:
        raise ImageError(f'compressed image of format {image_format!r} is neither JPEG nor PNG '
                         f'nor WebP ({len(content)} bytes, first '
                         f'{content[:4].hex(" ") or "none"})')
    try:
        return reader(content)
    except (struct.error, IndexError):  # a number was to be read behind the end
        raise damaged(content, 'it ends inside its header') from None


def damaged(content: bytes, why: str) -> ImageError:
    """Return the error for a picture that cannot be trusted."""
    return ImageError(f'compressed image of {len(content)} bytes is damaged or cut short: {why}')


def _jpeg(content: bytes) -> PictureHeader:
    header = None
    for marker, at in _segments(content):
        if marker == 0xDA:
            if header is None:
                raise damaged(content, 'JPEG data before its header')
            if content.count(_JPEG_SCAN, at) >= MAX_SCANS:
                raise ImageError(f'JPEG has more than {MAX_SCANS} scans; let the camera driver '
                                 f'publish baseline JPEG')
            # Behind the first scan: a thumbnail inside the header has an end of its own.
            if content.rfind(_JPEG_END, at) < 0:
                raise damaged(content, 'JPEG without its end')
            return header
        if marker in _FRAME_MARKERS:
            bits, height, width, channels = struct.unpack_from('>BHHB', content, at + 2)
            if marker not in _READ_FRAMES or bits != 8 or channels not in (1, 3):
                raise ImageError(f'JPEG of a rare kind (marker {marker:02x}, {bits} bits, '
                                 f'{channels} channels) is not supported; let the camera driver '
                                 f'publish 8-bit grey or colour JPEG')
            check_size(height, width)
            header = PictureHeader('jpeg', height, width, bits, is_grey=channels == 1)
    raise damaged(content, 'JPEG without pixels')


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, where its length stands) up to the first scan."""
    at = 2
    while True:
        if content[at] != 0xFF:
            raise damaged(content, f'no JPEG marker at byte {at}')
        marker = content[at + 1]
        if marker == 0xFF:  # fill bytes may precede any marker
            at += 1
        elif marker in _LONE_MARKERS:
            at += 2
        else:
            yield marker, at + 2
            length, = struct.unpack_from('>H', content, at + 2)
            if marker == 0xD9 or length < 2:
                raise damaged(content, f'no JPEG segment at byte {at}')
            at += 2 + length


def _png(content: bytes) -> PictureHeader:
    at, name, header = len(_PNG_START), b'', None
    while name != b'IEND':
        length, name = struct.unpack_from('>I4s', content, at)
        if name == b'acTL':
            raise ImageError('animated PNG is not supported; give a single picture')
        if header is None:
            if (length, name) != (13, b'IHDR'):
                raise damaged(content, 'PNG without its header')
            width, height, bits, colour = struct.unpack_from('>IIBB', content, at + 8)
            check_size(height, width)
            header = PictureHeader('png', height, width, bits, is_grey=colour in (0, 4))
        body = memoryview(content)[at + 4:at + 8 + length]
        checksum, = struct.unpack_from('>I', content, at + 8 + length)
        if zlib.crc32(body) != checksum:
            raise damaged(content, f'wrong checksum of PNG part {name.decode("latin-1")!r}')
        at += 12 + length
    return header


def _webp(content: bytes) -> PictureHeader:
    length, name = struct.unpack_from('<I4x4s', content, 4)
    if len(content) < length + 8:
        raise damaged(content, f'WebP of {length + 8} bytes')
    if name == b'VP8 ':
        width, height = struct.unpack_from('<HH', content, 26)
        width, height = width & 0x3FFF, height & 0x3FFF
    elif name == b'VP8L':
        bits, = struct.unpack_from('<I', content, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif name == b'VP8X':
        flags, = struct.unpack_from('<B', content, 20)
        if flags & 0x02:
            raise ImageError('animated WebP is not supported; give a single picture')
        width = int.from_bytes(content[24:27], 'little') + 1
        height = int.from_bytes(content[27:30], 'little') + 1
    else:
        raise damaged(content, f'unknown WebP part {name.decode("latin-1")!r}')
    check_size(height, width)
    return PictureHeader('webp', height, width, 8, is_grey=False)
