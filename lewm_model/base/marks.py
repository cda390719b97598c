"""Marks of episodes: short hashes, and the text in which a bundle lists thousands of them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
import hashlib
from typing import Any

from lewm_model.errors import BundleError
import numpy as np

MARK_BYTES = 4         # of 4000 marks, one in a million episodes is taken for another
MOST_MARKS = 40_000    # listed in a bundle, whose settings are bounded: 221 of 256 KiB
_WORD = 16             # characters; a settings file wraps lines between words


def mark_of(text: str) -> int:
    """Return the mark of a digest or a name."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:MARK_BYTES], 'big')


def pack_marks(marks: Iterable[int]) -> str:
    """Write marks as text that can be wrapped, about 6 characters each."""
    data = np.array(sorted(marks), dtype='>u4').tobytes()
    text = base64.b64encode(data).decode()
    return ' '.join(text[place:place + _WORD] for place in range(0, len(text), _WORD))


def unpack_marks(text: Any) -> frozenset[int]:
    """Read what `pack_marks` wrote.

    Raises:
        BundleError: If it is anything else.
    """
    try:
        data = base64.b64decode(''.join(text.split()), validate=True)
        return frozenset(np.frombuffer(data, dtype='>u4').tolist())
    except (AttributeError, TypeError, ValueError) as error:
        raise BundleError(f'provenance.trained_on must be a list of marks as `lewm train` writes '
                          f'it, got {str(text)[:40]!r} ({error})') from error
