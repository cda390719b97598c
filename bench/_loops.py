"""The training loops that are compared, each ready to run in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lewm_model.config import ModelConfig, TrainConfig
from lewm_model.data.clips import ClipBatch, ClipLoader, Clips
from lewm_model.data.episodes import EpisodeFile
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.training.health import Health
from lewm_model.training.loop import Progress, train
from lewm_model.world_model import LeWorldModel
import numpy as np
import torch

from bench._own_process import Turns
from bench._plain_loop import Batches, DenseSamples, plain_layers, PlainLoop

_NEVER = 10 ** 9


@dataclass(frozen=True)
class Subject:
    """What all loops train, and on what."""

    sizes: ModelConfig
    config: TrainConfig
    mapped: Path       # frames in one contiguous piece, as our ingest writes them
    chunked: Path      # the same data, one chunk per frame
    device: str
    threads: int       # of the model
    workers: int       # of a DataLoader
    folder: Path       # for checkpoints, which are never written

    def clips(self) -> Clips:
        """Open our file."""
        data = EpisodeFile.open(self.mapped)
        return Clips(data, ActionNormalizer.fit(data.action),
                     num_frames=self.sizes.history + 1, frameskip=self.sizes.frameskip)

    def dense(self, workers: int, dtype: torch.dtype) -> Batches:
        """Open the plain loop's file."""
        clips = self.clips()
        samples = DenseSamples(self.chunked, clips, ActionNormalizer.fit(clips.file.action), dtype)
        return Batches(samples, self.config.batch_size, workers, pin=self.device != 'cpu')


def plain_loop(turns: Turns, subject: Subject, workers: int, precision: str) -> None:
    """Train in the usual way, in turns."""
    torch.set_num_threads(subject.threads)
    batches = subject.dense(workers, torch.float32)
    turns.rest = batches.rest
    loop = PlainLoop(subject.sizes, subject.config, batches, subject.device, precision)
    while True:
        loop.run(turns.next())
        _finish(subject)


def our_loop(turns: Turns, subject: Subject, precision: str = 'auto', *,
             plain_loader: bool = False, plain_attention: bool = False,
             plain_last_block: bool = False, compiled: bool = False) -> None:
    """Run `lewm_model.training.loop.train` itself, in turns, perhaps with one thing the usual way.

    Args:
        turns: When to work.
        subject: What to train.
        precision: As in the recipe.
        plain_loader: Let the plain loop's loader bring uint8 frames.
        plain_attention: Use torch's fused attention.
        plain_last_block: Let the encoder's last block update all tokens.
        compiled: As the recipe's `compile`.
    """
    torch.set_num_threads(subject.threads)
    if plain_loader:
        batches = subject.dense(subject.workers, torch.uint8)
        turns.rest = batches.rest
        clips = _DenseClips(batches)
    else:
        clips = ClipLoader(subject.clips(), subject.config.batch_size, subject.config.seed)
    config = replace(subject.config, precision=precision, compile=compiled, steps=_NEVER,
                     log_every=_NEVER, validate_every=_NEVER, checkpoint_every=_NEVER,
                     checkpoint_minutes=float(_NEVER))
    left = turns.next()

    def after_step(progress: Progress) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            _finish(subject)
            left = turns.next()

    with plain_layers(attention=plain_attention, last_block=plain_last_block):
        train(subject.sizes, config, clips, run_folder=subject.folder, check=_unchecked,
              transform=FrameTransform(subject.sizes.image_size), report=after_step,
              device=subject.device)


class _DenseClips:
    """Our loop's view of a DataLoader."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.batches_per_epoch = _NEVER

    def __next__(self) -> ClipBatch:
        frames, actions = next(self._batches)
        return ClipBatch(frames, actions, np.empty((0, 0), np.int64))


def _finish(subject: Subject) -> None:
    """Wait for the GPU before the clock stops."""
    if torch.device(subject.device).type == 'cuda':
        torch.cuda.synchronize(subject.device)


def _unchecked(model: LeWorldModel) -> Health:
    raise AssertionError('a benchmark checks no health')
