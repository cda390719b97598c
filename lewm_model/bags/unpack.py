"""Decompression with limits: chunks and messages in memory, whole files in a temporary folder.

Recordings come from anywhere, and a few kilobytes can claim to be terabytes. Everything here
stops at a stated limit and never writes beside the recording.
"""

from __future__ import annotations

from collections.abc import Callable
import importlib
from pathlib import Path
import shutil
import sys
import tempfile
from typing import Any

from lewm_model.errors import BagError, MissingPackageError

MAX_BLOCK_BYTES = 256 << 20       # one chunk or one message, decompressed: bounds memory
MAX_FILE_BYTES = 64 << 30         # one file of a bag, decompressed: bounds the temporary folder
KEPT_FREE_BYTES = 256 << 20       # what is left on the temporary disk for everybody else

PACKED_SUFFIXES = ('.zstd', '.zst', '.lz4')
# Neither can begin a CDR message (its first byte is 0), an MCAP file or a database.
_MAGIC = {b'\x28\xb5\x2f\xfd': 'zstd', b'\x04\x22\x4d\x18': 'lz4'}
_PIECE_BYTES = 1 << 20
SQLITE_MAGIC = b'SQLite format 3\0'
UNPACKED = 'unpacked'             # name of the temporary copy
_SQLITE_HEAD_BYTES = 18
_LOGS = ('-wal', '-journal')      # what SQLite leaves beside a database that was not closed


def packing_of(head: bytes) -> str:
    """Name the compression that data with these first bytes has; empty if none."""
    return _MAGIC.get(bytes(head[:4]), '')


def decompress(data: bytes, packing: str, limit: int) -> tuple[bytes, bool]:
    """Decompress what is there, up to `limit` bytes.

    Args:
        data: Compressed bytes, perhaps cut short.
        packing: 'zstd' or 'lz4'.
        limit: Most bytes to produce.

    Returns:
        The decompressed bytes, and whether the data ended properly. At the limit it did not.

    Raises:
        ValueError: If the data is damaged, or the compression is unknown.
    """
    pieces, size, complete = [], 0, False
    while data and size < limit:     # frames may follow each other
        decoder, complete = _decoder(packing), False
        while not complete and size < limit:
            try:
                piece = decoder.decompress(data, max_length=min(limit - size, _PIECE_BYTES * 16))
            except (RuntimeError, *_decoder_errors(packing)) as error:
                raise ValueError(f'{packing} data is damaged: {error}') from error
            pieces.append(piece)
            size += len(piece)
            complete, data = decoder.eof, b''
            if not complete and not piece and decoder.needs_input:
                return b''.join(pieces), False
        data = decoder.unused_data or b'' if complete else b''
    return b''.join(pieces), complete and not data


