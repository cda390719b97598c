"""Questions to a planner that drives, over real DDS: answers, and nothing stops."""

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_model.assemble import make_policy  # noqa: E402
from lewm_ros.msg import LatentState  # noqa: E402
from lewm_ros.srv import EncodeImage, PlanOnce  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.goals import picture_goal_to_msg, probe_goal_to_msg  # noqa: E402
from lewm_ros.wire.pictures import rgb_to_image  # noqa: E402
from lewm_ros.wire.reasons import Code  # noqa: E402
from lewm_ros.wire.stamps import header_stamp_ns  # noqa: E402
from nano import tiny_bundle  # noqa: E402
import numpy as np  # noqa: E402
from planner_rig import FOLLOWED, Rig, STEP_NS  # noqa: E402
from readout_bundles import bundle_that_reads  # noqa: E402
from ros_helpers import code_name  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from test_planner_faults import FaultyRig  # noqa: E402
from timed import timed, undisturbed  # noqa: E402

GREY = np.full((64, 64, 3), 77, np.uint8)
ROWS_NS = 15 * STEP_NS
SERVICES = {PlanOnce: '/planner_node/plan_once', EncodeImage: '/planner_node/encode_image'}


class Desk:
    """Asks a planner while its camera goes on."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.clients = {kind: rig.graph.client(kind, name) for kind, name in SERVICES.items()}

    def ask(self, kind, *, film: bool = True, **fields):
        """Return the answer, which is waited for with or without frames."""
        future = self.clients[kind].call_async(kind.Request(**fields))
        if film:
            self.rig.film_until(future.done, f'an answer of {kind.__name__}')
        else:
            self.rig.graph.wait_for(future.done, f'an answer of {kind.__name__}')
        answer = future.result()
        undisturbed(code_name(answer) != 'BUSY', answer.message)   # it drives, with little time
        return answer


def drive(graph, folder, **parameters) -> Rig:
    """Start a planner that is being followed for a while, so that its latency is known."""
    rig = Rig(graph, folder, **parameters)
    Desk(rig)      # finding the services takes a while, in which nobody films
    rig.send_goal(10, goal_id='far')
    rig.film_until(lambda: len(rig.chunks) >= 6, 'six plans')
    return rig


def assert_nothing_stopped(rig: Rig, since: int) -> None:
    """Hold that plans went on: one epoch, no lack, and each chunk came before the last ran out."""
    heard = [status for _, status in rig.status[since:]]
    assert heard
    undisturbed({status.state for status in heard} <= set(FOLLOWED)
                and len({status.epoch for status in heard}) == 1,
                {(status.state, status.epoch, status.reason.text) for status in heard})
    longest_ns = np.diff([header_stamp_ns(chunk) for _, chunk in rig.chunks]).max()
    undisturbed(longest_ns < ROWS_NS, f'{longest_ns / 1e9:.2f} s between two plans')


def refused(answer, code: str, words: str) -> bool:
    """Tell whether an answer is a refusal of this kind."""
    return not answer.success and code_name(answer) == code and words in answer.message


@timed
def test_a_plan_of_now_while_driving(graph, tmp_path):
    """A chunk that nobody follows, to the goal in force or another one; nothing is disturbed."""
    bundle_that_reads().save(tmp_path / 'reads')
    rig = drive(graph, tmp_path, bundle=str(tmp_path / 'reads'))
    desk, since = Desk(rig), len(rig.status)
    first = desk.ask(PlanOnce)
    assert (first.success, code_name(first), first.message) == (True, 'OK', '')
    chunk = first.chunk
    assert (chunk.session, chunk.horizon, chunk.action_dim) == (0, 15, 2)
    assert header_stamp_ns(chunk) in rig.stamps
    assert np.isfinite(chunk.actions).all() and np.abs(chunk.actions).max() <= 2.0
    # the mean of the elites is the answer, which may cost a little more than the start
    assert 0 < first.final_cost < 1.1 * first.start_cost
    there = picture_goal_to_msg(GREY, stamp_ns=0, goal_id='other')
    other = desk.ask(PlanOnce, goal=there, image=rgb_to_image(GREY, 0))
    assert other.success and other.start_cost != first.start_cost
    probe = desk.ask(PlanOnce, goal=probe_goal_to_msg(['first'], [0.1], stamp_ns=0, goal_id='p'))
    assert probe.success, probe.message
    unknown = desk.ask(PlanOnce, goal=probe_goal_to_msg(['elbow'], [0.1], stamp_ns=0,
                                                        goal_id='p'))
    assert not unknown.success and "cannot read 'elbow'" in unknown.message
    assert code_name(unknown) == 'GOAL_REFUSED'
    rig.film(0.5)
    assert_nothing_stopped(rig, since)
    assert {status.goal_id for _, status in rig.status[since:]} == {'far'}
    assert {chunk.session for _, chunk in rig.chunks} == {rig.last.session}


@timed
def test_latents_are_those_of_the_bundle(graph, tmp_path):
    """Of a picture that is sent, of the newest frame, and on the topic for whoever listens."""
    rig = drive(graph, tmp_path)
    desk, since = Desk(rig), len(rig.status)
    policy = make_policy(tiny_bundle())
    sent = desk.ask(EncodeImage, image=rgb_to_image(GREY, 123, 'camera'))
    assert sent.success, sent.message
    np.testing.assert_allclose(sent.latent.latent, policy.set_goal_image(GREY).latent, atol=1e-5)
    assert (header_stamp_ns(sent.latent), sent.latent.header.frame_id) == (123, 'camera')
    assert sent.latent.model_id == policy.bundle.model_id
    newest = desk.ask(EncodeImage)
    assert newest.success and header_stamp_ns(newest.latent) in rig.stamps
    latents = graph.collect(LatentState, 'latent', qos.IMAGE)
    rig.film_until(lambda: len(latents) >= 5, 'latents')
    one = latents[-1][1]
    grey = rig.stamps.index(header_stamp_ns(one)) % 256
    expected = policy.set_goal_image(np.full((64, 64, 3), grey, np.uint8)).latent
    np.testing.assert_allclose(one.latent, expected, atol=1e-5)
    assert_nothing_stopped(rig, since)


@pytest.mark.parametrize(('image', 'words'), [
    (Image(width=64, height=64, encoding='smell', step=192, data=bytes(64 * 192)), 'smell'),
    (Image(width=64, height=64, encoding='rgb8', step=192), 'the picture cannot be read')])
@timed
def test_pictures_that_cannot_be_read_are_refused_with_words(graph, tmp_path, image, words):
    """And the planner goes on."""
    rig = drive(graph, tmp_path)
    desk, since = Desk(rig), len(rig.status)
    for kind in SERVICES:
        answer = desk.ask(kind, image=image)
        assert not answer.success and words in answer.message
        assert code_name(answer) == 'FRAME_UNREADABLE'
    assert_nothing_stopped(rig, since)


@timed
def test_without_goal_frame_or_activation_the_answer_says_so(graph, tmp_path):
    """At once, or as soon as the thread has looked; nobody is left waiting."""
    rig = Rig(graph, tmp_path)
    desk = Desk(rig)
    assert refused(desk.ask(PlanOnce, film=False), 'NO_GOAL', 'no goal is in force')
    assert refused(desk.ask(EncodeImage, film=False), 'NO_FRAME',
                   'no camera frame has been looked at')
    assert desk.ask(EncodeImage, film=False, image=rgb_to_image(GREY, 0)).success
    goal = picture_goal_to_msg(GREY, stamp_ns=0)
    assert refused(desk.ask(PlanOnce, film=False, goal=goal), 'NO_FRAME', 'no camera frame')
    assert desk.ask(PlanOnce, film=False, goal=goal, image=rgb_to_image(GREY, 0)).success
    graph.wait_for(lambda: desk.ask(EncodeImage).success, 'a frame that was looked at')
    graph.wait_for(lambda: refused(desk.ask(EncodeImage, film=False), 'FRAME_STALE',
                                   'the camera frame is'), 'a frame that is too old')
    graph.transition('planner_node', 'deactivate')
    assert refused(desk.ask(PlanOnce, film=False), 'INACTIVE',
                   'the planner is inactive; activate it first')
    graph.transition('planner_node', 'cleanup')
    assert refused(desk.ask(EncodeImage, film=False), 'INACTIVE',
                   'unconfigured; activate it first')


@timed
def test_a_stranger_who_asks_fifty_times_a_second_stops_nothing(graph, tmp_path):
    """For five seconds, with pictures and goals; some are answered, most are refused as busy."""
    rig = drive(graph, tmp_path)
    desk, since, sent = Desk(rig), len(rig.status), len(rig.chunks)
    goal = picture_goal_to_msg(GREY, stamp_ns=0, goal_id='other')
    image = rgb_to_image(np.zeros((480, 480, 3), np.uint8), 0)
    requests = [(PlanOnce, PlanOnce.Request()), (PlanOnce, PlanOnce.Request(goal=goal)),
                (EncodeImage, EncodeImage.Request(image=image)),
                (PlanOnce, PlanOnce.Request(image=image, goal=goal))]
    futures = []
    timer = graph.node.create_timer(0.02, lambda: futures.append(
        desk.clients[requests[len(futures) % 4][0]].call_async(requests[len(futures) % 4][1])))
    rig.film(5.0)
    graph.node.destroy_timer(timer)
    rig.film_until(lambda: all(future.done() for future in futures), 'all answers')
    answers = [future.result() for future in futures]
    undisturbed(len(futures) > 150, f'{len(futures)} questions')
    refusals = {(code_name(answer), answer.message) for answer in answers if not answer.success}
    undisturbed({code for code, _ in refusals} <= {'BUSY'}, refusals)
    undisturbed(sum(answer.success for answer in answers) >= 5, 'fewer than 5 answers')
    assert_nothing_stopped(rig, since)
    assert {chunk.session for _, chunk in rig.chunks} == {rig.last.session}
    made = len(rig.chunks) - sent
    undisturbed(made > 10, f'{made} plans in 5 s')       # one in 0.25 s is 20


def test_who_waits_while_the_thread_hangs_is_told(graph, tmp_path, monkeypatch):
    """The alarm is the answer, also of one that hangs in the question itself."""
    rig = FaultyRig(graph, tmp_path, monkeypatch)
    desk = Desk(rig)
    rig.fault('hang')
    answer = desk.ask(PlanOnce, image=rgb_to_image(GREY, 0))
    assert refused(answer, 'PLANNER_STUCK', 'the planner has')
    rig.film_until(lambda: rig.last.reason.code == Code.PLANNER_STUCK, 'PLANNER_STUCK')
    rig.fault('')
    rig.film_planning()
    assert desk.ask(PlanOnce).success
