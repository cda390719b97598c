"""Writes a bag as `ros2 bag record` does: each topic with the QoS that is offered, bytes as sent.

    python -m lewm_ros.trials.zoo.strangers.stock_recorder BAG [--use-sim-time] TOPIC...

For machines without rosbag2: MCAP, metadata version 9, receive times by the system clock or, with
`--use-sim-time`, by /clock. It subscribes when a publisher appears, and ends on SIGINT.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from lewm_ros.node.run_node import run_node
from lewm_ros.recording.message_definitions import message_class, message_definition
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

_LOOK_PERIOD_S = 0.1    # of discovery, as in rosbag2
_DEPTH = 100


class StockRecorder(Node):
    """Subscribes to topics as they appear and writes what comes."""

    def __init__(self, bag: Path, topics: list[str], use_sim_time: bool) -> None:
        super().__init__('rosbag2_recorder', parameter_overrides=[
            Parameter('use_sim_time', value=use_sim_time)])
        self._writer = Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._waiting = {self.resolve_topic_name(topic) for topic in topics}
        self.create_timer(_LOOK_PERIOD_S, self._look)

    def close(self) -> None:
        """Complete the bag."""
        self._writer.close()

    def _look(self) -> None:
        for topic in sorted(self._waiting):
            offered = self.get_publishers_info_by_topic(topic)
            if offered:
                self._waiting.discard(topic)
                self._subscribe(topic, offered)

    def _subscribe(self, topic: str, offered: list) -> None:
        kind = offered[0].topic_type
        connection = self._writer.add_connection(
            topic, kind, msgdef=message_definition(kind)[1],
            rihs01=str(offered[0].topic_type_hash),
            offered_qos_profiles=[_recorded(one.qos_profile) for one in offered])
        # reliable and transient local only if all are: such a reader hears every one of them
        reliable = all(one.qos_profile.reliability == ReliabilityPolicy.RELIABLE
                       for one in offered)
        latched = all(one.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
                      for one in offered)
        self.create_subscription(
            message_class(kind), topic,
            lambda data: self._writer.write(connection, self.get_clock().now().nanoseconds, data),
            QoSProfile(
                history=HistoryPolicy.KEEP_LAST, depth=_DEPTH,
                reliability=(ReliabilityPolicy.RELIABLE if reliable
                             else ReliabilityPolicy.BEST_EFFORT),
                durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched
                            else DurabilityPolicy.VOLATILE)), raw=True)


def _recorded(offered: QoSProfile) -> Qos:
    forever = QosTime(9223372036, 854775807)
    return Qos(QosHistory.UNKNOWN, 0,   # what a reader sees of a publisher's history
               QosReliability.RELIABLE if offered.reliability == ReliabilityPolicy.RELIABLE
               else QosReliability.BEST_EFFORT,
               QosDurability.TRANSIENT_LOCAL
               if offered.durability == DurabilityPolicy.TRANSIENT_LOCAL
               else QosDurability.VOLATILE,
               forever, forever, QosLiveliness.AUTOMATIC, forever, False)


def main(args: list[str] | None = None) -> int:
    """Record until it is interrupted."""
    parser = argparse.ArgumentParser(allow_abbrev=False,
                                     prog='stock_recorder', description=__doc__.splitlines()[0])
    parser.add_argument('bag', type=Path)
    parser.add_argument('topics', nargs='+')
    parser.add_argument('--use-sim-time', action='store_true')
    options = parser.parse_args(remove_ros_args(args or sys.argv)[1:])
    return run_node(lambda: StockRecorder(options.bag, options.topics, options.use_sim_time),
                    args, last_act=StockRecorder.close)


if __name__ == '__main__':
    sys.exit(main())
