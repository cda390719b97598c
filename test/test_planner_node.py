"""The planner node as a process of its own, with a camera made by the test, over real DDS."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from engine_models import alive_bundle  # noqa: E402
from lewm_model.assemble import make_policy  # noqa: E402
from lewm_model.images.decode import resize_square  # noqa: E402
from lewm_ros.msg import Goal  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.goals import (  # noqa: E402
    no_goal_to_msg,
    picture_goal_to_msg,
    probe_goal_to_msg,
)
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.reports import CommandState, PlanState  # noqa: E402
from lewm_ros.wire.stamps import header, header_stamp_ns, stamp_to_ns  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from nano import tiny_bundle  # noqa: E402
import numpy as np  # noqa: E402
from planner_rig import FOLLOWED, Rig, STEP_NS  # noqa: E402
from readout_bundles import bundle_that_reads, ERROR  # noqa: E402
from std_msgs.msg import Header  # noqa: E402


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'bundle': '/nowhere/at/all'}, 'nowhere'),
    ({'robot': 'no_such_robot'}, 'no_such_robot'),
    ({'backend': 'abacus'}, 'abacus'),
    ({'device': 'gpu'}, 'device must be cpu, cuda'),
])
def test_what_is_missing_fails_configure_with_the_reason(graph, tmp_path, parameters, words):
    """The transition is refused, the log says why, and the node can be asked again."""
    rig = Rig(graph, tmp_path, activate=False, **parameters)
    assert not rig.change(Transition.TRANSITION_CONFIGURE)
    assert rig.lifecycle_state() == 'unconfigured'
    graph.wait_for(lambda: 'cannot configure' in rig.log.read_text(), 'the log')
    assert words in rig.log.read_text()


def test_every_frame_is_answered_and_a_goal_starts_the_chunks(graph, tmp_path):
    """One heartbeat per frame, stamped as the frame; chunks start at a frame's stamp."""
    rig = Rig(graph, tmp_path)

    def answered() -> list[int]:   # stamp zero says why there are no frames
        stamps = [header_stamp_ns(message) for _, message in rig.status]
        return [stamp for stamp in stamps if stamp]

    # The camera is best effort: a busy machine may lose frames of one second, not of every one.
    # The newest frames may still be on their way.
    rig.film_until(lambda: len({*rig.stamps[-30:-10]}.intersection(answered())) >= 18
                   and rig.last.state == PlanState.NO_GOAL, 'answers to the frames of a second')
    assert set(answered()) <= set(rig.stamps)
    assert len(answered()) == len(set(answered()))
    assert 'goal' in rig.last.reason.text
    assert rig.chunks == []

    goal_id = rig.send_goal(10)

    def followed() -> bool:   # a plan that comes too late is withdrawn, and the epoch rises
        if len(rig.chunks) < 3 or rig.last.state not in FOLLOWED:
            return False
        before, newest = (message for _, message in rig.chunks[-2:])
        return before.epoch == newest.epoch == rig.last.epoch and newest.seq == before.seq + 1

    rig.film_until(followed, 'three chunks')
    chunk = rig.chunks[-1][1]
    assert header_stamp_ns(chunk) in rig.stamps
    assert chunk.horizon == 15
    assert chunk.names == ['shoulder', 'wrist']
    assert 1 <= chunk.committed_steps <= 10
    assert np.abs(chunk.actions).max() <= 2.0
    assert rig.last.goal_id == goal_id
    assert rig.last.goal_distance > 0
    first, second = (message for _, message in rig.chunks[-2:])
    shift = round((header_stamp_ns(second) - header_stamp_ns(first))
                  / STEP_NS)
    rows = np.reshape(first.actions, (-1, 2))[shift:shift + second.committed_steps]
    np.testing.assert_allclose(np.reshape(second.actions, (-1, 2))[:len(rows)], rows, atol=1e-6)


def test_heartbeats_go_on_while_a_slow_plan_is_made(graph, tmp_path):
    """Solving takes many frames; meanwhile frames are answered, one heartbeat each."""
    rig = Rig(graph, tmp_path, iterations=400, num_candidates=64)
    rig.send_goal(10)
    rig.film_until(lambda: rig.chunks, 'a chunk')
    chunk = rig.chunks[0][1]
    assert chunk.plan_time_s > 0.3
    rig.film_until(lambda: rig.last.state in FOLLOWED, 'a heartbeat that knows of the plan')
    # Were heartbeats to wait for the plan, all would know of it; of the frames that were shown
    # while it was made, the machine may delay some.
    planned_on_ns = stamp_to_ns(chunk.obs_stamp)
    shown = [stamp for stamp in rig.stamps
             if 0 < stamp - planned_on_ns < chunk.plan_time_s * 1e9]
    answered = {header_stamp_ns(item) for _, item in rig.status
                if item.frame_stamp == chunk.obs_stamp and item.state not in FOLLOWED}
    assert len(answered.intersection(shown)) > len(shown) / 2 > 1
    # The heartbeat is of the newest frame, the numbers are of the one that is planned on.
    behind = [header_stamp_ns(item) - stamp_to_ns(item.frame_stamp) for _, item in rig.status
              if stamp_to_ns(item.frame_stamp)]
    assert min(behind) >= 0
    assert max(behind) > 0.2e9


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
    policy = make_policy(tiny_bundle())

    def distance(*pictures):
        ends = [policy.set_goal_image(picture).latent for picture in pictures]
        return (ends[0] - ends[1]).square().sum().item()

    expected = distance(resize_square(frame, 64), resize_square(goal, 64))
    assert abs(distance(frame, goal) - expected) > 1e-2 * expected  # the test can fail
    rig = Rig(graph, tmp_path)
    rig.goal_pub.publish(picture_goal_to_msg(goal, stamp_ns=0))

    graph.send_until(lambda: rig.camera.publish(rgb_to_image(frame, rig.now_ns())),
                     lambda: rig.status and np.isfinite(rig.last.goal_distance),
                     'a distance to the goal')
    np.testing.assert_allclose(rig.last.goal_distance, expected, rtol=1e-4)


