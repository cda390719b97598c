"""Marks of recorded episodes: plain values to EpisodeInfo and back."""

from __future__ import annotations

from lewm_ros.msg import EpisodeInfo
from lewm_ros.wire import checks
from lewm_ros.wire.stamps import header


def episode_mark_to_msg(stamp_ns: int, phase: int, *, operator_id: str = '', episode_id: str = '',
                        index: int = 0, task: str = '', goal_id: str = '',
                        metadata_json: str = '') -> EpisodeInfo:
    """Build the mark of an episode; `phase` is a constant of EpisodeInfo.msg."""
    return EpisodeInfo(header=header(stamp_ns), phase=phase, operator_id=operator_id,
                       episode_id=episode_id, index=index, task=task, goal_id=goal_id,
                       metadata_json=metadata_json)


def msg_to_recording(message: EpisodeInfo) -> str:
    """Return the id of the episode that is being recorded, '' if none is.

    Raises:
        MessageError: If the id cannot be one.
    """
    recording = message.phase == EpisodeInfo.RECORDING
    return checks.text(message.episode_id, 'episode_id') if recording else ''
