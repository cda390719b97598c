"""Recordings of other robots than the simulated arm: driven bases, trajectory arms, teleoperation.

Everything is a formula of the step, so that a test knows what must come out.
"""

from __future__ import annotations

from bag_factory import BagFactory, DT_NS, robot, START_NS
from lewm_model.robots.robot import RobotDescription
import numpy as np

ARM = tuple(f'joint_{number}' for number in range(1, 7))


def diff_drive(**changes) -> RobotDescription:
    """Return a base that takes Twists and reports odometry, at 20 Hz."""
    return robot(**{
        'robot': 'base', 'joint_state_topic': 'odom', 'state_type': 'nav_msgs/msg/Odometry',
        'command_topic': 'cmd_vel', 'command_type': 'geometry_msgs/msg/Twist',
        'executed_topic': '', 'interface': 'twist', 'joint_names': ['linear.x', 'angular.z'],
        'clocks': {'command': 'receive'}, **changes})


def trajectory_arm(**changes) -> RobotDescription:
    """Return a six-joint arm with a trajectory controller, at 20 Hz."""
    return robot(**{
        'robot': 'arm6', 'command_topic': 'controller/joint_trajectory',
        'command_type': 'trajectory_msgs/msg/JointTrajectory', 'executed_topic': '',
        'interface': 'joint_position', 'joint_names': ARM, 'clocks': {'command': 'receive'},
        **{name: [bound] * 6 for name, bound in (
            ('min_command', -9), ('max_command', 9), ('max_rate', 1), ('stop_rate', 2))},
        **changes})


class StreamFactory(BagFactory):
    """Adds the messages of other robots; `received_ns` is when the recorder got them."""

    def put(self, topic: str, kind: str, received_ns: int, **fields) -> None:
        """Add a message without a header, or whose header is among the fields."""
        self.messages.append((topic, kind, received_ns, self.types[kind](**fields)))

    def vector(self, values=(0.0, 0.0, 0.0)):
        """Build a vector."""
        return self.types['geometry_msgs/msg/Vector3'](**dict(zip('xyz', map(float, values),
                                                                  strict=True)))

    def velocity(self, linear=(0.0, 0.0, 0.0), angular=(0.0, 0.0, 0.0)):
        """Build a Twist."""
        return self.types['geometry_msgs/msg/Twist'](linear=self.vector(linear),
                                                     angular=self.vector(angular))

    def twist(self, received_ns: int, forward: float, turn: float, *, sideways: float = 0.0,
              topic: str = '/cmd_vel') -> None:
        """Add a Twist, which has no stamp."""
        message = self.velocity((forward, sideways, 0), (0, 0, turn))
        self.put(topic, 'geometry_msgs/msg/Twist', received_ns, linear=message.linear,
                 angular=message.angular)

    def odometry(self, stamp_ns: int, x: float, y: float, yaw: float, speed: float = 0.0,
                 turn: float = 0.0, *, received_ns: int | None = None) -> None:
        """Add a pose of the base."""
        types, kind = self.types, 'nav_msgs/msg/Odometry'
        pose = types['geometry_msgs/msg/Pose'](
            position=types['geometry_msgs/msg/Point'](x=float(x), y=float(y), z=0.0),
            orientation=types['geometry_msgs/msg/Quaternion'](
                x=0.0, y=0.0, z=float(np.sin(yaw / 2)), w=float(np.cos(yaw / 2))))
        self.put('/odom', kind, stamp_ns if received_ns is None else received_ns,
                 header=self.header(stamp_ns), child_frame_id='base',
                 pose=types['geometry_msgs/msg/PoseWithCovariance'](
                     pose=pose, covariance=np.zeros(36)),
                 twist=types['geometry_msgs/msg/TwistWithCovariance'](
                     twist=self.velocity((speed, 0, 0), (0, 0, turn)), covariance=np.zeros(36)))

    def trajectory(self, received_ns: int, points, names=ARM, *, stamp_ns: int = 0,
                   topic: str = '/controller/joint_trajectory') -> None:
        """Add a trajectory; `points` are (seconds from its start, positions)."""
        def point(start_s: float, positions):
            seconds, rest = divmod(round(start_s * 1e9), 10 ** 9)
            return self.types['trajectory_msgs/msg/JointTrajectoryPoint'](
                positions=np.array(positions, float), velocities=np.empty(0),
                accelerations=np.empty(0), effort=np.empty(0),
                time_from_start=self.types['builtin_interfaces/msg/Duration'](
                    sec=seconds, nanosec=rest))
        self.put(topic, 'trajectory_msgs/msg/JointTrajectory', received_ns,
                 header=self.header(stamp_ns), joint_names=list(names),
                 points=[point(*one) for one in points])

    def array(self, received_ns: int, values, topic: str = '/commands') -> None:
        """Add a Float64MultiArray, which has no stamp."""
        layout = self.types['std_msgs/msg/MultiArrayLayout'](dim=[], data_offset=0)
        self.put(topic, 'std_msgs/msg/Float64MultiArray', received_ns, layout=layout,
                 data=np.array(values, float))

    def drive(self, count: int) -> StreamFactory:
        """Add `count` steps of a base: at step i pose (i, -i, 0.3 i), Twist (i/100, i/200)."""
        for index in range(count):
            stamp_ns = START_NS + index * DT_NS
            self.image(stamp_ns, index % 256)
            self.odometry(stamp_ns, index, -index, 0.3 * index, 1.0, 0.5)
            if index < count - 1:
                self.twist(stamp_ns + 1_000_000, index / 100, index / 200)
        return self

    def reach(self, count: int) -> StreamFactory:
        """Add `count` steps of an arm: joint k at i + k, and is told to go to i + k + 1/2.

        Measured in the opposite order of the joints, beside a gripper.
        """
        offsets = np.arange(6)
        for index in range(count):
            stamp_ns = START_NS + index * DT_NS
            self.image(stamp_ns, index % 256)
            self.joints(stamp_ns, (0.5, *(index + offsets)[::-1]), np.zeros(7),
                        names=('gripper', *ARM[::-1]))
            if index < count - 1:
                self.trajectory(stamp_ns + 1_000_000, [(0.05, index + offsets + 0.5)])
        return self
