"""Our training, a few steps at a time: the real `train` runs in a thread that waits in between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import threading

from lewm_model.config import ModelConfig, TrainConfig
from lewm_model.data.clips import ClipBatch, ClipLoader
from lewm_model.preprocess import FrameTransform
from lewm_model.training.health import Health
from lewm_model.training.loop import Progress, train
from lewm_model.world_model import LeWorldModel
from lewm_sim.bench._plain_loop import Batches, plain_layers
import numpy as np

_NEVER = 10 ** 9


class _Enough(Exception):
    """Ends the thread."""


class OurLoop:
    """`lewm_model.training.loop.train`, driven from outside.

    Args:
        sizes: Of the model.
        config: Settings of the run; nothing is checked, logged or saved.
        clips: Batches.
        device: Where to train.
        folder: For checkpoints, which are never written.
        usual_attention: Use torch's fused attention instead of ours.
        usual_last_block: Let the encoder's last block update all tokens.
    """

    def __init__(self, sizes: ModelConfig, config: TrainConfig, clips: ClipLoader, device: str,
                 folder: Path, *, usual_attention: bool = False,
                 usual_last_block: bool = False) -> None:
        self._config = replace(config, steps=_NEVER, log_every=_NEVER, validate_every=_NEVER,
                               checkpoint_every=_NEVER, checkpoint_minutes=float(_NEVER))
        self._layers = {'attention': usual_attention, 'last_block': usual_last_block}
        self._error: BaseException | None = None
        self._left, self._ending = 0, False
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._train, daemon=True,
                                        args=(sizes, clips, device, folder))
        self._thread.start()

    def run(self, steps: int) -> None:
        """Take optimiser steps.

        Raises:
            LewmError: What `train` raised.
        """
        self._left = steps
        with plain_layers(**self._layers):
            self._go.release()
            self._done.acquire()
        if self._error:
            raise self._error

    def close(self) -> None:
        """End the thread."""
        self._ending = True
        self._go.release()
        self._thread.join()

    def _train(self, sizes: ModelConfig, clips: ClipLoader, device: str, folder: Path) -> None:
        try:
            self._go.acquire()   # the first step is paid by the first `run`
            if not self._ending:
                train(sizes, self._config, clips, run_folder=folder, check=_unchecked,
                      transform=FrameTransform(sizes.image_size), report=self._after_step,
                      device=device)
        except _Enough:
            pass
        except BaseException as error:  # handed to the caller
            self._error = error
            self._done.release()

    def _after_step(self, progress: Progress) -> None:
        self._left -= 1
        if self._left == 0:
            self._done.release()
            self._go.acquire()
            if self._ending:
                raise _Enough


class DenseClips:
    """Our loop's view of a DataLoader: uint8 clips that it read and collated."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.batches_per_epoch = _NEVER

    def __next__(self) -> ClipBatch:
        frames, actions = next(self._batches)
        return ClipBatch(frames, actions, np.empty((0, 0), np.int64))


def _unchecked(model: LeWorldModel) -> Health:
    raise AssertionError('a benchmark checks no health')
