"""The Commander before a whole simulated system: ways to give a goal, a recording, a goal bank."""

from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim, pytest.mark.slow]

from lewm_model.goal_bank import read_bank  # noqa: E402
from lewm_ros import Commander, CommanderError  # noqa: E402
from lewm_ros.msg import PlanStatus, SimState  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.system import system  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.truth import msg_to_truth, TRUTH_TOPIC  # noqa: E402
from lewm_sim.cli import main  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from system_specs import start  # noqa: E402
from test_commander import spun  # noqa: E402

NEAR = 0.16          # within which task two_room is solved [m]
HALF = 1.12          # of what the camera sees, see the robot file [m]


class System:
    """The base in two rooms, and where it is."""

    def __init__(self, graph: Graph, logs: Path, **options) -> None:
        self.graph = graph
        self._truths = graph.collect(SimState, TRUTH_TOPIC, qos.RECORD)
        plans = graph.collect(PlanStatus, 'plan_status', qos.RECORD)
        start(graph, system(SystemOptions(sim=True, task='two_room', **options)), logs)
        graph.wait_for(lambda: self._truths and plans, 'the system')

    @property
    def here(self) -> np.ndarray:
        """X and y [m]."""
        return msg_to_truth(self._truths[-1][1]).values[:2]

    def is_at(self, x: float, y: float) -> bool:
        return np.hypot(*(self.here - (x, y))) < NEAR


@pytest.fixture(scope='module')
def recorded(tmp_path_factory) -> Path:
    """Drive to a pose and to a pixel while it is recorded; return the bag."""
    folder = tmp_path_factory.mktemp('recorded')
    with Graph(use_sim_time=True) as graph:
        two_room = System(graph, folder, record=True, root=str(folder / 'bags'))
        room = np.sign(two_room.here[0])
        with spun(graph), Commander(domain_id=graph.domain) as robot:
            robot.enable()
            assert Path(robot.record('to and fro', metadata={'who': 'a test'})).parent == (
                folder / 'bags')
            x, y = 0.5 * room, -0.4
            robot.reach(pose=(x, y), frame='world', timeout_s=60)
            assert robot.result(90), robot.result()
            assert two_room.is_at(x, y)
            x, y = 0.4 * room, 0.5
            robot.reach(pixel=((x + HALF) / (2 * HALF), (HALF - y) / (2 * HALF)), timeout_s=60)
            assert robot.result(90), robot.result()
            assert two_room.is_at(x, y)
            robot.reach(pixel=(0.001, 0.5))       # a wall: the robot file says within what
            assert not robot.result(20) and 'within' in robot.result().text
            with pytest.raises(CommanderError, match='goal_bank'):
                robot.entries()
            bag = Path(robot.stop_recording(note='both reached'))
    assert bag.is_dir()
    return bag


def test_what_the_commander_recorded_is_training_data(recorded, tmp_path, capsys):
    """By the commands of the README: inspect, ingest, look."""
    data = tmp_path / 'set.h5'
    robot = 'lewm_sim/tasks/two_room/robot.yaml'
    assert main(['ingest', str(recorded), '--robot', robot, '--out', str(data)]) == 0
    assert main(['inspect', str(recorded)]) == 0
    assert 'to and fro' in capsys.readouterr().out


def test_an_entry_of_a_bank_made_of_it_is_reached(recorded, tmp_path):
    """Names of the gallery are what `entries` lists; the base goes where the frame was taken."""
    bank = tmp_path / 'bank'
    assert main(['goal-bank', str(recorded), '--robot', 'lewm_sim/tasks/two_room/robot.yaml',
                 '--out', str(bank), '--count', '6', '--by', 'x', '--by', 'y']) == 0
    with Graph(use_sim_time=True) as graph:
        two_room = System(graph, tmp_path, goal_bank=str(bank), root=str(tmp_path / 'bags'))
        with spun(graph), Commander(domain_id=graph.domain) as robot:
            robot.enable()
            known = read_bank(bank)
            assert set(robot.entries()) == {one.name for one in known.entries}
            for one in known.entries[:3]:
                robot.reach(entry=one.name, timeout_s=60)
                assert robot.result(90), robot.result()
                where = known.named(one)
                assert two_room.is_at(where['x'].item(), where['y'].item())
            robot.reach(entry='nobody')
            assert not robot.result(20) and 'nobody' in robot.result().text
