"""End a node on SIGINT and SIGTERM while its ROS context still works."""

from __future__ import annotations

import signal

from rclpy.signals import SignalHandlerOptions

# rclpy's own handlers close the context at once, under the feet of whoever is publishing.
NO_HANDLERS = SignalHandlerOptions.NO


class Interrupt:
    """Is set by the first SIGINT or SIGTERM; make it in the main thread.

    A plain flag on purpose: `threading.Event.set` takes a lock, and when a second signal arrives
    while the first one's handler holds it, the process waits for itself for ever.
    """

    def __init__(self) -> None:
        self._set = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def is_set(self) -> bool:
        """Tell whether it is time to end."""
        return self._set

    def _handle(self, *_) -> None:
        self._set = True
        # ros2 launch repeats a Ctrl-C; the second must not kill an interpreter that is ending
        signal.signal(signal.SIGINT, signal.SIG_IGN)
