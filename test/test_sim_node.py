"""The simulated robot as a process of its own, over real DDS."""

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from lewm_ros.msg import SimState  # noqa: E402
from lewm_ros.node.run_node import REFUSED  # noqa: E402
from lewm_ros.srv import ResetSim  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.pictures import image_to_rgb  # noqa: E402
from lewm_ros.wire.stamps import header_stamp_ns, stamp_to_ns  # noqa: E402
from lewm_ros.wire.truth import msg_to_truth, TRUTH_TOPIC  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import code_name, Graph, ROOT  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
import yaml  # noqa: E402

COMMANDS = 'joint_velocity_controller/commands'
NAMES = ['shoulder', 'wrist']
STEP_NS = 50_000_000


class Rig:
    """A graph with a running simulator and what it says."""

    def __init__(self, graph: Graph, **parameters) -> None:
        self.graph = graph
        self.clock = graph.collect(Clock, '/clock', qos.SENSOR)
        self.images = graph.collect(Image, 'image', qos.SENSOR)
        self.info = graph.collect(CameraInfo, 'camera_info', qos.SENSOR)
        self.joints = graph.collect(JointState, 'joint_states', qos.SENSOR)
        self.truth = graph.collect(SimState, TRUTH_TOPIC, qos.RECORD)
        self.command = graph.node.create_publisher(Float64MultiArray, COMMANDS, qos.LATEST)
        self.process = graph.spawn('lewm_ros.simulation.sim_node', parameters=parameters)
        graph.wait_for(lambda: self.truth, 'the first truth')
        if 'robot' not in parameters:
            graph.wait_for(self.command.get_subscription_count, 'the command reader')

    def reset(self, qpos=None, **request) -> ResetSim.Response:
        """Reset, and wait for the truth after it; `qpos` is a state at rest."""
        if qpos is not None:
            request['state'] = [0.0, *qpos, *[0.0] * len(qpos)]
        answer = self.graph.call(ResetSim, '/sim_node/reset', ResetSim.Request(**request))
        if answer.success:
            self.after(stamp_to_ns(answer.sim_time))
        return answer

    @property
    def qpos(self) -> np.ndarray:
        return msg_to_truth(self.truth[-1][1]).values[:len(NAMES)]

    def after(self, stamp_ns: int) -> None:
        """Wait until the truth is newer than `stamp_ns`."""
        self.graph.wait_for(lambda: header_stamp_ns(self.truth[-1][1]) > stamp_ns,
                            'newer truth')

    def pass_s(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.after(header_stamp_ns(self.truth[-1][1]) + round(seconds * 1e9))


@pytest.fixture(scope='module')
def rig():
    with Graph() as graph:
        yield Rig(graph)


def test_sensors_run_on_the_control_grid_and_time_runs_forward(rig):
    """Pictures every 50 ms, joints every 20 ms, the clock every 10 ms, also over a reset."""
    for stream in (rig.clock, rig.images, rig.joints):
        stream.clear()
    rig.graph.wait_for(lambda: len(rig.images) > 20, '20 pictures')
    assert rig.reset(seed=3).success
    rig.graph.wait_for(lambda: len(rig.images) > 40, '40 pictures')
    for stream, period_ns in ((rig.images, STEP_NS), (rig.joints, 20_000_000)):
        stamps = np.array([header_stamp_ns(message) for _, message in stream])
        assert (stamps % period_ns == 0).all()
        assert (np.diff(stamps) > 0).all()
        assert np.median(np.diff(stamps)) == period_ns  # best effort: one may be lost
    clock = np.array([stamp_to_ns(message.clock) for _, message in rig.clock])
    assert (np.diff(clock) > 0).all()
    assert np.median(np.diff(clock)) == 10_000_000


def test_the_picture_shows_what_the_truth_says(rig):
    """The same joint positions give the same picture, others another; the camera is described."""
    pictures = {}
    for name, qpos in (('a', [0.5, 1.0]), ('b', [-2.0, 0.3]), ('a again', [0.5, 1.0])):
        answer = rig.reset(qpos=qpos)
        assert answer.success
        begin_ns = stamp_to_ns(answer.sim_time)
        rig.after(begin_ns + STEP_NS)
        rig.graph.wait_for(lambda begin_ns=begin_ns: header_stamp_ns(rig.images[-1][1]) > begin_ns,
                           'a picture after the reset')
        np.testing.assert_allclose(rig.qpos, qpos, atol=1e-5)
        pictures[name] = image_to_rgb(rig.images[-1][1])
    np.testing.assert_array_equal(pictures['a'], pictures['a again'])
    assert (pictures['a'] != pictures['b']).any(axis=2).mean() > 0.05
    info, image = rig.info[-1][1], rig.images[-1][1]
    assert (info.width, info.height) == (image.width, image.height) == (64, 64)
    assert image.encoding == 'rgb8'
    # fovy 44 degrees: half the picture is seen under 22
    assert np.degrees(np.arctan(32 / info.k[4])) == pytest.approx(22.0)


def test_a_command_moves_its_joint_and_silence_stops_it(rig):
    """1 rad/s for the shoulder turns the shoulder; after the timeout it stands still."""
    assert rig.reset(qpos=[0.0, 0.0]).success

    rig.graph.send_until(lambda: rig.command.publish(Float64MultiArray(data=[1.0, 0.0])),
                         lambda: rig.qpos[0] > 0.5, 'a turn of the shoulder')
    assert abs(rig.qpos[1]) < 0.05
    rig.pass_s(1.0)   # timeout 0.2 s, then a ramp of 0.05 s, and the servo; we may be behind
    still = rig.qpos
    rig.pass_s(0.3)
    np.testing.assert_allclose(rig.qpos, still, atol=1e-4)


def test_commands_that_are_not_commands_are_refused(rig):
    """A wrong length and a NaN change nothing, and the simulator lives on."""
    assert rig.reset(qpos=[0.0, 0.0]).success
    for data in ([1.0], [float('nan'), 0.0], [1.0, 1.0, 1.0]):
        rig.command.publish(Float64MultiArray(data=data))
        rig.graph.spin(0.1)
    np.testing.assert_allclose(rig.qpos, [0.0, 0.0], atol=1e-5)
    assert rig.process.poll() is None


@pytest.mark.parametrize(('request_', 'words'), [
    ({'qpos': [0.0]}, '5 finite numbers'),
    ({'qpos': [0.0, 9.0]}, 'wrist'),
])
def test_a_reset_that_makes_no_sense_is_refused(rig, request_, words):
    """The message says why and the world stays as it is."""
    before = rig.qpos
    answer = rig.reset(**request_)
    assert code_name(answer) == 'BAD_ARGUMENT'
    assert words in answer.message
    np.testing.assert_allclose(rig.qpos, before, atol=1e-5)


def test_a_seed_draws_the_same_start_again(rig):
    """Resetting twice with one seed gives one start, another seed another."""
    starts = []
    for seed in (5, 6, 5):
        answer = rig.reset(seed=seed)
        assert answer.success
        starts.append(rig.qpos)
    np.testing.assert_allclose(starts[0], starts[2], atol=1e-5)
    assert np.abs(starts[0] - starts[1]).max() > 0.1


def test_a_signal_ends_it_cleanly(rig):
    """SIGINT is a normal end."""
    assert rig.graph.interrupt(rig.process) == 0


def test_settings_that_contradict_the_grid_end_it_with_the_reason(tmp_path):
    """30 ticks per second cannot show a picture every 50 ms."""
    with Graph() as graph:
        log = tmp_path / 'sim.log'
        process = graph.spawn('lewm_ros.simulation.sim_node', output=log,
                              parameters={'clock_rate_hz': 30.0})
        assert graph.wait_for_exit(process) == REFUSED
    assert 'multiple of the clock tick' in log.read_text()


def test_the_arm_behind_position_servos_goes_there_and_holds():
    """`sim_reacher_position`: the command is a place, and it counts for ever."""
    with Graph() as graph:
        rig = Rig(graph, robot='sim_reacher_position')
        command = graph.node.create_publisher(
            Float64MultiArray, 'joint_position_controller/commands', qos.LATEST)
        graph.wait_for(command.get_subscription_count, 'the command reader')
        assert rig.reset(qpos=[0.2, 0.1]).success
        graph.send_until(lambda: command.publish(Float64MultiArray(data=[0.6, -0.3])),
                         lambda: np.abs(rig.qpos - [0.6, -0.3]).max() < 0.01, 'the place')
        graph.spin(0.5)
        np.testing.assert_allclose(rig.qpos, [0.6, -0.3], atol=0.01)


def test_two_command_topics_and_no_camera_info_are_simulated(tmp_path):
    """Each joint by a topic of its own: the one that is commanded moves, the other stands."""
    from lewm_model.base import resources
    values = yaml.safe_load(
        resources.find_named('config/robots', 'sim_reacher', '.yaml').read_text())
    del values['command_topic'], values['command_type']
    values |= {'camera_info_topic': '', 'commands': [
        {'topic': name, 'type': 'std_msgs/msg/Float64MultiArray', 'joints': [name]}
        for name in NAMES]}
    (tmp_path / 'two.yaml').write_text(yaml.safe_dump(values))
    with Graph() as graph:
        rig = Rig(graph, robot=str(tmp_path / 'two.yaml'))
        wrist = graph.node.create_publisher(Float64MultiArray, 'wrist', qos.LATEST)
        graph.wait_for(wrist.get_subscription_count, 'the command reader')
        assert rig.reset(qpos=[0.2, 0.1]).success

        graph.send_until(lambda: wrist.publish(Float64MultiArray(data=[1.0])),
                         lambda: rig.qpos[1] > 0.3, 'a wrist in motion')
        assert abs(rig.qpos[0] - 0.2) < 0.05
        graph.wait_for(lambda: rig.images, 'a picture')
        assert not rig.info


def test_a_world_that_is_not_mujocos_makes_whole_control_steps(monkeypatch):
    """A task of a user's folder, an environment of 0.1 s steps: commands move it on the grid."""
    monkeypatch.setenv('LEWM_TASKS', str(ROOT / 'test' / 'own_tasks'))
    with Graph() as graph:
        truth = graph.collect(SimState, TRUTH_TOPIC, qos.RECORD)
        images = graph.collect(Image, 'image', qos.SENSOR)
        command = graph.node.create_publisher(Float64MultiArray, 'commands', qos.LATEST)
        graph.spawn('lewm_ros.simulation.sim_node', parameters={
            'task': 'dot', 'command_timeout_s': 0.0})
        graph.wait_for(lambda: truth and command.get_subscription_count(), 'the simulator')
        answer = graph.call(ResetSim, '/sim_node/reset', ResetSim.Request(state=[20.0, 30.0]))
        assert answer.success and answer.message == 'dot x 20.000 px, dot y 30.000 px'
        graph.wait_for(lambda: header_stamp_ns(truth[-1][1]) > stamp_to_ns(answer.sim_time),
                       'the truth after the reset')

        graph.send_until(lambda: command.publish(Float64MultiArray(data=[10.0, 0.0])),
                         lambda: msg_to_truth(truth[-1][1]).values[0] > 23.5, 'a dot in motion')
        x, y = msg_to_truth(truth[-1][1]).values
        assert y == 30.0 and x == pytest.approx(round(x))    # 1 px per control step
        stamps = np.array([header_stamp_ns(message) for _, message in images])
        assert (stamps % 100_000_000 == 0).all()
