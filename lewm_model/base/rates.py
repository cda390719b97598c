"""When two control steps are one rate, wherever robots, bundles, data sets and settings meet."""

from __future__ import annotations

import math

# 0.0333 s in a file and 1/30 s of a camera differ by 0.1 %; a camera at 29.97 instead of 30 Hz too
_RELATIVE = 2e-3


def same_rate(first_s: float, second_s: float) -> bool:
    """Tell whether two control steps [s] are the same but for rounding."""
    return math.isclose(first_s, second_s, rel_tol=_RELATIVE)
