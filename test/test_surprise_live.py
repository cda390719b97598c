"""A planner process that is surprised: its camera is blocked while the robot is told to move."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from dataclasses import replace  # noqa: E402
import time  # noqa: E402

from engine_models import alive_bundle  # noqa: E402
from lewm_model.assemble import make_policy  # noqa: E402
from lewm_model.ordinary import Ordinary, OrdinaryConfig  # noqa: E402
from lewm_model.types import Observation  # noqa: E402
from lewm_ros.msg import ExecutedCommand  # noqa: E402
from lewm_ros.planner.surprise.robot_calibration import RobotCalibration  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.motion import executed_to_msg  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.reports import ExecutedStep, PlanState  # noqa: E402
from lewm_ros.wire.robot_interface import CODES  # noqa: E402
from lewm_ros.wire.stamps import ns_to_stamp  # noqa: E402
from lewm_ros.wire.status import CALIBRATION, msg_to_values  # noqa: E402
import numpy as np  # noqa: E402
from planner_rig import Rig  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
import torch  # noqa: E402

STEP_NS = 50_000_000
OPEN = np.full((64, 64, 3), 120, np.uint8)
BLOCKED = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)


def bundle(folder):
    """Return a bundle for which the open view is ordinary, and one that is then blocked is not.

    It is not trained, so both errors are large; what is usual is made so that the open view has
    surprise 1 and the first blocked frames 100.
    """
    made = alive_bundle()
    policy = make_policy(made)
    for step in range(21):
        policy.observe(Observation(step * STEP_NS, OPEN if step < 20 else BLOCKED))
        policy.executed(step * STEP_NS, np.zeros(2, np.float32))
        if step == 19:
            ordinary = policy.expectation()
    blocked = policy.expectation()
    errors = torch.stack([one.seen - one.expected for one in (ordinary, blocked)])
    made = replace(made, ordinary=Ordinary(OrdinaryConfig(
        mean_error=ordinary.error, surprise_limit=10.0, surprise_quantile=0.9, surprise_low=1.0,
        surprise_high=1.0, episodes=9, frames=99, view_limit=0.5,
        view_scale=(blocked.seen - ordinary.seen).square().sum().item(), pictures=1,
        thumbnail_px=16), 16))
    made.ordinary.latents[0] = ordinary.seen
    made.ordinary.whitening.zero_()[0] = 4 * torch.linalg.pinv(errors) @ torch.tensor([1.0, 10.0])
    made.save(folder / 'b')
    return str(folder / 'b')


class Driven(Rig):
    """The rig, with a robot that is told to stand still at every frame.

    Args:
        hurried: The test makes the time, which passes several times as fast.
    """

    def __init__(self, graph, folder, *, hurried=False, **parameters):
        super().__init__(graph, folder, bundle=bundle(folder), use_sim_time=hurried, **parameters)
        self.clock = graph.node.create_publisher(Clock, '/clock', qos.RECORD) if hurried else None
        self.sim_ns = 10 ** 10
        self.told = graph.node.create_publisher(ExecutedCommand, 'executed_command', qos.RECORD)
        self.views = graph.collect(Image, 'view_check', qos.LATCHED)

    def show(self, picture, condition, what, timeout_s=120.0):
        """Publish frames on the control grid, each with what was executed, until something."""
        def frame():
            if self.clock:     # of the next step, so that no frame comes before its time
                self.sim_ns += STEP_NS
                self.clock.publish(Clock(clock=ns_to_stamp(self.sim_ns + STEP_NS)))
            stamp_ns = (self.sim_ns if self.clock else self.now_ns()) // STEP_NS * STEP_NS
            if self.stamps and stamp_ns <= self.stamps[-1]:
                return
            self.stamps.append(stamp_ns)
            self.told.publish(executed_to_msg(
                ExecutedStep(stamp_ns, np.zeros(2), np.zeros(2)),
                names=('shoulder', 'wrist'), interface=CODES['joint_velocity']))
            self.camera.publish(rgb_to_image(picture, stamp_ns))

        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f'waited in vain for {what}'
            frame()
            self.graph.spin_until(condition, 0.01 if self.clock else 0.02)

    def reasons(self):
        """Return all codes that were reported."""
        return {message.reason.code for _, message in self.status}


def test_a_blocked_camera_is_a_reason_and_a_speed_on_the_topics(graph, tmp_path):
    """Ordinary first, about 1; blocked: SURPRISED with speed_scale 0.3; then stop takes plans."""
    rig = Driven(graph, tmp_path, surprise_action='slow', surprise_frames=2, frozen_frames=0)
    rig.show(OPEN, lambda: rig.views, 'the picture of the view')
    assert rig.views[0][1].encoding == 'rgb8' and Code.VIEW_UNFAMILIAR not in rig.reasons()
    rig.send_goal(120)
    rig.show(OPEN, lambda: rig.status and 0.5 < rig.last.surprise < 2, 'an ordinary surprise')
    assert rig.last.surprise_limit > 1 and rig.last.speed_scale == 1.0
    rig.show(BLOCKED, lambda: any(message.reason.code == Code.SURPRISED
                                  and message.speed_scale == pytest.approx(0.3)
                                  for _, message in rig.status), 'slowness')
    rig.show(OPEN, lambda: rig.last.speed_scale == 1.0 and rig.last.surprise < 2, 'full speed')
    assert rig.set_parameters(surprise_action='stop') == ''
    rig.show(BLOCKED, lambda: rig.last.reason.code == Code.SURPRISED, 'a stop')
    rig.show(OPEN, lambda: rig.last.surprise < 2, 'an ordinary view')
    assert rig.last.reason.code == Code.SURPRISED and rig.last.state == PlanState.FAULT
    rig.send_goal(120)
    rig.show(OPEN, lambda: rig.last.state != PlanState.FAULT, 'plans after the goal')


def test_an_unfamiliar_view_is_refused_before_anything_moves(graph, tmp_path):
    """The camera is blocked from the start: no chunk, and the picture beside the nearest one.

    Without `surprise_file` nobody can ask it to watch; the answer says what to set.
    """
    rig = Driven(graph, tmp_path, view_action='refuse', frozen_frames=0)
    rig.send_goal(120)
    rig.show(BLOCKED, lambda: Code.VIEW_UNFAMILIAR in rig.reasons() and rig.views, 'a refusal')
    assert rig.chunks == []
    rig.show(OPEN, lambda: rig.chunks, 'a chunk when the view is familiar')
    answer = graph.call(Trigger, '/planner_node/calibrate_surprise', Trigger.Request())
    assert not answer.success and 'surprise_file' in answer.message


def test_the_robot_is_watched_and_a_file_is_written(graph, tmp_path):
    """Standing before an open view for 36 s is 12 pieces; the file and diagnostics say so."""
    path = tmp_path / 'surprise.yaml'
    rig = Driven(graph, tmp_path, hurried=True, calibrate_s=36.0, frozen_frames=0,
                 surprise_file=str(path))
    answer = graph.call(Trigger, '/planner_node/calibrate_surprise', Trigger.Request())
    assert answer.success and '36 s' in answer.message

    def told():
        values = [msg_to_values(message, 'planner_node') for _, message in rig.diagnostics]
        return [one[CALIBRATION] for one in values if CALIBRATION in one]

    rig.show(OPEN, lambda: path.is_file() and 'written to' in told()[-1], 'the file')
    assert RobotCalibration.from_yaml(path).pieces >= 10
    assert set(told()[:-1]) <= {'', answer.message} and answer.message in told()
