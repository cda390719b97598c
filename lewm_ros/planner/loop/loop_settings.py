"""What the plan loop needs to know of the node's parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

from lewm_ros.planner.surprise.doubts import DoubtSettings


@dataclass(frozen=True)
class LoopSettings:
    """May change between frames."""

    replan_steps: int        # control steps between two plans
    goal_tolerance: float    # squared latent distance
    budget_ms: float | None = None   # of a search; None: no limit
    readout_tolerance: float = 2.0   # times a readout's error: near enough for quantities
    goal_correction: str = 'off'     # of goal pictures, one of CORRECTIONS
    goal_dwell_s: float = 0.25
    stall_s: float = 5.0
    obs_max_age_s: float = 0.25
    obs_max_future_s: float = 0.05
    latency_margin_s: float = 0.02
    engine_retries: int = 3
    frozen_stops: bool = False
    dry_run: bool = False
    doubts: DoubtSettings = field(default_factory=DoubtSettings)
