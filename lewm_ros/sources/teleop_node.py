"""Lets a person drive: commands of any teleop node become chunks, and so go through all limits.

The command node limits them, watches camera and person, and publishes what was executed, which
is the action that training needs. A command lasts `timeout_s`; without another one the chunk
ends, and the command node stops the robot. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
import math
import sys

from diagnostic_msgs.msg import DiagnosticStatus
from lewm_model.errors import ConfigError
from lewm_model.recordings.joints import JointReader
from lewm_model.robots.robot import RobotDescription
from lewm_ros import msg as interfaces
from lewm_ros.node.camera_input import CameraInput, Frame
from lewm_ros.node.parameters import NodeParameters, parameter
from lewm_ros.node.plain import Health, PlainNode
from lewm_ros.node.run_node import run_node
from lewm_ros.sources.chunk_source import ChunkSource
from lewm_ros.wire import qos
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.stamps import header_stamp_ns
import numpy as np
from sensor_msgs.msg import JointState


@dataclass(frozen=True)
class TeleopParameters:
    """Settings of the teleoperation."""

    robot: str = parameter('sim_reacher', 'robot description: a shipped name or a YAML file',
                           read_only=True)
    timeout_s: float = parameter(0.3, 'a command of the person lasts this long, steady clock [s]',
                                 low=0.05, high=2.0)
    leader_topic: str = parameter('', 'joint states of a leader arm, whose joints of the same '
                                  'names are followed, of robots commanded by joint position; '
                                  'empty: none', read_only=True)


class TeleopNode(PlainNode):
    """Turns `teleop_command`, of the robot's own command type, into chunks.

    A robot with several command topics is driven on one topic for each: `teleop_command/<topic>`.
    A leader arm is followed by its joint states.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__('teleop_node', **kwargs)
        self._given = NodeParameters(self, TeleopParameters)
        self._robot = RobotDescription.from_yaml(self._given.values.robot)
        self._interface = RobotInterface(self._robot)
        # (A,), what the person wants, and when each joint of it came, steady
        self._action = np.full(self._robot.action_dim, np.nan)
        self._action_s = np.full(self._robot.action_dim, -math.inf)
        self._anchor_ns: int | None = None       # of the control grid, while the person drives
        self._newest_ns = 0
        offer, listen = self.always.publisher, self.always.subscription
        self._source = ChunkSource(
            'teleop', self._interface,
            offer(interfaces.ActionChunk, 'action_chunk', qos.LATEST).publish,
            offer(interfaces.PlanStatus, 'plan_status', qos.RECORD).publish)
        for output, (topic, kind) in enumerate(self._interface.outputs):
            own = f'/{topic.strip("/")}' if len(self._interface.outputs) > 1 else ''
            listen(kind, f'teleop_command{own}', partial(self._on_command, output), qos.LATEST)
        if leader := self._given.values.leader_topic:
            if self._robot.interface != 'joint_position':
                raise ConfigError(f'leader_topic needs a robot commanded by joint_position, '
                                  f'{self._robot.robot!r} is commanded by '
                                  f'{self._robot.interface}')
            self._leader = JointReader(self._interface.names)
            self.always.joints(leader, self._on_leader)
        # The pictures, not their CameraInfo: the heartbeat says that the camera sees.
        self._cameras = CameraInput(self, self.always, self._robot, self._on_frames)

    @property
    def hardware_id(self) -> str:
        """Name of the robot."""
        return self._robot.robot

    def health(self) -> Health:
        """Say whether a person drives, or why nobody can."""
        if silence := self._cameras.silence():
            return Health(DiagnosticStatus.WARN, silence)
        return Health(summary='a person drives' if self._left_s() > 0 else 'nobody drives')

    def _on_command(self, output: int, message) -> None:
        places, values = self._interface.read(output, message)
        self._action[places], self._action_s[places] = values, self._now_s()

    def _on_leader(self, message: JointState) -> None:
        """Follow a leader arm; grip and arm may come in messages of their own."""
        reading = self._leader.read(message)
        if reading is None:
            return
        given = reading.given & np.isfinite(reading.positions)
        self._action[given], self._action_s[given] = reading.positions[given], self._now_s()

    def _on_frames(self, frames: tuple[Frame, ...]) -> None:
        stamp_ns = header_stamp_ns(frames[0])
        if stamp_ns < self._newest_ns:           # the clock jumped: nothing from before holds
            self._anchor_ns = None
        self._newest_ns = stamp_ns
        left_s = self._left_s()
        if left_s > 0 and self._anchor_ns is None:
            self._anchor_ns = stamp_ns
            self._source.withdraw()
        elif left_s <= 0:
            self._anchor_ns = None
        self._source.heartbeat(stamp_ns, driving=left_s > 0)
        if left_s > 0:
            self._send(stamp_ns, left_s)

    def _send(self, stamp_ns: int, seconds: float) -> None:
        """Send the command for the rest of its life, on one grid so that no step is cut short."""
        dt_ns = self._source.dt_ns
        row = (stamp_ns - self._anchor_ns) // dt_ns
        count = math.ceil(seconds * 1e9 / dt_ns) + 1
        self._source.send(np.tile(self._action, (count, 1)), frame_ns=stamp_ns,
                          start_ns=self._anchor_ns + row * dt_ns)

    def _left_s(self) -> float:
        """Return how long the command still lasts; with several topics, the oldest of them."""
        return self._given.values.timeout_s - (self._now_s() - float(self._action_s.min()))

    def _now_s(self) -> float:
        return self.steady.now().nanoseconds / 1e9


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(TeleopNode, args)


if __name__ == '__main__':
    sys.exit(main())