def test_a_goal_that_is_not_what_was_hashed_is_refused(graph, tmp_path):
    """A damaged goal is a FAULT with the reason; the next good one is pursued."""
    rig = Rig(graph, tmp_path)
    goal = picture_goal_to_msg(np.zeros((64, 64, 3), np.uint8), stamp_ns=0, goal_id='bad')
    goal.sha256[0] ^= 1
    rig.goal_pub.publish(goal)
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


def test_deactivated_it_withdraws_its_plans_and_falls_silent(graph, tmp_path):
    """The last status is IDLE with a raised epoch; activating again opens another session."""
    rig = Rig(graph, tmp_path)
    rig.send_goal(10)
    rig.film_until(lambda: rig.chunks, 'a chunk')
    chunk = rig.chunks[-1][1]
    assert chunk.session == rig.last.session != 0
    graph.transition('planner_node', 'deactivate')
    graph.wait_for(lambda: rig.last.state == PlanState.IDLE, 'the last status')
    assert rig.last.reason.code == Code.INACTIVE
    assert rig.last.session == chunk.session
    assert rig.last.epoch > chunk.epoch
    heard = len(rig.status)
    rig.film(0.5)
    assert len(rig.status) == heard
    graph.transition('planner_node', 'activate')
    rig.film_planning()   # the goal is latched
    assert rig.last.session not in (0, chunk.session)
    assert rig.chunks[-1][1].session == rig.last.session
    graph.transition('planner_node', 'deactivate', 'cleanup', 'configure', 'activate')
    rig.film_planning('planning again')
    assert graph.interrupt(rig.process) == 0
    graph.wait_for(lambda: rig.last.state == PlanState.IDLE, 'the last word of the process')


def test_a_cleared_goal_withdraws_the_plan(graph, tmp_path):
    """NONE is no goal: another epoch, and no chunks until there is a picture again."""
    rig = Rig(graph, tmp_path)
    rig.send_goal(10, tolerance=0.5)
    rig.film_planning()
    assert rig.last.goal_tolerance == 0.5
    epoch = rig.last.epoch
    rig.goal_pub.publish(no_goal_to_msg(0))
    rig.film_until(lambda: rig.last.state == PlanState.NO_GOAL, 'NO_GOAL')
    assert rig.last.epoch > epoch
    rig.film_without_chunks()
    rig.send_goal(90)
    rig.film_planning()


def test_a_goal_of_quantities_is_planned_to_and_reached(graph, tmp_path):
    """The bundle reads (0.3, -0.2) from every frame: elsewhere is planned to, there is reached."""
    bundle_that_reads(always=(0.3, -0.2)).save(tmp_path / 'reads')
    rig = Rig(graph, tmp_path, bundle=str(tmp_path / 'reads'))

    def send(goal_id, *values, **fields):
        rig.goal_pub.publish(probe_goal_to_msg(['first', 'second'], values, stamp_ns=0,
                                               goal_id=goal_id, **fields))
        rig.film_until(lambda: rig.status and rig.last.goal_id == goal_id
                       and rig.last.state in FOLLOWED, f'goal {goal_id}')

    send('away', 0.6, 0.2)
    rig.film_planning()
    assert all(np.isfinite(chunk.actions).all() for _, chunk in rig.chunks)
    np.testing.assert_allclose(rig.last.goal_errors, [0.3, 0.4], atol=1e-5)
    np.testing.assert_allclose(rig.last.goal_distance, np.sqrt((0.09 + 0.16) / 2), atol=1e-5)
    np.testing.assert_allclose(rig.last.goal_tolerance, 2 * ERROR, rtol=1e-5)
    assert rig.last.state != PlanState.REACHED
    send('here', 0.3 + ERROR, -0.2 - ERROR)      # within twice the error of the readout
    rig.film_until(lambda: rig.last.state == PlanState.REACHED, 'REACHED')
    send('strict', 0.3 + ERROR, -0.2, tolerances=[ERROR / 2, 1.0])
    rig.film(0.6)
    assert rig.last.state != PlanState.REACHED
    rig.goal_pub.publish(probe_goal_to_msg(['second', 'elbow'], [0.1, 0.2], stamp_ns=0,
                                           goal_id='unknown'))
    rig.film_until(lambda: rig.last.reason.code == Code.GOAL_REFUSED, 'a refusal')
    assert rig.last.state == PlanState.FAULT
    assert "cannot read 'elbow'; this bundle reads first (position [m])" in rig.last.reason.text
    rig.film_without_chunks()


