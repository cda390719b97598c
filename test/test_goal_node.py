"""The goal node as a process of its own, over real DDS."""

import math
from pathlib import Path
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lewm_model.images.view import CameraView, View  # noqa: E402
from lewm_ros.msg import Goal, GoalSpec  # noqa: E402
from lewm_ros.srv import CaptureGoal, SelectGoal, SetGoal  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.goals import msg_to_goal, picture_hash  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reports import GoalKind, GoalSource  # noqa: E402
from lewm_ros.wire.stamps import header_stamp_ns  # noqa: E402
from ros_helpers import code_name  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from test_live_robots import file_of  # noqa: E402
from timed import in_time, timed, undisturbed  # noqa: E402
import yaml  # noqa: E402

RED = np.zeros((6, 7, 3), np.uint8) + np.array([250, 10, 20], np.uint8)


def cpu_s(pid: int) -> float:
    fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def set_goal(graph, **fields):
    return graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(spec=GoalSpec(**fields)))


def test_goal_from_the_start_is_latched_for_late_joiners(graph, tmp_path):
    """The parameter's picture arrives in RGB with its hash, though we subscribe much later."""
    cv2.imwrite(str(tmp_path / 'red.png'), RED[:, :, ::-1])
    graph.spawn('lewm_ros.goals.goal_node', parameters={'goal_image': str(tmp_path / 'red.png')})
    set_goal(graph, source=9)  # it answers, so it is up and has published
    goals = graph.collect(Goal, 'goal', qos.LATCHED)
    graph.wait_for(lambda: goals, 'the latched goal')

    goal = msg_to_goal(goals[0][1])
    np.testing.assert_array_equal(goal.rgb, RED)
    assert goal.source is GoalSource.FILE
    assert goal.goal_id == picture_hash(RED).hex()[:12]


def test_bad_goal_from_the_start_is_told_and_others_are_taken(graph, tmp_path):
    """The reason is in the log and in diagnostics until the next goal, which counts."""
    (tmp_path / 'bad.png').write_text('not a picture')
    log = tmp_path / 'log'
    process = graph.spawn('lewm_ros.goals.goal_node', output=log,
                          parameters={'goal_image': str(tmp_path / 'bad.png')})
    diagnostics = graph.collect(DiagnosticArray, '/diagnostics', qos.RECORD)

    def newest() -> str:
        return diagnostics[-1][1].status[0].message if diagnostics else ''

    graph.wait_for(lambda: 'neither JPEG nor PNG' in newest(), 'the reason')
    assert diagnostics[-1][1].status[0].level == DiagnosticStatus.ERROR
    graph.wait_for(lambda: 'neither JPEG nor PNG' in log.read_text(), 'the log')
    assert 'Traceback' not in log.read_text()
    assert set_goal(graph, source=1, image=rgb_to_image(RED, 0), goal_id='red').success
    graph.wait_for(lambda: newest() == "goal 'red'", 'the goal in the diagnostics')
    assert process.poll() is None


def test_a_goal_has_its_tolerance_and_can_be_cleared(graph):
    """What the caller wants goes out with the goal; a cleared goal is said to everyone."""
    graph.spawn('lewm_ros.goals.goal_node')
    goals = graph.collect(Goal, 'goal', qos.LATCHED)
    picture = rgb_to_image(RED, 0)
    assert set_goal(graph, source=1, image=picture, tolerance=0.25).success
    graph.wait_for(lambda: goals, 'the goal')   # it is latched, and the next one replaces it
    for wrong in (-1.0, math.nan, math.inf):
        answer = set_goal(graph, source=1, image=picture, tolerance=wrong)
        assert not answer.success and 'tolerance must be in' in answer.message
        assert code_name(answer) == 'BAD_ARGUMENT'
    assert graph.call(Trigger, '/goal_node/clear_goal', Trigger.Request()).success
    graph.wait_for(lambda: len(goals) == 2, 'both messages')
    first, second = (msg_to_goal(message) for _, message in goals)
    assert (first.kind, first.tolerance) == (GoalKind.PICTURE, 0.25)
    assert second.kind is GoalKind.NONE


