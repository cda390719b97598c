"""The planner before cameras of all kinds, as a process of its own, over real DDS."""

from pathlib import Path
import time

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.images.view import CameraView, View  # noqa: E402
from lewm_ros.msg import Goal, PlanStatus, Reason  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.goals import picture_goal_to_msg  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.stamps import header_stamp_ns  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from nano import tiny_bundle  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402


class Rig:
    """A graph with a planner of a bundle with some view, a camera of 64 px, and the answers."""

    def __init__(self, graph: Graph, folder: Path, view: View | None = None) -> None:
        tiny_bundle(view=view).save(folder / 'tiny')
        self.graph, self.log = graph, folder / 'planner_node.log'
        graph.spawn('lewm_ros.planner.planner_node', output=self.log,
                    parameters={'bundle': str(folder / 'tiny')})
        self._goal = graph.node.create_publisher(Goal, 'goal', qos.LATCHED)
        self.status = graph.collect(PlanStatus, 'plan_status', qos.RECORD)

    def send_goal(self, rgb: np.ndarray) -> None:
        self._goal.publish(picture_goal_to_msg(rgb, stamp_ns=0))

    def film_until(self, condition, what: str) -> None:
        """Publish pictures at 20 Hz until the condition holds."""
        if not hasattr(self, '_camera'):
            self._camera = self.graph.node.create_publisher(Image, 'image', qos.IMAGE)
        started_s = time.monotonic()

        def show():
            rgb = np.full((64, 64, 3), int(20 * (time.monotonic() - started_s)) % 256, np.uint8)
            self._camera.publish(rgb_to_image(rgb, self.graph.node.get_clock().now().nanoseconds))

        self.graph.send_until(show, condition, what)

    @property
    def last(self) -> PlanStatus:
        return self.status[-1][1]


VGA = View(64, (CameraView(640, 480),))


def test_a_large_picture_of_a_reliable_driver_is_seen(graph, tmp_path):
    """640x480 at 30 Hz, as usb_cam and realsense send it: every frame is answered."""
    rig = Rig(graph, tmp_path, VGA)
    driver = graph.spawn('lewm_ros.trials.bench_camera', '--size', '640x480', '--rate', '30')
    graph.transition('planner_node', 'configure', 'activate')

    def seen() -> bool:    # of two seconds; a busy machine may have had others
        stamps = [header_stamp_ns(message) for _, message in rig.status[-60:]]
        return (len(stamps) == 60 and np.median(np.diff(stamps)) < 1.5e9 / 30
                and rig.last.reason.code == Reason.NO_GOAL)

    # Best effort, 2 of 150 came; a busy machine delays frames of this camera, but loses none.
    graph.wait_for(seen, 'answers to most of the frames of two seconds')
    assert driver.poll() is None


def test_pictures_and_goals_of_another_shape_are_refused_with_both(graph, tmp_path):
    """A square picture before a model of 4:3 is a misfit, and so is a goal of 16:9."""
    rig = Rig(graph, tmp_path, VGA)
    graph.transition('planner_node', 'configure', 'activate')
    rig.film_until(lambda: rig.status and rig.last.reason.code == Reason.FRAME_MISFIT, 'misfit')
    assert 'is 64x64 px' in rig.last.reason.text
    assert '640x480' in rig.last.reason.text
    # one that is taken together with the last frame is not said beside what is wrong with that
    graph.send_until(lambda: (rig.send_goal(np.zeros((90, 160, 3), np.uint8)), graph.spin(0.3)),
                     lambda: '160x90 px' in rig.log.read_text(), 'the refused goal')


def test_a_robot_with_another_number_of_cameras_is_refused(graph, tmp_path):
    """At configuration, with both."""
    rig = Rig(graph, tmp_path, View(64, (CameraView(64, 64),) * 2))
    answer = graph.call(ChangeState, '/planner_node/change_state', ChangeState.Request(
        transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    assert not answer.success
    graph.wait_for(lambda: '1 cameras instead of 2' in rig.log.read_text(), 'the reason')


def test_another_crop_is_told_and_its_shape_is_what_counts(graph, tmp_path):
    """Trained on a half: the whole picture is twice as wide, which is a misfit."""
    rig = Rig(graph, tmp_path, View(64, (CameraView(64, 64, (0.5, 0, 0.5, 1)),)))
    graph.transition('planner_node', 'configure', 'activate')
    rig.film_until(lambda: rig.status and rig.last.reason.code == Reason.FRAME_MISFIT, 'misfit')
    assert 'cropped to [0.5, 0, 0.5, 1] (0.50 to 1)' in rig.last.reason.text
    rig.film_until(lambda: 'crop [0, 0, 1, 1] instead of [0.5, 0, 0.5, 1]'
                   in rig.log.read_text(), 'the warning')


def test_without_frames_it_says_what_is_missing(graph, tmp_path):
    """In plan_status and the log: no publisher; then a publisher that sends nothing."""
    rig = Rig(graph, tmp_path)
    graph.transition('planner_node', 'configure', 'activate')
    graph.wait_for(lambda: rig.status, 'the reason')
    assert rig.last.reason.code == Reason.NO_FRAME
    assert 'nothing is published on /image' in rig.last.reason.text
    assert header_stamp_ns(rig.last) == 0
    graph.node.create_publisher(Image, 'image', qos.IMAGE)
    graph.wait_for(lambda: '1 publisher' in rig.last.reason.text, 'the silent publisher')
    graph.wait_for(lambda: 'no camera frames' in rig.log.read_text(), 'the log')
    rig.film_until(lambda: rig.last.reason.code == Reason.NO_GOAL, 'frames')


def test_a_bundle_from_before_views_is_taken_with_a_warning(graph, tmp_path):
    """One warning at configuration; pictures of any shape are squeezed as they were."""
    rig = Rig(graph, tmp_path)
    graph.transition('planner_node', 'configure', 'activate')
    assert 'does not say what shape its pictures had' in rig.log.read_text()
    rig.film_until(lambda: rig.status and rig.last.reason.code == Reason.NO_GOAL, 'frames')
