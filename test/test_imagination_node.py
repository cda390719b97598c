"""The imagination node as a process of its own, over real DDS; the test plays the planner."""

from dataclasses import replace
import signal
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from lewm_model.heads.decoder import Decoder, DecoderConfig  # noqa: E402
from lewm_model.heads.readout import Readout, ReadoutConfig  # noqa: E402
from lewm_model.types import Imagined as Dream  # noqa: E402
from lewm_ros.msg import (  # noqa: E402
    ActionChunk,
    ControllerState,
    Goal,
    GoalSpec,
    Imagined,
    PlanStatus,
)
from lewm_ros.srv import SetGoal  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.system import system  # noqa: E402
from lewm_ros.wire import giving, qos  # noqa: E402
from lewm_ros.wire.goals import picture_goal_to_msg, probe_goal_to_msg  # noqa: E402
from lewm_ros.wire.imagined import imagined_to_msg  # noqa: E402
from lewm_ros.wire.pictures import image_to_rgb, rgb_to_image  # noqa: E402
from lewm_ros.wire.reports import CommandState, PlanReport, PlanState  # noqa: E402
from lewm_ros.wire.status import plan_report_to_msg  # noqa: E402
from nano import SIZES, tiny_bundle  # noqa: E402
from nav_msgs.msg import Path  # noqa: E402
from readout_bundles import entry  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from system_specs import start  # noqa: E402
from timed import in_time, timed, undisturbed  # noqa: E402
from visualization_msgs.msg import MarkerArray  # noqa: E402

SECOND = 1_000_000_000
STEPS, FAN = 3, 4


def bundle_to_see(folder):
    """Save a bundle that paints, and reads 'arm x' and 'arm y' off the first two of a latent."""
    readout = Readout(ReadoutConfig([entry('arm x'), entry('arm y')], hidden_dim=8,
                                    hidden_layers=1, places=3), SIZES.latent_dim)
    for parameter in readout.parameters():
        parameter.data.zero_()
    readout.net[0].weight.data[:2, :2] = 10 * readout.mean.new_tensor([[1.0, 0.0], [0.0, 1.0]])
    readout.net[-1].weight.data[:2, :2] = 0.1 * readout.mean.new_tensor([[1.0, 0.0], [0.0, 1.0]])
    decoder = Decoder(DecoderConfig(hidden_dim=8, channels=4), SIZES.latent_dim)
    return replace(tiny_bundle(), readout=readout, decoder=decoder).save(folder / 'bundle')


class Rig:
    """The node, and a planner and camera that this test plays."""

    def __init__(self, graph, folder) -> None:
        from lewm_model import Bundle
        self.graph = graph
        path = bundle_to_see(folder)
        self.bundle = Bundle.load(path)
        self.process = graph.spawn('lewm_ros.show.imagination_node', output=folder / 'log',
                                   parameters={'bundle': str(path), 'rate_hz': 50.0})
        node = graph.node
        self.plans = node.create_publisher(Imagined, 'imagined', qos.IMAGE)
        self.frames = node.create_publisher(Image, 'image', qos.IMAGE)
        self.goals = node.create_publisher(Goal, 'goal', qos.LATCHED)
        self.states = node.create_publisher(PlanStatus, 'plan_status', qos.RECORD)
        self.diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)
        graph.wait_for(lambda: self.diagnostics, 'its diagnostics')
        self.stamp_ns = 10 * SECOND

    def imagine(self, **changes) -> None:
        """Film a frame of 50 ms later, and say what a plan from it leads to."""
        self.stamp_ns += SECOND // 20
        self.frames.publish(rgb_to_image(np.full((64, 64, 3), 90, np.uint8), self.stamp_ns))
        plan = np.zeros((STEPS, SIZES.latent_dim), np.float32)
        plan[:, 0] = [0.1, 0.2, 0.3]
        dream = Dream(self.stamp_ns, 1, 'g', np.zeros(SIZES.latent_dim, np.float32),
                      np.zeros(0, np.float32), plan, np.arange(FAN, dtype=np.float32),
                      np.stack([plan] * FAN))
        message = imagined_to_msg(dream, **{'session': 5, 'epoch': 1, 'block_s': 0.05,
                                            'model_id': self.bundle.model_id, **changes})
        self.plans.publish(message)

    @property
    def health(self) -> DiagnosticStatus:
        return self.diagnostics[-1][1].status[0]


@pytest.fixture
def rig(graph, tmp_path):
    return Rig(graph, tmp_path)


