"""Ingest one camera bag in a process of its own and say how much memory that took, as JSON.

Run by `lewm bench ingest` and its test: BAG OUT IMAGE_SIZE
"""

from __future__ import annotations

import json
import sys

from lewm_model.config import DataConfig
from lewm_model.ingest.ingest import ingest

from bench._camera_bag import camera_robot
from bench._memory import peak_memory_mib


def main(bag: str, out: str, image_size: str) -> None:
    """Ingest and report."""
    robot = camera_robot()
    config = DataConfig(image_size=int(image_size), control_dt_s=robot.control_dt_s)
    before_mib = peak_memory_mib()
    report = ingest([bag], robot, out, config, force=True)
    print(json.dumps({'rows': report.rows, 'before_mib': round(before_mib, 1),
                      'peak_mib': round(peak_memory_mib(), 1)}))


if __name__ == '__main__':
    main(*sys.argv[1:])
