"""Settings of the recorder. No rclpy."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_ros.node.parameters import parameter
from lewm_ros.recording.mcap_writer import COMPRESSIONS


@dataclass(frozen=True)
class RecorderParameters:
    """Settings of the recorder."""

    robot: str = parameter('sim_reacher', 'robot description, for its topics: a shipped name or '
                           'a YAML file', read_only=True)
    root: str = parameter('', 'the only folder written to; gets one folder per episode',
                          read_only=True)
    task: str = parameter('', 'task of episodes that are started without one')
    operator_id: str = parameter('', 'who records')
    extra_topics: str = parameter('', 'more topics to record, separated by commas',
                                  read_only=True)
    require_topics: bool = parameter(True, 'refuse to start while image, joint states or '
                                     'executed commands have no publisher')
    compression: str = parameter('none', 'of chunks in the file', choices=COMPRESSIONS,
                                 read_only=True)
    queue_mb: int = parameter(256, 'messages waiting for the disk; more are dropped, counted and '
                              'reported [MB]', low=1, high=65536, read_only=True)
    chunk_mb: int = parameter(4, 'written as one piece [MB]', low=1, high=64, read_only=True)
    chunk_s: float = parameter(0.5, 'a chunk is written at this age; a kill loses no more [s]',
                               low=0.05, high=10.0, read_only=True)
    sync_s: float = parameter(5.0, 'a power cut loses no more; 0.0: left to the system [s]',
                              low=0.0, high=600.0, read_only=True)
    min_free_mb: int = parameter(100, 'recording ends properly when less disk is free [MB]',
                                 low=0, high=1_000_000, read_only=True)
    close_s: float = parameter(30.0, 'the end of an episode waits this long for the disk, then '
                               'says that it hangs [s]', low=0.1, high=600.0, read_only=True)
    depth: int = parameter(1000, 'messages per topic that may wait for this node; a quarter of a '
                           'second of the fastest topic, at least', low=1, high=100_000,
                           read_only=True)
    image_depth: int = parameter(60, 'the same for images and point clouds', low=1, high=10_000,
                                 read_only=True)
    joy_start: int = parameter(-1, 'joystick button that starts; -1: none', low=-1, high=63,
                               read_only=True)
    joy_success: int = parameter(-1, 'joystick button that stops with success', low=-1, high=63,
                                 read_only=True)
    joy_failure: int = parameter(-1, 'joystick button that stops with failure', low=-1, high=63,
                                 read_only=True)
    joy_discard: int = parameter(-1, 'joystick button that discards', low=-1, high=63,
                                 read_only=True)
