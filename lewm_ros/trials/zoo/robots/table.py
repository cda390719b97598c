"""The zoo: twelve robots as strangers have them, one entry each. No rclpy.

Numbers follow what such machines do: rates and QoS of common drivers, `cmd_vel` time-outs of
half a second, forward controllers that repeat their last command for ever.
"""

from __future__ import annotations

from lewm_model.errors import ConfigError
from lewm_model.robots.robot import (
    FLOAT_ARRAY,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    TWIST,
    TWIST_STAMPED,
)
from lewm_ros.trials.zoo.robots.description import Body, Camera, CommandTopic, StateTopic, ZooRobot

_ARM6 = ('shoulder_pan_joint', 'shoulder_lift_joint', 'elbow_joint', 'wrist_1_joint',
         'wrist_2_joint', 'wrist_3_joint')
_ARM3 = ('joint_1', 'joint_2', 'joint_3')
_PLANAR = ('linear.x', 'angular.z')
_FLY = ('linear.x', 'linear.y', 'linear.z', 'angular.z')
_REACHER = {'kind': 'mujoco', 'axes': ('shoulder', 'wrist'), 'start': (0.3, -0.4),
            'low': (-1e6, -2.79), 'high': (1e6, 2.79), 'max_speed': (2.0, 2.0),
            'max_acceleration': (40.0, 40.0)}

# A model of a few training steps finds one pose best, goes there and stays. With a single search
# step per plan it wanders, so that a robot commanded by position is stopped in motion; and two
# planners get along on two cores.
_RESTLESS = {'planner_node': {'iterations': 1}}


def _arm(axes: tuple[str, ...], start: tuple[float, ...], reach: float = 2.6, speed: float = 2.0,
         **changes) -> Body:
    count = len(axes)
    return Body(**{'kind': 'joints', 'axes': axes, 'start': start, 'low': (-reach,) * count,
                   'high': (reach,) * count, 'max_speed': (speed,) * count,
                   'max_acceleration': (12.0,) * count, **changes})


def _base(speed: float = 0.6, turn: float = 1.6) -> Body:
    return Body(kind='base', axes=_PLANAR, start=(0.0, 0.0, 0.0), low=(-1.5, -1.5, -1e6),
                high=(1.5, 1.5, 1e6), max_speed=(speed, turn), max_acceleration=(2.0, 8.0))


def _limits(low: list[float], high: list[float], rate: list[float], stop: list[float]) -> dict:
    """Return what a person writes over the limits that were only observed."""
    return {'min_command': low, 'max_command': high, 'max_rate': rate, 'stop_rate': stop}


def _base_limits(speed: float, turn: float) -> dict:
    return {**_limits([-speed, -turn], [speed, turn], [1.0, 4.0], [2.0, 8.0]),
            'joint_names': list(_PLANAR)}


