"""How a recording goes, in numbers and in one word, for people, diagnostics and the bag itself."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus
from lewm_ros.recording.episode import Episode
from lewm_ros.recording.reception import Reception, UNKNOWN


def episode_counts(episode: Episode, reception: Reception) -> dict[str, object]:
    """Return how the recording of an episode went, as plain values for JSON."""
    report, readers = episode.thread.report(), reception.readers.values()
    return {'messages': report.messages,
            'received_by_topic': {reader.topic.name: episode.received[reader.topic.name]
                                  for reader in readers},
            'lost': reception.told_lost,
            'lost_by_topic': {reader.topic.name: UNKNOWN if reader.uncounted else reader.lost
                              for reader in readers if reader.lost or reader.uncounted},
            'lost_events': sum(reader.lost_events for reader in readers),
            'dropped': report.dropped, 'queue_high_bytes': report.queue_high_bytes,
            'longest_write_s': round(report.longest_write_s, 3), 'error': report.error}


def live_counts(episode: Episode, reception: Reception) -> dict[str, object]:
    """Return `episode_counts` and what changes from moment to moment, for diagnostics."""
    report = episode.thread.report()
    return {**episode_counts(episode, reception), 'queued_bytes': report.queued_bytes,
            'written_bytes': report.written_bytes}


def level_and_summary(episode: Episode | None, reception: Reception, *, error: str,
                      missing: Sequence[str], silent: Sequence[str]) -> tuple[bytes, str]:
    """Return level and summary for the diagnostics.

    Args:
        episode: What is being recorded.
        reception: Where the messages come from.
        error: What went wrong last, until the next episode starts.
        missing: Required topics that nobody publishes.
        silent: Required topics on which nothing comes though somebody publishes them.
    """
    doing = f'recording {episode.name}' if episode else 'idle'
    if error:
        return DiagnosticStatus.ERROR, error
    if silent:
        return DiagnosticStatus.ERROR, f'{doing}, nothing comes on {", ".join(silent)}'
    if episode and reception.lost:
        return DiagnosticStatus.WARN, f'{doing}, {reception.lost} messages lost'
    if missing or reception.problems:
        return DiagnosticStatus.WARN, f'{doing}, topics are missing'
    return DiagnosticStatus.OK, doing
