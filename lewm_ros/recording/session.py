"""Episodes from their start to the complete bag; at most one is being recorded. No rclpy.

What needs ROS is handed in: a future whose callbacks run where the session is used, how to
publish a mark, and where to log. All methods are for one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
import json
from pathlib import Path
import time
from typing import Any, Protocol

from lewm_model.errors import BagError
from lewm_ros.recording.bag_thread import BagThread, WriterReport, WriterSettings
from lewm_ros.recording.bag_writer import BagWriter
from lewm_ros.recording.episode import (
    Episode,
    episode_name,
    next_index,
    Received,
)
from lewm_ros.wire import checks
from lewm_ros.wire.reasons import Code, ReasonedError

RECORDING, SUCCESS, FAILURE, DISCARDED = 1, 3, 4, 5   # as in EpisodeInfo; a test holds them equal
_OUTCOMES = {SUCCESS: 'SUCCESS', FAILURE: 'FAILURE'}
_LAST_PATIENCE_S = 4.0   # for the disk when the process ends; launch and bringup kill soon after


class Log(Protocol):
    """Where the session says what happens."""

    def info(self, text: str) -> Any:
        """Tell people."""

    def error(self, text: str) -> Any:
        """Tell people that something is wrong."""


@dataclass(frozen=True)
class SessionSettings:
    """How episodes are written."""

    writer: WriterSettings = field(default_factory=WriterSettings)
    compression: str = 'none'
    chunk_bytes: int = 4 << 20
    close_s: float = 30.0      # an episode whose bag is not closed after this is given up


@dataclass(frozen=True)
class Conclusion:
    """What became of an episode."""

    episode: Episode
    path: Path                 # where it is
    problem: str               # what went wrong, empty if nothing did
    report: WriterReport


class Session:
    """Starts, stops and concludes episodes.

    Args:
        root: Folder that gets one folder per episode.
        settings: How they are written.
        new_future: Makes a future, as `rclpy.task.Future`; its callbacks run in our thread even
            if another one sets the result.
        show: Publishes the mark of an episode in its phase and queues it for the bag.
        count: Returns how an episode's recording went, for its mark and the bag.
        log: Where to say what happens.
        on_stopping: Called when `drain` has work.
        now_s: Steady clock.

    Attributes:
        recording: The episode that messages belong to.
        last_error: What went wrong last, until the next episode starts.
    """

    def __init__(self, root: Path, settings: SessionSettings, *,
                 new_future: Callable[[], Any], show: Callable[[int, Episode], None],
                 count: Callable[[Episode], dict[str, Any]], log: Log,
                 on_stopping: Callable[[], None] = lambda: None,
                 now_s: Callable[[], float] = time.monotonic) -> None:
        self._root, self._settings = root, settings
        self._new_future, self._show, self._count = new_future, show, count
        self._log, self._on_stopping, self._now_s = log, on_stopping, now_s
        self.recording: Episode | None = None
        self.last_error = ''
        self._draining: Episode | None = None       # stopped; its last messages may still come
        self._drained = 0                           # of them, since the last look
        self._closing: dict[Episode, float] = {}    # not complete on disk yet: given up at [s]
        self._given_up: set[Episode] = set()        # their disk does not answer
        self._ended_early = ''                      # why nothing is recorded though nobody stopped
        self._index = -1

    def start(self, task: str, goal_id: str, metadata: dict[str, Any],
              latched: Iterable[Received] = ()) -> Episode:
        """Begin an episode with its mark and the `latched` messages.

        Raises:
            ReasonedError: BUSY, or DISK_FAILED: the folder of recordings cannot be used.
            MessageError: A text does not belong into a mark.
        """
        if self.recording is not None:
            raise ReasonedError(Code.BUSY, f'{self.recording.name} is being recorded; stop or '
                                           f'discard it first')
        if self._given_up:
            raise ReasonedError(Code.DISK_FAILED, (
                f'the disk under {str(self._root)!r} does not answer since '
                f'{min(item.name for item in self._given_up)} was to be closed; check it'))
        task, goal_id = checks.text(task, 'task'), checks.text(goal_id, 'goal_id')
        self._finish()   # the one before
        try:
            if self._index < 0:
                self._index = next_index(self._root)
            episode = self._new_episode(task, goal_id, metadata)
        except BagError as error:
            raise ReasonedError(Code.DISK_FAILED, str(error)) from error
        self._index += 1
        self.last_error = self._ended_early = ''
        self._show(RECORDING, episode)
        for message in latched:
            # its own receive time would make the bag begin long before the episode
            episode.thread.put(message.topic, time.time_ns(), message.publish_ns,
                               message.sequence, message.data, must=True)
        self.recording = episode
        self._log.info(f'recording {episode.path}')
        return episode

    def _new_episode(self, task: str, goal_id: str, metadata: dict[str, Any]) -> Episode:
        settings = self._settings
        bag = BagWriter(self._root, episode_name(self._index), compression=settings.compression,
                        chunk_bytes=settings.chunk_bytes)
        written = self._new_future()
        thread = BagThread(bag, settings.writer, lambda: written.set_result(None))
        return Episode(bag.path.name, self._index, task, goal_id, metadata, bag, thread, written,
                       self._new_future(), start_s=self._now_s())

    def take(self, message: Received) -> None:
        """Queue a message for the episode it belongs to, if there is one."""
        for episode in (self.recording, self._draining):
            if episode is not None and episode.has(message):
                self._drained += episode is self._draining
                episode.take(message)

    def stop(self, outcome: int, *, discard: bool = False, note: str = '') -> Any:
        """End the episode; the result of the returned future is its `Conclusion`.

        Raises:
            ReasonedError: NOTHING_UNDER_WAY, if none is being recorded.
            MessageError: The outcome is none, or the note does not belong into a mark.
        """
        episode = self.recording
        if episode is None:
            raise ReasonedError(Code.NOTHING_UNDER_WAY,
                                'no episode is being recorded' + self._ended_early)
        if outcome not in _OUTCOMES and not discard:
            raise checks.MessageError(f'outcome must be one of {_OUTCOMES}, got {outcome}')
        episode.metadata['note'] = checks.text(note, 'note')
        self._stop(episode, outcome, discard)
        return episode.concluded

    def _stop(self, episode: Episode, outcome: int, discard: bool) -> None:
        episode.discard = discard
        episode.phase = DISCARDED if discard else outcome
        episode.stop_s = self._now_s()
        self.recording, self._draining, self._drained = None, episode, 0
        self._on_stopping()

    def drain(self) -> bool:
        """Close the stopped episode once nothing of it comes any more; return whether it is.

        On a busy machine many messages wait for us. Call this every few hundredths of a second
        after `on_stopping`, until it returns True.
        """
        if self._draining is not None and self._drained:
            self._drained = 0
            return False
        self._finish()
        return True

    def _finish(self) -> None:
        """Mark the end of the stopped episode and let its thread close the bag."""
        episode, self._draining = self._draining, None
        if episode is None:
            return
        episode.metadata['recorder'] = self._count(episode)
        self._show(episode.phase, episode)
        self._closing[episode] = self._now_s() + self._settings.close_s
        outcome = 'DISCARDED' if episode.discard else _OUTCOMES[episode.phase]
        episode.thread.finish({
            'episode_id': episode.name, 'task': episode.task, 'goal_id': episode.goal_id,
            'outcome': outcome, 'recorder': json.dumps(episode.metadata['recorder'])})
        episode.written.add_done_callback(lambda _: self._conclude(episode))

    def watch(self) -> str:
        """End an episode that the disk refuses, give up one whose bag does not get closed.

        Returns:
            What is wrong with the episode being recorded, empty if nothing is.
        """
        now_s = self._now_s()
        for episode in [item for item, limit_s in self._closing.items() if now_s >= limit_s]:
            self._give_up(episode, self._settings.close_s)
        if self.recording is None:
            return ''
        report = self.recording.thread.report()
        if report.error:
            self._end_early(self.recording, report.error)
            return report.error
        if report.dropped:
            self.last_error = 'the queue is full, messages are dropped: the disk is too slow'
        return self.last_error

    def _end_early(self, episode: Episode, error: str) -> None:
        """Conclude the episode as a failure: nothing more of it can be written."""
        self.last_error = error
        self._ended_early = f'; {episode.name} ended as a failure: {error}'
        self._log.error(f'{episode.name} ends as a failure: {error}')
        episode.metadata['note'] = error
        self._stop(episode, FAILURE, discard=False)

    def _give_up(self, episode: Episode, after_s: float) -> None:
        """Conclude an episode whose thread is stuck in the disk."""
        self._given_up.add(episode)
        self._conclude(episode, f'the disk has not closed {episode.path} within {after_s:g} s; '
                                f'what it has taken is readable, check it')

    def _conclude(self, episode: Episode, problem: str = '') -> None:
        """Tell what became of an episode, once."""
        if self._closing.pop(episode, None) is None:
            if episode in self._given_up:
                self._given_up.discard(episode)
                self._log.info(f'{episode.path} has been closed after all')
            return
        report, path = episode.thread.report(), episode.path
        problem = problem or report.error
        if episode.discard and episode not in self._given_up:
            try:
                path = episode.set_aside()
            except BagError as error:
                problem = f'{problem} {error}'.strip()
        what = 'discarded' if episode.discard else 'recorded'
        if problem:
            self.last_error = problem
            self._log.error(f'{what} {episode.name}, with problems: {problem}')
        lost = episode.metadata['recorder']['lost']
        self._log.info(f'{what} {path}: {report.messages} messages, '
                       f'{report.written_bytes / 1e6:.1f} MB, {lost} lost, '
                       f'{report.dropped} dropped')
        episode.concluded.set_result(Conclusion(episode, path, problem, report))

    def shut_down(self) -> None:
        """End what is being recorded and wait for the disk, but not for ever."""
        if self.recording is not None:
            self.stop(FAILURE, note='the recorder was ended')
        self._finish()
        limit_s = time.monotonic() + min(self._settings.close_s, _LAST_PATIENCE_S)
        for episode in tuple(self._closing):
            if episode.thread.join(max(limit_s - time.monotonic(), 0.0)):
                self._conclude(episode)
            else:
                self._give_up(episode, _LAST_PATIENCE_S)

