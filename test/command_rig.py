"""A running command node and somebody who plans for it, over real DDS."""

from __future__ import annotations

from pathlib import Path
import subprocess

from lewm_model.robots.robot import RobotDescription
from lewm_model.types import ActionChunk
from lewm_ros.msg import (
    ActionChunk as ActionChunkMsg,
    ControllerState,
    ExecutedCommand,
    PlanStatus,
)
from lewm_ros.wire import qos
from lewm_ros.wire.motion import chunk_to_msg
from lewm_ros.wire.reports import CommandState, PlanReport, PlanState
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.status import plan_report_to_msg
import numpy as np
from ros_helpers import Graph


class Robot:
    """A graph with an active command node, and what it says."""

    def __init__(self, graph: Graph, tmp_path: Path, module: str = 'lewm_ros.command.command_node',
                 name: str = 'command_node', **parameters) -> None:
        self.graph = graph
        self.log = tmp_path / 'command_node.log'
        self.interface = RobotInterface(RobotDescription.from_yaml(
            parameters.get('robot', 'sim_reacher')))
        self.process = graph.spawn(module, '--ros-args', '-r', f'__node:={name}',
                                   output=self.log, parameters=parameters)
        self.sent = {topic: graph.collect(kind, topic, qos.RECORD)   # of every command topic
                     for topic, kind in self.interface.outputs}
        self.commands = self.sent[self.interface.outputs[0][0]]
        self.executed = graph.collect(ExecutedCommand, self.interface.executed_topic, qos.RECORD)
        self.states = graph.collect(ControllerState, 'controller_state', qos.RECORD)
        graph.transition(name, 'configure', 'activate')
        graph.wait_for(lambda: self.states, 'the first controller_state')

    @property
    def state(self) -> CommandState:
        return CommandState(self.states[-1][1].state)

    def action(self, index: int = -1) -> np.ndarray:
        """Return one of the commands as an action (A,)."""
        return self.interface.from_msg(self.commands[index][1])

    def moves(self) -> bool:
        return bool(self.commands) and bool(self.action().any())

    def last_motion(self) -> float:
        """Arrival of the first zero after the last command that was not zero."""
        moving = [k for k in range(len(self.commands)) if self.action(k).any()]
        return self.commands[moving[-1] + 1][0]


class Planner:
    """Publishes from the test's own node, at will."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.node = graph, graph.node
        self.interface = RobotInterface(RobotDescription.from_yaml('sim_reacher'))
        self.chunk_pub = self.node.create_publisher(ActionChunkMsg, 'action_chunk', qos.LATEST)
        self.status_pub = self.node.create_publisher(PlanStatus, 'plan_status', qos.RECORD)
        self.sequence = 0
        self.timer = None

    def now_ns(self) -> int:
        return self.node.get_clock().now().nanoseconds

    def beat(self) -> None:
        self.status_pub.publish(plan_report_to_msg(
            PlanReport(stamp_ns=self.now_ns(), frame_stamp_ns=self.now_ns(), session=1, epoch=1,
                       state=PlanState.PLANNING)))

    def plan(self, value: float, rows: int = 40, **changes) -> int:
        self.sequence += 1
        now_ns = self.now_ns()
        message = chunk_to_msg(
            ActionChunk(stamp_ns=now_ns, dt_s=0.05, actions=np.full((rows, 2), value),
                        session=1, epoch=1, sequence=self.sequence,
                        observation_stamp_ns=now_ns),
            names=self.interface.names, interface=self.interface.code)
        for name, changed in changes.items():
            setattr(message, name, changed)
        self.chunk_pub.publish(message)
        return now_ns

    def wait_for_reader(self) -> None:
        """Wait until the command node listens to both topics."""
        self.graph.wait_for(lambda: self.status_pub.get_subscription_count()
                            and self.chunk_pub.get_subscription_count(), 'the subscriptions')

    def keep_beating(self) -> None:
        self.timer = self.node.create_timer(0.05, self.beat)


def start_planner(robot: Robot, action: str = '1.5') -> subprocess.Popen:
    """Start `fake_planner` for the robot and wait until the robot moves."""
    planner = robot.graph.spawn('fake_planner', action, robot.interface.robot.robot)
    robot.graph.wait_for(robot.moves, 'motion')
    return planner
