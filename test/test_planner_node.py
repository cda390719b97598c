"""The planner node as a process of its own, with a camera made by the test, over real DDS."""

from pathlib import Path
import time

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.images import resize_square  # noqa: E402
from lewm_model.planning.policy import Policy  # noqa: E402
from lewm_ros.msg import ActionChunk, Goal, PlanStatus  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.goals import picture_goal_to_msg  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reports import PlanState  # noqa: E402
from lewm_ros.wire.stamps import header, header_stamp_ns  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from nano import tiny_bundle  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

STEP_NS = 50_000_000


class Rig:
    """A graph with a planner, a camera at 20 Hz and what the planner says."""

    def __init__(self, graph: Graph, folder: Path, *, activate: bool = True,
                 **parameters) -> None:
        self.graph = graph
        self.log = folder / 'planner_node.log'
        if 'bundle' not in parameters:
            tiny_bundle().save(folder / 'tiny')
            parameters['bundle'] = str(folder / 'tiny')
        self.process = graph.spawn('lewm_ros.planner.planner_node', output=self.log,
                                   parameters=parameters)
        self._camera = graph.node.create_publisher(Image, 'image', qos.IMAGE)
        self._goal = graph.node.create_publisher(Goal, 'goal', qos.LATCHED)
        self.status = graph.collect(PlanStatus, 'plan_status', qos.RECORD)
        self.chunks = graph.collect(ActionChunk, 'action_chunk', qos.RECORD)
        self.stamps: list[int] = []
        if activate:
            graph.transition('planner_node', 'configure', 'activate')
            graph.wait_for(lambda: self._camera.get_subscription_count(), 'the camera reader')

    def send_goal(self, grey: int) -> str:
        goal = picture_goal_to_msg(np.full((64, 64, 3), grey, np.uint8), stamp_ns=0)
        self._goal.publish(goal)
        return goal.goal_id

    def film(self, seconds: float, *, age_s: float = 0.0) -> None:
        """Publish frames in real time, stamped `age_s` before now."""
        next_s = time.monotonic()
        end_s = next_s + seconds
        while next_s < end_s:
            stamp_ns = self.graph.node.get_clock().now().nanoseconds - round(age_s * 1e9)
            frame = np.full((64, 64, 3), len(self.stamps) % 256, np.uint8)
            self._camera.publish(rgb_to_image(frame, stamp_ns))
            self.stamps.append(stamp_ns)
            next_s += 0.05
            self.graph.spin(max(next_s - time.monotonic(), 0.001))

    def film_until(self, condition, what: str, timeout_s: float = 15.0, *,
                   age_s: float = 0.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f'waited in vain for {what}'
            self.film(0.1, age_s=age_s)

    @property
    def last(self) -> PlanStatus:
        return self.status[-1][1]


@pytest.fixture
def graph():
    with Graph() as made:
        yield made


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'bundle': '/nowhere/at/all'}, 'nowhere'),
    ({'robot': 'no_such_robot'}, 'no_such_robot'),
    ({'backend': 'abacus'}, 'abacus'),
])
def test_what_is_missing_fails_configure_with_the_reason(graph, tmp_path, parameters, words):
    """The transition is refused, the log says why, and the node can be asked again."""
    rig = Rig(graph, tmp_path, activate=False, **parameters)
    answer = graph.call(ChangeState, '/planner_node/change_state', ChangeState.Request(
        transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    assert not answer.success
    state = graph.call(GetState, '/planner_node/get_state', GetState.Request())
    assert state.current_state.label == 'unconfigured'
    graph.wait_for(lambda: 'cannot configure' in rig.log.read_text(), 'the log')
    assert words in rig.log.read_text()


def test_every_frame_is_answered_and_a_goal_starts_the_chunks(graph, tmp_path):
    """One heartbeat per frame, stamped as the frame; chunks start at a frame's stamp."""
    rig = Rig(graph, tmp_path)
    rig.film(1.0)
    graph.spin(0.2)
    answered = [header_stamp_ns(message) for _, message in rig.status]
    assert len(answered) >= 0.9 * len(rig.stamps)  # the camera is best effort
    assert set(answered) <= set(rig.stamps)
    assert rig.last.state == PlanState.NO_GOAL
    assert 'goal' in rig.last.reason.text
    assert rig.chunks == []

    goal_id = rig.send_goal(10)
    rig.film_until(lambda: len(rig.chunks) >= 3, 'three chunks')
    chunk = rig.chunks[-1][1]
    assert header_stamp_ns(chunk) in rig.stamps
    assert chunk.horizon == 15
    assert chunk.names == ['shoulder', 'wrist']
    assert 1 <= chunk.committed_steps <= 10
    assert np.abs(chunk.actions).max() <= 2.0
    assert rig.last.goal_id == goal_id
    assert rig.last.goal_distance > 0
    assert rig.last.epoch == chunk.epoch
    first, second = (message for _, message in rig.chunks[-2:])
    assert second.seq == first.seq + 1
    shift = round((header_stamp_ns(second) - header_stamp_ns(first))
                  / STEP_NS)
    rows = np.reshape(first.actions, (-1, 2))[shift:shift + second.committed_steps]
    np.testing.assert_allclose(np.reshape(second.actions, (-1, 2))[:len(rows)], rows, atol=1e-6)


def test_heartbeats_go_on_while_a_slow_plan_is_made(graph, tmp_path):
    """Solving takes many frames; meanwhile frames are answered, one heartbeat each."""
    rig = Rig(graph, tmp_path, iterations=400, num_candidates=64)
    rig.send_goal(10)
    rig.film_until(lambda: rig.chunks, 'a chunk', timeout_s=30.0)
    assert rig.chunks[0][1].plan_time_s > 0.3
    arrivals = np.array([arrival for arrival, _ in rig.status])
    # Were heartbeats to wait for the plan, one gap would be as long as the plan took; a busy
    # machine delays single ones, so the claim is about the usual gap and the longest.
    assert np.quantile(np.diff(arrivals), 0.8) < 0.1
    assert np.diff(arrivals).max() < rig.chunks[0][1].plan_time_s


def test_a_new_goal_raises_the_epoch(graph, tmp_path):
    """Chunks to the new goal carry a newer epoch, so the command node can tell them apart."""
    rig = Rig(graph, tmp_path)
    rig.send_goal(10)
    rig.film_until(lambda: rig.chunks, 'a chunk')
    old = rig.chunks[-1][1].epoch
    goal_id = rig.send_goal(200)
    rig.film_until(lambda: rig.last.goal_id == goal_id, 'the new goal')
    rig.film_until(lambda: rig.chunks[-1][1].epoch > old, 'a chunk of a newer epoch')


def test_stale_frames_and_a_scene_reset_withdraw_the_plan(graph, tmp_path):
    """Old frames are NO_OBS with the reason, and the epoch rises so the chunk is dropped."""
    rig = Rig(graph, tmp_path)
    rig.send_goal(10)
    rig.film_until(lambda: rig.chunks, 'a chunk')
    epoch = rig.chunks[-1][1].epoch
    rig.film_until(lambda: 'old' in rig.last.reason.text, 'a stale frame', age_s=1.0)
    assert rig.last.state == PlanState.NO_OBS
    assert rig.last.epoch > epoch
    rig.film_until(lambda: rig.last.state != PlanState.NO_OBS, 'recovery')
    epoch = rig.last.epoch
    reset = graph.node.create_publisher(Header, 'scene_reset', qos.RECORD)
    graph.wait_for(reset.get_subscription_count, 'the reader of scene_reset')
    reset.publish(header(rig.stamps[-1]))
    rig.film_until(lambda: rig.last.epoch > epoch, 'a newer epoch')


def test_large_frames_and_goals_are_squared_as_ingest_squares_them(graph, tmp_path):
    """The distance is that of the pictures a data set would hold, not of any other resizing."""
    frame, goal = np.random.default_rng(0).integers(0, 256, (2, 150, 200, 3), np.uint8)
    policy = Policy(tiny_bundle())

    def distance(*pictures):
        ends = [policy.set_goal_image(picture).latent for picture in pictures]
        return (ends[0] - ends[1]).square().sum().item()

    expected = distance(resize_square(frame, 64), resize_square(goal, 64))
    assert abs(distance(frame, goal) - expected) > 1e-2 * expected  # the test can fail
    rig = Rig(graph, tmp_path)
    rig._goal.publish(picture_goal_to_msg(goal, stamp_ns=0))

    def judged():
        stamp_ns = graph.node.get_clock().now().nanoseconds
        rig._camera.publish(rgb_to_image(frame, stamp_ns))
        graph.spin(0.05)
        return rig.status and np.isfinite(rig.last.goal_distance)

    graph.wait_for(judged, 'a distance to the goal')
    np.testing.assert_allclose(rig.last.goal_distance, expected, rtol=1e-4)


def test_a_goal_that_is_not_what_was_hashed_is_refused(graph, tmp_path):
    """A damaged goal is a FAULT with the reason; the next good one is pursued."""
    rig = Rig(graph, tmp_path)
    goal = picture_goal_to_msg(np.zeros((64, 64, 3), np.uint8), stamp_ns=0, goal_id='bad')
    goal.sha256[0] ^= 1
    rig._goal.publish(goal)
    rig.film_until(lambda: rig.status and rig.last.state == PlanState.FAULT, 'FAULT')
    assert 'bad' in rig.last.reason.text
    assert rig.chunks == []
    rig.send_goal(10)
    rig.film_until(lambda: rig.chunks, 'a chunk')


def test_a_dry_run_reports_plans_and_moves_nothing(graph, tmp_path):
    """Status shows a plan's cost; there is no chunk."""
    rig = Rig(graph, tmp_path, dry_run=True)
    rig.send_goal(10)
    rig.film_until(lambda: rig.status and np.isfinite(rig.last.best_cost), 'a plan')
    rig.film(0.5)
    assert rig.chunks == []


def test_deactivated_it_is_silent_and_a_signal_ends_it(graph, tmp_path):
    """No heartbeat means the command node stops; activating again takes up the latched goal."""
    rig = Rig(graph, tmp_path)
    rig.send_goal(10)
    rig.film_until(lambda: rig.chunks, 'a chunk')
    session = rig.chunks[-1][1].session
    graph.transition('planner_node', 'deactivate')
    graph.spin(0.1)
    heard = len(rig.status)
    rig.film(0.5)
    assert len(rig.status) == heard
    graph.transition('planner_node', 'activate')
    rig.film_until(lambda: rig.chunks[-1][1].session != session, 'a chunk of a new session')
    graph.transition('planner_node', 'deactivate', 'cleanup', 'configure', 'activate')
    rig.film_until(lambda: rig.last.state == PlanState.PLANNING, 'planning again')
    assert graph.interrupt(rig.process) == 0
