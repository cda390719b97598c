"""The only definitions of how frames and actions enter the model; they ship with the weights."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.errors import ShapeError
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_SMALLEST_SPREAD = 0.02   # of a colour in the frames, of [0, 1]: five grey levels


@dataclass(frozen=True)
class FrameTransform:
    """uint8 pixels -> what the encoder was trained on.

    Source: LeWM reference: scale to [0, 1], normalise, *then* resize bilinearly with antialias.
    """

    image_size: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @classmethod
    def fit(cls, frames: np.ndarray, image_size: int) -> FrameTransform:
        """Return one that normalises by mean and spread of each colour in these frames.

        Args:
            frames: uint8 (N, H, W, 3).
            image_size: The encoder's [px].
        """
        share = np.stack([np.bincount(frames[..., colour].ravel(), minlength=256)
                          for colour in range(3)]) / max(1, frames[..., 0].size)   # (3, 256)
        levels = np.arange(256) / 255
        mean = share @ levels
        spread = np.sqrt(np.maximum(share @ levels ** 2 - mean ** 2, 0))   # 0 may be -1e-17
        return cls(image_size, tuple(mean.tolist()),
                   tuple(np.maximum(spread, _SMALLEST_SPREAD).tolist()))

    def __call__(self, frames: Tensor) -> Tensor:
        """Transform frames.

        Args:
            frames: uint8 (..., H, W, 3).

        Returns:
            float32 (..., 3, image_size, image_size) on the device of `frames`.

        Raises:
            ShapeError: If the last axis is not RGB or the frames are not uint8.
        """
        if frames.dtype != torch.uint8 or frames.ndim < 3 or frames.shape[-1] != 3:
            raise ShapeError(f'frames must be uint8 (..., H, W, 3), '
                             f'got {frames.dtype} {tuple(frames.shape)}')
        # One multiply-add: x / 255, minus mean, over std; the axes move while pixels are bytes.
        std = torch.tensor(self.std, device=frames.device).view(3, 1, 1)
        mean = torch.tensor(self.mean, device=frames.device).view(3, 1, 1)
        pixels = frames.movedim(-1, -3).contiguous()       # (..., 3, H, W)
        pixels = (pixels * (1.0 / (255.0 * std))).sub_(mean / std)
        if pixels.shape[-2:] == (self.image_size, self.image_size):
            return pixels.contiguous()
        flat = pixels.reshape(-1, *pixels.shape[-3:])
        flat = functional.interpolate(flat, size=(self.image_size, self.image_size),
                                      mode='bilinear', antialias=True, align_corners=False)
        return flat.reshape(*pixels.shape[:-2], self.image_size, self.image_size)

    def numpy(self, rgb: np.ndarray) -> Tensor:
        """Transform one NumPy frame (H, W, 3) to (3, image_size, image_size)."""
        return self(torch.from_numpy(np.ascontiguousarray(rgb)))


_SMALLEST_STD = 1e-8   # of an action, robot units


@dataclass(frozen=True)
class ActionNormalizer:
    """z-score per action dimension, with the statistics of the training data (robot units)."""

    mean: np.ndarray   # float32 (A,)
    std: np.ndarray    # float32 (A,), all positive

    @classmethod
    def fit(cls, actions: np.ndarray) -> ActionNormalizer:
        """Fit on rows (N, A); rows with any NaN do not count.

        Raises:
            ShapeError: If fewer than two rows are finite.
        """
        rows = actions[np.isfinite(actions).all(axis=1)].astype(np.float64)
        if len(rows) < 2:
            raise ShapeError(f'action statistics need at least 2 finite rows, got {len(rows)}')
        # A joint that never moves has std 0; this keeps the division finite as the reference.
        return cls(mean=rows.mean(axis=0).astype(np.float32),
                   std=np.maximum(rows.std(axis=0, ddof=1), _SMALLEST_STD).astype(np.float32))

    def normalize(self, actions: np.ndarray) -> np.ndarray:
        """Robot units -> z-scores, (..., A); NaN (no action) becomes 0 *after* scaling.

        A joint that never moved in the data is 0 whatever is given: its one value is all that
        the model knows, and a gripper held elsewhere must not look millions of deviations away.
        """
        scaled = (np.asarray(actions, dtype=np.float32) - self.mean) / self.std
        scaled = np.where(self.std < 1.5 * _SMALLEST_STD, np.float32(0), scaled)
        return np.nan_to_num(scaled, nan=0.0, posinf=np.inf, neginf=-np.inf)

    def denormalize(self, actions: np.ndarray) -> np.ndarray:
        """Z-scores -> robot units, (..., A)."""
        return np.asarray(actions, dtype=np.float32) * self.std + self.mean
