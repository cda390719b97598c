"""A robot that publishes when told to, and the recorder as a process of its own."""

from __future__ import annotations

from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from lewm_model.bags.bag import Bag
from lewm_ros.msg import EpisodeInfo, ExecutedCommand, Goal
from lewm_ros.srv import StartEpisode, StopEpisode
from lewm_ros.wire import qos
from lewm_ros.wire.motion import joints_to_msg
from lewm_ros.wire.pictures import rgb_to_image
from lewm_ros.wire.stamps import header, header_stamp_ns
import numpy as np
from ros_helpers import Graph
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String

SUCCESS, FAILURE = StopEpisode.Request.SUCCESS, StopEpisode.Request.FAILURE
PICTURE = np.arange(6 * 7 * 3, dtype=np.uint8).reshape(6, 7, 3)


class Rig:
    """A robot that publishes when told to, and the recorder."""

    def __init__(self, graph: Graph, root: Path, **parameters) -> None:
        self.graph, self.root = graph, root
        node = graph.node
        self.image = node.create_publisher(Image, 'image', qos.SENSOR)
        self.joints = node.create_publisher(JointState, 'joint_states', qos.RECORD)
        self.executed = node.create_publisher(ExecutedCommand, 'executed_command', qos.RECORD)
        self.goal = node.create_publisher(Goal, 'goal', qos.LATCHED)
        self.command = node.create_publisher(String, 'record_command', qos.RECORD)
        self.info = graph.collect(EpisodeInfo, 'episode_info', qos.LATCHED)
        self.diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
        self.sent = 0
        self.process = graph.spawn('lewm_ros.recording.recorder_node', parameters={
            'root': str(root), 'min_free_mb': 0, 'chunk_s': 0.05, **parameters})
        graph.wait_for(lambda: all(publisher.get_subscription_count() for publisher in (
            self.image, self.joints, self.executed, self.goal, self.command)), 'the recorder')

    def publish(self, count: int = 1) -> None:
        """Publish frames, joint states and commands, stamped by their number."""
        for _ in range(count):
            self.sent += 1
            stamp_ns = self.sent * 50_000_000
            self.image.publish(rgb_to_image(PICTURE, stamp_ns))
            self.joints.publish(joints_to_msg(stamp_ns, ['shoulder', 'wrist'],
                                                          np.zeros(2), np.zeros(2)))
            self.executed.publish(ExecutedCommand(header=header(stamp_ns),
                                                  names=['shoulder', 'wrist']))
            self.graph.spin(0.01)

    def start(self, **fields):
        return self.graph.call(StartEpisode, '/recorder_node/start_episode',
                               StartEpisode.Request(**fields))

    def stop(self, **fields):
        return self.graph.call(StopEpisode, '/recorder_node/stop_episode',
                               StopEpisode.Request(**{'outcome': SUCCESS, **fields}))

    def phase(self) -> int:
        return self.info[-1][1].phase if self.info else -1

    def wait_for_phase(self, phase: int) -> EpisodeInfo:
        self.graph.wait_for(lambda: self.phase() == phase, f'phase {phase}')
        return self.info[-1][1]


def numbers(path, name: str) -> list[int]:
    with Bag(path) as bag:
        kinds = {topic.name: topic.type for topic in bag.topics}
        return [header_stamp_ns(bag.decode(raw, kinds[topic])) // 50_000_000
                for topic, _, raw in bag.raw_messages(name)]


def marks(path) -> list:
    with Bag(path) as bag:
        return [bag.decode(raw, 'lewm_ros/msg/EpisodeInfo')
                for _, _, raw in bag.raw_messages('/episode_info')]
