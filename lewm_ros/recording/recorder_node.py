"""Records episodes, one bag each: start, stop and discard by service, topic or joystick. No torch.

The bytes of the wire go through a bounded queue to a thread that writes them; what is lost on
the way, or does not fit, is counted and told. A full disk ends the recording, not the node.
"""

from __future__ import annotations

import json
import sys
import time

from lewm_model.errors import LewmError
from lewm_model.robots.robot import RobotDescription
from lewm_ros.msg import EpisodeInfo, Goal
from lewm_ros.node.parameters import NodeParameters
from lewm_ros.node.plain import Health, PlainNode
from lewm_ros.node.run_node import run_node
from lewm_ros.recording.bag_thread import WriterSettings
from lewm_ros.recording.bag_writer import RecordedTopic
from lewm_ros.recording.buttons import Buttons
from lewm_ros.recording.episode import checked_metadata, Episode, recording_root
from lewm_ros.recording.health import episode_counts, level_and_summary, live_counts
from lewm_ros.recording.parameters import RecorderParameters
from lewm_ros.recording.reception import Reception
from lewm_ros.recording.session import Conclusion, Session, SessionSettings
from lewm_ros.recording.topics import (
    Depths,
    EPISODE_TOPIC,
    recorded_topic,
    required_topics,
    wanted_topics,
)
from lewm_ros.srv import StartEpisode, StopEpisode
from lewm_ros.wire import qos
from lewm_ros.wire.checks import MessageError
from lewm_ros.wire.episodes import episode_mark_to_msg
from lewm_ros.wire.reasons import Code, Reason, ReasonedError
from lewm_ros.wire.refusals import refuse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.task import Future
from sensor_msgs.msg import Joy
from std_msgs.msg import String

_WATCH_PERIOD_S = 0.2
_DISCOVERY_PERIOD_S = 1.0
_DRAIN_PERIOD_S = 0.05  # after a stop, until nothing of the episode comes for so long
_SILENT_S = 2.0         # a required topic that says nothing for this long is reported


