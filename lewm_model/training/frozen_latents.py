"""Latents of an encoder that is not trained: computed once per frame, kept in the run folder."""

from __future__ import annotations

from pathlib import Path

from lewm_model.config import TrainConfig
from lewm_model.data.clips import ClipBatch, Clips
from lewm_model.errors import TrainingError, without_path
from lewm_model.frozen_world_model import FrozenWorldModel
from lewm_model.preprocess import FrameTransform
import numpy as np
import torch
from torch import Tensor


class FrozenLatents:
    """Half-precision latents by row of the data set, encoded when they are first asked for.

    A run that goes on finds what it had, so that it sees the same numbers as one that was never
    stopped.

    Args:
        model: Whose encoder it is.
        config: The run.
        transform: uint8 frames -> encoder input.
        folder: Of the run's checkpoints.
        rank: Of this process; each has files of its own.
    """

    def __init__(self, model: FrozenWorldModel, config: TrainConfig, transform: FrameTransform,
                 folder: Path, rank: int) -> None:
        self._model, self._config, self._transform = model, config, transform
        self._path = folder / f'tokens{rank}.f16'
        self._latents = self._known = np.empty(0)

    def begin(self, clips: Clips, *, fresh: bool) -> None:
        """Open the files; a fresh run first fills the encoder and measures its channels.

        Args:
            clips: Of training.
            fresh: No checkpoint: whatever the files hold is of another run.

        Raises:
            MissingPackageError: If the released weights are not installed.
            TrainingError: If there is no room.
        """
        if fresh:
            config = self._config
            self._model.encoder.load_released()
            count = min(config.batch_size * max(1, config.norm_batches), len(clips))
            chosen = np.random.default_rng(config.seed).choice(len(clips), count, replace=False)
            self._model.encoder.measure(self._enter(clips.batch(np.sort(chosen)).frames[:, 0]))
        rows, width = len(clips.file.pixels), self._model.config.latent_dim
        known = self._path.with_suffix('.known')
        mode = 'w+' if fresh or not (self._path.is_file() and known.is_file()) else 'r+'
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._latents = np.memmap(self._path, np.float16, mode, shape=(rows, width))
            self._known = np.memmap(known, np.bool_, mode, shape=(rows,))
        except (OSError, ValueError) as error:
            raise TrainingError(f'cannot keep the tokens of {rows} frames in {self._path} '
                                f'({rows * width * 2 / 1e9:.1f} GB): {without_path(error)}; free '
                                f'some space or choose another run folder') from error

    def __call__(self, batch: ClipBatch) -> Tensor:
        """Return the latents of clips, float32 (B, T, D) on the device of the model."""
        flat, frames = batch.rows.ravel(), batch.frames.flatten(0, 1)
        missing = np.flatnonzero(~self._known[flat])
        if len(missing):
            found = self._model.encode(self._enter(frames[missing])[None])[0]
            self._latents[flat[missing]] = found.cpu().half().numpy()
            self._known[flat[missing]] = True
        latents = torch.from_numpy(self._latents[flat].astype(np.float32))
        return latents.unflatten(0, batch.rows.shape).to(self._device)

    def _enter(self, frames: Tensor) -> Tensor:
        return self._transform(frames.to(self._device))

    @property
    def _device(self) -> torch.device:
        return self._model.predictor.positions.device
