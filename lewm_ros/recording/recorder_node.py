"""Records episodes, one bag each: start, stop and discard by service, topic or joystick. No torch.

The bytes of the wire go through a bounded queue to a thread that writes them; what is lost on
the way, or does not fit, is counted and told. A full disk ends the recording, not the node.
"""

from __future__ import annotations

import json
from pathlib import Path
import sys
import time

from diagnostic_msgs.msg import DiagnosticArray
from lewm_model.errors import BagError, LewmError
from lewm_model.robot import RobotDescription
from lewm_ros.msg import EpisodeInfo, GoalImage
from lewm_ros.node.parameters import NodeParameters
from lewm_ros.node.run_node import run_node
from lewm_ros.recording.bag_thread import BagThread, WriterSettings
from lewm_ros.recording.bag_writer import BagWriter, RecordedTopic
from lewm_ros.recording.buttons import Buttons
from lewm_ros.recording.episode import (
    checked_metadata,
    checked_text,
    Episode,
    episode_name,
    next_index,
    recording_root,
)
from lewm_ros.recording.health import judge, live_numbers, numbers_of
from lewm_ros.recording.parameters import RecorderParameters
from lewm_ros.recording.reception import Received, Reception
from lewm_ros.recording.topics import (
    Depths,
    EPISODE_TOPIC,
    recorded_topic,
    required_topics,
    wanted_topics,
)
from lewm_ros.srv import StartEpisode, StopEpisode
from lewm_ros.wire import conversions, qos
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.task import Future
from sensor_msgs.msg import Joy
from std_msgs.msg import String

_WATCH_PERIOD_S = 0.2
_DISCOVERY_PERIOD_S = 1.0
_DIAGNOSTICS_PERIOD_S = 1.0
_DRAIN_PERIOD_S = 0.05 # after a stop, until nothing of the episode comes for so long
_SILENT_S = 2.0       # a required topic that says nothing for this long is reported
_OUTCOMES = {StopEpisode.Request.SUCCESS: 'SUCCESS', StopEpisode.Request.FAILURE: 'FAILURE'}


