"""What is known, at a frame, for and against a surprise. No rclpy; the guard decides what follows.

Three things: how far the frame is from what was expected of it (`surprise`); whether something
moves much less than expected, over seconds (`still`); and whether colours or light changed since
somebody looked (`recoloured`), which is no fault of the robot.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

from lewm_model.bundles.bundle import Bundle
from lewm_model.planning.gain import Gain, MotionGain
from lewm_model.planning.policy import Policy
from lewm_model.planning.surprise import Expectation
from lewm_model.types import Observation
from lewm_ros.planner.surprise.colour_watch import ColourWatch

_STEP_SHARE = 0.8         # of a control step: frames closer than that are not judged again


@dataclass(frozen=True)
class Evidence:
    """What speaks for a surprise at a frame."""

    surprise: float = math.nan     # 1 is the mean of held-out frames; NaN: not known
    still: Gain | None = None      # what moves the least of what should; None: not known
    recoloured: bool = False       # colours or light changed since somebody looked


class SurpriseWatch:
    """Looks at the frames of one policy after the other, as engines are replaced."""

    def __init__(self) -> None:
        self._colours = ColourWatch()
        self._gain: MotionGain | None = None
        self._gain_of: Bundle | None = None
        self.forgive(looked=True, raised=True)

    def forgive(self, *, looked: bool, raised: bool) -> None:
        """Begin anew: a goal was sent, or somebody `looked` (motion was enabled, a reset).

        Motion that was seen goes on to count unless it had `raised` an alarm, so that whoever
        sends goals often does not hide a joint that is stuck.
        """
        self._judged_ns: int | None = None
        if looked:
            self._colours.forget()
        if self._gain is not None and (looked or raised):
            self._gain.clear()

    def look(self, policy: Policy, observation: Observation) -> Evidence | None:
        """Judge the newest frame of a policy; None: too soon after the last one (a fast camera).

        Raises:
            EngineFailure: If the model cannot be asked.
        """
        stamp_ns, step_ns = observation.stamp_ns, policy.bundle.control_dt_s * 1e9
        if self._judged_ns is not None and (
                0 <= stamp_ns - self._judged_ns < _STEP_SHARE * step_ns):
            return None
        self._judged_ns = stamp_ns
        self._colours.look(observation.rgb)
        frame = policy.expectation()
        if frame is None:
            return Evidence(recoloured=self._colours.changed)
        return Evidence(surprise_of(policy.bundle, frame),
                        self._still(policy.bundle, stamp_ns, frame), self._colours.changed)

    def _still(self, bundle: Bundle, stamp_ns: int, frame: Expectation) -> Gain | None:
        if bundle is not self._gain_of:      # the same model on another engine, or the first
            self._gain_of, self._gain = bundle, None
            if bundle.readout is not None and bundle.ordinary is not None:
                self._gain = MotionGain(bundle.readout, bundle.ordinary.config.read_errors,
                                        bundle.control_dt_s)
        if self._gain is None:
            return None
        self._gain.add(stamp_ns, frame)
        return self._gain.least()


def surprise_of(bundle: Bundle, frame: Expectation) -> float:
    """Return the surprise of a frame; without `lewm calibrate` the bare squared error."""
    if bundle.ordinary is None:
        return frame.error
    return bundle.ordinary.surprise(frame.expected, frame.seen).item()
