"""The simulated robot as a ROS node: clock, camera, joints and a drive, in real time.

One thread does everything: physics, rendering and the ROS callbacks between two ticks, so the
world needs no lock and a reset falls between two physics steps. Simulated time never jumps
back, not even over a reset. `truth/state` is for judges and recordings only; nothing that drives
the robot may listen to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
import sys

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lewm_model.errors import ConfigError, LewmError
from lewm_model.robots.robot import ODOMETRY, RobotDescription
from lewm_ros.msg import SimState
from lewm_ros.node.executor import SurvivingExecutor
from lewm_ros.node.guard import Guard
from lewm_ros.node.interrupt import Interrupt
from lewm_ros.node.parameters import NodeParameters, parameter
from lewm_ros.node.run_node import run_node
from lewm_ros.simulation.motor_drive import drive_of
from lewm_ros.simulation.pacer import Pacer
from lewm_ros.simulation.scene import SceneDescription
from lewm_ros.srv import RenderScene, ResetSim
from lewm_ros.wire import qos
from lewm_ros.wire.motion import joints_to_msg
from lewm_ros.wire.pictures import camera_info_to_msg, rgb_to_image
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.refusals import refuse
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.stamps import header, ns_to_stamp
from lewm_ros.wire.status import diagnostics_to_msg
from lewm_ros.wire.truth import (
    odometry_to_msg,
    request_to_wanted,
    SimTruth,
    truth_to_msg,
    TRUTH_TOPIC,
)
from lewm_sim.links import CAMERA_LINK
from lewm_sim.tasks import load_task
from nav_msgs.msg import Odometry
import numpy as np
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header

_NS = 1_000_000_000
CAMERA_FRAME = CAMERA_LINK
# Late joiners and recorders see a stamp of zero as "not set", so time starts after it.
_START_NS = _NS


@dataclass(frozen=True)
class SimParameters:
    """Settings of the simulated robot."""

    task: str = parameter('reacher', 'what is simulated, see docs/tasks.md', read_only=True)
    robot: str = parameter('', 'robot description, name or file; empty: the one of the task',
                           read_only=True)
    image_size: int = parameter(64, 'height and width of the camera picture [px]',
                                low=8, high=640, read_only=True)
    seed: int = parameter(0, 'draws the first start state', low=0, high=2**31 - 1,
                          read_only=True)
    real_time_factor: float = parameter(1.0, 'simulated seconds per real second to aim for',
                                        low=0.01, high=100.0, read_only=True)
    clock_rate_hz: float = parameter(100.0, 'rate of /clock and of looking for a new command; '
                                     'every node pays for each message [Hz]',
                                     low=20.0, high=1000.0, read_only=True)
    joint_rate_hz: float = parameter(50.0, 'rate of the measured joint states [Hz]',
                                     low=1.0, high=1000.0, read_only=True)
    command_timeout_s: float = parameter(0.2, 'older velocity commands ramp down to zero, as in '
                                         'a motor driver; 0 turns it off [s]', low=0.0, high=10.0,
                                         read_only=True)


class SimNode(Node):
    """Publishes what the robot's sensors say and obeys its command topic."""

    def __init__(self, **kwargs) -> None:
        super().__init__('sim_node', **kwargs)
        self.guard = Guard(self.get_logger())   # takes what is refused: for log and diagnostics
        settings = NodeParameters(self, SimParameters).values
        self.task = load_task(settings.task)
        robot = RobotDescription.from_yaml(settings.robot or self.task.robot_file)
        self._interface = RobotInterface(robot)
        self._drive = drive_of(robot, self.task.robot, settings.command_timeout_s)
        own = self.task.robot
        if robot.state_names != own.state_names:
            raise ConfigError(f'robot {robot.robot!r} reports {", ".join(robot.state_names)}, '
                              f'task {self.task.name!r} has {", ".join(own.state_names)}; use '
                              f'robot {own.robot!r}')
        self._world, self._posed = self.task.make_worlds(2, settings.image_size)
        self._world.start(np.random.default_rng(settings.seed))
        self._world.render()  # a machine that cannot render should say so now
        self._tick_ns = round(_NS / settings.clock_rate_hz)
        self._image_ticks = self._ticks_in('control_dt_s', robot.control_dt_s)
        self._joint_ticks = self._ticks_in('1 / joint_rate_hz', 1 / settings.joint_rate_hz)
        self._step_ticks = self._ticks_of_step(robot.control_dt_s)
        self.pacer = Pacer(self._tick_ns / _NS, settings.real_time_factor)
        self._ticks = 0
        self._clock_pub = self.create_publisher(Clock, '/clock', qos.IMAGE)
        self._image_pub = self.create_publisher(Image, robot.image_topic, qos.IMAGE)
        self._info_pub = (self.create_publisher(CameraInfo, robot.camera_info_topic, qos.IMAGE)
                          if robot.camera_info_topic else None)
        kind = Odometry if robot.state_type == ODOMETRY else JointState
        self._state_pub = self.create_publisher(kind, robot.joint_state_topic, qos.SENSOR)
        self._truth_pub = self.create_publisher(SimState, TRUTH_TOPIC, qos.RECORD)
        self._reset_pub = self.create_publisher(Header, 'scene_reset', qos.RECORD)
        self._diagnostics_pub = self.create_publisher(DiagnosticArray, '/diagnostics', qos.RECORD)
        self._command = self._rest()   # joints of several topics, put together
        for output, (topic, kind) in enumerate(self._interface.outputs):
            self.create_subscription(kind, topic, partial(self._on_command, output), qos.LATEST)
        for kind, name, callback in ((ResetSim, '~/reset', self._on_reset),
                                     (RenderScene, '~/render', self._on_render)):
            self.create_service(kind, name, self.guard.server(callback, f'service {name}'))
        self._scene = SceneDescription(self, self.task, self._world)
        self.get_logger().info(f'simulating {self.task.name!r} at {settings.real_time_factor:g} '
                               f'x real time, camera {settings.image_size} px')

    @property
    def stamp_ns(self) -> int:
        """Simulated time now [ns]."""
        return _START_NS + self._ticks * self._tick_ns

    def publish(self) -> None:
        """Show the world as it is now."""
        stamp_ns = self.stamp_ns
        self._clock_pub.publish(Clock(clock=ns_to_stamp(stamp_ns)))
        if self._ticks % self._image_ticks == 0:
            self._publish_camera(stamp_ns)
        if self._ticks % self._joint_ticks == 0:
            self._state_pub.publish(self._state(stamp_ns))
        if self._ticks * self._tick_ns % _NS == 0:
            self._publish_diagnostics()

    def advance(self) -> None:
        """Let the world run for one tick under the newest command."""
        command = self._drive.output(self.stamp_ns / _NS, self._tick_ns / _NS,
                                     self._world.sensed().positions)
        if command is not None:
            self._world.apply(command)
        if (self._ticks + 1) % self._step_ticks == 0:
            self._world.advance(self._step_ticks * self._tick_ns / _NS)
        self._ticks += 1
        self.pacer.tick()

    def close(self) -> None:
        """Free the renderer."""
        for world in (self._world, self._posed):
            world.close()

    def _ticks_in(self, name: str, seconds: float) -> int:
        ticks = round(seconds * _NS / self._tick_ns)
        if ticks < 1 or abs(ticks * self._tick_ns - seconds * _NS) > 1:
            raise ConfigError(f'{name} = {seconds:g} s must be a multiple of the clock tick '
                              f'{self._tick_ns / _NS:g} s; change clock_rate_hz')
        return ticks

    def _ticks_of_step(self, control_dt_s: float) -> int:
        """Return how many ticks the world makes at once: one, or what its time step needs."""
        step_ns = round(self._world.timestep_s * _NS)
        ticks = max(1, round(step_ns / self._tick_ns))
        control_ns = round(control_dt_s * _NS)
        if (ticks * self._tick_ns) % step_ns or control_ns % (ticks * self._tick_ns):
            raise ConfigError(f'clock_rate_hz gives ticks of {self._tick_ns / _NS:g} s, which do '
                              f'not fit to steps of the simulation of '
                              f'{self._world.timestep_s:g} s and of control of '
                              f'{control_dt_s:g} s')
        return ticks

    def _state(self, stamp_ns: int) -> JointState | Odometry:
        robot, sensed = self._interface.robot, self._world.sensed()
        if robot.state_type == ODOMETRY:
            return odometry_to_msg(stamp_ns, sensed.positions, sensed.velocities)
        return joints_to_msg(stamp_ns, robot.state_names, sensed.positions, sensed.velocities)

    def _publish_camera(self, stamp_ns: int) -> None:
        rgb = self._world.render()
        self._image_pub.publish(rgb_to_image(rgb, stamp_ns, CAMERA_FRAME))
        if self._info_pub is not None:
            self._info_pub.publish(camera_info_to_msg(
                stamp_ns, CAMERA_FRAME, height=rgb.shape[0], width=rgb.shape[1],
                fovy_rad=self._world.camera_fovy_rad))
        self._scene.publish(stamp_ns)
        self._truth_pub.publish(truth_to_msg(SimTruth(
            stamp_ns, self._world.state(), self.task.quantities, self._world.truth())))

    def _publish_diagnostics(self) -> None:
        achieved = self.pacer.achieved()
        slow = achieved < 0.95 * self.pacer.real_time_factor
        idle, fault = self._drive.timed_out(self.stamp_ns / _NS), self.guard.fault
        self._diagnostics_pub.publish(diagnostics_to_msg(
            self.stamp_ns, f'{self.get_name()}: simulation',
            level=(DiagnosticStatus.ERROR if fault else
                   DiagnosticStatus.WARN if slow else DiagnosticStatus.OK),
            summary=fault or ('slower than asked for' if slow else 'running'),
            values={'real_time_factor': f'{achieved:.3f}', 'drive_timed_out': idle}))

    def _on_command(self, output: int, message) -> None:
        try:
            places, values = self._interface.read(output, message)
        except LewmError as error:
            self.guard.note('command refused', error)
            return
        self._command[places] = values
        self._drive.receive(self._command.copy(), self.stamp_ns / _NS)

    def _rest(self) -> np.ndarray:
        """Return the command (A,) to stand still now, for joints that were not commanded yet."""
        robot = self._interface.robot
        sensed = dict(zip(robot.state_names, self._world.sensed().positions, strict=True))
        positions = robot.interface == 'joint_position'
        return np.array([sensed.get(name, 0.0) if positions else 0.0
                         for name in robot.joint_names])

    def _on_reset(self, request: ResetSim.Request, response: ResetSim.Response):
        if len(request.state):
            try:
                self._world.reset(np.array(request.state))
            except LewmError as error:
                self.guard.note('reset refused', error)
                return refuse(response, error, otherwise=Code.BAD_ARGUMENT)
        else:
            self._world.start(np.random.default_rng(request.seed))
        self._drive.clear()
        self._command = self._rest()
        self._reset_pub.publish(header(self.stamp_ns))
        response.success, response.message = True, ', '.join(
            f'{one.name} {" ".join(f"{value:.3f}" for value in values)} {one.unit}'.strip()
            for one, values in zip(self.task.quantities, self.task.named(
                self._world.truth()).values(), strict=True))
        response.sim_time = ns_to_stamp(self.stamp_ns)
        return response

    def _on_render(self, request: RenderScene.Request, response: RenderScene.Response):
        """Show another world of the same scene: this one does not notice."""
        try:
            self._posed.reset(self.task.state_with(self._world, request_to_wanted(request)))
        except LewmError as error:
            self.guard.note('picture refused', error)
            return refuse(response, error, otherwise=Code.BAD_ARGUMENT)
        response.image = rgb_to_image(self._posed.render(), self.stamp_ns, CAMERA_FRAME)
        response.success = True
        return response


def run(node: SimNode, end: Interrupt) -> None:
    """Tick in real time until `end` is set.

    The physics of one tick is computed when its time is over, so a command that answers the
    tick's /clock message within that time acts from the very start of the tick.
    """
    executor = SurvivingExecutor(node)
    while not end.is_set():
        node.publish()
        executor.spin_once(timeout_sec=0)  # commands arrive even when the machine is too slow
        while (remaining_s := node.pacer.remaining_s()) > 0:
            executor.spin_once(timeout_sec=remaining_s)
        node.advance()


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(SimNode, args, last_act=SimNode.close, loop=run)


if __name__ == '__main__':
    sys.exit(main())
