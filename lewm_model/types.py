"""The types that travel between rooms, and the axis legend they share.

Axis legend, one letter one axis, everywhere:
    B batch    S candidates    L context frames    T horizon in blocks
    K control steps per block (the frameskip)      R blocks executed before replanning
    A action dimension         D latent dimension  P proprio dimension
    C, H, W image only

Pairing rule: frame k goes with the block of K actions *leaving* it.
Stamps are integer nanoseconds of the clock that stamped the image. No torch at import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Observation:
    """One stamped camera frame plus proprioception, raw units."""

    stamp_ns: int                        # capture time
    rgb: np.ndarray                      # uint8 (H, W, 3)
    proprio: np.ndarray | None = None    # float32 (P,), in `joint_names` order, [rad] or [m]


@dataclass(frozen=True)
class Context:
    """What the predictor may look at: the last L latents and the blocks between them."""

    latents: Tensor                # (1, L, D), oldest first; (S, L, D) with one row a candidate
    past_blocks: Tensor            # (1, L-1, K*A), normalised, the executed actions
    stamps_ns: tuple[int, ...]     # L stamps, oldest first


@dataclass(frozen=True, eq=False)
class Target:
    """What some quantities shall be; made by `Readout.target`, which reads them from latents."""

    names: tuple[str, ...]
    values: np.ndarray                 # (N,), each in its unit
    weights: np.ndarray                # (N,), not negative; 0 does not count
    tolerances: np.ndarray | None      # (N,), each in its unit; None: none of their own
    columns: Tensor                    # (n,) of the readout's answers: what they shall be
    shares: Tensor                     # (n,) of their squared errors in the cost; 0: no matter
    note: str = ''                     # what is doubtful about it, for people


@dataclass(frozen=True)
class Goal:
    """Where to go, as a point in latent space, or as what some quantities shall be."""

    latent: Tensor                     # (D,), same encoder and projection as observations; with a
    #                                    target: a recorded place that has its quantities
    goal_id: str = ''
    source: str = 'image'              # how it was given: image, file, quantities
    image: np.ndarray | None = None    # uint8 (H, W, 3), if there is one
    blocks_left: int | None = None     # until it is to be reached, where somebody counts
    target: Target | None = None       # what counts instead of the whole latent


@dataclass(frozen=True)
class Plan:
    """The solver's answer: all T blocks with what is needed to judge them."""

    blocks: Tensor          # (T, K*A), normalised
    cost: float             # of `blocks`, lower is better
    start_cost: float       # of the initial mean (warm start or zero), before any search
    elite_std: float        # mean spread of the last elites, normalised units
    solve_time_s: float
    iterations: int
    considered: Tensor | None = None   # (N, T, K*A), some of what was tried, of every iteration,
    #                                    the last one last; the next search may overwrite them


@dataclass(frozen=True, eq=False)
class Imagined:
    """What one plan leads to, as the model sees it; float32."""

    stamp_ns: int          # capture time of the frame that the plan looked at
    sequence: int          # of the plan's chunk
    goal_id: str
    seen: np.ndarray       # (D,) of the frame
    goal: np.ndarray       # (D,) of the goal's picture; (0,): it has none
    plan: np.ndarray       # (T, D), one after each block
    costs: np.ndarray      # (N,) of some candidates of the search, best first
    fan: np.ndarray        # (N, T, D) what these would lead to


@dataclass(frozen=True)
class ActionChunk:
    """Actions on an absolute time grid: row k executes at `stamp_ns + k * dt_s`."""

    stamp_ns: int               # execution time of row 0
    dt_s: float                 # control step
    actions: np.ndarray         # float32 (N, A), robot units
    epoch: int                  # bumped on goal, reset, e-stop; older ones are dropped
    sequence: int               # grows by one per chunk
    observation_stamp_ns: int   # the frame this plan looked at
    session: int = 0            # of the running planner that made it; 0: not part of one
