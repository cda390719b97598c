"""A camera in a process of its own, as drivers are, that keeps a list of what it sent.

    python -m lewm_ros.trials.bench_camera --topic image --size 640x480 --rate 30

The picture changes from frame to frame. Raw pictures are rgb8, with `--jpeg` they are compressed.
It starts when somebody listens, and ends by itself after `--seconds`, or with a signal.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import cycle
import json
from pathlib import Path
import signal
import sys
import time

import cv2
from lewm_ros.wire.pictures import jpeg_to_image, rgb_to_image
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

_SETTLE_S = 1.0     # from the first listener to the first frame: discovery goes on


def pictures(width: int, height: int, jpeg: bool) -> Iterator[np.ndarray | bytes]:
    """Yield pictures without end: smooth noise, like a scene, with a bar that moves."""
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8),
                       (width, height), interpolation=cv2.INTER_CUBIC)
    shown = []
    for step in range(8):
        picture = scene.copy()
        picture[:, step * width // 8:step * width // 8 + width // 16] = 255
        shown.append(cv2.imencode('.jpg', picture, (cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes()
                     if jpeg else picture)
    return cycle(shown)


def run(node: Node, options: argparse.Namespace) -> list[int]:
    """Publish at an even rate; return the stamps of all frames [ns]."""
    publisher = node.create_publisher(
        CompressedImage if options.jpeg else Image, options.topic,
        QoSProfile(depth=5, reliability=ReliabilityPolicy[options.offer.upper()]))
    width, height = map(int, options.size.split('x'))
    shown = pictures(width, height, options.jpeg)
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    time.sleep(_SETTLE_S)
    stamps: list[int] = []
    begin_s = time.monotonic()
    while len(stamps) < options.seconds * options.rate:
        time.sleep(max(0.0, begin_s + len(stamps) / options.rate - time.monotonic()))
        stamp_ns = node.get_clock().now().nanoseconds
        make = jpeg_to_image if options.jpeg else rgb_to_image
        publisher.publish(make(next(shown), stamp_ns))
        stamps.append(stamp_ns)
    time.sleep(_SETTLE_S)   # the last frames are on their way
    return stamps


def main(args: list[str] | None = None) -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument('--topic', default='image')
    parser.add_argument('--size', default='640x480', help='WIDTHxHEIGHT [px]')
    parser.add_argument('--rate', type=float, default=30.0, help='frames per second')
    parser.add_argument('--jpeg', action='store_true', help='CompressedImage instead of rgb8')
    parser.add_argument('--offer', choices=('reliable', 'best_effort'), default='reliable')
    parser.add_argument('--seconds', type=float, default=1e9)
    parser.add_argument('--out', type=Path, help='JSON file that gets the stamps sent')
    options = parser.parse_args(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    try:
        stamps = run(Node('bench_camera'), options)
    except KeyboardInterrupt:
        return 130
    if options.out:
        options.out.write_text(json.dumps(stamps), encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
