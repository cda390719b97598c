"""How long the parts of a walk are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lengths:
    """Seconds are the robot's own, of a simulated one by its clock."""

    episodes: int = 2         # that a recording is divided into
    train_steps: int = 10     # the bundle has to run, not to be good
    shadow_s: float = 3.0     # watched in shadow mode
    drive_s: float = 4.0      # driven before the stops begin
    watch_s: float = 2.0      # after a stop or a kill
    again_s: float = 1.0      # driven again after one


SHORT = Lengths(train_steps=4, shadow_s=1.5, drive_s=1.5, watch_s=1.3, again_s=0.5)