def test_it_listens_only_while_somebody_looks(rig):
    """Without a viewer the planner has no listener, and the camera no reader."""
    graph = rig.graph
    graph.spin(1.5)
    assert [graph.node.count_subscribers(topic) for topic in ('imagined', 'image')] == [0, 0]
    paths: list[Path] = []
    viewer = graph.node.create_subscription(Path, 'imagined_path', paths.append, qos.LATEST)
    graph.wait_for(lambda: graph.node.count_subscribers('imagined'), 'a listener')
    assert graph.node.count_subscribers('image') == 0        # a path needs no picture
    graph.send_until(rig.imagine, lambda: paths, 'a path')
    graph.node.destroy_subscription(viewer)
    graph.wait_for(lambda: not graph.node.count_subscribers('imagined'), 'silence')


def test_a_plan_is_shown_as_path_markers_fan_and_pictures(rig):
    """Where the readout says that it leads, in the frame of the robot file; the strip fills."""
    graph = rig.graph
    paths = graph.collect(Path, 'imagined_path', qos.LATEST)
    markers = graph.collect(MarkerArray, 'imagined_markers', qos.LATEST)
    fans = graph.collect(MarkerArray, 'candidates', qos.LATEST)
    strips = graph.collect(Image, 'imagination', qos.IMAGE)

    def camera_is_shown() -> bool:
        # Plans of 3 x 50 ms that were made 150 ms ago have come true: in the third row.
        first_real = image_to_rgb(strips[-1][1])[2 * 132 + 18 + 48, 6 + 48]
        return first_real.tolist() == [90, 90, 90]

    graph.send_until(rig.imagine, lambda: paths and markers and fans and strips
                     and camera_is_shown(), 'everything')
    poses = paths[0][1].poses
    assert len(poses) == STEPS + 1 and paths[0][1].header.frame_id == 'world'
    places = rig.bundle.readout.read(rig.bundle.model.pred_proj.net[0].weight.new_tensor(
        [[0.0] * 16, [0.3] + [0.0] * 15]))
    for pose, place in ((poses[0], places[0]), (poses[-1], places[1])):
        np.testing.assert_allclose([pose.pose.position.x, pose.pose.position.y], place, atol=1e-6)
    assert poses[-1].pose.position.x > poses[1].pose.position.x > poses[0].pose.position.x
    assert sum(marker.ns == 'arm' for marker in fans[0][1].markers) == 0   # `entry` says of nobody
    assert sum(marker.ns == 'robot' for marker in fans[0][1].markers) == FAN
    graph.send_until(lambda: [rig.states.publish(plan_report_to_msg(
        PlanReport(rig.stamp_ns, 5, 1, state))) for state in (PlanState.PLANNING,
                                                              PlanState.REACHED)],
        lambda: not paths[-1][1].poses, 'the path to be taken away')


def test_what_cannot_be_shown_is_said_and_survived(rig):
    """Another model, contradicting sizes, a goal that cannot be read: ERROR, and on it goes."""
    graph = rig.graph
    paths = graph.collect(Path, 'imagined_path', qos.LATEST)
    graph.send_until(lambda: rig.imagine(model_id='other'),
                     lambda: 'the same bundle' in rig.health.message, 'the reason')
    assert rig.health.level == DiagnosticStatus.ERROR and not paths
    graph.send_until(lambda: rig.plans.publish(Imagined(latent_dim=7, plan=[1.0])),
                     lambda: 'block_s' in rig.health.message, 'the next reason')
    goal = probe_goal_to_msg(['colour'], [1.0], stamp_ns=1, goal_id='g')
    graph.send_until(lambda: (rig.goals.publish(goal), graph.spin(0.3)),
                     lambda: 'colour' in rig.health.message, 'the reason of the goal')
    graph.send_until(rig.imagine, lambda: paths, 'a path after all')
    assert rig.process.poll() is None


def test_the_goal_is_a_picture_for_whoever_comes_late(rig):
    """A picture as it is; a target as the recorded place that has it, painted."""
    graph = rig.graph
    red = np.zeros((8, 8, 3), np.uint8) + np.array([250, 10, 20], np.uint8)
    rig.goals.publish(picture_goal_to_msg(red, stamp_ns=SECOND))
    graph.spin(1.0)
    pictures = graph.collect(Image, 'goal_picture', qos.LATCHED)
    graph.wait_for(lambda: pictures, 'the goal')
    assert np.array_equal(image_to_rgb(pictures[0][1]), red)
    rig.goals.publish(probe_goal_to_msg(['arm x'], [0.5], stamp_ns=SECOND, goal_id='g'))
    graph.wait_for(lambda: pictures[-1][1].height == 64, 'a painted goal')


