"""One training run, top to bottom: batches, losses, steps, health, diagnosis, resume.

Source: LeWM reference `train.py`: teacher-forced prediction of the next projected latent plus
lambda times SIGReg on the latents; gradients flow through both sides, no target network. Other
losses (`TrainConfig.loss`) have other terms in the place of SIGReg.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
import math
from pathlib import Path
import time
from typing import Any

from lewm_model.config import ModelConfig, TrainConfig
from lewm_model.data.clips import ClipLoader
from lewm_model.errors import TrainingError
from lewm_model.models import make_model, WorldModel
from lewm_model.preprocess import FrameTransform
from lewm_model.training.auxiliary_terms import AuxiliaryTerms
from lewm_model.training.batch_norm import measure_batch_norms
from lewm_model.training.checkpoint import (
    load_newest,
    require_same_run,
    require_writable,
    save_checkpoint,
)
from lewm_model.training.diagnosis import diagnose
from lewm_model.training.distributed import Group, join_batch_norms
from lewm_model.training.frame_jitter import FrameJitter
from lewm_model.training.frozen_latents import FrozenLatents
from lewm_model.training.health import Health
from lewm_model.training.optimizer import make_optimizer
from lewm_model.training.regularizer import Regularizer, require_fitting
from lewm_model.training.stop import StopRequest, watch_for_stop
import numpy as np
import torch


@dataclass
class Progress:
    """Where a run stands; travels to the progress bar, TensorBoard and the checkpoint."""

    step: int                      # optimiser steps done
    steps: int                     # in all
    batch_size: int                # clips per step, over all processes
    prediction: float = math.nan   # training loss parts of the last step
    sigreg: float = math.nan
    terms: dict[str, float] = field(default_factory=dict)   # other parts, without weights: of
    #                                another `loss`, `pictures`, `inverse` and `states` of
    #                                auxiliary heads, `rollout`
    grad_norm: float = math.nan
    learning_rate: float = 0.0
    clips_per_s: float = 0.0
    health: Health | None = None   # when it was just measured
    warning: str | None = None     # of that measurement
    losses: list[dict[str, float]] = field(default_factory=list)    # every `log_every` steps
    checks: list[dict[str, Any]] = field(default_factory=list)      # every `validate_every`

    @property
    def remaining_s(self) -> float:
        """Estimated training time left [s]; NaN before the first step."""
        if not self.clips_per_s:
            return math.nan
        return (self.steps - self.step) * self.batch_size / self.clips_per_s

    def log(self) -> None:
        """Remember the last step's losses."""
        self.losses.append({'step': self.step, 'prediction': self.prediction,
                            'sigreg': self.sigreg, 'grad_norm': self.grad_norm,
                            **self.terms})


@dataclass(frozen=True)
class TrainingResult:
    """A trained model in eval mode, with what was logged on the way."""

    model: WorldModel
    progress: Progress
    seconds: float                 # of training, over all resumed parts


def train(model_config: ModelConfig, config: TrainConfig, clips: ClipLoader, *,
          run_folder: Path, transform: FrameTransform,
          check: Callable[[WorldModel], Health],
          report: Callable[[Progress], None] = lambda progress: None,
          device: str = 'cpu', group: Group | None = None,
          source: dict[str, str] | None = None, states: torch.Tensor | None = None,
          weights: dict[str, torch.Tensor] | None = None) -> TrainingResult:
    """Train a model, or go on where `run_folder` says an earlier call stopped.

    With several processes all call this with the same arguments and the run is that of one
    process with the same `batch_size`; the main one checks, reports and saves, all resume.

    Args:
        model_config: Sizes.
        config: The run.
        clips: Training clips of `config.clip_frames` each; with several processes, the part of
            this one.
        run_folder: Checkpoints go to its `checkpoints/`.
        transform: uint8 frames -> encoder input.
        check: Measures health on held-out clips.
        report: Called after every step.
        device: Where to train.
        group: The processes that train together; None: this one alone.
        source: Digests of data and robot; a run goes on with the same ones only.
        states: What `state_weight` asks for, see `state_term.state_targets`; None: without.
        weights: That a new run begins with; None: random ones.

    Raises:
        TrainingError: If the run diverges, collapses, ignores the actions, cannot be saved, or
            `run_folder` belongs to other settings or other data.
        KeyboardInterrupt: After SIGINT or SIGTERM and saving; the same call goes on later.
    """
    group = group or Group()
    with watch_for_stop() as stop:
        run = _Run(model_config, config, clips, run_folder / 'checkpoints', transform, device,
                   group, stop, source or {}, states, weights)
        run.restore()
        progress = run.progress
        if group.is_main and progress.step < progress.steps:
            require_writable(run_folder / 'checkpoints')
        try:
            while progress.step < progress.steps:
                run.step()
                if group.is_main:
                    _after_step(run, config, check)
                    report(progress)
                if run.stopped:
                    raise KeyboardInterrupt
            run.measure_norms()     # in every process, so that all return the same model
        except KeyboardInterrupt:
            if group.is_main and run.is_whole:
                run.save()
            raise
    return TrainingResult(run.model.eval(), progress, run.seconds)


