"""Goal pictures from files that somebody on the network names: read only what is allowed.

Anyone on the ROS graph can call `~/set_goal`, and a goal is published for all to see. So files
come from one folder that the operator chose, nothing outside it is opened however the name is
written, and the size in bytes is checked here, that in pixels by the decoder.
"""

from __future__ import annotations

import os
from pathlib import Path
import stat
from urllib.parse import unquote, urlsplit

from lewm_model.errors import ImageError, without_path
from lewm_model.images import decode
from lewm_ros.wire.reasons import Code, ReasonedError
import numpy as np

SUFFIXES = ('.png', '.jpg', '.jpeg')
MAX_BYTES = 20_000_000


def read_allowed(uri: str, root: str) -> np.ndarray:
    """Read the picture `uri` from inside the folder `root`, uint8 (H, W, 3).

    Args:
        uri: 'file://' URI or path; a relative path starts at `root`.
        root: The only folder that may be read; empty refuses everything.

    Raises:
        ReasonedError: NOT_SET_UP, or NO_SUCH_GOAL: no such file is in the folder.
        ImageError: It is no picture that can be read.
    """
    if not root:
        raise ReasonedError(Code.NOT_SET_UP, (
            'goals from files are off; start the goal node with the parameter goal_root set to '
            'the folder of your goal pictures'))
    try:
        folder = Path(root).expanduser().resolve(strict=True)
        path = (folder / _local_path(uri)).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise ReasonedError(Code.NO_SUCH_GOAL, (
            f'goal file {uri!r} cannot be found below goal_root {root!r}: '
            f'{without_path(error)}')) from error
    if not path.is_relative_to(folder):
        raise ReasonedError(Code.NO_SUCH_GOAL,
                            f'goal file {uri!r} is outside goal_root {root!r}')
    return read_picture(path)


def read_picture(path: Path) -> np.ndarray:
    """Read a PNG or JPEG of sensible size, uint8 (H, W, 3).

    Raises:
        ImageError: Not a regular file, not a picture, or too large.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ImageError(f'goal file {str(path)!r} must end in {", ".join(SUFFIXES)}')
    try:
        # not following a link that replaced the file since it was checked, not blocking on a pipe
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, 'rb') as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ImageError(f'goal file {str(path)!r} is not a regular file')
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f'goal file {str(path)!r} cannot be read: {without_path(error)}'
                         ) from error
    if len(content) > MAX_BYTES:
        raise ImageError(f'goal file {str(path)!r} has more than {MAX_BYTES} bytes')
    try:
        return decode.decode_compressed(content, path.suffix)
    except ImageError as error:
        raise ImageError(f'goal file {str(path)!r}: {error}') from error


def _local_path(uri: str) -> str:
    if '://' not in uri:
        return uri
    parts = urlsplit(uri)
    if parts.scheme != 'file' or parts.netloc not in ('', 'localhost'):
        raise ValueError('only file:// URIs of this machine are read')
    return unquote(parts.path)