class Unpacker:
    """Gives an uncompressed file to read for each file of a bag; use as a context manager.

    Plain files are read where they are. Of the others one at a time lies in a temporary folder,
    so the room needed is that of one file, however many a bag has.

    Args:
        note: Told what was repaired or lost.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._folder: tempfile.TemporaryDirectory | None = None
        self._held: tuple[Path, Path] | None = None   # (file of the bag, its unpacked copy)

    def close(self) -> None:
        """Remove the temporary folder."""
        folder, self._folder, self._held = self._folder, None, None
        if folder is not None:
            folder.cleanup()

    def local(self, file: Path) -> Path:
        """Return where to read `file`.

        Raises:
            BagError: If it is too large when decompressed, or the temporary disk is too full.
            OSError: If it cannot be read.
        """
        with file.open('rb') as stream:
            head = stream.read(_SQLITE_HEAD_BYTES)
        packing = packing_of(head)
        logs = [] if packing else [log for suffix in _LOGS if _has_content(
            log := file.with_name(file.name + suffix))]
        if not packing and not logs and not _odd_bytes(head, file.stat().st_size):
            return file
        if self._held is None or self._held[0] != file:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix='lewm_bag_')
            folder = Path(self._folder.name)
            self._held = None
            for old in folder.iterdir():  # an iterator that still reads it keeps its open handle
                old.unlink()
            copy = folder / UNPACKED
            if packing:
                self._decompress(file, packing, copy)
            else:
                self._copy(file, copy)
            for log in logs:    # SQLite replays its log into the database: so on a copy
                self._copy(log, copy.with_name(copy.name + log.name[len(file.name):]))
                self._note(f'{file.name}: was not closed; what {log.name} holds was replayed on a '
                           f'temporary copy')
            self._drop_odd_bytes(file, copy)
            self._held = (file, copy)
        return self._held[1]

    def _drop_odd_bytes(self, file: Path, copy: Path) -> None:
        """Shorten a database to whole pages: SQLite would take zeros for what is missing."""
        with copy.open('r+b') as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            odd = _odd_bytes(stream.read(_SQLITE_HEAD_BYTES), size)
            if odd:
                stream.truncate(size - odd)
                self._note(f'{file.name}: cut short at byte {size}, inside a page; {odd} bytes '
                           f'left out')

    def _copy(self, source: Path, copy: Path) -> None:
        self._check_room(source, source.stat().st_size)
        shutil.copyfile(source, copy)

    def _decompress(self, file: Path, packing: str, copy: Path) -> None:
        """Keep what can be decompressed; what is inside knows how to lose its end."""
        size = 0
        with file.open('rb') as source, copy.open('wb') as target:
            decoder = _decoder(packing)
            data = source.read(_PIECE_BYTES)
            while True:
                if decoder.eof:
                    data = (decoder.unused_data or b'') or source.read(_PIECE_BYTES)
                    if not data:
                        return
                    decoder = _decoder(packing)
                try:
                    piece = decoder.decompress(data, max_length=_PIECE_BYTES)
                except (RuntimeError, *_decoder_errors(packing)) as error:
                    self._note(f'{file.name}: the {packing} data is damaged before byte '
                               f'{source.tell()} ({error}); the first {size} decompressed bytes '
                               f'are kept')
                    return
                if size // _PIECE_BYTES % 64 == 0:
                    self._check_room(file, 64 * _PIECE_BYTES)
                target.write(piece)
                size += len(piece)
                if size > MAX_FILE_BYTES:
                    raise BagError(
                        f'{file} grows beyond {MAX_FILE_BYTES >> 30} GiB when decompressed, more '
                        f'than is accepted; decompress it by hand if you trust it: zstd -d')
                data = b''
                if decoder.needs_input and not decoder.eof:
                    data = source.read(_PIECE_BYTES)
                    if not data and not piece:
                        self._note(f'{file.name}: the {packing} data is cut short at byte '
                                   f'{source.tell()}; the first {size} decompressed bytes are '
                                   f'kept')
                        return

    def _check_room(self, file: Path, needed: int) -> None:
        free = shutil.disk_usage(self._folder.name).free
        if free < needed + KEPT_FREE_BYTES:
            raise BagError(
                f'{file} needs a temporary uncompressed copy and {self._folder.name} has only '
                f'{free >> 20} MiB free; set TMPDIR to a folder on a larger disk')


def _odd_bytes(head: bytes, size: int) -> int:
    """Return how many bytes a database has beyond its last whole page; 0 for other files."""
    if not head.startswith(SQLITE_MAGIC) or len(head) < _SQLITE_HEAD_BYTES:
        return 0
    page = int.from_bytes(head[16:18], 'big')
    page = 65536 if page == 1 else page
    return size % page if page else 0


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def import_packing(packing: str) -> Any:
    """Return the module for 'zstd' or 'lz4', or say how to install it.

    Both come with rosbags, whose own decompression has no limits.
    """
    zstd = 'compression.zstd' if sys.version_info >= (3, 14) else 'backports.zstd'
    try:
        return importlib.import_module({'zstd': zstd, 'lz4': 'lz4.frame'}[packing])
    except ImportError as error:
        raise MissingPackageError('rosbags', 'train', f'reading {packing} bags (it brings '
                                  f'{error.name} from version 0.11.7 on)') from error


def _decoder(packing: str) -> Any:
    if packing not in ('zstd', 'lz4'):
        raise ValueError(f'compression {packing!r} is not supported (zstd, lz4)')
    module = import_packing(packing)
    return module.ZstdDecompressor() if packing == 'zstd' else module.LZ4FrameDecompressor()


def _decoder_errors(packing: str) -> tuple[type[Exception], ...]:
    return (import_packing(packing).ZstdError,) if packing == 'zstd' else ()