def test_a_picture_of_another_shape_is_refused_at_once(graph, tmp_path):
    """With a bundle the answer names both shapes; the frames of training were 4 to 3."""
    (tmp_path / 'model').mkdir()
    (tmp_path / 'model/bundle.yaml').write_text(yaml.safe_dump({'view': View(
        16, (CameraView(640, 480),)).to_dict()}))
    graph.spawn('lewm_ros.goals.goal_node', parameters={'bundle': str(tmp_path / 'model')})
    for height, width in ((48, 64), (16, 16)):    # as the camera takes it; a finished square
        answer = set_goal(graph, source=1, image=rgb_to_image(
            np.zeros((height, width, 3), np.uint8), 0))
        assert answer.success, answer.message
    wide = np.zeros((36, 64, 3), np.uint8)
    camera = graph.node.create_publisher(Image, 'image', qos.IMAGE)
    graph.node.create_timer(0.05, lambda: camera.publish(
        rgb_to_image(wide, graph.node.get_clock().now().nanoseconds)))
    for answer in (set_goal(graph, source=1, image=rgb_to_image(wide, 0)),
                   graph.call(CaptureGoal, '/goal_node/capture_goal',
                              CaptureGoal.Request(timeout_s=5.0))):
        assert code_name(answer) == 'GOAL_REFUSED'
        assert '64x36' in answer.message and '640x480' in answer.message


def test_colours_that_the_camera_does_not_name_are_those_of_the_robot_file(graph, tmp_path):
    """A picture in a request is read as one of the camera: assume_encoding holds for it."""
    robot = file_of('sim_reacher', tmp_path, assume_encoding='bgr8')
    graph.spawn('lewm_ros.goals.goal_node', parameters={'robot': robot})
    goals = graph.collect(Goal, 'goal', qos.LATCHED)
    nameless = rgb_to_image(np.ascontiguousarray(RED[:, :, ::-1]), 0)
    nameless.encoding = '8UC3'
    answer = set_goal(graph, source=1, image=nameless)
    assert answer.success, answer.message
    graph.wait_for(lambda: goals, 'the goal')
    np.testing.assert_array_equal(msg_to_goal(goals[0][1]).rgb, RED)


def test_set_goal_takes_good_pictures_and_refuses_bad_ones_with_a_reason(graph, tmp_path):
    """Bad requests never crash the node nor publish anything; good ones go out at once."""
    (tmp_path / 'goals').mkdir()
    cv2.imwrite(str(tmp_path / 'goals' / 'red.png'), RED[:, :, ::-1])
    cv2.imwrite(str(tmp_path / 'outside.png'), RED)
    (tmp_path / 'goals' / 'bad.png').write_text('not a picture')
    process = graph.spawn('lewm_ros.goals.goal_node',
                          parameters={'goal_root': str(tmp_path / 'goals')})
    goals = graph.collect(Goal, 'goal', qos.LATCHED)
    good = rgb_to_image(RED, 0)
    short = rgb_to_image(RED, 0)
    short.height = 100

    for fields, code, reason in (
            ({'uri': '../outside.png'}, 'NO_SUCH_GOAL', 'outside goal_root'),
            ({'uri': 'none.png'}, 'NO_SUCH_GOAL', f"goal file 'none.png' cannot be found below "
             f"goal_root '{tmp_path}/goals': No such file or directory"),
            ({'uri': 'bad.png'}, 'GOAL_REFUSED', 'neither JPEG nor PNG'),
            ({'uri': ''}, 'GOAL_REFUSED', 'goal file'),
            ({'source': 1}, 'GOAL_REFUSED', 'encoding'),
            ({'source': 1, 'image': short}, 'GOAL_REFUSED', 'cut short'),
            ({'source': 2}, 'NO_FRAME', 'no frame newer than the call'),
            ({'source': 7, 'image': good}, 'BAD_ARGUMENT', 'source must be'),
            ({'source': 1, 'image': good, 'goal_id': 'x' * 300}, 'BAD_ARGUMENT',
             'at most 200 printable'),
            ({'source': 1, 'image': good, 'task': 'a\nb'}, 'BAD_ARGUMENT',
             'at most 200 printable')):
        answer = set_goal(graph, **fields)
        assert not answer.success and code_name(answer) == code
        assert reason in answer.message
    graph.spin(0.2)
    assert goals == []

    assert set_goal(graph, uri='red.png', task='reach').success
    graph.wait_for(lambda: goals, 'the first goal')   # before the next one replaces it
    named = set_goal(graph, source=1, image=good, goal_id='door')
    assert (named.success, named.goal_id) == (True, 'door')
    graph.wait_for(lambda: len(goals) == 2, 'both goals')
    assert goals[0][1].task == 'reach'
    for _, message in goals:
        np.testing.assert_array_equal(msg_to_goal(message).rgb, RED)
    assert graph.interrupt(process) == 0