ROBOTS = (
    ZooRobot(
        name='sim_reacher', number=1, about='ours: the simulated two-link arm, /clock',
        body=Body(**_REACHER), cameras=(Camera(topic='image', rate_hz=20, width=64, height=64,
                                               reliable=False),),
        states=(StateTopic(names=('shoulder', 'wrist'), reliable=False),),
        controllers=(CommandTopic(
            topic='joint_velocity_controller/commands', type=FLOAT_ARRAY, rate_hz=20,
            interface='joint_velocity', axes=('shoulder', 'wrist'), on_silence='zero',
            timeout_s=0.2),),
        camera_info_topic='camera_info', control_dt_s=0.05, real_time_factor=1.0,
        edits=_limits([-2.0] * 2, [2.0] * 2, [40.0] * 2, [40.0] * 2)),
    ZooRobot(
        name='arm6', number=2, about='six joints, JointTrajectory, VGA raw reliable 30 Hz',
        body=_arm(_ARM6, (0.2, -0.9, 1.1, -0.5, 0.3, 0.2)),
        cameras=(Camera(topic='camera/color/image_raw'),),
        states=(StateTopic(names=_ARM6, rate_hz=125),),
        controllers=(CommandTopic(
            topic='joint_trajectory_controller/joint_trajectory', type=JOINT_TRAJECTORY,
            interface='joint_position', axes=_ARM6),),
        camera_info_topic='camera/color/camera_info',
        parameters=_RESTLESS,
        edits={**_limits([-2.4] * 6, [2.4] * 6, [1.0] * 6, [2.0] * 6), 'control_dt_s': 0.1,
               'command_hold_s': 5.0}),
    ZooRobot(
        name='gripper_arm', number=3,
        about='three joints and a gripper by positions, the gripper still in all data',
        body=_arm((*_ARM3, 'finger_joint'), (0.4, -0.5, 0.6, 0.03), low=(-2.6,) * 3 + (0.0,),
                  high=(2.6,) * 3 + (0.06,), max_speed=(2.0,) * 3 + (0.1,),
                  max_acceleration=(12.0,) * 3 + (1.0,)),
        cameras=(Camera(topic='camera/image_raw', width=320, height=240, reliable=False),),
        # in alphabetical order, as many controllers list joints; the command has another
        states=(StateTopic(names=('finger_joint', *_ARM3)),),
        controllers=(CommandTopic(topic='position_controller/commands', type=FLOAT_ARRAY,
                                  interface='joint_position', axes=(*_ARM3, 'finger_joint')),),
        still=('finger_joint',),
        parameters=_RESTLESS,
        edits={**_limits([-2.4] * 3 + [0.0], [2.4] * 3 + [0.06], [1.0] * 3 + [0.1],
                         [2.0] * 3 + [0.2]), 'control_dt_s': 0.1, 'command_hold_s': 5.0,
               'joint_names': [*_ARM3, 'finger_joint']}),
    ZooRobot(
        name='jpeg_base', number=4,
        about='diff-drive, Twist, JPEG topic without /compressed, odometry',
        body=_base(), cameras=(Camera(topic='front_camera/jpeg', rate_hz=15, jpeg=True,
                                      reliable=False, delay_s=0.03, jitter_s=0.01),),
        states=(StateTopic(topic='odom', rate_hz=50),),
        controllers=(CommandTopic(topic='cmd_vel', type=TWIST, interface='twist', axes=_PLANAR,
                                  on_silence='zero'),),
        control_dt_s=0.1333,   # every second frame
        edits={**_base_limits(0.4, 1.2), 'control_dt_s': 0.1333}),
    ZooRobot(
        name='slow_base', number=5, about='diff-drive, TwistStamped, 5 Hz',
        body=_base(), cameras=(Camera(topic='camera/image_raw', rate_hz=10, width=320,
                                      height=240, jitter_s=0.02),),
        states=(StateTopic(topic='diff_drive_controller/odom', rate_hz=30),),
        controllers=(CommandTopic(
            topic='diff_drive_controller/cmd_vel', type=TWIST_STAMPED, interface='twist',
            axes=_PLANAR, on_silence='zero', rate_hz=5),),
        control_dt_s=0.2, record_s=28.0,
        edits={**_base_limits(0.4, 1.2), 'control_dt_s': 0.2}),
    ZooRobot(
        name='drone', number=6, about='four axes, twist, odometry, all best effort',
        body=Body(kind='drone', axes=_FLY, start=(0.0, 0.0, 1.0, 0.0),
                  low=(-1.5, -1.5, 0.3, -1e6), high=(1.5, 1.5, 2.0, 1e6),
                  max_speed=(0.8, 0.8, 0.5, 1.5), max_acceleration=(2.0, 2.0, 1.5, 6.0)),
        cameras=(Camera(topic='camera/image_raw', rate_hz=20, width=320, height=240,
                        reliable=False, delay_s=0.03),),
        states=(StateTopic(topic='odom', rate_hz=50, reliable=False),),
        controllers=(CommandTopic(topic='cmd_vel', type=TWIST, interface='twist', axes=_FLY,
                                  on_silence='zero', reliable=False),),
        edits={**_limits([-0.5, -0.5, -0.3, -1.0], [0.5, 0.5, 0.3, 1.0], [1.0, 1.0, 1.0, 4.0],
                         [2.0, 2.0, 1.5, 6.0]), 'control_dt_s': 0.1,
               'joint_names': list(_FLY)}),
    ZooRobot(
        name='two_topic_arm', number=7,
        about='arm and gripper with own command topics, joint states in two messages',
        body=_arm((*_ARM3, 'gripper'), (0.3, -0.4, 0.5, 0.02), low=(-2.6,) * 3 + (0.0,),
                  high=(2.6,) * 3 + (0.06,), max_speed=(2.0,) * 3 + (0.1,),
                  max_acceleration=(12.0,) * 3 + (1.0,)),
        cameras=(Camera(topic='camera/image_raw', width=424, height=240),),
        states=(StateTopic(names=_ARM3, rate_hz=100), StateTopic(names=('gripper',), rate_hz=30)),
        controllers=(
            CommandTopic(topic='arm_controller/commands', type=FLOAT_ARRAY,
                         interface='joint_position', axes=_ARM3),
            CommandTopic(topic='gripper_controller/commands', type=FLOAT_ARRAY,
                         interface='joint_position', axes=('gripper',))),
        parameters=_RESTLESS,
        edits={**_limits([-2.4] * 3 + [0.0], [2.4] * 3 + [0.06], [1.0] * 3 + [0.1],
                         [2.0] * 3 + [0.2]), 'control_dt_s': 0.1, 'command_hold_s': 5.0}),
    ZooRobot(
        name='two_sources', number=8,
        about='JointState commands; a second publisher reports its joints as zero',
        body=_arm(_ARM3, (0.8, 0.9, 0.7)),
        cameras=(Camera(topic='camera/image_raw', rate_hz=20, width=320, height=240),),
        states=(StateTopic(names=_ARM3),), second_source=True,
        controllers=(CommandTopic(topic='joint_command', type=JOINT_STATE,
                                  interface='joint_position', axes=_ARM3),),
        parameters=_RESTLESS,
        edits={**_limits([-2.4] * 3, [2.4] * 3, [1.0] * 3, [2.0] * 3), 'control_dt_s': 0.1,
               'command_hold_s': 5.0}),
    ZooRobot(
        name='unstamped_camera', number=9,
        about='camera without stamps; velocities that the controller repeats for ever',
        body=_arm(('joint_a', 'joint_b'), (0.3, -0.5)),
        cameras=(Camera(topic='usb_cam/image_raw', rate_hz=20, width=320, height=240,
                        stamped=False),),
        states=(StateTopic(names=('joint_a', 'joint_b'), extra=('caster',)),),
        controllers=(CommandTopic(
            topic='velocity_controller/commands', type=FLOAT_ARRAY, interface='joint_velocity',
            axes=('joint_a', 'joint_b'), on_silence='repeat'),),
        edits={**_limits([-1.0] * 2, [1.0] * 2, [6.0] * 2, [12.0] * 2), 'control_dt_s': 0.1,
               'joint_names': ['joint_a', 'joint_b'], 'state_joint_names': []}),
    ZooRobot(
        name='wireless_base', number=10, about='camera 0.3 s late, 3 % of the frames lost',
        body=_base(), cameras=(Camera(
            topic='camera/image_raw/compressed', rate_hz=15, jpeg=True, reliable=False,
            delay_s=0.28, jitter_s=0.04, lost=0.03),),
        states=(StateTopic(topic='odom', rate_hz=30, reliable=False),),
        controllers=(CommandTopic(topic='cmd_vel', type=TWIST, interface='twist', axes=_PLANAR,
                                  on_silence='zero'),),
        control_dt_s=0.1333, record_s=30.0,   # every second frame
        edits={**_base_limits(0.4, 1.2), 'control_dt_s': 0.1333},
        # a camera that is 0.3 s late is old to the defaults
        parameters={'planner_node': {'obs_max_age_s': 0.6},
                    'command_node': {'obs_max_age_s': 0.6}}),
    ZooRobot(
        name='other_sim', number=11, about="somebody else's simulator, /clock at 0.6 x real time",
        body=Body(**_REACHER), cameras=(Camera(topic='sim/camera/image', rate_hz=20, width=240,
                                               height=240, delay_s=0.0, jitter_s=0.0),),
        states=(StateTopic(topic='sim/joint_states', names=('shoulder', 'wrist'), jitter_s=0.0),),
        controllers=(CommandTopic(
            topic='sim/velocity_command', type=FLOAT_ARRAY, interface='joint_velocity',
            axes=('shoulder', 'wrist'), on_silence='repeat'),),
        real_time_factor=0.6, record_s=26.0,
        edits={**_limits([-1.5] * 2, [1.5] * 2, [20.0] * 2, [40.0] * 2), 'control_dt_s': 0.1,
               'joint_names': ['shoulder', 'wrist']}),
    ZooRobot(
        name='pair', number=12, about='two robots in namespaces on one network',
        body=_base(), cameras=(Camera(topic='camera/image_raw', rate_hz=10, width=160,
                                      height=120),),
        states=(StateTopic(topic='odom', rate_hz=30),),
        controllers=(CommandTopic(topic='cmd_vel', type=TWIST, interface='twist', axes=_PLANAR,
                                  on_silence='zero'),),
        parameters=_RESTLESS,
        namespaces=('left', 'right'),   # which a person leaves out of the topics
        edits={**_base_limits(0.4, 1.2), 'control_dt_s': 0.1, 'image_topic': 'camera/image_raw',
               'joint_state_topic': 'odom', 'command_topic': 'cmd_vel'}),
)


def zoo_robot(name: str) -> ZooRobot:
    """Return a robot by name or number.

    Raises:
        ConfigError: If the zoo has none of that name; the message lists all.
    """
    for robot in ROBOTS:
        if name in (robot.name, str(robot.number)):
            return robot
    raise ConfigError(f'the zoo has no {name!r}; it has '
                      f'{", ".join(f"{one.number} {one.name}" for one in ROBOTS)}')
