"""Turn a LeRobot data set (2.x or 3.0) into one data set file for training."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
import time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from lewm_model.lerobot.convert import LeRobotConfig
    from lewm_model.lerobot.episode import COMBINE

    config = LeRobotConfig()
    parser.add_argument('folder', type=Path,
                        help='what holds meta, data and videos; it is only read')
    parser.add_argument('--out', type=Path, required=True,
                        help='the HDF5 file; run again to finish it')
    parser.add_argument('--camera', help='column of the pictures, such as observation.images.top, '
                                         'or its last part (default: the only one)')
    parser.add_argument('--action', default=config.action,
                        help='column of the actions (default: %(default)s)')
    state = parser.add_mutually_exclusive_group()
    state.add_argument('--state', default=config.state,
                       help='column that becomes proprio (default: %(default)s)')
    state.add_argument('--no-state', dest='state', action='store_const', const=None,
                       help='leave the state out')
    parser.add_argument('--every', type=int, default=config.every, metavar='N',
                        help='take every N-th frame (default: %(default)s, all)')
    parser.add_argument('--combine', choices=COMBINE,
                        help='the action of a row with --every: ' + '; '.join(
                            f'{name}: {meaning}' for name, meaning in COMBINE.items()))
    parser.add_argument('--robot', help='name or YAML file of the robot: true limits and names '
                                        '(default: limits are what occurs)')
    parser.add_argument('--name', help='what to call the data set, such as lerobot/pusht '
                                       '(default: name of the folder)')
    parser.add_argument('--image-size', type=int, default=config.image_size,
                        help='stored frames, square [px] (default: %(default)s)')
    parser.add_argument('--min-rows', type=int, default=config.min_rows,
                        help='leave out shorter episodes (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=1, help='processes (default: %(default)s)')
    parser.add_argument('--force', action='store_true', help='replace an existing file')


def run(args: argparse.Namespace) -> int:
    """Convert with a progress bar, and say what became of every frame."""
    from lewm_model.lerobot.convert import import_lerobot, LeRobotConfig
    from lewm_model.robots.robot import RobotDescription
    from tqdm import tqdm

    config = LeRobotConfig(
        camera=args.camera, action=args.action, state=args.state, image_size=args.image_size,
        every=args.every, combine=args.combine, min_rows=args.min_rows, name=args.name)
    robot = None if args.robot is None else RobotDescription.from_yaml(args.robot)
    start_s = time.monotonic()
    with tqdm(unit='episode', disable=None) as bar:
        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            report = import_lerobot(args.folder, args.out, config, robot=robot,
                                    workers=args.workers, force=args.force, on_episode=show,
                                    provenance={'ingest_command': args.command_line})
        except KeyboardInterrupt:
            print(f'{bar.n} episodes are done and kept; the same command goes on',
                  file=sys.stderr)
            raise
    print(report.text())
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB in '
          f'{time.monotonic() - start_s:.1f} s; details in {args.out}.report.json')
    return 0
