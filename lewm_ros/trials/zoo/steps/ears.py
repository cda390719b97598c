"""What a trial hears of one robot and of the nodes that drive it, and what it asks of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
import time
from typing import Any

import cv2
from lewm_model.errors import LewmError
from lewm_ros.msg import ControllerState, PlanStatus, SimState
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.strangers.controllers import MESSAGES, read_command
from lewm_ros.trials.zoo.strangers.driver import TRUTH
from lewm_ros.trials.zoo.strangers.sensors import profile
from lewm_ros.wire.truth import msg_to_truth, TRUTH_TOPIC
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool

_KEPT = 20_000
_STEADY_LESS_SYSTEM_S = time.monotonic() - time.time()
_SETTLE_S = 0.3


class TrialError(LewmError):
    """Something that the walk waited for did not come."""


class Ears:
    """Subscriptions and clients in the namespace of one robot.

    Args:
        robot: What is heard.
        namespace: Of the robot.
        executor: Of other ears that are to hear while these wait.

    Attributes:
        truth: (steady seconds, pose, velocities) of the body.
        commands: (steady seconds, index of the command topic, values) on the command topics.
        controller: (steady seconds, state, reason) of the command node.
        plans: (steady seconds, state, goal distance, reason) of the planner.
    """

    def __init__(self, robot: ZooRobot, namespace: str = '',
                 executor: SingleThreadedExecutor | None = None) -> None:
        if not rclpy.ok():
            rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        self.robot = robot
        self.truth: deque = deque(maxlen=_KEPT)
        self.commands: deque = deque(maxlen=_KEPT)
        self.controller: deque = deque(maxlen=_KEPT)
        self.plans: deque = deque(maxlen=_KEPT)
        self.frames_sent = 0     # by the driver, ever
        self.frame: Image | CompressedImage | None = None
        self.check: Callable[[], None] = lambda: None   # raises when waiting makes no sense
        self.node = Node('trial', namespace=namespace)
        self.executor = executor or SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self._clients: dict[str, Any] = {}
        listen = self.node.create_subscription
        listen(JointState, TRUTH, self._on_truth, profile(True))
        listen(SimState, TRUTH_TOPIC, self._on_sim, profile(True))
        self._sim_ns = 0
        listen(ControllerState, 'controller_state', lambda message, info: self.controller.append(
            (sent_s(info), message.state, reason_text(message.reason))), profile(True))
        listen(PlanStatus, 'plan_status', lambda message, info: self.plans.append(
            (sent_s(info), message.state, message.goal_distance,
             reason_text(message.reason))), profile(True))
        for index, one in enumerate(robot.controllers):
            listen(MESSAGES[one.type], one.topic,
                   lambda message, info, index=index: self._on_command(index, message, info),
                   profile(False))
        self._e_stop = self.node.create_publisher(Bool, 'e_stop', QoSProfile(
            depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def close(self) -> None:
        """Leave the graph."""
        self.executor.remove_node(self.node)
        self.node.destroy_node()

    # Waiting -----------------------------------------------------------------------------------

    def spin(self, seconds: float) -> None:
        """Listen for a fixed time."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left_s)

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> float:
        """Listen until something is true; return the seconds that it took.

        Raises:
            TrialError: After `timeout_s`.
        """
        begin_s = time.monotonic()
        while not condition():
            self.check()
            if time.monotonic() - begin_s > timeout_s:
                raise TrialError(f'waited {timeout_s:g} s in vain for {what}')
            self.executor.spin_once(timeout_sec=0.02)
        return time.monotonic() - begin_s

    def call(self, kind: type, name: str, request: Any, timeout_s: float = 20.0) -> Any:
        """Call a service; silence is followed by a second request."""
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(kind, name)
        self.wait_for(client.service_is_ready, f'service {name}', timeout_s)
        self.spin(_SETTLE_S)   # a server must have discovered this client to answer it
        for _ in range(2):
            future = client.call_async(request)
            try:
                self.wait_for(future.done, f'an answer of {name}', timeout_s / 2)
            except TrialError:
                continue
            return future.result()
        raise TrialError(f'{name} did not answer in {timeout_s:g} s')

    def press_e_stop(self, pressed: bool) -> None:
        """Press or release the e-stop."""
        self._e_stop.publish(Bool(data=pressed))

    # Pictures ----------------------------------------------------------------------------------

    def take_picture(self, file: Path, timeout_s: float = 10.0) -> None:
        """Save the next camera frame, as any camera tool does."""
        camera = self.robot.cameras[0]
        self.frame = None
        subscription = self.node.create_subscription(
            CompressedImage if camera.jpeg else Image, camera.topic, self._on_frame,
            profile(camera.reliable))
        self.wait_for(lambda: self.frame is not None, f'a frame on {camera.topic}', timeout_s)
        self.node.destroy_subscription(subscription)
        data = np.frombuffer(bytes(self.frame.data), np.uint8)
        if camera.jpeg:
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        else:
            picture = data.reshape(self.frame.height, self.frame.width, 3)[..., ::-1]
        cv2.imwrite(str(file), picture)

    # Callbacks ---------------------------------------------------------------------------------

    def _on_frame(self, message: Image | CompressedImage) -> None:
        self.frame = message

    def _on_truth(self, message: JointState, info: dict) -> None:
        self.frames_sent = int(message.header.frame_id)   # the drivers count their frames
        self.truth.append((sent_s(info), np.array(message.position),
                           np.array(message.velocity)))

    def _on_sim(self, message: SimState, info: dict) -> None:
        # our simulator says the truth once per frame
        told = msg_to_truth(message)
        pose = np.array([value for one, value in zip(told.quantities, told.values, strict=True)
                         if one.of == 'joint'])
        seconds = (told.stamp_ns - self._sim_ns) / 1e9
        speed = (pose - self.truth[-1][1]) / seconds if self.truth else np.zeros(len(pose))
        self._sim_ns, self.frames_sent = told.stamp_ns, self.frames_sent + 1
        self.truth.append((sent_s(info), pose, speed))

    def _on_command(self, index: int, message: Any, info: dict) -> None:
        self.commands.append((sent_s(info), index,
                              read_command(self.robot.controllers[index], message)))


def sent_s(info: dict) -> float:
    """Return when a message was sent, by this process's steady clock.

    By the time of its publisher: how busy this process is must not count as the robot's delay.
    """
    return info['source_timestamp'] / 1e9 + _STEADY_LESS_SYSTEM_S


def reason_text(reason: Any) -> str:
    """Return the words of a reason, which is a text or a message with one."""
    return getattr(reason, 'text', reason)
