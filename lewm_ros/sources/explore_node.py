"""Moves the simulated robot at random and records it, one episode after the other. No torch.

It takes the planner's place: chunks of the task's own exploration go to the command node, which
limits them and publishes what was executed, so the recordings have what those of a planned run
have. Episode i is drawn from (seed, i), as `lewm collect` draws it. The node ends after the last
episode.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
import json
import sys
from typing import Any

from lewm_model.errors import ConfigError, SimulationError
from lewm_model.robots.robot import RobotDescription
from lewm_ros import msg as interfaces
from lewm_ros.node.camera_input import CameraInput, Frame
from lewm_ros.node.executor import SurvivingExecutor
from lewm_ros.node.interrupt import Interrupt
from lewm_ros.node.parameters import NodeParameters, parameter
from lewm_ros.node.plain import Health, PlainNode
from lewm_ros.node.run_node import run_node
from lewm_ros.sources.chunk_source import ChunkSource
from lewm_ros.srv import ResetSim, StartEpisode, StopEpisode
from lewm_ros.wire import qos
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.refusals import code_of
from lewm_ros.wire.robot_interface import RobotInterface
from lewm_ros.wire.stamps import header_stamp_ns, stamp_to_ns
from lewm_sim.tasks import load_task
import numpy as np
from rclpy.task import Future, Task

_CHUNK_STEPS = 20     # rows of a chunk; 1 s, less than the command node follows an old plan
_REFRESH_STEPS = 5    # a lost chunk is made good after this many control steps
_ANSWER_S = 30.0      # a recorder on a slow disk takes its time
_ATTEMPTS = 10        # of one episode, when the machine was too slow for it
_START_ATTEMPTS = 10  # to start an episode, _SETTLE_S apart
_SETTLE_S = 1.0       # a service that was just found may not know our reader yet


@dataclass(frozen=True)
class ExploreParameters:
    """Settings of the exploration."""

    robot: str = parameter('', 'robot description, name or file; empty: the one of the task',
                           read_only=True)
    task: str = parameter('reacher', 'whose start states and exploration are drawn, see '
                          'docs/tasks.md', read_only=True)
    episodes: int = parameter(10, 'how many to record', low=1, high=1_000_000, read_only=True)
    steps: int = parameter(60, 'control steps per episode', low=1, high=100_000, read_only=True)
    first: int = parameter(0, 'number of the first episode; to go on with an earlier run',
                           low=0, high=1_000_000, read_only=True)
    seed: int = parameter(0, 'episode i is drawn from (seed, i)', low=0, high=2**31 - 1,
                          read_only=True)


class _Refused(SimulationError):
    """A service did not do what it was asked for."""

    def __init__(self, text: str, code: Code | None) -> None:
        super().__init__(text)
        self.code = code


class ExploreNode(PlainNode):
    """Publishes chunks of random smooth motion and works the simulator and the recorder."""

    def __init__(self, **kwargs) -> None:
        super().__init__('explore_node', **kwargs)
        self._settings = NodeParameters(self, ExploreParameters).values
        self._task = load_task(self._settings.task)
        robot = RobotDescription.from_yaml(self._settings.robot or self._task.robot_file)
        self._robot = robot
        own = self._task.robot
        if (robot.joint_names, robot.interface) != (own.joint_names, own.interface):
            raise ConfigError(f'robot {robot.robot!r} takes {robot.interface} of '
                              f'{", ".join(robot.joint_names)}, task {self._task.name!r} '
                              f'{own.interface} of {", ".join(own.joint_names)}; use '
                              f'{own.robot!r}')
        self._interface = RobotInterface(robot)
        self._world = self._task.make_world()   # only to draw start states
        self._dt_ns = robot.control_dt_ns
        self._number = self._settings.first                   # of the episode being recorded
        self._motion: tuple[int, np.ndarray] | None = None    # (stamp of row 0, commands (N, A))
        self._executed: set[int] = set()                      # stamps of commands on the plan
        self._waiting: list[tuple[int, Future]] = []          # (stamp waited for, future)
        offer, listen = self.always.publisher, self.always.subscription
        self._source = ChunkSource(
            'explore', self._interface,
            offer(interfaces.ActionChunk, 'action_chunk', qos.LATEST).publish,
            offer(interfaces.PlanStatus, 'plan_status', qos.RECORD).publish)
        CameraInput(self, self.always, robot, self._on_frames)
        listen(interfaces.ExecutedCommand, self._interface.executed_topic, self._on_executed,
               qos.RECORD)
        self._services_used = {
            'reset': self.create_client(ResetSim, 'sim_node/reset'),
            'start': self.create_client(StartEpisode, 'recorder_node/start_episode'),
            'stop': self.create_client(StopEpisode, 'recorder_node/stop_episode')}

    @property
    def hardware_id(self) -> str:
        """Name of the robot."""
        return self._robot.robot

    def health(self) -> Health:
        """Say which episode is recorded."""
        return Health(summary=f'episode {self._number}')

    async def explore(self) -> None:
        """Record all episodes.

        Raises:
            SimulationError: If the simulator, the recorder or the command node fails.
        """
        for name, client in self._services_used.items():
            await self._within(_ANSWER_S, self._ready(client), f'the service to {name}')
        await self._pause(_SETTLE_S)
        for number in range(self._settings.first, self._settings.first + self._settings.episodes):
            await self._record(number)

    async def _record(self, number: int) -> None:
        """Record one episode; one with control steps left out is discarded and repeated."""
        self._number = number
        for _ in range(_ATTEMPTS):
            executed = await self._attempt(number)
            if executed == self._settings.steps:
                return
            self.get_logger().warning(
                f'episode {number}: {executed} of {self._settings.steps} commands were executed '
                f'in time; it is discarded and repeated')
        raise SimulationError(f'episode {number} failed {_ATTEMPTS} times, this machine is too '
                              f'slow or too busy; lower real_time_factor')

    async def _attempt(self, number: int) -> int:
        """Record one episode; return how many of its commands were executed as planned."""
        settings, task = self._settings, self._task
        rng = np.random.default_rng([settings.seed, number])
        self._world.start(rng)
        state, truth = self._world.state().tolist(), self._world.truth()
        act = task.policy('random', rng)    # it never looks, so it can be asked beforehand
        commands = np.array([act(truth) for _ in range(settings.steps)])
        reset = await self._call('reset', ResetSim.Request(state=state))
        await self._frame(stamp_to_ns(reset.sim_time))
        await self._begin(StartEpisode.Request(task=task.name, metadata_json=json.dumps(
            {'source': 'explore_node', 'seed': settings.seed, 'number': number,
             'steps': settings.steps, 'start_state': state})))
        newest_ns = await self._frame(0)
        self._source.withdraw()
        self._executed.clear()
        self._motion = (newest_ns + 2 * self._dt_ns, commands)  # a step to hear of it, then row 0
        # one frame beyond the last row: its joint state lies between two that must be recorded
        await self._frame(self._motion[0] + (len(commands) + 1) * self._dt_ns)
        self._motion = None
        executed = len(self._executed)
        answer = await self._call('stop', StopEpisode.Request(
            outcome=StopEpisode.Request.SUCCESS, discard=executed < settings.steps))
        self.get_logger().info(f'episode {number}: {answer.bag_uri}, {answer.messages} messages, '
                               f'{answer.messages_lost} lost')
        return executed

    async def _begin(self, request: StartEpisode.Request) -> None:
        """Start an episode; at first the recorder may not have heard of every publisher yet."""
        for remaining in reversed(range(_START_ATTEMPTS)):
            try:
                await self._call('start', request)
                return
            except SimulationError as error:
                final = isinstance(error, _Refused) and error.code is not Code.NO_PUBLISHER
                if final or not remaining:
                    raise
            await self._pause(_SETTLE_S)

    def _on_executed(self, message: interfaces.ExecutedCommand) -> None:
        ours = (message.session, message.epoch) == (self._source.session, self._source.epoch)
        if ours and not message.overridden:
            self._executed.add(header_stamp_ns(message))

    def _on_frames(self, frames: tuple[Frame, ...]) -> None:
        stamp_ns = header_stamp_ns(frames[0])
        moving = self._motion is not None
        self._source.heartbeat(stamp_ns, driving=moving)
        if moving:
            self._send(stamp_ns)
        for entry in list(self._waiting):
            if stamp_ns >= entry[0]:
                self._waiting.remove(entry)
                entry[1].set_result(stamp_ns)

    def _send(self, stamp_ns: int) -> None:
        """Send the next rows, early enough for the first of them."""
        start_ns, commands = self._motion
        row = max((stamp_ns - start_ns) // self._dt_ns + 1, 0)
        ahead_ns = start_ns + row * self._dt_ns - stamp_ns
        if row >= len(commands) or ahead_ns > self._dt_ns or row % _REFRESH_STEPS:
            return
        self._source.send(commands[row:row + _CHUNK_STEPS], frame_ns=stamp_ns,
                          start_ns=start_ns + row * self._dt_ns)

    # Waiting -----------------------------------------------------------------------------------

    async def _call(self, name: str, request: Any) -> Any:
        answer = await self._within(_ANSWER_S, self._services_used[name].call_async(request),
                                    f'the answer to {name}')
        if not answer.success:
            raise _Refused(f'{name} was refused: {answer.message}', code_of(answer))
        return answer

    async def _frame(self, stamp_ns: int) -> int:
        """Wait for a frame of `stamp_ns` or later and return its stamp."""
        future = Future(executor=self.executor)
        self._waiting.append((stamp_ns, future))
        # a slow simulation of a long episode is no failure; a standing one is
        limit_s = _ANSWER_S + 100 * self._settings.steps * self._dt_ns / 1e9
        return await self._within(limit_s, future, 'a camera frame')

    async def _ready(self, client: Any) -> None:
        while not client.service_is_ready():
            await self._pause(0.1)

    async def _pause(self, seconds: float) -> None:
        future = Future(executor=self.executor)
        timer = self.create_timer(seconds, lambda: future.done() or future.set_result(None),
                                  clock=self.steady)
        await future
        self.destroy_timer(timer)

    async def _within(self, seconds: float, what: Awaitable, name: str) -> Any:
        """Await something for a limited time."""
        late = Future(executor=self.executor)
        work = what if isinstance(what, Future) else self.executor.create_task(what)
        work.add_done_callback(lambda _: late.done() or late.set_result(True))
        timer = self.create_timer(seconds, lambda: late.done() or late.set_result(False),
                                  clock=self.steady)
        in_time = await late
        self.destroy_timer(timer)
        if not in_time:
            raise SimulationError(f'waited {seconds:g} s in vain for {name}; is its node running?')
        return work.result()


def run(node: ExploreNode, end: Interrupt) -> None:
    """Explore until all is recorded, or until the end."""
    executor = SurvivingExecutor(node)
    task: Task = executor.create_task(node.explore())
    while not (end.is_set() or task.done()):
        executor.spin_once(timeout_sec=0.1)
    if task.done():
        task.result()  # raises what it raised


def main(args: list[str] | None = None) -> int:
    """Run the node until all episodes are recorded; return the exit status."""
    return run_node(ExploreNode, args, loop=run)


if __name__ == '__main__':
    sys.exit(main())
