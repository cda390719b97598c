"""Measuring what surprises the model on this robot: asked for by a person, kept in a file."""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.bundles.bundle import Bundle
from lewm_model.errors import LewmError
from lewm_ros.planner.surprise.robot_calibration import (
    allowed_error,
    CalibrationWatch,
    RobotCalibration,
)


class Calibrating:
    """One activation's `CalibrationWatch`, and what became of it.

    Args:
        bundle: Of the model that is watched.
        wanted: Returns the file for the result, '': none, and how long to watch [s].
        say: Logs a text under a key.

    Attributes:
        watch: To be fed with prediction errors.
        said: That it watches, or what came of it; '' before anybody asked.
    """

    def __init__(self, bundle: Bundle, wanted: Callable[[], tuple[str, float]],
                 say: Callable[..., None]) -> None:
        self._wanted, self._say = wanted, say
        self.watch = CalibrationWatch(bundle.model_id, allowed_error(bundle), self._done)
        self.said = ''

    def ask(self) -> tuple[bool, str]:
        """Begin to watch; return whether it does, and what to tell who asked."""
        path, watched_s = self._wanted()
        if not path:
            return False, ('set surprise_file to where the result shall be written, such as '
                           '~/.ros/surprise.yaml; then configure the planner anew')
        if self.watch.running:
            return False, 'it is watching already'
        self.said = (f'watching for {watched_s:g} s: let the robot drive as usual; the log and '
                     f'diagnostics say what came of it')
        self.watch.start(watched_s)
        return True, self.said

    def _done(self, found: RobotCalibration | None, text: str) -> None:
        if found is not None:
            try:
                path = found.save(self._wanted()[0])
                text += f', written to {path}; in force when the planner is configured again'
            except LewmError as error:
                text = f'nothing was kept: {error}'
        self.said = text
        self._say('calibration', text)
