"""The simulated robot with a camera and a clock that fail when told to; for trials only.

    LEWM_FAULT_ORDERS=folder python -m lewm_ros.trials.faults.programs.faulty_sim

The truth goes on whatever camera and clock do: joint states are published as they are.
"""

from __future__ import annotations

import sys

from lewm_ros.node.run_node import run_node
from lewm_ros.simulation.sim_node import run, SimNode
from lewm_ros.trials.faults.programs.orders import Orders
from sensor_msgs.msg import Image

CAMERA_ORDERS = ('drop', 'freeze', 'size', 'corrupt', 'negative', 'future')
_FUTURE_S = 10
_SIZE = (48, 40)        # of a picture with the wrong size, height and width [px]
_NS = 1_000_000_000


class FaultyCamera:
    """A publisher of pictures that spoils them."""

    def __init__(self, publisher, orders: Orders) -> None:
        self._publisher = publisher
        self._orders = orders
        self._frozen = None

    def publish(self, message: Image) -> None:
        """Publish, or not, what is left of the picture."""
        order = self._orders.of('camera')
        if order != 'freeze':
            self._frozen = message.data
        if order == 'drop':
            return
        if order == 'freeze':
            message.data = self._frozen
        elif order == 'size':
            message.height, message.width = _SIZE
            message.step = 3 * _SIZE[1]
            message.data = message.data[:_SIZE[0] * message.step]
        elif order == 'corrupt':
            message.data = message.data[:100]
        elif order == 'negative':
            message.header.stamp.sec = -5
        elif order == 'future':
            message.header.stamp.sec += _FUTURE_S
        self._publisher.publish(message)


class FaultySim(SimNode):
    """The simulator, with orders."""

    def __init__(self) -> None:
        self._orders = Orders.from_environment()
        self._offset_ns = 0
        super().__init__()
        self._image_pub = FaultyCamera(self._image_pub, self._orders)

    @property
    def stamp_ns(self) -> int:
        """Simulated time now [ns], as the clock says it."""
        return super().stamp_ns + self._offset_ns

    def publish(self) -> None:
        """Show the world; the clock first does what it was told."""
        order = self._orders.of('clock')
        if order:
            self._orders.give('clock')
            self._offset_ns += (-(self.stamp_ns - _NS) if order == 'reset'
                                else round(float(order) * _NS))
        super().publish()


def main() -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(FaultySim, None, last_act=FaultySim.close, loop=run)


if __name__ == '__main__':
    sys.exit(main())
