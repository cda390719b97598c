"""A stranger's teleoperation: drives a robot of the zoo at random on its own command topics.

    python -m lewm_ros.trials.zoo.strangers.commander arm6 [SEED]

Positions wander around where the robot was found, speeds are drawn anew now and then and turn
back where the floor ends. It knows nothing of this project.
"""

from __future__ import annotations

import sys
import time

from lewm_ros.node.run_node import run_node
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.robots.table import zoo_robot
from lewm_ros.trials.zoo.strangers.controllers import build_command, MESSAGES
from lewm_ros.trials.zoo.strangers.driver import TRUTH
from lewm_ros.trials.zoo.strangers.sensors import profile, stamp
import numpy as np
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import JointState

_RAMP_S = 1.0          # from where the robot stands to where it wanders
_WAVES = 3             # sines per joint
_SLOW, _FAST = 0.15, 0.6   # of them [Hz]


class Commander(Node):
    """Publishes until it is ended, then leaves the robot standing."""

    def __init__(self, robot: ZooRobot, seed: int) -> None:
        super().__init__('teleop')
        self._robot = robot
        self._random = np.random.default_rng(seed)
        self._pose: np.ndarray | None = None
        self._clock_s = self._begin_s = 0.0
        axes = len(robot.axes)
        self._phases = self._random.uniform(0, 2 * np.pi, (axes, _WAVES))
        self._pace = self._random.uniform(_SLOW, _FAST, (axes, _WAVES))
        self._low = np.array(robot.edits['min_command'])
        self._high = np.array(robot.edits['max_command'])
        self._speeds = np.zeros(axes)
        self._centre: np.ndarray | None = None
        self._outputs = [(one, self.create_publisher(MESSAGES[one.type], one.topic,
                                                        profile(one.reliable)))
                            for one in robot.controllers]
        self.create_subscription(JointState, TRUTH, self._on_truth, profile(True))
        pace = robot.pace
        for one, publisher in self._outputs:
            self.create_timer(1 / (one.rate_hz * pace),
                              lambda one=one, publisher=publisher: self._send(one, publisher))

    def stand_still(self) -> None:
        """Say zero, where zero is standing still."""
        for one, publisher in self._outputs:
            if one.interface != 'joint_position':
                publisher.publish(build_command(one, np.zeros(len(one.axes)), self._stamp(), 0.1))
        time.sleep(0.1)

    def _on_truth(self, message: JointState) -> None:
        self._pose = np.array(message.position)
        self._clock_s = message.header.stamp.sec + message.header.stamp.nanosec / 1e9
        if self._centre is None:
            self._centre, self._begin_s = self._pose.copy(), self._clock_s

    def _stamp(self):
        return stamp(self._clock_s if self._robot.simulated else time.time())

    def _send(self, one, publisher) -> None:
        if self._centre is None:
            return
        first = self._robot.axes.index(one.axes[0])
        mine = slice(first, first + len(one.axes))
        values = (self._wander() if one.interface == 'joint_position' else self._drift())[mine]
        publisher.publish(build_command(one, values, self._stamp(), 1 / one.rate_hz))

    def _wander(self) -> np.ndarray:
        """Return positions on smooth paths around the start."""
        passed_s = self._clock_s - self._begin_s
        waves = np.sin(2 * np.pi * self._pace * passed_s + self._phases).mean(axis=1)
        reach = 0.3 * (self._high - self._low)
        centre = self._centre[[self._robot.body.axes.index(axis) for axis in self._robot.axes]]
        moved = centre + min(passed_s / _RAMP_S, 1.0) * reach * waves
        still = np.isin(self._robot.axes, self._robot.still)
        return np.where(still, centre, np.clip(moved, self._low, self._high))

    def _drift(self) -> np.ndarray:
        """Return speeds that change smoothly and lead back to the middle."""
        fresh = self._random.uniform(self._low, self._high)
        self._speeds = np.clip(0.8 * self._speeds + 0.35 * fresh, self._low, self._high)
        body = self._robot.body
        if body.kind == 'joints':
            out = np.abs(self._pose) > 0.7 * np.array(body.high)
            self._speeds = np.where(out, -np.sign(self._pose) * np.abs(self._speeds),
                                    self._speeds)
        elif body.kind in ('base', 'drone'):
            self._turn_back()
        return self._speeds

    def _turn_back(self) -> None:
        """Reverse where driving on would leave the floor."""
        pose = dict(zip(self._robot.body.pose, self._pose, strict=True))
        axes = list(self._robot.axes)
        for axis, heading in (('linear.x', pose['yaw']), ('linear.y', pose['yaw'] + np.pi / 2)):
            if axis in axes and np.hypot(pose['x'], pose['y']) > 0.6:
                speed = self._speeds[axes.index(axis)]
                outward = speed * (pose['x'] * np.cos(heading) + pose['y'] * np.sin(heading))
                self._speeds[axes.index(axis)] = -speed if outward > 0 else speed
        if 'z' in pose and abs(pose['z'] - 1.0) > 0.4:
            index = axes.index('linear.z')
            self._speeds[index] = -np.sign(pose['z'] - 1.0) * abs(self._speeds[index])


def main(args: list[str] | None = None) -> int:
    """Run until it is interrupted."""
    words = remove_ros_args(args or sys.argv)
    robot, seed = zoo_robot(words[1]), int(words[2]) if len(words) > 2 else 0
    return run_node(lambda: Commander(robot, seed), args, last_act=Commander.stand_still)


if __name__ == '__main__':
    sys.exit(main())
