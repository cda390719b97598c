"""The simulated robot with a camera of any size; for trials only.

    LEWM_CAMERA=640x480 python -m lewm_ros.trials.big_camera

The square view of the task is stretched to the size that is asked for, and the planner squeezes
it back as it does with every picture: what changes is how many pixels travel and are read.
"""

from __future__ import annotations

import os
import sys

import cv2
from lewm_ros.node.run_node import run_node
from lewm_ros.simulation.sim_node import CAMERA_FRAME, run, SimNode
from lewm_ros.wire.pictures import image_to_rgb, rgb_to_image
from lewm_ros.wire.stamps import header_stamp_ns
from sensor_msgs.msg import Image

VARIABLE = 'LEWM_CAMERA'


class BigCamera:
    """A publisher of pictures that stretches them."""

    def __init__(self, publisher, width: int, height: int) -> None:
        self._publisher = publisher
        self._size = (width, height)

    def publish(self, message: Image) -> None:
        """Publish the stretched picture."""
        rgb = cv2.resize(image_to_rgb(message), self._size, interpolation=cv2.INTER_LINEAR)
        self._publisher.publish(rgb_to_image(rgb, header_stamp_ns(message), CAMERA_FRAME))


class BigCameraSim(SimNode):
    """The simulator, with a camera as large as the environment says."""

    def __init__(self) -> None:
        super().__init__()
        width, height = map(int, os.environ[VARIABLE].split('x'))
        self._image_pub = BigCamera(self._image_pub, width, height)


def main() -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(BigCameraSim, None, last_act=BigCameraSim.close, loop=run)


if __name__ == '__main__':
    sys.exit(main())
