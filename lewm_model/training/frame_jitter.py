"""Training frames under other light or of a camera that moved: neither matters to the model then.

Every frame has a light, and a camera, of its own. One light for all frames of a clip would be the
easiest thing of all to predict, and a latent would keep it; of what is drawn anew for each frame
whatever a latent keeps is an error of the prediction.

It begins when half of the steps are done, or with the first of a run that begins with the weights
of another. A model that knows the scene forgets the light in a few hundred steps; one that met
both at once kept the light and lost the scene (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
from lewm_model.training.distributed import Group
import numpy as np
import torch
from torch import Tensor

_COLOUR_SHARE = 1 / 3     # of the exposure's range: white balance moves less
_LEVELS = np.linspace(0, 1, 256)


class FrameJitter:
    """Vary exposure, white balance and gamma of frames, and where their camera is.

    Args:
        light: s in [0, 1); exposures are in [1 - s, 1 / (1 - s)], those of single colours in
            the third of that range, gammas in the whole; all of them log-uniform. 0: none.
        camera: c in [0, 0.5); a picture shifts by up to c of its size, each way, and rolls by up
            to c [rad] about its middle, evenly; what comes in at an edge is as the edge is. A
            picture of several cameras moves as a whole. 0: not at all.
        first: The first step that sees varied frames.
        seed: Of the draws, which depend on it and on what is drawn for alone.
        group: The processes that share a batch: together they see what one would see.
    """

    def __init__(self, light: float, camera: float, first: int, seed: int, group: Group) -> None:
        self._range, self._camera, self._first = -np.log(1 - light), camera, first
        self._still = not (light or camera)
        self._seed, self._group = seed, group

    def of_step(self, frames: Tensor, step: int) -> Tensor:
        """Return the frames of this process's part of a batch as a step sees them.

        Args:
            frames: uint8 (B, T, H, W, 3).
            step: How many are done.
        """
        if self._still or step < self._first:
            return frames
        group = self._group
        return self._vary(frames, (0, step), slice(group.rank, None, group.size), group.size)

    def of_measurement(self, frames: Tensor, step: int, number: int) -> Tensor:
        """Return a batch of frames that BatchNorm is measured on, as the newest step saw frames.

        Args:
            frames: uint8 (B, T, H, W, 3).
            step: How many are done.
            number: Of the batch; its changes are the same after all steps.
        """
        if self._still or step <= self._first:
            return frames
        return self._vary(frames, (1, number), slice(None), 1)

    def _vary(self, frames: Tensor, draw: Sequence[int], part: slice, parts: int) -> Tensor:
        shape = (len(frames) * parts, frames.shape[1])
        rng = np.random.default_rng([self._seed, *draw])
        tables = self._tables(rng, shape)[part] if self._range else None
        height, width = frames.shape[2:4]
        moves = self._moves(rng, shape, height, width)[part] if self._camera else None
        varied = np.empty(frames.shape, np.uint8)
        for place in np.ndindex(*frames.shape[:2]):
            frame = frames[place].numpy()
            if moves is not None:
                frame = cv2.warpAffine(frame, moves[place], (width, height),
                                       borderMode=cv2.BORDER_REPLICATE)
            varied[place] = frame if tables is None else cv2.LUT(frame, tables[place][:, None])
        return torch.from_numpy(varied)

    def _moves(self, rng: np.random.Generator, shape: tuple[int, int], height: int, width: int
               ) -> np.ndarray:
        """Return where every picture moves, (B, T, 2, 3): what `cv2.warpAffine` takes."""
        roll, right, down = rng.uniform(-self._camera, self._camera, (3, *shape))
        turn = np.stack([np.cos(roll), np.sin(roll), -np.sin(roll), np.cos(roll)],
                        axis=-1).reshape(*shape, 2, 2)
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        way = middle - turn @ middle + np.stack([right * width, down * height], axis=-1)
        return np.concatenate([turn, way[..., None]], axis=-1)

    def _tables(self, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        """Return what becomes of the levels of every colour, uint8 (B, T, 256, 3)."""
        most = self._range
        exposure = rng.uniform(-most, most, (*shape, 1, 1))
        colours = rng.uniform(-most * _COLOUR_SHARE, most * _COLOUR_SHARE, (*shape, 1, 3))
        gamma = np.exp(rng.uniform(-most, most, (*shape, 1, 1)))
        levels = 255 * np.exp(exposure + colours) * _LEVELS[:, None] ** gamma
        return np.rint(levels.clip(0, 255)).astype(np.uint8)
