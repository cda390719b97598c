"""What each frame shows before the planner thread has time for it."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from bag_factory import robot  # noqa: E402
from lewm_model.images.view import CameraView, View  # noqa: E402
from lewm_ros.msg import ExecutedCommand  # noqa: E402
from lewm_ros.planner.frozen import FrozenWatch, Motion  # noqa: E402
from lewm_ros.planner.glance import Glance  # noqa: E402
from lewm_ros.planner.parameters import PlannerParameters  # noqa: E402
from lewm_ros.wire.decoders import same_pictures  # noqa: E402
from lewm_ros.wire.motion import executed_to_msg  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.reports import ExecutedStep  # noqa: E402
from lewm_ros.wire.robot_interface import RobotInterface  # noqa: E402
from lewm_ros.wire.sight import Sight  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

WHEELS = robot(interface='joint_velocity', min_command=[-2, -4], max_command=[2, 4])
PICTURE = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)


class Rig:
    """A glance at a robot that may be told to move."""

    def __init__(self, *, stops: bool = True) -> None:
        self.said: list[str] = []
        self.now_ns = 0
        self.interface = RobotInterface(WHEELS)
        self.glance = Glance(
            self.interface, Sight(WHEELS, 32, View(32, (CameraView(64, 48),))),
            frozen=FrozenWatch(2, Motion(WHEELS), same_pictures), now_ns=lambda: self.now_ns,
            settings=lambda: PlannerParameters(frozen_stops=stops, obs_max_future_s=0.05),
            say=lambda key, text: self.said.append(text))

    def see(self, stamp: int, rgb: np.ndarray = PICTURE):
        return self.glance.at((rgb_to_image(rgb, stamp),))

    def damaged(self, stamp: int):
        message = rgb_to_image(PICTURE, stamp)
        message.data = message.data[:100]
        return self.glance.at((message,))


def test_a_single_damaged_frame_is_as_good_as_lost_and_two_are_trouble():
    """A camera on a long cable sends one now and then; one that broke sends nothing else."""
    rig = Rig()
    assert rig.see(1).observation.stamp_ns == 1
    assert rig.damaged(2) is None
    assert 'one frame is left out' in rig.said[-1]
    assert not rig.see(3).trouble
    assert rig.damaged(4) is None
    for stamp in (5, 6, 7):
        look = rig.damaged(stamp)
        assert (look.observation, look.trouble.code) == (None, Code.FRAME_UNREADABLE)
    assert not rig.see(8).trouble


def test_another_shape_is_trouble_at_once():
    """The camera changed its mode, which no later frame takes back."""
    look = Rig().see(1, PICTURE[:36])
    assert (look.observation, look.trouble.code) == (None, Code.FRAME_MISFIT)
    assert Rig().glance.at((Image(),)).trouble.code is Code.FRAME_MISFIT


def test_a_stamp_ahead_of_the_clock_is_trouble_at_once_and_an_old_one_is_not():
    """A frame may be late, and the loop decides whether too late; none is early."""
    rig = Rig()
    rig.now_ns = 10 ** 9
    assert not rig.see(rig.now_ns + 50_000_000).trouble
    look = rig.see(rig.now_ns + 50_000_001, PICTURE + 1)
    assert look.trouble.code is Code.FRAME_FUTURE and look.observation is not None
    assert not rig.see(5, PICTURE + 2).trouble


@pytest.mark.parametrize('stops', [True, False])
def test_a_frozen_camera_is_trouble_or_only_said(stops):
    """The picture goes to the planner in both cases."""
    rig = Rig(stops=stops)
    rig.see(1)
    step = ExecutedStep(2, requested=np.array([0.0, 2.0]), executed=np.array([0.0, 2.0]))
    rig.glance.executed(executed_to_msg(step, names=rig.interface.names,
                                        interface=rig.interface.code))
    looks = [rig.see(stamp) for stamp in (3, 4)]
    assert [look.frozen.code for look in looks] == [Code.OK, Code.FRAME_FROZEN]
    assert [look.trouble.code for look in looks] == [
        Code.OK, Code.FRAME_FROZEN if stops else Code.OK]
    assert looks[1].observation.stamp_ns == 4
    assert 'same picture' in rig.said[-1]


def test_executed_commands_of_another_robot_change_nothing():
    """The planner thread says what is wrong with them."""
    rig = Rig()
    rig.see(1)
    rig.glance.executed(ExecutedCommand())
    assert not any(rig.see(stamp).frozen for stamp in range(2, 9))
