"""The system under trial: real nodes as processes over DDS, kept moving, watched from outside."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
import itertools
from pathlib import Path
import signal
import sys
import time
from typing import Any

from lewm_model.errors import LewmError
from lewm_ros.msg import ControllerState, GoalSpec, GuardState, PlanStatus
from lewm_ros.srv import ResetSim, SetGoal
from lewm_ros.startup.lifecycle import LifecycleClient
from lewm_ros.startup.processes import Child, stop
from lewm_ros.startup.system import NodeSpec
from lewm_ros.startup.transport import Transports
from lewm_ros.trials.faults.programs.orders import Orders, VARIABLE
from lewm_ros.trials.faults.system.delays import Delays
from lewm_ros.trials.faults.system.nice import Nice
from lewm_ros.trials.faults.system.setup import Arm, START, system_of
from lewm_ros.trials.faults.system.watch import Watch
from lewm_ros.wire import qos
from lewm_ros.wire.motion import msg_to_positions
from lewm_ros.wire.reports import CommandState, GuardPhase
from lewm_ros.wire.robot_interface import RobotInterface
import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

GOAL_EVERY_S = 1.2      # a new picture before the last one is reached, so that the arm moves on
RECORDER = 'recorder_node'
ENABLED = 'enabled'
MOVING = 0.3            # of a joint, before a fault [rad/s]
_START_S = 150.0    # a cold start on a busy machine
_NUMBERS = itertools.count()    # of the logs
_REST_PATIENCE_S = 6.0
_EVENTS = 200


class RigError(LewmError):
    """The system does not do what a trial needs."""


class Rig:
    """Processes, and this process's ears and hands.

    Args:
        node: Of this process.
        executor: Spins it.
        arm: Which robot.
        out: Folder of logs and recordings.
        environment: Of the processes.
        transports: Of the processes.
        nice: Of the processes, but for the simulator, which stands for hardware and has that of
            this process.
    """

    def __init__(self, node: Node, executor: Executor, arm: Arm, out: Path, *,
                 environment: Mapping[str, str], transports: Transports, nice: Nice) -> None:
        self.node, self.arm = node, arm
        self.robot = RobotInterface(arm.description)
        self.orders = Orders(out / 'orders')
        self.watch = Watch(arm.description)
        self.state: CommandState | None = None
        self.reason = 'silent'
        self.guard: GuardPhase | None = None
        self.report: PlanStatus | None = None
        self.events: deque[tuple[float, str]] = deque(maxlen=_EVENTS)   # (steady time, what)
        self.children: dict[str, Child] = {}
        self.names: dict[str, str] = {}         # executable -> its node's name now
        self._executor, self._out = executor, out
        self._environment, self._transports, self.nice = environment, transports, nice
        self._clients: dict[str, Any] = {}
        self._lifecycles: dict[str, LifecycleClient] = {}
        self._goal_s = 0.0
        self._offset_s = time.time() - time.monotonic()
        self._owned: list[Any] = []
        self._goals = itertools.cycle(sorted(arm.goals.glob('*.png')))
        self.delays = Delays(out / 'delays.log')
        nice.give(self.delays.pid)
        self.e_stop_pub = node.create_publisher(Bool, 'e_stop', qos.LATCHED)
        deep = QoSProfile(depth=200)
        [(command_topic, command_type)] = self.robot.outputs
        for kind, topic, callback, profile in (
                (JointState, arm.description.joint_state_topic, self._on_joints, qos.SENSOR),
                (command_type, command_topic, self._on_command, deep),
                (ControllerState, 'controller_state', self._on_state, qos.RECORD),
                (GuardState, 'guard_state', self._on_guard, qos.LATCHED),
                (PlanStatus, 'plan_status', self._on_status, qos.RECORD)):
            self._owned.append(node.create_subscription(kind, topic, callback, profile))

    # Processes -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until the arm moves; nothing if it runs."""
        if self.children:
            return
        self.orders.clear()
        specs = [spec for spec in system_of(self.arm, self._out) if spec.executable != RECORDER]
        for spec in specs:
            self._spawn(spec)
        for spec in specs:
            if spec.lifecycle:
                self.activate(spec.executable)
        self.wait(lambda: self.watch.positions, 'joint states', _START_S)
        self.call(ResetSim, 'sim_node/reset', ResetSim.Request(state=START))
        self.wait_driving(_START_S)

    def stop(self) -> None:
        """End everything."""
        for child in self.children.values():
            child.signal(signal.SIGCONT)
        stop(self.children.values())
        self.children = {}

    def close(self) -> None:
        """Let go of this process's ears and hands."""
        self.delays.close()
        for entity in self._owned:
            self.node.destroy_subscription(entity)
        for client in self._clients.values():
            self.node.destroy_client(client)
        self.node.destroy_publisher(self.e_stop_pub)

    def start_recorder(self) -> None:
        """Start the recorder, too; it costs much, and only one fault is about it."""
        self._spawn(self._spec(RECORDER))

    def stop_recorder(self) -> None:
        """End the recorder."""
        stop([self.children.pop(RECORDER)])

    def replace(self, executable: str) -> None:
        """Start a new process in the place of one that was killed, and activate it.

        Under a new name: the services of a killed process seem to exist for 20 s.
        """
        self.children[executable].signal(signal.SIGKILL)
        spec = self._spec(executable)
        self._spawn(spec)
        if spec.lifecycle:
            self.activate(executable)

    def activate(self, executable: str) -> None:
        """Configure and activate a lifecycle node, from whatever state it is in."""
        client = self._lifecycle(executable)
        if client.state(_START_S) == 'unconfigured':
            client.configure(_START_S)
        if client.state(_START_S) == 'inactive':
            client.activate(_START_S)

    def reactivate(self, executable: str) -> None:
        """Deactivate and activate a lifecycle node, as a person would who sees it silent."""
        self._lifecycle(executable).deactivate(_START_S)
        self.activate(executable)

    def planner_speaks(self, patience_s: float) -> bool:
        """Tell whether a report of the planner comes within this time."""
        before = self.report
        deadline_s = time.monotonic() + patience_s
        while self.report is before and time.monotonic() < deadline_s:
            self.spin_once()
        return self.report is not before

    def lifecycle_state(self, executable: str) -> str:
        """Return the state of a lifecycle node."""
        return self._lifecycle(executable).state(10.0)

    def _lifecycle(self, executable: str) -> LifecycleClient:
        name = self.names[executable]
        if name not in self._lifecycles:
            self._lifecycles[name] = LifecycleClient(self.node, self._executor, f'/{name}',
                                                     alive=self._alive)
        return self._lifecycles[name]

    def pid(self, executable: str) -> int:
        """Return the process id."""
        return self.children[executable].pid

    def _spec(self, executable: str) -> NodeSpec:
        [spec] = [spec for spec in system_of(self.arm, self._out)
                  if spec.executable == executable]
        return spec

    def _spawn(self, spec: NodeSpec) -> None:
        number = next(_NUMBERS)
        name = spec.executable if spec.executable not in self.names else (
            f'{spec.executable}_{number}')
        self.names[spec.executable] = name
        arguments = spec.ros_arguments()
        arguments[arguments.index(f'__node:={spec.executable}')] = f'__node:={name}'
        environment = {**self._environment, VARIABLE: str((self._out / 'orders').absolute()),
                       **self._transports.of(spec)}
        self.children[spec.executable] = Child(
            name, [sys.executable, '-m', self.arm.modules.get(spec.executable, spec.module),
                   *arguments], self._out / f'{number:03d}_{name}.log', environment)
        self.nice.give(self.pid(spec.executable), urgent=spec.executable == 'sim_node')

    def _alive(self) -> None:
        for child in self.children.values():
            if child.exit_status() is not None and child.name in self.names.values():
                raise RigError(f'{child.name} ended with {child.exit_status()}; the end of '
                               f'{child.log}:\n{child.last_lines()}')

    # Time ------------------------------------------------------------------------------------

    def spin(self, seconds: float) -> None:
        """Handle messages for a while, and keep the arm going from picture to picture."""
        deadline_s = time.monotonic() + seconds
        while (left_s := deadline_s - time.monotonic()) > 0:
            self.spin_once(left_s)

    def spin_once(self, seconds: float = 0.02) -> None:
        """Handle one message."""
        self._executor.spin_once(timeout_sec=min(seconds, 0.02))
        if time.monotonic() - self._goal_s > GOAL_EVERY_S:
            self._goal_s = time.monotonic()
            self.ask(SetGoal, f'{self.names["goal_node"]}/set_goal', SetGoal.Request(
                spec=GoalSpec(source=GoalSpec.FILE, uri=str(next(self._goals)))))

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float) -> Any:
        """Spin until `condition()` is true and return it; raises RigError."""
        deadline_s = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > deadline_s:
                raise RigError(f'waited {timeout_s:g} s in vain for {what}')
            self.spin_once()
        return value

    def moving(self) -> bool:
        """Tell whether the plan is followed, the arm moves, and the guard hears who moves it."""
        return (self.state is CommandState.TRACKING and bool(self.watch.speeds)
                and self.guard is GuardPhase.WATCHING
                and self.watch.speeds[-1] > MOVING)

    def wait_driving(self, timeout_s: float) -> None:
        """Wait until the arm moves; raises RigError."""
        try:
            self.wait(self.moving, 'motion', timeout_s)
        except RigError as error:
            raise RigError(f'{error}; command node: {self.reason}; planner: '
                           f'{self.report.reason.text if self.report else "silent"}') from error

    def await_motion(self, timeout_s: float) -> None:
        """Wait until the arm moves, or in vain."""
        deadline_s = time.monotonic() + timeout_s
        while not self.moving() and time.monotonic() < deadline_s:
            self.spin_once()

    def rest_after(self, since_s: float) -> float | None:
        """Wait for rest; return how long after `since_s` it began, or None if it never did."""
        deadline_s = time.monotonic() + _REST_PATIENCE_S
        while time.monotonic() < deadline_s:
            rest_s = self.watch.rest_after(since_s)
            if rest_s is not None:
                return rest_s
            self.spin(0.05)
        return None

    # Hands -----------------------------------------------------------------------------------

    def press_e_stop(self, pressed: bool) -> None:
        """Press or release the e-stop."""
        self.e_stop_pub.publish(Bool(data=pressed))

    def enable(self) -> str:
        """Allow motion; return what had to be done for it."""
        done = ENABLED
        name = self.names['command_node']
        if self.state is CommandState.FAULT:
            self.call(Trigger, f'{name}/clear_fault', Trigger.Request())
            done = 'fault cleared, enabled'
        answer = self.call(SetBool, f'{name}/enable', SetBool.Request(data=True))
        if not answer.success:
            raise RigError(f'~/enable refuses: {answer.message}')
        return done

    def client(self, kind: type, name: str) -> Any:
        """Return the one client of a service."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        return self._clients[name]

    def ask(self, kind: type, name: str, request: Any) -> None:
        """Call a service and do not wait."""
        client = self.client(kind, name)
        if client.service_is_ready():
            future = client.call_async(request)
            future.add_done_callback(client.remove_pending_request)

    def call(self, kind: type, name: str, request: Any, timeout_s: float = 10.0) -> Any:
        """Call a service and wait; an answer that got lost is asked for again."""
        client = self.client(kind, name)
        self.wait(client.service_is_ready, f'service {name}', timeout_s)
        for _ in range(3):
            future = client.call_async(request)
            deadline_s = time.monotonic() + timeout_s / 3
            while not future.done() and time.monotonic() < deadline_s:
                self.spin_once()
            if future.done():
                return future.result()
        raise RigError(f'{name} does not answer')

    # What arrives ----------------------------------------------------------------------------

    def _on_joints(self, message: JointState, info: dict[str, int]) -> None:
        names = self.robot.names
        if list(message.name) == names:
            self.watch.add_joints(self._sent_s(info), msg_to_positions(message, names),
                                  np.array(message.velocity))

    def _sent_s(self, info: dict[str, int]) -> float:
        # on the steady clock; not when it was read here, where others wait, too
        return info['source_timestamp'] / 1e9 - self._offset_s

    def _on_command(self, message, info: dict[str, int]) -> None:
        try:
            command = self.robot.from_msg(message)
        except LewmError:      # not even finite numbers
            command = np.full(len(self.robot.names), np.inf)
        self.watch.add_command(self._sent_s(info), command)

    def _on_state(self, message: ControllerState, info: dict[str, int]) -> None:
        state, self.state = self.state, CommandState(message.state)
        self.reason = f'{self.state.name} {message.reason.text}'.strip()
        if self.state is not state:
            self.events.append((self._sent_s(info), self.reason))

    def _on_guard(self, message: GuardState, info: dict[str, int]) -> None:
        phase, self.guard = self.guard, GuardPhase(message.phase)
        if self.guard is not phase:
            self.events.append((self._sent_s(info), f'guard {self.guard.name}'))

    def _on_status(self, message: PlanStatus) -> None:
        self.report = message


