"""A small checkpoint in the published format, and the facts that such a checkpoint lacks."""

from pathlib import Path

from lewm_model.bundles.released import write_released
from nano import tiny_bundle

FACTS = {'action_mean': [0.1, -0.2], 'action_std': [1.5, 0.5], 'control_dt_s': 0.1,
         'goal_tolerance': 2.0}


def small_release(folder: Path) -> Path:
    """Write an untrained model as a release; return its folder."""
    return write_released(tiny_bundle().model, folder)
