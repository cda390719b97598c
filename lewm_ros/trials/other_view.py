"""A bundle that says it was trained on pictures of another shape; for trials only.

Trials put cameras of any size before the shipped bundle, which the planner would refuse: it was
trained on square pictures.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lewm_model.bundles.bundle import Bundle
from lewm_model.images.view import CameraView, View


def with_view(bundle: Path, width: int, height: int, folder: Path) -> Path:
    """Write a copy of `bundle` into `folder` whose camera had this size; return the folder.

    What lies beside the bundle, such as goals, is not copied.
    """
    trained = Bundle.load(bundle)
    view = View(trained.frame_px, (CameraView(width, height),))
    return replace(trained, view=view).save(folder)
