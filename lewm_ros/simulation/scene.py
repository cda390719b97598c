"""What viewers are told of the simulated scene: its description, and where its links are."""

from __future__ import annotations

from lewm_ros.wire import qos
from lewm_ros.wire.frames import transform_message_type, transforms_to_msg
from lewm_sim.tasks import Task
from lewm_sim.urdf import urdf_of
from lewm_sim.world import World
import numpy as np
from rclpy.node import Node
from std_msgs.msg import String


class SceneDescription:
    """Publishes `robot_description` and, where tf2_msgs is installed, transforms.

    Args:
        node: Owner of the topics.
        task: Knows the links of its worlds.
        world: The simulated one.
    """

    def __init__(self, node: Node, task: Task, world: World) -> None:
        self._task, self._world = task, world
        self._links = task.links(world)
        self._moving = np.array([one.kind != 'fixed' for one in self._links], bool)
        self._kind = transform_message_type() if self._links else None
        if self._links:
            self._description_pub = node.create_publisher(String, 'robot_description', qos.LATCHED)
            self._description_pub.publish(String(data=urdf_of(self._links, task.name)))
        if self._kind is not None:
            self._pub = node.create_publisher(self._kind, '/tf', qos.RECORD)
            self._static_pub = node.create_publisher(self._kind, '/tf_static', qos.LATCHED)
            standing = ~self._moving & [bool(one.parent) for one in self._links]
            self._static_pub.publish(self._transforms(0, standing))

    def publish(self, stamp_ns: int) -> None:
        """Say where everything that moves is, while somebody listens."""
        if self._kind is not None and self._moving.any() and self._pub.get_subscription_count():
            self._pub.publish(self._transforms(stamp_ns, self._moving))

    def _transforms(self, stamp_ns: int, chosen: np.ndarray):
        positions, rotations = self._task.link_poses(self._world)
        names = [(one.parent, one.name)
                 for one, wanted in zip(self._links, chosen, strict=True) if wanted]
        return transforms_to_msg(self._kind, stamp_ns, names, positions[chosen],
                                 rotations[chosen])