def test_what_is_not_ok_is_a_picture_while_somebody_looks(rig):
    """A click that was refused turns the board red; without a viewer nobody even listens."""
    graph, mark = rig.graph, (200, 40, 45)
    graph.spawn('lewm_ros.goals.goal_node')
    graph.spin(1.5)
    heard_before = graph.node.count_subscribers('/diagnostics')     # this test
    boards: list[Image] = []
    viewer = graph.node.create_subscription(Image, 'diagnostics_board', boards.append, qos.IMAGE)
    graph.wait_for(lambda: boards, 'a board')
    assert graph.node.count_subscribers('/diagnostics') == heard_before + 1
    graph.wait_for(lambda: not (image_to_rgb(boards[-1]) == mark).all(axis=2).any(), 'no red')

    publisher = graph.node.create_publisher(PoseStamped, 'goal_pose', qos.LATEST)
    elsewhere = giving.pose(0.1, 0.1, 0.0, frame='map').pose
    graph.send_until(lambda: (publisher.publish(elsewhere), graph.spin(0.3)),
                     lambda: (image_to_rgb(boards[-1]) == mark).all(axis=2).any(), 'red')
    assert image_to_rgb(boards[-1]).shape == (240, 480, 3)
    graph.node.destroy_subscription(viewer)
    graph.wait_for(lambda: graph.node.count_subscribers('/diagnostics') == heard_before, 'silence')


def test_surprise_is_drawn_while_somebody_looks(rig):
    """Each report of the planner is a point; a curve comes of them."""
    curves = rig.graph.collect(Image, 'surprise_curve', qos.IMAGE)

    def report() -> None:
        rig.stamp_ns += SECOND // 20
        rig.states.publish(plan_report_to_msg(PlanReport(
            rig.stamp_ns, 5, 1, PlanState.PLANNING, surprise=5.0, surprise_limit=9.0)))
    rig.graph.send_until(report, lambda: len(curves) > 2, 'curves')
    drawn = image_to_rgb(curves[-1][1])
    assert drawn.shape == (160, 480, 3) and (drawn == (31, 97, 191)).all(axis=2).any()


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'bundle': 'no_such'}, "'no_such' is neither an existing path nor one of the shipped"),
    ({'path_of': 'elbow'}, "parameter path_of must be one of tip, got 'elbow'")])
def test_settings_that_cannot_be_are_refused_at_the_start(graph, tmp_path, parameters, words):
    """With the reason, and the exit status that launch takes for an end."""
    process = graph.spawn('lewm_ros.show.imagination_node', output=tmp_path / 'log',
                          parameters=parameters)
    assert graph.wait_for_exit(process) == 2
    assert words in (tmp_path / 'log').read_text()


@pytest.mark.sim
@timed
def test_an_imagination_that_hangs_or_dies_stops_nothing(graph, tmp_path):
    """Stopped as by a debugger, then killed, while somebody looks: plans are made and followed."""
    processes = start(graph, system(SystemOptions(sim=True, imagination=True)), tmp_path)
    strips = graph.collect(Image, 'imagination', qos.IMAGE)
    chunks = graph.collect(ActionChunk, 'action_chunk', qos.RECORD)
    states = graph.collect(ControllerState, 'controller_state', qos.RECORD)
    answer = graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(spec=GoalSpec(
        source=GoalSpec.QUANTITIES, names=['shoulder', 'wrist'], values=[1.5, -1.0])))
    assert answer.success, answer.message
    graph.wait_for(lambda: len(strips) > 2 and len(chunks) > 5, 'what the plans lead to')
    for number in (signal.SIGSTOP, signal.SIGKILL):
        begun_s = time.monotonic()
        processes['imagination_node'].send_signal(number)
        graph.spin(3.0)
        plans_s = [at_s for at_s, _ in chunks if at_s > begun_s]
        in_time(float(np.diff([begun_s, *plans_s, begun_s + 3.0]).max()), 1.0,
                f'the next plan after {number.name}')
        undisturbed({message.state for at_s, message in states if at_s > begun_s} <= {
            CommandState.TRACKING, CommandState.HOLD}, f'the robot stopped after {number.name}')
