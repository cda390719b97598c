"""Bags of a compressed camera to a data set, on one core: frames per second, stages, memory.

The first way is the loop that one would write by hand for one bag: decode every frame in full,
scale it down, append it to an HDF5 file. It has no joints, actions, hashes or report. Times are
processor time, on all cores that a library helps itself to: what one core can do, also on a
machine that is busy with other things. Waiting for the disk is not in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

from lewm_model.bags.bag import Bag
from lewm_model.config import DataConfig
from lewm_model.data.episodes import import_h5py
from lewm_model.errors import ConfigError
from lewm_model.images.decode import square_from_compressed
from lewm_model.ingest.concatenate import concatenate
from lewm_model.ingest.convert_bag import convert_bag, hash_bag
from lewm_model.ingest.ingest import ingest
from lewm_model.ingest.set_writer import SetWriter
from lewm_model.recordings.streams import read_streams
from lewm_model.recordings.synchronize import synchronize
from lewm_model.robots.robot import COMPRESSED_IMAGE
import numpy as np

from bench._camera_bag import (
    camera_robot,
    FRAME_RATE_HZ,
    pictures,
    write_camera_bag,
)
from bench.report import Group, Report
from bench.side_by_side import Measured, side_by_side, Variant


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--seconds', type=int, default=20,
                        help='length of the bag (default: %(default)s)')
    parser.add_argument('--image-size', type=int, default=224,
                        help='stored frames, square [px] (default: %(default)s)')
    parser.add_argument('--joint-rate', type=int, default=100,
                        help='joint states [Hz] (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=7, help='default: %(default)s')
    parser.add_argument('--long', type=int, default=10,
                        help='memory: a bag this many times longer (default: %(default)s)')


def run(args: argparse.Namespace) -> Report:
    """Measure."""
    if args.seconds < 2 or args.long < 2:
        raise ConfigError(f'--seconds and --long must be at least 2, got {args.seconds} and '
                          f'{args.long}')
    with tempfile.TemporaryDirectory(prefix='lewm-bench-') as folder, _one_core():
        place = Path(folder)
        frames = args.seconds * FRAME_RATE_HZ
        bag = write_camera_bag(place / 'bag', frames, joint_rate_hz=args.joint_rate)
        size_mb = sum(file.stat().st_size for file in bag.iterdir()) / 1e6
        title = (f'{args.seconds} s of 640x480 JPEG at {FRAME_RATE_HZ} Hz ({size_mb:.0f} MB, '
                 f'joints at {args.joint_rate} Hz) to {args.image_size} px, processor time')
        whole, stages = (
            side_by_side(ways(bag, place, frames, args.image_size), rounds=args.rounds, warmup=1,
                         clock=time.process_time) for ways in (_whole, _stages))
        memory = _memory(place, args)
    rate = whole['lewm ingest'].units_per_s
    return Report('ingest', (
        Group(title, tuple(whole.values()), 'frame',
              {'times real time': round(rate / FRAME_RATE_HZ, 1),
               'JPEG [bytes a frame]': int(np.mean([len(data) for data in pictures()]))}),
        Group('its parts, each on its own', tuple(stages.values()), 'frame',
              {'sum [ms a frame]': round(sum(_ms(item) for item in stages.values()), 3),
               **{f'{name} [ms a frame]': round(_ms(item), 3)
                  for name, item in stages.items()}, **memory})))


def _ms(item: Measured) -> float:
    return 1e3 * item.median_s / item.units


def _whole(bag: Path, place: Path, frames: int, size: int) -> dict[str, Variant]:
    robot = camera_robot()
    config = DataConfig(image_size=size, control_dt_s=robot.control_dt_s)
    return {
        'plain loop': Variant(partial(_plain_loop, bag, place / 'plain.h5', size), frames),
        'lewm ingest': Variant(partial(ingest, [bag], robot, place / 'set.h5', config,
                                       force=True), frames)}


def _plain_loop(path: Path, out: Path, size: int) -> None:
    """Convert the pictures of one bag, as a script of twenty lines does."""
    import cv2
    from rosbags.highlevel import AnyReader

    with import_h5py().File(out, 'w') as file, AnyReader([path]) as reader:
        pixels = file.create_dataset('pixels', (0, size, size, 3), np.uint8, chunks=(
            1, size, size, 3), maxshape=(None, size, size, 3))
        wanted = [one for one in reader.connections if one.msgtype == COMPRESSED_IMAGE]
        for connection, _, raw in reader.messages(wanted):
            message = reader.deserialize(raw, connection.msgtype)
            rgb = cv2.cvtColor(cv2.imdecode(message.data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            pixels.resize(len(pixels) + 1, axis=0)
            pixels[-1] = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA)


def _stages(path: Path, place: Path, frames: int, size: int) -> dict[str, Variant]:
    """Return what an ingest consists of; together they are about the whole."""
    robot = camera_robot()
    config = DataConfig(image_size=size, control_dt_s=robot.control_dt_s)
    files = pictures()
    square = square_from_compressed(files[0], size=size)
    convert_bag(path, robot, config, place / 'part.h5', 'stages')

    def read_all_streams() -> None:
        with Bag(path) as bag:
            synchronize(read_streams(bag, robot), config)

    def read_images() -> None:
        with Bag(path) as bag:
            for *_, raw in bag.raw_messages('/image/compressed'):
                bag.decode(raw, COMPRESSED_IMAGE)

    def decode() -> None:
        for index in range(frames):
            square_from_compressed(files[index % len(files)], 'jpeg', size=size)

    def write() -> None:
        with SetWriter(place / 'written.h5', np.array([frames]), size, {}) as writer:
            for row in range(frames):
                writer.write_pixels(row, square[None])

    def join() -> None:
        concatenate(place / 'joined.h5', [place / 'part.h5'], {}, extend_first=False)

    stages: dict[str, Callable[[], Any]] = {
        'decode and scale pictures': decode, 'hash': lambda: hash_bag(path),
        'read joints, commands, stamps': read_all_streams, 'read picture messages': read_images,
        'write pixels to the disk': write, 'join parts': join}
    return {name: Variant(call, frames) for name, call in stages.items()}


def _memory(place: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the peak memory of an ingest of a short bag and of a long one."""
    peaks = {}
    for seconds in (args.seconds, args.seconds * args.long):
        bag = write_camera_bag(place / f'bag_{seconds}', seconds * FRAME_RATE_HZ,
                               joint_rate_hz=args.joint_rate, width=320, height=240)
        command = [sys.executable, '-m', 'bench._one_ingest', bag,
                   place / f'{seconds}.h5', str(args.image_size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[seconds] = json.loads(done.stdout)
    return {f'peak memory, {seconds} s of 320x240 [MiB]':
            f'{peak["peak_mib"]} ({peak["before_mib"]} of it before the first message)'
            for seconds, peak in peaks.items()}


@contextmanager
def _one_core() -> Iterator[None]:
    if not hasattr(os, 'sched_setaffinity'):
        raise ConfigError('this benchmark pins itself to one core, which needs Linux')
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
