"""The robot is driven by a stranger while two recorders listen: ours, and the stock one."""

from __future__ import annotations

from pathlib import Path
import shutil
import time

from lewm_model.bags.bag import Bag
from lewm_ros.srv import StartEpisode, StopEpisode
from lewm_ros.trials.zoo.results.rows import Rows
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.robots.robot_file import shipped_file
from lewm_ros.trials.zoo.steps.ears import Ears, TrialError
from lewm_ros.trials.zoo.steps.offline import Folders
from lewm_ros.trials.zoo.steps.processes import driven, Nodes, Processes
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.refusals import code_of

_STARTED_S = 20.0
_RECORDED = 0.95       # of the frames that the camera sent
_SECOND_SOURCE_S = 5.0


def record(robot: ZooRobot, folders: Folders, rows: Rows, episodes: int) -> None:
    """Make the bags and the goal picture of a robot, from nothing."""
    shutil.rmtree(folders.root, ignore_errors=True)
    folders.goal.parent.mkdir(parents=True)
    namespace = robot.namespaces[0]
    with Processes(folders.root / 'log' / 'record') as processes, driven(
            processes, robot, namespace) as ears:
        if robot.ours:
            sent = _explore(robot, folders, processes, ears, episodes)
        else:
            _drive_others(robot, processes)
            Nodes(processes, robot, ears, {
                'robot': str(shipped_file(robot)), 'record': True, 'source': 'none',
                'root': str(folders.ours), 'namespace': namespace}, {}).start('recorder_node')
            commander = processes.stranger(robot, 'commander', namespace=namespace).name
            ears.wait_for(lambda: len(ears.commands) > 5, 'the commander')
            sent = sum(_episode(robot, folders, processes, ears, rows, episode,
                                robot.record_s / episodes) for episode in range(episodes))
            processes.end(commander)
            if robot.second_source:
                _with_second_source(robot, folders, processes, ears)
        rows.true('record', 'no process died', not processes.died(), '; '.join(processes.died()))
    for name, folder in (('ours', folders.ours), ('stock', folders.stock)):
        bags = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != '.']
        rows.at_least('record', f'share of the frames recorded by {name}',
                      round(min(_frames(robot, bags) / sent, 1.0), 3), _RECORDED)


def _frames(robot: ZooRobot, bags: list[Path]) -> int:
    topic = robot.cameras[0].topic
    count = 0
    for path in bags:
        with Bag(path) as bag:
            chosen = [one for one in bag.topics if one.name.strip('/').endswith(topic)]
            count += sum(1 for one in chosen for _ in bag.raw_messages(one))
    return count


def topics(robot: ZooRobot) -> list[str]:
    """Return what people tell `ros2 bag record`."""
    return list(dict.fromkeys([
        *(one.topic for one in robot.cameras), *filter(None, [robot.camera_info_topic]),
        *(one.topic for one in robot.states), *(one.topic for one in robot.controllers),
        *(['executed_command', 'episode_info'] if robot.ours else []),
        *(['/clock'] if robot.simulated else [])]))


def _drive_others(robot: ZooRobot, processes: Processes) -> None:
    """Robots in other namespaces are at work meanwhile."""
    for namespace in robot.namespaces[1:]:
        processes.stranger(robot, 'driver', namespace=namespace)
        processes.stranger(robot, 'commander', robot.name, '9', namespace=namespace)


def _stock(robot: ZooRobot, processes: Processes, bag: Path, namespace: str) -> str:
    """Start the stock recorder; return the name of its process."""
    bag.parent.mkdir(parents=True, exist_ok=True)
    simulated = ['--use-sim-time'] if robot.simulated else []
    return processes.stranger(robot, 'stock_recorder', str(bag), *simulated, *topics(robot),
                              namespace=namespace).name


def _episode(robot: ZooRobot, folders: Folders, processes: Processes, ears: Ears, rows: Rows,
             number: int, seconds: float) -> int:
    """Drive for a while, recorded by both; return the frames that the camera sent meanwhile."""
    namespace = robot.namespaces[0]
    stock = _stock(robot, processes, folders.stock / f'bag_{number}', namespace)
    ears.wait_for(lambda: ears.node.count_subscribers(robot.cameras[0].topic) > 1,
                  'the stock recorder')
    begun = ears.call(StartEpisode, 'recorder_node/start_episode', StartEpisode.Request())
    deadline_s = time.monotonic() + _STARTED_S
    while code_of(begun) not in (Code.OK, Code.BUSY):   # busy: it records, an answer got lost
        if code_of(begun) is not Code.NO_PUBLISHER or time.monotonic() > deadline_s:
            raise TrialError(f'our recorder does not start: {begun.message}')
        ears.spin(0.5)
        begun = ears.call(StartEpisode, 'recorder_node/start_episode', StartEpisode.Request())
    before = ears.frames_sent
    ears.spin(0.6 * seconds)
    if number == 0:
        ears.take_picture(folders.goal)
    ears.spin(0.4 * seconds)
    sent = ears.frames_sent - before
    answer = ears.call(StopEpisode, 'recorder_node/stop_episode',
                       StopEpisode.Request(outcome=StopEpisode.Request.SUCCESS))
    processes.end(stock)
    rows.at_most('record', f'messages lost by our recorder, episode {number + 1}',
                 float(answer.messages_lost), _may_be_lost(robot))
    return sent


def _may_be_lost(robot: ZooRobot) -> float:
    """Best-effort publishers may lose some on a busy machine, reliable ones nothing."""
    best_effort = not all(one.reliable for one in (*robot.cameras, *robot.states,
                                                   *robot.controllers))
    return 20.0 if best_effort else 0.0


def _with_second_source(robot: ZooRobot, folders: Folders, processes: Processes, ears: Ears
                        ) -> None:
    """Record the mistake, too: somebody else reports the same joints."""
    processes.stranger(robot, 'second_source')
    processes.stranger(robot, 'commander', robot.name, '7')
    _stock(robot, processes, folders.root / 'second_source' / 'bag', '')
    ears.spin(_SECOND_SOURCE_S)
    processes.end('stock_recorder')
    processes.end('commander', 'second_source')


def _explore(robot: ZooRobot, folders: Folders, processes: Processes, ears: Ears,
             episodes: int) -> int:
    """Our own arm is recorded as its documentation says, by explore_node; return its steps."""
    steps = round(robot.record_s / episodes / robot.control_dt_s)
    nodes = Nodes(processes, robot, ears, {
        'sim': True, 'record': True, 'source': 'explore', 'episodes': episodes,
        'steps': steps,
        'root': str(folders.ours)}, {})
    _stock(robot, processes, folders.stock / 'bag_0', '')
    nodes.start('command_node', 'recorder_node', 'explore_node')
    ears.take_picture(folders.goal)
    child = processes.child('explore_node')
    ears.wait_for(lambda: child.exit_status() is not None, 'the end of the exploration', 120.0)
    if child.exit_status():
        raise TrialError(f'explore_node: {child.last_lines()}')
    processes.end('explore_node')
    processes.end('stock_recorder')
    nodes.end('command_node', 'recorder_node')
    return episodes * steps
