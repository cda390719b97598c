"""The driver of a robot of the zoo, as a stranger has it: camera, state, controllers, a body.

    python -m lewm_ros.trials.zoo.strangers.driver arm6

What it publishes, how, and what it does with commands is one entry of `table`. It also says on
`truth/joint_states` how the body moves and is commanded; that is for the trial alone.
"""

from __future__ import annotations

import sys
import time

from lewm_model.errors import LewmError
from lewm_ros.node.run_node import run_node
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.robots.table import zoo_robot
from lewm_ros.trials.zoo.strangers.bodies import make_body
from lewm_ros.trials.zoo.strangers.controllers import Controller, MESSAGES
from lewm_ros.trials.zoo.strangers.sensors import (
    CameraDriver,
    Later,
    profile,
    Rhythm,
    stamp,
    StateDriver,
)
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState

TICK_S = 0.01
TRUTH = 'truth/joint_states'
_START_S = 1000.0     # where the clock of a simulated robot begins
_LONGEST_S = 0.1      # of one tick, when the process was not scheduled


class Driver(Node):
    """One robot, in real time or, if it is simulated, at its own pace.

    The camera is a participant of its own for the middleware, as camera drivers are. The
    `frame_id` of the truth is the number of camera frames sent so far.
    """

    def __init__(self, robot: ZooRobot) -> None:
        super().__init__('driver')
        self.robot = robot
        self._camera_context = rclpy.Context()
        rclpy.init(args=sys.argv, context=self._camera_context,
                   signal_handler_options=SignalHandlerOptions.NO)
        self._camera = Node('camera_driver', context=self._camera_context)
        random = np.random.default_rng(robot.number)
        self._body = make_body(robot.body)
        self._later = Later()
        self._sensors = [
            *(CameraDriver(self._camera, one, robot.camera_info_topic, self._later, random)
              for one in robot.cameras),
            *(StateDriver(self, one, self._later, random) for one in robot.states)]
        self._controllers = [Controller(one, robot.body.axes) for one in robot.controllers]
        for one in self._controllers:
            self.create_subscription(
                MESSAGES[one.facts.type], one.facts.topic,
                lambda message, one=one: self._on_command(one, message),
                profile(one.facts.reliable))
        self._truth = self.create_publisher(JointState, TRUTH, profile(True))
        self._truth_rhythm = Rhythm(50.0)
        self._clock_pub = (self.create_publisher(Clock, '/clock', profile(False))
                           if robot.simulated else None)
        self._clock_rhythm = Rhythm(100.0)
        self._last_s = time.monotonic()
        self._simulated_s = _START_S
        self._told = 0
        self.create_timer(TICK_S, self._tick)

    def close(self) -> None:
        """Leave the graph with the camera."""
        self._camera.destroy_node()
        rclpy.shutdown(context=self._camera_context)

    def now_s(self) -> float:
        """Return the robot's time: the system's, or its own."""
        return self._simulated_s if self.robot.simulated else time.time()

    def _on_command(self, controller: Controller, message) -> None:
        controller.receive(message, self.now_s(), self._body.pose)
        if controller.refused > self._told:
            self._told = controller.refused
            self.get_logger().warning(f'{controller.facts.topic}: refused, {controller.reason}',
                                      throttle_duration_sec=1.0)

    def _tick(self) -> None:
        steady_s = time.monotonic()
        passed_s = min(steady_s - self._last_s, _LONGEST_S)
        self._last_s = steady_s
        if self.robot.simulated:
            passed_s *= self.robot.real_time_factor
            self._simulated_s += passed_s
        now_s = self.now_s()
        targets = np.full(len(self.robot.body.axes), np.nan)
        speeds = np.zeros(len(self.robot.body.axes))
        for one in self._controllers:
            one.act(now_s, targets, speeds)
        self._body.advance(passed_s, targets, speeds)
        if self._clock_pub is not None and self._clock_rhythm.due(now_s):
            self._clock_pub.publish(Clock(clock=stamp(now_s)))
        for sensor in self._sensors:
            sensor.work(now_s, self._body)
        self._later.run(now_s)
        if self._truth_rhythm.due(steady_s):
            self._tell(now_s)

    def _tell(self, now_s: float) -> None:
        message = JointState(name=list(self._body.facts.pose), position=self._body.pose.tolist(),
                             velocity=self._body.velocities.tolist())   # of the axes
        message.header.stamp = stamp(now_s)
        message.header.frame_id = str(sum(getattr(one, 'sent', 0) for one in self._sensors))
        self._truth.publish(message)


def main(args: list[str] | None = None) -> int:
    """Run the driver of the robot that the command line names."""
    words = remove_ros_args(args or sys.argv)
    try:
        robot = zoo_robot(words[1] if len(words) > 1 else '')
    except LewmError as error:
        print(f'driver: {error}', file=sys.stderr)
        return 1
    return run_node(lambda: Driver(robot), args, last_act=Driver.close)


if __name__ == '__main__':
    sys.exit(main())
