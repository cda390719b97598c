"""What the demo remembers: plain values for the report and the pictures. No rclpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lewm_ros.trials.goal_set import GoalPicture
from lewm_sim.tasks import Outcome
import numpy as np


@dataclass(frozen=True)
class Frame:
    """One camera frame with what was known when it was taken."""

    stamp_ns: int
    rgb: np.ndarray              # uint8 (H, W, 3)
    goal: int                    # number of the goal pursued, from 0; -1 before the first
    outcome: Outcome             # how far from the goal
    goal_distance: float         # squared latent distance
    plan_ms: float
    surprise: float = float('nan')         # 1 is ordinary; NaN: not known
    surprise_limit: float = float('nan')   # several in a row above it raise the alarm
    alarm: bool = False                    # the guard has raised it
    imagination: bytes = b''               # JPEG of what the planner imagines; b'': not shown


@dataclass
class Record:
    """Everything the report and the pictures are made of."""

    frames: list[Frame] = field(default_factory=list)
    plan_ms: list[float] = field(default_factory=list)             # one per chunk
    camera_to_command_ms: list[float] = field(default_factory=list)  # one per chunk acted on
    command_times_s: list[float] = field(default_factory=list)     # steady clock, tracking only
    real_time_factors: list[float] = field(default_factory=list)   # one per second
    plans_late: int = 0          # came later than the steps reserved for them
    deadline_misses: int = 0     # control steps without a command
    commands_clipped: int = 0
    commands_slewed: int = 0
    surprise_alarms: int = 0     # raised by the guard
    model_id: str = ''


@dataclass(frozen=True)
class GoalResult:
    """How one goal went."""

    picture: GoalPicture
    goal_rgb: np.ndarray         # uint8 (H, W, 3)
    start_rgb: np.ndarray
    final_rgb: np.ndarray
    start: Outcome               # how far from the goal
    final: Outcome
    reached: bool
    seconds: float               # simulated, until reached or given up
    goal_distance: float         # squared latent distance at the end

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {'file': self.picture.file.name, 'episode': self.picture.episode,
                'row': self.picture.row, 'truth': self.picture.truth.round(4).tolist(),
                'reached': self.reached, 'seconds': round(self.seconds, 3),
                'start_errors': _rounded(self.start), 'final_errors': _rounded(self.final),
                'latent_distance': round(float(self.goal_distance), 5)}


def _rounded(outcome: Outcome) -> dict[str, float]:
    return {name: round(float(error), 4) for name, error in outcome.errors.items()}