def test_capture_takes_the_first_frame_newer_than_the_call(graph):
    """Old frames on the topic are passed over; the goal carries the frame's stamp."""
    graph.spawn('lewm_ros.goals.goal_node')
    camera = graph.node.create_publisher(Image, 'image', qos.IMAGE)
    goals = graph.collect(Goal, 'goal', qos.LATCHED)
    begin_ns = graph.node.get_clock().now().nanoseconds
    fresh = {}

    def publish():  # alternately a frame from the past and one from now
        now_ns = graph.node.get_clock().now().nanoseconds
        camera.publish(rgb_to_image(np.zeros_like(RED), begin_ns - 10**9))
        fresh[now_ns] = True
        camera.publish(rgb_to_image(RED, now_ns))

    graph.node.create_timer(0.05, publish)
    answer = graph.call(CaptureGoal, '/goal_node/capture_goal',
                        CaptureGoal.Request(goal_id='here', timeout_s=5.0))

    assert answer.success, answer.message
    goal = msg_to_goal(answer.goal)
    np.testing.assert_array_equal(goal.rgb, RED)
    assert (goal.goal_id, goal.source) == ('here', GoalSource.CAPTURE)
    stamp_ns = header_stamp_ns(answer.goal)
    assert stamp_ns in fresh and stamp_ns > begin_ns
    graph.wait_for(lambda: goals, 'the published goal')
    assert goals[0][1] == answer.goal
    refused = graph.call(CaptureGoal, '/goal_node/capture_goal',
                         CaptureGoal.Request(tolerance=-1.0, timeout_s=5.0))
    assert code_name(refused) == 'BAD_ARGUMENT'


@timed
def test_capture_without_fresh_frames_times_out_while_the_node_keeps_answering(graph):
    """Only old frames: a reason after the timeout; other services answer meanwhile."""
    process = graph.spawn('lewm_ros.goals.goal_node')
    camera = graph.node.create_publisher(Image, 'image', qos.IMAGE)
    graph.node.create_timer(0.05, lambda: camera.publish(rgb_to_image(RED, 10**9)))
    client = graph.client(CaptureGoal, '/goal_node/capture_goal')
    assert not set_goal(graph, source=9).success     # its client is known from here on
    before_s, begin = cpu_s(process.pid), time.monotonic()
    future = client.call_async(CaptureGoal.Request(timeout_s=2.0))
    assert not set_goal(graph, source=9).success
    undisturbed(not future.done(), 'the answer of the other service came after the timeout')
    graph.wait_for(future.done, 'the timeout')

    took_s = time.monotonic() - begin
    assert took_s > 1.9
    in_time(took_s, 4.0, 'the timeout of 2 s')
    assert not future.result().success and code_name(future.result()) == 'NO_FRAME'
    assert 'no frame newer than the call' in future.result().message
    print('CPU seconds while waiting 2 s:', round(cpu_s(process.pid) - before_s, 2))
    in_time(cpu_s(process.pid) - before_s, 1.0, 'the work while it waits')   # it does not spin


def test_select_goal_answers_and_sets_nothing(graph):
    """The same goal as set_goal would make; the topic stays silent."""
    graph.spawn('lewm_ros.goals.goal_node', parameters={'robot': 'diff_drive'})
    goals = graph.collect(Goal, 'goal', qos.LATCHED)
    spec = GoalSpec(source=GoalSpec.QUANTITIES, names=['x'], values=[0.5])
    answer = graph.call(SelectGoal, '/goal_node/select_goal', SelectGoal.Request(spec=spec))
    assert answer.success and answer.distance == 0.0, answer.message
    refused = graph.call(SelectGoal, '/goal_node/select_goal', SelectGoal.Request(
        spec=GoalSpec(source=GoalSpec.PIXEL, u=0.5)))
    assert code_name(refused) == 'NOT_SET_UP' and 'PIXEL need a goal bank' in refused.message
    for fields, code in (({'source': 9}, 'BAD_ARGUMENT'), ({'uri': 'a.png'}, 'NOT_SET_UP'),
                         ({'source': 1}, 'GOAL_REFUSED')):
        refused = graph.call(SelectGoal, '/goal_node/select_goal', SelectGoal.Request(
            spec=GoalSpec(**fields)))
        assert code_name(refused) == code
    graph.spin(0.3)
    assert not goals
    assert graph.call(SetGoal, '/goal_node/set_goal', SetGoal.Request(
        spec=spec)).goal_id == answer.goal.goal_id
    graph.wait_for(lambda: goals, 'the goal')
    assert msg_to_goal(goals[0][1]).kind is GoalKind.PROBE
