"""Cameras and state publishers of fake robots: rates, jitter, delay, loss, stamps."""

from __future__ import annotations

from collections.abc import Callable
import heapq
import itertools
from typing import Any

from builtin_interfaces.msg import Time
from lewm_ros.trials.zoo.robots.description import Camera, StateTopic
from lewm_ros.trials.zoo.strangers.bodies import Body
from lewm_ros.trials.zoo.strangers.pictures import encode_jpeg
from nav_msgs.msg import Odometry
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState


class Later:
    """Messages that are on their way."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def put(self, due_s: float, send: Callable[[], None]) -> None:
        """Send at `due_s`."""
        heapq.heappush(self._heap, (due_s, next(self._count), send))

    def run(self, now_s: float) -> None:
        """Send what is due."""
        while self._heap and self._heap[0][0] <= now_s:
            heapq.heappop(self._heap)[2]()


class Rhythm:
    """A rate that is kept on average; after a pause of the process it goes on from there."""

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._next_s: float | None = None

    def due(self, now_s: float) -> bool:
        """Tell whether a message is due, and count it as sent."""
        if self._next_s is None or now_s - self._next_s > 5 * self._period_s:
            self._next_s = now_s
        if now_s < self._next_s:
            return False
        self._next_s += self._period_s
        return True


def profile(reliable: bool, depth: int = 10) -> QoSProfile:
    """Return the profile of a topic."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE if reliable
                      else ReliabilityPolicy.BEST_EFFORT)


def stamp(now_s: float) -> Time:
    """Return a stamp of seconds."""
    whole = int(now_s)
    return Time(sec=whole, nanosec=int((now_s - whole) * 1e9))


class CameraDriver:
    """Draws the body and sends it, late and with losses if the camera is like that.

    Attributes:
        sent: Frames so far.
    """

    def __init__(self, node: Node, facts: Camera, info_topic: str, later: Later,
                 random: np.random.Generator) -> None:
        self._facts, self._later, self._random = facts, later, random
        self.sent = 0
        self._rhythm = Rhythm(facts.rate_hz)
        self._publisher = node.create_publisher(
            CompressedImage if facts.jpeg else Image, facts.topic, profile(facts.reliable, 5))
        self._info = (node.create_publisher(CameraInfo, info_topic, profile(facts.reliable, 5))
                      if info_topic else None)

    def work(self, now_s: float, body: Body) -> None:
        """Capture a frame when it is time."""
        facts = self._facts
        if not self._rhythm.due(now_s) or self._random.random() < facts.lost:
            return
        message = self._message(body.picture(facts.width, facts.height))
        if facts.stamped:
            message.header.stamp = stamp(now_s)
        message.header.frame_id = 'camera_optical_frame'
        self._later.put(now_s + facts.delay_s + facts.jitter_s * self._random.random(),
                        lambda: self._send(message))

    def _send(self, message: Image | CompressedImage) -> None:
        self._publisher.publish(message)
        self.sent += 1
        if self._info is not None:
            self._info.publish(CameraInfo(header=message.header, width=self._facts.width,
                                          height=self._facts.height))

    def _message(self, picture: np.ndarray) -> Image | CompressedImage:
        if self._facts.jpeg:
            message = CompressedImage(format='jpeg')
            message.data.frombytes(encode_jpeg(picture))
            return message
        height, width = picture.shape[:2]
        message = Image(height=height, width=width, encoding='rgb8', step=3 * width)
        message.data.frombytes(np.ascontiguousarray(picture).tobytes())
        return message


class StateDriver:
    """Reports joints, or odometry."""

    def __init__(self, node: Node, facts: StateTopic, later: Later,
                 random: np.random.Generator) -> None:
        self._facts, self._later, self._random = facts, later, random
        self._rhythm = Rhythm(facts.rate_hz)
        self._publisher = node.create_publisher(
            JointState if facts.names else Odometry, facts.topic, profile(facts.reliable))

    def work(self, now_s: float, body: Body) -> None:
        """Measure and report when it is time."""
        if not self._rhythm.due(now_s):
            return
        message = self._joints(body) if self._facts.names else odometry(body)
        message.header.stamp = stamp(now_s)
        self._later.put(now_s + self._facts.jitter_s * self._random.random(),
                        lambda: self._publisher.publish(message))

    def _joints(self, body: Body) -> JointState:
        pose = dict(zip(body.facts.axes, body.pose, strict=True))
        speed = dict(zip(body.facts.axes, body.velocities, strict=True))
        names = [*self._facts.names, *self._facts.extra]
        return JointState(name=names, position=[float(pose.get(name, 0.0)) for name in names],
                          velocity=[float(speed.get(name, 0.0)) for name in names])


def odometry(body: Body) -> Odometry:
    """Return the pose in the world and the speeds of the body."""
    pose = dict(zip(body.facts.pose, body.pose, strict=True))
    message: Any = Odometry(child_frame_id='base_link')
    message.header.frame_id = 'odom'
    at = message.pose.pose
    at.position.x, at.position.y = float(pose['x']), float(pose['y'])
    at.position.z = float(pose.get('z', 0.0))
    at.orientation.z, at.orientation.w = (float(np.sin(pose['yaw'] / 2)),
                                          float(np.cos(pose['yaw'] / 2)))
    for axis, value in zip(body.facts.axes, body.velocities, strict=True):
        part, name = axis.split('.')
        setattr(getattr(message.twist.twist, part), name, float(value))
    return message