class RecorderNode(PlainNode):
    """Turns what the robot publishes into one bag per episode."""

    def __init__(self, **kwargs) -> None:
        super().__init__('recorder_node', **kwargs)
        self._declared = NodeParameters(self, RecorderParameters)
        settings = self._settings
        self._robot = RobotDescription.from_yaml(settings.robot)
        self._required = required_topics(self._robot)
        self._root = recording_root(settings.root)
        self._told_error = ''
        self._told_silent: list[str] = []
        self._info_pub = self.always.publisher(EpisodeInfo, EPISODE_TOPIC, qos.LATCHED)
        self._info_topic: RecordedTopic | None = None   # known when the first episode starts
        self._session = Session(
            self._root, _session_settings(settings),
            new_future=lambda: Future(executor=self.executor), show=self._show,
            count=lambda episode: episode_counts(episode, self._reception),
            log=self.get_logger(), on_stopping=lambda: self._drain_timer.reset())
        self._reception = Reception(
            self, wanted_topics(self._robot, settings.extra_topics),
            Depths(settings.depth, settings.image_depth), self._session.take)
        serve, listen, tick = self.always.service, self.always.subscription, self.always.timer
        serve(StartEpisode, '~/start_episode', self._on_start)
        # It awaits the disk: alone in its own group, it keeps nobody else from running.
        serve(StopEpisode, '~/stop_episode', self._on_stop,
              callback_group=ReentrantCallbackGroup())
        listen(String, 'record_command', self._on_command, qos.RECORD)
        self._buttons = Buttons({'start': settings.joy_start, 'success': settings.joy_success,
                                 'failure': settings.joy_failure,
                                 'discard': settings.joy_discard})
        if self._buttons:
            listen(Joy, 'joy', self._on_joy, qos.RECORD)
        tick(_DISCOVERY_PERIOD_S, self._reception.discover, clock=self.steady)
        tick(_WATCH_PERIOD_S, self._watch, clock=self.steady)
        self._drain_timer = tick(_DRAIN_PERIOD_S, self._drain, clock=self.steady)
        self._info_pub.publish(self._mark(EpisodeInfo.IDLE))

    @property
    def _settings(self) -> RecorderParameters:
        return self._declared.values

    def shut_down(self) -> None:
        """End what is being recorded and wait for the disk; the last act of the node."""
        self._session.shut_down()

    # Start and stop ----------------------------------------------------------------------------

    def _start(self, task: str = '', goal_id: str = '', metadata_json: str = '') -> Episode:
        metadata = {**checked_metadata(metadata_json), 'robot': self._robot.robot}
        name = self.resolve_topic_name(EPISODE_TOPIC)
        self._info_topic = recorded_topic(name, self.get_publishers_info_by_topic(name))
        self._reception.discover()
        missing = self._reception.missing(self._required)
        if missing and self._settings.require_topics:
            raise ReasonedError(Code.NO_PUBLISHER, (
                f'nobody publishes {", ".join(missing)}, which {self._robot.robot!r} needs for '
                f'training; start that, or set require_topics to false'))
        latched = list(self._reception.latched())
        episode = self._session.start(task or self._settings.task, goal_id or self._goal_id(),
                                      metadata, latched)
        self._reception.begin()
        self._told_error, self._told_silent = '', []
        return episode

    def _drain(self) -> None:
        if self._session.drain():
            self._drain_timer.cancel()

    def _goal_id(self) -> str:
        """Return the id of the latched goal, if there is one."""
        reader = self._reception.readers.get(self.resolve_topic_name('goal'))
        newest = max(reader.latched.values(), key=lambda item: item.arrived_s,
                     default=None) if reader else None
        return deserialize_message(newest.data, Goal).goal_id[:200] if newest else ''

    def _mark(self, phase: int, episode: Episode | None = None) -> EpisodeInfo:
        about = {} if episode is None else {
            'episode_id': episode.name, 'index': episode.index, 'task': episode.task,
            'goal_id': episode.goal_id, 'metadata_json': json.dumps(episode.metadata)}
        return episode_mark_to_msg(self.get_clock().now().nanoseconds, phase,
                                   operator_id=self._settings.operator_id, **about)

    def _show(self, phase: int, episode: Episode) -> None:
        """Publish the mark, latched, and write it into the episode's bag."""
        mark, now_ns = self._mark(phase, episode), time.time_ns()
        episode.thread.put(self._info_topic, now_ns, now_ns, 0, serialize_message(mark), must=True)
        self._info_pub.publish(mark)

    # Requests ----------------------------------------------------------------------------------

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response):
        try:
            episode = self._start(request.task, request.goal_id, request.metadata_json)
        except LewmError as error:
            return self._refuse('start', error, response)
        response.success = True
        response.episode_id, response.bag_uri = episode.name, str(episode.path)
        return response

    async def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response):
        try:
            concluded = self._session.stop(request.outcome, discard=request.discard,
                                           note=request.note)
        except LewmError as error:
            return self._refuse('stop', error, response)
        end: Conclusion = await concluded
        counts = end.episode.metadata['recorder']
        if end.problem:
            refuse(response, Reason(Code.DISK_FAILED, end.problem))
        else:
            response.success, response.message = True, self._doubts(counts)
        response.episode_id, response.bag_uri = end.episode.name, str(end.path)
        response.messages = end.report.messages
        response.messages_lost = self._reception.lost + end.report.dropped
        response.queue_high_bytes = end.report.queue_high_bytes
        return response

    def _doubts(self, counts: dict) -> str:
        """Say what people should know about an episode in which nothing went wrong."""
        empty = [name for name in map(self.resolve_topic_name, self._required)
                 if not counts['received_by_topic'].get(name)]
        doubts = [f'nothing came on {", ".join(empty)}'] if empty else []
        if isinstance(counts['lost'], str):
            doubts.append('how many messages were lost is unknown: the middleware does not '
                          'number them')
        return '; '.join(doubts)

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
            self._start()
        elif command == 'discard':
            self._session.stop(StopEpisode.Request.FAILURE, discard=True)
        elif command in ('success', 'failure'):
            self._session.stop(getattr(StopEpisode.Request, command.upper()))
        else:
            raise MessageError('record_command is one of start, success, failure, discard')

    def _refuse(self, what: str, error: LewmError, response=None):
        self.guard.note(f'{what[:80]!r} refused', error)
        if response is not None:
            refuse(response, error)
        return response

    # Health ------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Say at once, and then not again, that something is being lost."""
        problem = self._session.watch()
        if problem and problem != self._told_error:
            self._told_error = problem
            self.get_logger().error(problem)
            self.tell_health()
        silent = (self._reception.silent(self._required, _SILENT_S)
                  if self._session.recording else [])
        if silent and silent != self._told_silent:
            self.get_logger().error(f'nothing has come on {", ".join(silent)} for {_SILENT_S:g} s')
        self._told_silent = silent

    @property
    def hardware_id(self) -> str:
        """Name of the robot."""
        return self._robot.robot

    def health(self) -> Health:
        """Say what is recorded, and what is lost or missing."""
        episode, reception = self._session.recording, self._reception
        missing = reception.missing(self._required)
        level, summary = level_and_summary(episode, reception, error=self._session.last_error,
                                           missing=missing, silent=self._told_silent)
        values = live_counts(episode, reception) if episode else {}
        return Health(level, summary, {
            **values, 'root': self._root, 'missing': ', '.join(missing),
            'topics': len(reception.readers), 'problems': '; '.join(reception.problems.values())})


def _session_settings(settings: RecorderParameters) -> SessionSettings:
    return SessionSettings(
        WriterSettings(settings.queue_mb << 20, settings.chunk_s, settings.sync_s,
                       settings.min_free_mb << 20),
        settings.compression, settings.chunk_mb << 20, settings.close_s)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(RecorderNode, args, last_act=RecorderNode.shut_down)


if __name__ == '__main__':
    sys.exit(main())