def _after_step(run: _Run, config: TrainConfig, check: Callable[[WorldModel], Health]) -> None:
    """Log, look and save, each when it is due."""
    progress = run.progress
    done = progress.step == progress.steps
    if progress.step % config.log_every == 0:
        progress.log()
    progress.health = progress.warning = None
    if done or progress.step % config.validate_every == 0:
        run.measure_norms()
        progress.health = check(run.model)
        progress.checks.append({'step': progress.step, 'training_sigreg': progress.sigreg,
                                **asdict(progress.health)})
        progress.warning = diagnose(progress.checks, config, progress.steps)
        run.save_if_best(progress.health)
    if done or progress.step % config.checkpoint_every == 0 or run.save_is_due():
        run.save()


class _Run:
    """Everything that changes during training, so that it can be saved and restored as one."""

    def __init__(self, model_config: ModelConfig, config: TrainConfig, clips: ClipLoader,
                 checkpoints: Path, transform: FrameTransform, device: str, group: Group,
                 stop: StopRequest, source: dict[str, str], states: torch.Tensor | None,
                 weights: dict[str, torch.Tensor] | None) -> None:
        if config.compile and group.size > 1:
            raise TrainingError('compile does not work with several processes: set compile to '
                                'false, or train with one process')
        torch.manual_seed(config.seed)  # initial weights and dropout
        require_fitting(model_config, config)
        self.model = make_model(model_config).to(device).train()
        if weights is not None:
            self.model.load_state_dict(weights)
        join_batch_norms(self.model, group)
        self.progress = Progress(
            step=0, steps=config.steps or config.epochs * clips.batches_per_epoch,
            batch_size=config.batch_size)
        self._group, self._stop = group, stop
        self.stopped = False            # somebody, in whatever process, asked to stop
        self.is_whole = True            # between steps: worth saving
        self._config, self._clips, self._transform = config, clips, transform
        self._checkpoints, self._device = checkpoints, device
        self._optimizer = make_optimizer(self.model, config)
        self._regularizer = Regularizer(config, group, device)
        self._auxiliary = AuxiliaryTerms(model_config, config, states, device, group)
        self._jitter = FrameJitter(config.light_jitter, config.camera_jitter,
                                   0 if weights else self.progress.steps // 2, config.seed, group)
        self._encode = torch.compile(self.model.encode) if config.compile else self.model.encode
        self._autocast = torch.autocast(torch.device(device).type, torch.bfloat16,
                                        enabled=use_bf16(config.precision, device))
        # Settings a checkpoint must share with this run to be its past.
        self._identity = {'model': model_config.to_dict(), 'train': config.to_dict(),
                          'steps': self.progress.steps, 'source': source}
        self._frozen = (FrozenLatents(self.model, config, transform, checkpoints, group.rank)
                        if model_config.encoder == 'frozen' else None)
        self._best = math.inf
        self._norms_of_step = -1        # for which BatchNorm's statistics were measured
        self._first_step, self._seconds_before = 0, 0.0
        self._started = self._saved_at = time.monotonic()

    def step(self) -> None:
        """Take one optimiser step."""
        progress, config, group = self.progress, self._config, self._group
        self.is_whole = False
        if group.size > 1:  # other dropout in every process, and no state of it to save
            torch.manual_seed(config.seed + progress.step * group.size + group.rank)
        progress.learning_rate = _learning_rate(config, progress.step, progress.steps)
        for parameters in self._optimizer.param_groups:
            parameters['lr'] = progress.learning_rate
        batch, history = next(self._clips), self.model.config.history
        blocks = batch.actions.to(self._device)                               # (B, L+n, K*A)
        seen = self._jitter.of_step(batch.frames, progress.step)   # auxiliary heads: as they were
        with self._autocast:
            latents = (self._frozen(batch) if self._frozen else              # (B, L+n, D)
                       self._encode(self._transform(seen.to(self._device))))
            predicted = self.model.predict(latents[:, :history], blocks[:, :history])  # (B, L, D)
        latents = latents.float()
        prediction = (predicted.float() - latents[:, 1:history + 1]).square().mean()
        regularized = self._regularizer(latents)
        loss, terms = prediction + regularized.loss, dict(regularized.terms)
        with self._autocast:
            auxiliary = self._auxiliary(self.model, batch, latents, blocks, predicted)
        for name, value in auxiliary.items():
            loss = loss + self._auxiliary.weights[name] * value
        terms |= auxiliary
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        group.average_gradients(self.model)
        grad_norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.grad_clip)
        reported = [prediction, *terms.values(), prediction.new_tensor(float(self._stop.wanted))]
        progress.prediction, *values, stop = group.mean(torch.stack(reported).detach()).tolist()
        progress.terms = dict(zip(terms, values, strict=True))
        progress.sigreg = regularized.sigreg.item()
        self.stopped = stop > 0         # the same in all processes, so that all stop at this step
        progress.grad_norm = grad_norm.item()
        _require_finite(progress)
        self._optimizer.step()
        self._auxiliary.step(progress.learning_rate)
        progress.step += 1
        done_now = progress.step - self._first_step
        progress.clips_per_s = done_now * config.batch_size / (time.monotonic() - self._started)
        self.is_whole = True

    @property
    def seconds(self) -> float:
        """Time spent training so far, over all resumed parts [s]."""
        return self._seconds_before + time.monotonic() - self._started

    def measure_norms(self) -> None:
        """Let eval mode mean what training sees: see `batch_norm`. Once for each step.

        A function of weights, seed and data, so a resumed run saves the same. The main process
        does it alone, as it is the one that looks and saves.
        """
        step, config, clips = self.progress.step, self._config, self._clips.clips
        if self._frozen or not config.norm_batches or self._norms_of_step == step:
            return
        count = min(config.norm_batches * config.batch_size, len(clips))
        chosen = np.sort(np.random.default_rng(config.seed).choice(len(clips), count,
                                                                   replace=False))
        parts = np.split(chosen, range(config.batch_size, count, config.batch_size))
        frames = self.model.config.history + 1
        measure_batch_norms(self.model, (
            (self._transform(self._jitter.of_measurement(batch.frames[:, :frames], step, number)
                             .to(self._device)), batch.actions[:, :frames].to(self._device))
            for number, batch in enumerate(map(clips.batch, parts))))
        self._norms_of_step = step

    def save_is_due(self) -> bool:
        """Tell whether the last checkpoint is old."""
        return time.monotonic() - self._saved_at > 60 * self._config.checkpoint_minutes

    def save_if_best(self, health: Health) -> None:
        """Keep this model as the best if its held-out loss is the lowest so far."""
        config = self._config
        loss = (health.prediction + config.sigreg_weight * health.sigreg if config.loss == 'lewm'
                else health.prediction / max(health.copy_error, 1e-12))   # alike at any scale
        if loss < self._best:
            self._best = loss
            self.save(best=True)

    def save(self, best: bool = False) -> None:
        """Write a checkpoint of everything."""
        self.measure_norms()
        save_checkpoint(self._checkpoints, self.progress.step, {
            'identity': self._identity, 'step': self.progress.step,
            'model': self.model.state_dict(), 'optimizer': self._optimizer.state_dict(),
            'clips': self._clips.position, 'rng': torch.get_rng_state(),
            'directions': self._regularizer.state_dict(), 'losses': self.progress.losses,
            'checks': self.progress.checks, 'best': self._best, 'seconds': self.seconds,
            **self._auxiliary.state_dict(),
        }, keep=self._config.keep_checkpoints, best=best)
        self._saved_at = time.monotonic()

    def restore(self) -> None:
        """Go on from the newest checkpoint, if there is one.

        Raises:
            TrainingError: If it was made with other settings.
        """
        state = load_newest(self._checkpoints)
        self._group.require_equal(state['step'] if state else 0, 'the step to go on from')
        if self._frozen:
            self._frozen.begin(self._clips.clips, fresh=state is None)
        if state is None:
            return
        require_same_run(self._identity, state['identity'], self._checkpoints)
        self.model.load_state_dict(state['model'])
        self._optimizer.load_state_dict(state['optimizer'])
        self._auxiliary.load_state_dict(state)
        self._clips.restore(state['clips'])
        torch.set_rng_state(state['rng'])
        self._regularizer.load_state_dict(state['directions'])
        self.progress.step = self._first_step = state['step']
        self.progress.losses, self.progress.checks = state['losses'], state['checks']
        self._seconds_before, self._best = state['seconds'], state['best']


def _learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Warm up linearly from 0, then decay along a cosine to 0; per optimiser step."""
    warmup = int(config.warmup * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    return config.learning_rate * 0.5 * (
        1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def use_bf16(precision: str, device: str) -> bool:
    """Decide "auto": bfloat16 where the processor multiplies in it, else it would be slower."""
    if precision != 'auto':
        return precision == 'bf16'
    if torch.device(device).type == 'cuda':
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _require_finite(progress: Progress) -> None:
    values = {'prediction': progress.prediction, 'sigreg': progress.sigreg,
              'gradient norm': progress.grad_norm, **progress.terms}
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise TrainingError(f'{", ".join(broken)} became NaN or infinite at step {progress.step}; '
                            f'the last checkpoint is intact: try a smaller learning rate or '
                            f'precision fp32, or look for broken frames with `lewm inspect`')
