"""The loop that our training is compared with: what one writes following the reference.

The reference's choices, each in the reference code: rows [start, start + T * K) of every column
are read densely through h5py and then strided; frames are chunks of one, compressed; each sample
is turned into normalised floats on its own and a DataLoader with workers collates them; SIGReg
compares all knots in one broadcast product; attention is torch's fused kernel; the encoder's last
block updates every token. Nothing is slowed down: the chunk cache, the workers and the prefetching
are the reference's too. fp32, unless asked otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lewm_model import predictor, vit
from lewm_model.config import ModelConfig, TrainConfig
from lewm_model.data.clips import Clips
from lewm_model.data.episodes import EpisodeFile, import_h5py
from lewm_model.preprocess import ActionNormalizer, IMAGENET_MEAN, IMAGENET_STD
from lewm_model.world_model import LeWorldModel
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

CHUNK_CACHE_BYTES = 256 * 1024 * 1024   # the reference's


def write_chunked(data: EpisodeFile, path: Path, compression: str | None) -> None:
    """Store a data set as public ones are: one compressed chunk per frame.

    Public files use Blosc, which h5py alone cannot read; 'lzf', the fastest filter that it has,
    stands in for it. None: chunks without compression.
    """
    with import_h5py().File(path, 'w') as file:
        file.create_dataset('pixels', data=data.pixels, compression=compression,
                            chunks=(1, *data.pixels.shape[1:]))
        file['action'] = data.action


class DenseSamples(Dataset):
    """Clips read one by one from a chunked file.

    Args:
        path: From `write_chunked`.
        clips: Which clips there are.
        normalizer: For actions.
        dtype: Of the frames; uint8 leaves the transform to the loop, as our loop wants it.
    """

    def __init__(self, path: Path, clips: Clips, normalizer: ActionNormalizer,
                 dtype: torch.dtype = torch.float32) -> None:
        self._path, self._starts = path, clips.starts
        self._num_frames, self._frameskip = clips.num_frames, clips.frameskip
        self._action_mean = torch.from_numpy(normalizer.mean)
        self._action_std = torch.from_numpy(normalizer.std)
        self._mean = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
        self._std = torch.tensor(IMAGENET_STD).view(3, 1, 1)
        self._dtype = dtype
        self._file: Any = None   # opened by each worker

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return frames (T, 3, H, W), or uint8 (T, H, W, 3), and actions (T, K*A)."""
        if self._file is None:
            self._file = import_h5py().File(self._path, 'r', swmr=True,
                                            rdcc_nbytes=CHUNK_CACHE_BYTES)
        rows = slice(int(self._starts[index]),
                     int(self._starts[index]) + self._num_frames * self._frameskip)
        pixels = torch.from_numpy(self._file['pixels'][rows][::self._frameskip])
        actions = torch.from_numpy(self._file['action'][rows])
        actions = ((actions - self._action_mean) / self._action_std).nan_to_num(0.0)
        actions = actions.reshape(self._num_frames, -1)
        if self._dtype == torch.uint8:
            return pixels, actions
        frames = pixels.permute(0, 3, 1, 2).to(self._dtype).div(255)
        return frames.sub(self._mean).div(self._std), actions


class Batches:
    """Shuffled batches for ever, as the reference's loader makes them.

    Args:
        samples: The data.
        batch_size: Clips in a batch.
        workers: Processes that read ahead, three batches each.
        pin: Pinned memory, for a GPU.
    """

    def __init__(self, samples: DenseSamples, batch_size: int, workers: int, *, pin: bool) -> None:
        self._loader = DataLoader(samples, batch_size, shuffle=True, drop_last=True,
                                  num_workers=workers, pin_memory=pin,
                                  prefetch_factor=3 if workers else None)
        self._pass: Iterator[list[Tensor]] | None = None

    def __next__(self) -> list[Tensor]:
        while True:
            if self._pass is None:
                self._pass = iter(self._loader)
            batch = next(self._pass, None)
            if batch is not None:
                return batch
            self._pass = None

    def rest(self) -> None:
        """End the workers; the next batch starts others."""
        self._pass = None


@contextmanager
def plain_layers(*, attention: bool, last_block: bool) -> Iterator[None]:
    """Compute the same model the usual way: fused attention, a last block of all tokens."""
    before = vit.attention, predictor.attention, vit.VisionTransformer.forward
    if attention:
        vit.attention = predictor.attention = _fused_attention
    if last_block:
        vit.VisionTransformer.forward = _encode_all_tokens
    try:
        yield
    finally:
        vit.attention, predictor.attention, vit.VisionTransformer.forward = before


def _fused_attention(queries: Tensor, keys: Tensor, values: Tensor, *, causal: bool = False,
                     dropout: float = 0.0) -> Tensor:
    return F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout,
                                          is_causal=causal)


def _encode_all_tokens(self: nn.Module, images: Tensor) -> Tensor:
    tokens = self.embeddings(images)
    for block in self.encoder['layer']:
        tokens = block(tokens)
    return self.layernorm(tokens)[:, 0]


def broadcast_sigreg(latents: Tensor, projections: int, knots: int) -> Tensor:
    """Compute SIGReg in one product over all knots, latents (B, T, D)."""
    directions = torch.randn(latents.shape[-1], projections, device=latents.device)
    directions = directions / directions.norm(dim=0)
    points = torch.linspace(0, 3, knots, device=latents.device)
    normal = torch.exp(-points.square() / 2)
    weights = torch.full_like(points, 2 * 3 / (knots - 1))
    weights[0] = weights[-1] = 3 / (knots - 1)
    angles = (latents @ directions).unsqueeze(-1) * points                  # (B, T, M, knots)
    error = (angles.cos().mean(0) - normal).square() + angles.sin().mean(0).square()
    return (error @ (weights * normal)).mean() * len(latents)


class PlainLoop:
    """A model, an optimiser and a step.

    Args:
        sizes: Of the model.
        config: Settings of the run.
        batches: Frames (B, T, 3, H, W) and actions (B, T, K*A).
        device: Where to train.
        precision: 'fp32' or 'bf16'.
    """

    def __init__(self, sizes: ModelConfig, config: TrainConfig, batches: Batches,
                 device: str, precision: str = 'fp32') -> None:
        torch.manual_seed(config.seed)
        self.model = LeWorldModel(sizes).to(device).train()
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=config.learning_rate,
                                            weight_decay=config.weight_decay)
        self._config, self._batches, self._device = config, batches, device
        self._autocast = torch.autocast(torch.device(device).type, torch.bfloat16,
                                        enabled=precision == 'bf16')

    def run(self, steps: int) -> float:
        """Take optimiser steps; return the last loss."""
        loss = np.nan
        with plain_layers(attention=True, last_block=True):
            for _ in range(steps):
                loss = self._step()
        return loss

    def _step(self) -> float:
        frames, actions = next(self._batches)
        frames = frames.to(self._device, non_blocking=True)
        actions = actions.to(self._device, non_blocking=True)
        with self._autocast:
            latents = self.model.encode(frames)
            predicted = self.model.predict(latents[:, :-1], actions[:, :-1])
        latents = latents.float()
        loss = (predicted.float() - latents[:, 1:]).square().mean()
        loss = loss + self._config.sigreg_weight * broadcast_sigreg(
            latents, self._config.sigreg_projections, self._config.sigreg_knots)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self._config.grad_clip)
        self._optimizer.step()
        return loss.item()   # logged at every step, as ours
