"""Thousands of broken pictures: each is decoded or refused with `ImageError`, nothing else.

They run in a process of their own, whose memory is limited and whose time is measured, so that a
hang or a crash of a decoder is a failed test. `python test_image_fuzz.py SEED CASES` runs them.
"""

from __future__ import annotations

from pathlib import Path
import resource
import subprocess
import sys

import cv2
from lewm_model.errors import ImageError
from lewm_model.images.decode import square_from_compressed, square_from_raw
from lewm_model.images.encodings import DEPTH_ENCODINGS, ENCODINGS
import numpy as np

_EXTRA_BYTES = 1_500_000_000  # above what the libraries take; a broken claim asks for far more
_FORMATS = ('', 'jpeg', 'rgb8; jpeg compressed bgr8', 'bayer_rggb8; png compressed ',
            'bayer_gbrg16; jpeg compressed ', 'mono16; png compressed ', '16UC1; compressedDepth')
_STRANGE = ('', 'rgb', 'RGB8', '8UC3', '8UC1', '32SC1', 'bayer_rggb', 'bayer_rggb32', 'h264', '\0')


def _sizes(rng: np.random.Generator) -> int:
    return int(rng.choice([0, 1, 2, 3, 5, 16, 33, 64, 4096, 2 ** 31, 2 ** 32 - 1],
                          p=[.04, .08, .14, .14, .16, .16, .12, .1, .02, .02, .02]))


def _raw(rng: np.random.Generator) -> np.ndarray:
    height, width = _sizes(rng), _sizes(rng)
    step = (width * int(rng.integers(1, 9)) + int(rng.integers(-2, 9)) if rng.random() < 0.8
            else _sizes(rng))
    claimed = min(max(step, 0) * height * 3, 200_000)
    data = rng.bytes(int(claimed * rng.choice([0, 0.3, 0.34, 0.5, 1])))
    encoding = str(rng.choice([*ENCODINGS, *DEPTH_ENCODINGS, *_STRANGE]))
    return square_from_raw(
        encoding, height, width, max(step, 0), bool(rng.integers(2)), data,
        size=_square(rng), assume_encoding=str(rng.choice(['', 'rgb8', 'nonsense'])),
        full_scale=int(rng.choice([65535, 4095, 0])))


def _square(rng: np.random.Generator) -> int | None:
    return None if rng.random() < 0.3 else int(rng.choice([1, 8, 64]))


def _seeds(rng: np.random.Generator) -> list[bytes]:
    """Return whole pictures of every kind."""
    colour = cv2.GaussianBlur(rng.integers(0, 256, (45, 70, 3), dtype=np.uint8), (0, 0), 2)
    kinds = [('.jpg', colour, ()), ('.jpg', colour[..., 0], ()), ('.png', colour, ()),
             ('.jpg', colour, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
             ('.jpg', colour, (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
             ('.png', colour[..., 0], ()), ('.png', colour.astype(np.uint16) * 200, ()),
             ('.png', colour[..., 0].astype(np.uint16) * 200, ()),
             ('.png', np.dstack([colour, colour[..., 0]]), ()),
             ('.webp', colour, (cv2.IMWRITE_WEBP_QUALITY, 80)),
             ('.webp', colour, (cv2.IMWRITE_WEBP_QUALITY, 101))]
    return [cv2.imencode(suffix, pixels, options)[1].tobytes()
            for suffix, pixels, options in kinds]


def _compressed(rng: np.random.Generator, seeds: list[bytes]) -> np.ndarray:
    content = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(rng.integers(0, 5)):
        # half of the damage in the header, where sizes and lengths are
        end = max(1, min(len(content), 700) if rng.random() < 0.5 else len(content))
        at, kind = int(rng.integers(end)), rng.integers(6)
        if kind == 0:
            content[at:at + 1] = rng.bytes(1)
        elif kind == 1:
            content[at:at + 4] = rng.choice([b'\xff' * 4, bytes(4), b'\x7f\xff\xff\xff'])
        elif kind == 2:
            del content[at:at + int(rng.integers(1, 40))]
        elif kind == 3:
            content[at:at] = rng.bytes(int(rng.integers(1, 40)))
        elif kind == 4:
            content[at:at] = content[at:at + int(rng.integers(1, 400))]
        elif rng.random() < 0.3:
            del content[at:]
    return square_from_compressed(bytes(content), str(rng.choice(_FORMATS)), size=_square(rng))


def fuzz(seed: int, cases: int) -> dict[str, int]:
    """Decode broken pictures; return how many were decoded, and refused."""
    rng = np.random.default_rng(seed)
    seeds, counts = _seeds(rng), {'decoded': 0, 'refused': 0}
    for case in range(cases):
        try:
            rgb = _raw(rng) if case % 3 == 0 else _compressed(rng, seeds)
        except ImageError as error:
            if not str(error) or 'memory' in str(error).lower():
                raise AssertionError(f'case {case}: {error!r}') from error
            counts['refused'] += 1
        else:
            if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
                raise AssertionError(f'case {case}: {rgb.dtype} {rgb.shape}')
            counts['decoded'] += 1
    return counts


def test_broken_pictures_are_decoded_or_refused():
    """No other exception, no crash, no hang, no gigabytes; and both outcomes are frequent."""
    done = subprocess.run([sys.executable, __file__, '0', '6000'], capture_output=True, text=True,
                          timeout=300, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = {name: int(count) for name, count in
              (line.split() for line in done.stdout.splitlines())}
    assert counts['decoded'] + counts['refused'] == 6000
    assert min(counts.values()) > 1000


def test_the_memory_limit_of_the_fuzz_test_can_fail():
    """A decoder that believed a claim of a gigapixel would end the process."""
    code = ('import sys; sys.path.insert(0, sys.argv[1]); import test_image_fuzz as t; '
            't.limit_memory(); import numpy; numpy.ones(3_000_000_000, numpy.uint8)')
    done = subprocess.run([sys.executable, '-c', code, str(Path(__file__).parent)],
                          capture_output=True, text=True, timeout=300,
                          cwd=Path(__file__).parents[1], check=False)
    assert done.returncode != 0 and 'MemoryError' in done.stderr


def limit_memory() -> None:
    """Let this process take `_EXTRA_BYTES` more than now."""
    pages = int(Path('/proc/self/statm').read_text(encoding='ascii').split()[0])
    limit = pages * resource.getpagesize() + _EXTRA_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == '__main__':
    limit_memory()
    for outcome, number in fuzz(int(sys.argv[1]), int(sys.argv[2])).items():
        print(outcome, number)