class RecorderNode(Node):
    """Turns what the robot publishes into one bag per episode."""

    def __init__(self, **kwargs) -> None:
        super().__init__('recorder_node', **kwargs)
        self._declared = NodeParameters(self, RecorderParameters)
        settings = self._settings
        self._robot = RobotDescription.from_yaml(settings.robot)
        self._root = recording_root(settings.root)
        self._episode: Episode | None = None
        self._draining: Episode | None = None  # stopped, its last messages may still wait for us
        self._drained = 0                      # of them, since the last look
        self._closing: set[Episode] = set()    # complete, not all on disk yet
        self._index = -1
        self._last_error = self._told_error = ''
        self._told_silent: list[str] = []
        self._info_pub = self.create_publisher(EpisodeInfo, EPISODE_TOPIC, qos.LATCHED)
        self._diagnostics_pub = self.create_publisher(DiagnosticArray, '/diagnostics', qos.RECORD)
        self._reception = Reception(
            self, wanted_topics(self._robot, settings.extra_topics),
            Depths(settings.depth, settings.image_depth), self._on_message)
        self._info_topic: RecordedTopic | None = None   # known when the first episode starts
        self.create_service(StartEpisode, '~/start_episode', self._on_start)
        # It awaits the disk: alone in its own group, it keeps nobody else from running.
        self.create_service(StopEpisode, '~/stop_episode', self._on_stop,
                            callback_group=ReentrantCallbackGroup())
        self.create_subscription(String, 'record_command', self._on_command, qos.RECORD)
        self._buttons = Buttons({'start': settings.joy_start, 'success': settings.joy_success,
                                 'failure': settings.joy_failure,
                                 'discard': settings.joy_discard})
        if self._buttons:
            self.create_subscription(Joy, 'joy', self._on_joy, qos.RECORD)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period_s, act in ((_DISCOVERY_PERIOD_S, self._reception.discover),
                              (_WATCH_PERIOD_S, self._watch),
                              (_DIAGNOSTICS_PERIOD_S, self._publish_diagnostics)):
            self.create_timer(period_s, act, clock=steady)
        self._drain_timer = self.create_timer(_DRAIN_PERIOD_S, self._drain, clock=steady)
        self._show(EpisodeInfo.IDLE)

    @property
    def _settings(self) -> RecorderParameters:
        return self._declared.values

    # Start and stop ----------------------------------------------------------------------------

    def start(self, task: str = '', goal_id: str = '', metadata_json: str = '') -> Episode:
        """Begin an episode.

        Raises:
            BagError: The message says why it cannot begin.
        """
        if self._episode is not None:
            raise BagError(f'{self._episode.name} is being recorded; stop or discard it first')
        settings = self._settings
        task = checked_text('task', task or settings.task)
        goal_id = checked_text('goal_id', goal_id) or self._goal_id()
        metadata = {**checked_metadata(metadata_json), 'robot': self._robot.robot}
        name = self.resolve_topic_name(EPISODE_TOPIC)
        self._info_topic = recorded_topic(name, self.get_publishers_info_by_topic(name))
        self._reception.discover()
        missing = self._reception.missing(required_topics(self._robot))
        if missing and settings.require_topics:
            raise BagError(f'nobody publishes {", ".join(missing)}, which {self._robot.robot!r} '
                           f'needs for training; start that, or set require_topics to false')
        self._finish()  # the one before
        if self._index < 0:
            self._index = next_index(self._root)
        bag = BagWriter(self._root, episode_name(self._index), compression=settings.compression,
                        chunk_bytes=settings.chunk_mb << 20)
        done = Future(executor=self.executor)
        thread = BagThread(
            bag, WriterSettings(settings.queue_mb << 20, settings.chunk_s, settings.sync_s,
                                settings.min_free_mb << 20), lambda: done.set_result(None))
        episode = Episode(bag.path.name, self._index, task, goal_id, metadata, bag, thread, done,
                          Future(executor=self.executor), start_ns=time.time_ns())
        self._index += 1
        self._last_error = self._told_error = ''
        self._reception.begin()
        self._show(EpisodeInfo.RECORDING, episode)
        for message in self._reception.latched():
            # its own receive time would make the bag begin long before the episode
            thread.put(message.topic, time.time_ns(), message.publish_ns, message.sequence,
                       message.data, must=True)
        self._episode = episode
        self.get_logger().info(f'recording {episode.path}')
        return episode

    def stop(self, outcome: int, discard: bool = False, note: str = '') -> Future:
        """End the episode; the future's result is (episode, where it is, what went wrong).

        Raises:
            BagError: If none is being recorded, or the outcome is none.
        """
        episode = self._episode
        if episode is None:
            raise BagError('no episode is being recorded')
        if outcome not in _OUTCOMES and not discard:
            raise BagError(f'outcome must be one of {_OUTCOMES}, got {outcome}')
        episode.metadata['note'] = checked_text('note', note)
        episode.discard = discard
        episode.phase = EpisodeInfo.DISCARDED if discard else outcome
        episode.stop_ns = time.time_ns()
        self._episode, self._draining, self._drained = None, episode, 0
        self._drain_timer.reset()
        return episode.concluded

    def _drain(self) -> None:
        """Close the episode once nothing of it comes any more; on a busy machine much waits."""
        if self._draining is not None and self._drained:
            self._drained = 0
            return
        self._drain_timer.cancel()
        self._finish()

    def _finish(self) -> None:
        """Mark the end of the stopped episode and let its thread close the bag."""
        episode, self._draining = self._draining, None
        if episode is None:
            return
        episode.metadata['recorder'] = numbers_of(episode, self._reception)
        self._show(episode.phase, episode)
        self._closing.add(episode)
        outcome = 'DISCARDED' if episode.discard else _OUTCOMES[episode.phase]
        episode.thread.finish({
            'episode_id': episode.name, 'task': episode.task, 'goal_id': episode.goal_id,
            'outcome': outcome, 'recorder': json.dumps(episode.metadata['recorder'])})
        episode.done.add_done_callback(
            lambda _: episode.concluded.set_result(self._conclude(episode)))

    def _conclude(self, episode: Episode) -> tuple[Episode, Path, str]:
        """Tell what became of an episode, when its writer has ended."""
        self._closing.discard(episode)
        report = episode.thread.report()
        problem, path = report.error, episode.path
        if episode.discard:
            try:
                path = episode.set_aside()
            except BagError as error:
                problem = f'{problem} {error}'.strip()
        what = 'discarded' if episode.discard else 'recorded'
        if problem:
            self._last_error = problem
            self.get_logger().error(f'{what} {episode.name}, with problems: {problem}')
        lost = episode.metadata['recorder']['lost']
        self.get_logger().info(f'{what} {path}: {report.messages} messages, '
                               f'{report.written_bytes / 1e6:.1f} MB, {lost} lost, '
                               f'{report.dropped} dropped')
        return episode, path, problem

    def close(self) -> None:
        """End what is being recorded, and wait for the disk; the last act of the node."""
        episode = self._episode
        if episode is not None:
            self.stop(StopEpisode.Request.FAILURE, note='the recorder was ended')
        self._finish()
        for waiting in tuple(self._closing):
            waiting.thread.join()
            self._conclude(waiting)

    # Requests ----------------------------------------------------------------------------------

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response):
        try:
            episode = self.start(request.task, request.goal_id, request.metadata_json)
        except LewmError as error:
            self._refuse('start', error)
            response.success, response.message = False, str(error)
            return response
        response.success = True
        response.episode_id, response.bag_uri = episode.name, str(episode.path)
        return response

    async def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response):
        try:
            concluded = self.stop(request.outcome, request.discard, request.note)
        except LewmError as error:
            self._refuse('stop', error)
            response.success, response.message = False, str(error)
            return response
        episode, path, problem = await concluded
        report, numbers = episode.thread.report(), episode.metadata['recorder']
        empty = [name for name in map(self.resolve_topic_name, required_topics(self._robot))
                 if not numbers['received_by_topic'].get(name)]
        warning = f'nothing came on {", ".join(empty)}' if empty else ''
        response.success, response.message = not problem, problem or warning
        response.episode_id, response.bag_uri = episode.name, str(path)
        response.messages = report.messages
        response.messages_lost = numbers['lost'] + report.dropped
        response.queue_high_bytes = report.queue_high_bytes
        return response

    def _on_command(self, message: String) -> None:
        try:
            self._obey(message.data.strip())
        except LewmError as error:
            self._refuse(message.data, error)

    def _on_joy(self, message: Joy) -> None:
        for command in self._buttons.pressed(message.buttons):
            self._on_command(String(data=command))

    def _obey(self, command: str) -> None:
        if command == 'start':
            self.start()
        elif command == 'discard':
            self.stop(StopEpisode.Request.FAILURE, discard=True)
        elif command in ('success', 'failure'):
            self.stop(getattr(StopEpisode.Request, command.upper()))
        else:
            raise BagError('record_command is one of start, success, failure, discard')

    def _refuse(self, what: str, error: LewmError) -> None:
        self.get_logger().warning(f'{what!r} refused: {error}')

    # Messages ----------------------------------------------------------------------------------

    def _on_message(self, message: Received) -> None:
        for episode in (self._episode, self._draining):
            if episode is not None and episode.has(message.log_ns):
                self._drained += episode is self._draining
                episode.thread.put(message.topic, message.log_ns, message.publish_ns,
                                   message.sequence, message.data)

    def _show(self, phase: int, episode: Episode | None = None) -> None:
        """Publish the mark, latched, and write it into the episode's bag."""
        info = EpisodeInfo(header=conversions.header(self.get_clock().now().nanoseconds),
                           phase=phase, operator_id=self._settings.operator_id)
        if episode is not None:
            info.episode_id, info.index, info.task = episode.name, episode.index, episode.task
            info.goal_id, info.metadata_json = episode.goal_id, json.dumps(episode.metadata)
            now_ns = time.time_ns()
            episode.thread.put(self._info_topic, now_ns, now_ns, 0, serialize_message(info),
                               must=True)
        self._info_pub.publish(info)

    def _goal_id(self) -> str:
        """Return the id of the latched goal, if there is one."""
        reader = self._reception.readers.get(self.resolve_topic_name('goal_image'))
        newest = max(reader.latched.values(), key=lambda item: item.log_ns,
                     default=None) if reader else None
        return deserialize_message(newest.data, GoalImage).goal_id[:200] if newest else ''

    # Health ------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Say at once, and then not again, that something is being lost."""
        if self._episode is None:
            return
        report = self._episode.thread.report()
        silent = self._reception.silent(required_topics(self._robot), _SILENT_S)
        if silent and silent != self._told_silent:
            self.get_logger().error(f'{self._episode.name}: nothing has come on '
                                    f'{", ".join(silent)} for {_SILENT_S:g} s')
        self._told_silent = silent
        problem = report.error or ('the queue is full, messages are dropped: the disk is too '
                                   'slow' if report.dropped else '')
        if problem and problem != self._told_error:
            self._last_error = self._told_error = problem
            self.get_logger().error(f'{self._episode.name}: {problem}')
            self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        episode, reception = self._episode, self._reception
        missing = reception.missing(required_topics(self._robot))
        level, summary = judge(episode, reception, error=self._last_error, missing=missing,
                               silent=self._told_silent if episode else [])
        values = live_numbers(episode, reception) if episode else {}
        self._diagnostics_pub.publish(conversions.diagnostics_to_msg(
            self.get_clock().now().nanoseconds, f'{self.get_name()}: recording', level=level,
            summary=summary, hardware_id=self._robot.robot, values={
                **values, 'root': self._root, 'missing': ', '.join(missing),
                'topics': len(reception.readers),
                'problems': '; '.join(reception.problems.values())}))


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(RecorderNode, args, last_act=RecorderNode.close)


if __name__ == '__main__':
    sys.exit(main())
