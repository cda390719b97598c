"""What comes of the planner's calibration, which it tells in its diagnostics."""

from __future__ import annotations

import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lewm_ros.commander.link import CommanderError
from lewm_ros.node.senders import Senders
from lewm_ros.wire import qos
from lewm_ros.wire.status import CALIBRATION, msg_to_values
from rclpy.node import Node

PLANNER = 'planner_node'
_SILENT_S = 10.0     # diagnostics come once a second
_LOOK_S = 0.1


class CalibrationReader:
    """Hears what the planner says of its calibration.

    Args:
        node: Of the commander; its namespace is that of the system.
    """

    def __init__(self, node: Node) -> None:
        self._senders = Senders(node, '/diagnostics')
        self._said: str | None = None     # None: nothing yet
        self._heard_s = 0.0
        node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, qos.RECORD)

    def outcome(self, watching: str, timeout_s: float | None) -> str:
        """Wait for the end of a watch and return what the planner says of it.

        Args:
            watching: What it says as long as it watches; before, it may say what was earlier.
            timeout_s: How long to wait; None: as long as it speaks [s].

        Raises:
            CommanderError: Not in time, the planner went silent, or was configured meanwhile.
        """
        begun_s, began, self._said = time.monotonic(), False, None
        while True:
            now_s, said = time.monotonic(), self._said
            began = began or said == watching
            if began and said != watching:
                if not said:
                    raise CommanderError('the planner was configured anew while it watched, so '
                                         'nothing was measured; calibrate again')
                return said
            if now_s - max(begun_s, self._heard_s) > _SILENT_S:
                raise CommanderError(f'{PLANNER} has said nothing in /diagnostics for '
                                     f'{_SILENT_S:g} s; is it still active?')
            if timeout_s is not None and now_s - begun_s > timeout_s:
                raise CommanderError(f'{PLANNER} is still {watching}; wait longer than '
                                     f'{timeout_s:g} s, it counts only time with camera frames')
            threading.Event().wait(_LOOK_S)

    def _hear(self, message: DiagnosticArray, info: dict[str, Any]) -> None:
        if not self._senders.is_ours(info):     # it is one topic for all robots
            return
        if (said := msg_to_values(message, PLANNER).get(CALIBRATION)) is not None:
            self._said, self._heard_s = said, time.monotonic()