def test_a_goal_of_quantities_is_refused_where_nothing_reads_them(graph, tmp_path):
    """FAULT with what to do."""
    rig = Rig(graph, tmp_path)
    goal = Goal(kind=Goal.PROBE, goal_id='upright', names=['block.angle'], values=[0.1])
    rig.goal_pub.publish(goal)
    rig.film_until(lambda: rig.status and rig.last.state == PlanState.FAULT, 'FAULT')
    assert rig.last.reason.code == Code.GOAL_REFUSED
    assert "goal 'upright'" in rig.last.reason.text
    assert 'lewm train-policy --kind readout' in rig.last.reason.text


def test_messages_that_cannot_be_end_nothing(graph, tmp_path):
    """Negative, zero and future stamps, wrong sizes, a goal of no kind: reasons only."""
    rig = Rig(graph, tmp_path)
    rig.send_goal(10)
    rig.film_planning()
    frame = rgb_to_image(np.zeros((64, 64, 3), np.uint8), 0)

    def send(code: Code, stamp_ns: int) -> None:
        heard = len(rig.status)
        frame.header = header(stamp_ns)
        graph.send_until(   # with the heartbeat of a later frame
            lambda: rig.camera.publish(frame),
            lambda: any(item.reason.code == code for _, item in rig.status[heard:]),
            f'a status with {code.name}')

    send(Code.FRAME_FUTURE, rig.now_ns() + 3600 * 10 ** 9)
    send(Code.FRAME_STALE, 0)
    frame.height = 1000
    send(Code.FRAME_UNREADABLE, rig.now_ns())
    frame.header.stamp.sec = -5
    graph.send_until(lambda: rig.camera.publish(frame), lambda: any(
        item.status[0].level == b'\x02' and 'sec >= 0' in item.status[0].message
        for _, item in rig.diagnostics), 'diagnostics with the reason')
    rig.goal_pub.publish(Goal(kind=9, source=9))
    rig.film_until(lambda: rig.last.reason.code == Code.GOAL_REFUSED, 'a refused goal')
    rig.send_goal(20)
    rig.film_planning()
    assert rig.lifecycle_state() == 'active'


def test_a_planner_knows_when_its_plans_are_not_followed(graph, tmp_path):
    """The status says so, and enabling brings a plan at once."""
    rig = Rig(graph, tmp_path, replan_steps=1000, horizon=6)
    rig.send_goal(10)
    rig.film_planning()
    graph.wait_for(rig.controller_pub.get_subscription_count, 'the reader of controller_state')
    rig.controller(CommandState.DISABLED)
    rig.film_until(lambda: rig.last.reason.code == Code.NOT_ENABLED, 'NOT_ENABLED')
    assert rig.last.state in FOLLOWED
    count = len(rig.chunks)
    rig.controller(CommandState.IDLE)
    rig.film_until(lambda: len(rig.chunks) > count, 'a plan after enabling')


def test_parameters_are_read_at_configure_and_the_safe_ones_change_while_active(graph, tmp_path):
    """Another bundle without another process; refusals say what to do first."""
    rig = Rig(graph, tmp_path)
    rig.send_goal(10)
    rig.film_planning()
    assert 'bundle cannot change while the node is active' in rig.set_parameters(bundle='other')
    assert 'obs_max_age_s out of range' in rig.set_parameters(goal_dwell_s=1.0, obs_max_age_s=99.0)
    assert rig.set_parameters(goal_tolerance=1e5, goal_dwell_s=0.0) == ''
    rig.film_until(lambda: rig.last.state == PlanState.REACHED, 'REACHED')
    assert rig.last.goal_tolerance == 1e5
    assert rig.set_parameters(dry_run=True) == ''
    rig.film_without_chunks()
    assert 'cannot be cleared while the node is active' in rig.set_parameters(dry_run=False)
    graph.transition('planner_node', 'deactivate')
    assert rig.set_parameters(dry_run=False) == ''
    graph.transition('planner_node', 'cleanup')
    other = alive_bundle()
    other.save(tmp_path / 'other')
    assert rig.set_parameters(bundle=str(tmp_path / 'other')) == ''
    graph.transition('planner_node', 'configure', 'activate')
    rig.film_planning()
    assert rig.chunks[-1][1].model_id == other.model_id


def test_a_misspelled_parameter_ends_the_process_with_the_nearest_name(graph, tmp_path):
    """Instead of the default without a word."""
    rig = Rig(graph, tmp_path, activate=False, goal_tolerence=1.0)
    assert graph.wait_for_exit(rig.process, timeout_s=60.0) == 2
    assert "has no parameter 'goal_tolerence'; did you mean goal_tolerance?" in (
        rig.log.read_text())
