"""Run an ingest in a process that kills itself, with SIGKILL: OUT MOMENT BAG..."""

from __future__ import annotations

import os
import signal
import sys

from bag_factory import robot
from lewm_model.config import DataConfig
from lewm_model.ingest import concatenate, ingest, set_writer

CONFIG = DataConfig(image_size=8, min_rows=2)
WRITER = set_writer.SetWriter
# moment: (object, name of its function, how many calls of it are let through)
MOMENTS = {
    'first frame': (WRITER, 'write_pixels', 0),
    'a frame of the second bag': (WRITER, 'write_pixels', 7),
    'end of the second bag': (WRITER, '_finish', 1),
    'start of joining': (concatenate, '_inspect', 0),
    'pixels of the old set copied': (WRITER, 'copy_pixels', 1),
    'pixels of a new bag copied': (WRITER, 'copy_pixels', 2),
    'columns written': (WRITER, 'write_episodes', 2),
    'joined': (ingest, 'sync_folder', 0),
    'before the report': (ingest, 'report_path', 0),
}


def kill_at(moment: str) -> None:
    """Let this process end as by `kill -9` when the moment comes."""
    owner, name, left = MOMENTS[moment]
    function = getattr(owner, name)

    def counted(*arguments, **options):
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*arguments, **options)

    setattr(owner, name, counted)


if __name__ == '__main__':
    out, moment, *bags = sys.argv[1:]
    kill_at(moment)
    ingest.ingest(bags, robot(), out, CONFIG)
