"""Turn rosbags into one data set file for training."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
import time

from lewm_model.config import DataConfig, load_yaml
from lewm_model.errors import ConfigError
from lewm_model.ingest.ingest import ingest
from lewm_model.robots.robot import RobotDescription
from lewm_sim.collect import CollectConfig, SETTINGS_FILE
from lewm_sim.tasks import load_task
from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bags', type=Path, nargs='+', help='bag folders, or folders of them')
    parser.add_argument('--robot', help='name or YAML file of the robot (recordings of lewm '
                                        'collect: that of their task)')
    parser.add_argument('--out', type=Path, required=True,
                        help='the HDF5 file; run again to finish it, or to add further bags')
    parser.add_argument('--image-size', type=int,
                        help=f'stored frames, square [px] (recordings of lewm collect: as '
                             f'recorded, others {DataConfig().image_size})')
    parser.add_argument('--min-rows', type=int, default=DataConfig().min_rows,
                        help='drop shorter episodes (default: %(default)s, one training clip)')
    parser.add_argument('--max-bad-share', type=float, default=DataConfig().max_bad_share,
                        metavar='SHARE', help="of a topic's messages may be broken: they are left "
                        'out and counted; a bag with more is refused (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=1, help='processes (default: %(default)s)')
    parser.add_argument('--force', action='store_true',
                        help='make an existing file anew instead of adding to it')


def run(args: argparse.Namespace) -> int:
    """Let the data set hold the bags; fails only if none of them gave an episode."""
    collected = _collected(args.bags)
    if not (args.robot or collected):
        raise ConfigError(f'--robot is needed: {args.bags[0]} was not recorded by lewm collect, '
                          f'so nothing says which robot it is of; write a first file with '
                          f'lewm inspect {args.bags[0]} --robot-out my_robot.yaml')
    robot = RobotDescription.from_yaml(args.robot or load_task(collected.task).robot_file)
    size = args.image_size or (collected.image_size if collected else DataConfig().image_size)
    config = DataConfig(image_size=size, min_rows=args.min_rows,
                        max_bad_share=args.max_bad_share, control_dt_s=robot.control_dt_s)
    start_s = time.monotonic()
    with tqdm(unit='bag', disable=None) as bar:
        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            report = ingest(args.bags, robot, args.out, config, workers=args.workers,
                            force=args.force, on_bag=show,
                            provenance=_commands(args.bags, args.command_line))
        except KeyboardInterrupt:
            print(f'{bar.n} bags are done and kept; the same command goes on', file=sys.stderr)
            raise
    print(report.text())
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB in '
          f'{time.monotonic() - start_s:.1f} s; details in {args.out}.report.json')
    return 0


def _collected(bags: list[Path]) -> CollectConfig | None:
    """Return how the first folder was recorded, if `lewm collect` did it."""
    path = bags[0] / SETTINGS_FILE
    return CollectConfig.from_yaml(path, 'settings') if path.is_file() else None


def _commands(bags: list[Path], ingest_command: str) -> dict[str, str]:
    """Return how the file came about, for the card of the model trained from it."""
    recorded = [load_yaml(folder / SETTINGS_FILE).get('command', '') for folder in bags
                if (folder / SETTINGS_FILE).is_file()]
    return {'collect_command': '; '.join(filter(None, recorded)),
            'ingest_command': ingest_command}
