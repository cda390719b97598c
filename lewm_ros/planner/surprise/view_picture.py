"""The picture of a view check: what the camera shows, beside the nearest training picture."""

from __future__ import annotations

import cv2
from lewm_model.ordinary import Likeness
import numpy as np

_SIDE, _HEAD = 240, 44     # [px]
_FINE, _WRONG = (90, 200, 90), (240, 80, 60)


def compose(title: str, seen: np.ndarray, nearest: np.ndarray, like: Likeness) -> np.ndarray:
    """Draw both pictures and the numbers, uint8 (H, W, 3).

    Args:
        title: What `seen` is: 'camera' or 'goal'.
        seen: uint8 (h, w, 3), as the model sees it.
        nearest: uint8 (h, w, 3), the training picture.
        like: How like they are.
    """
    canvas = np.full((_SIDE + _HEAD, 2 * _SIDE, 3), 24, np.uint8)
    for column, picture in enumerate((seen, nearest)):
        canvas[_HEAD:, column * _SIDE:(column + 1) * _SIDE] = cv2.resize(
            picture, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)
    word = 'familiar' if like.familiar else 'UNFAMILIAR'
    for text, place, colour in (
            (title, (6, 17), (230, 230, 230)), ('nearest in training', (_SIDE + 6, 17),
                                                (230, 230, 230)),
            (f'distance {like.distance:.3g} (usual 1, limit {like.limit:.3g}): {word}', (6, 37),
             _FINE if like.familiar else _WRONG)):
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    return canvas
