"""What the planning benchmarks run on: a bundle, a frame, a goal, and engines for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import logging

from lewm_model.base.resources import find_named
from lewm_model.bundles.bundle import Bundle
from lewm_model.config import ModelConfig, PlanConfig
from lewm_model.engines.choose import make_engine
from lewm_model.errors import LewmError
from lewm_model.planning.protocols import Engine, Solver
from lewm_model.planning.registry import make_solver
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.types import Context, Goal
from lewm_model.world_model import LeWorldModel
import numpy as np
import torch

PAPER = 'paper'    # the published sizes with random weights: time does not depend on their values
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """One model and one situation."""

    bundle: Bundle
    frame: np.ndarray      # uint8 (H, W, 3), of the model's size
    goal_frame: np.ndarray

    @classmethod
    def load(cls, name: str, device: str = 'cpu') -> Subject:
        """Take a shipped bundle or a folder; 'paper' is ViT-Tiny at 224 px, random weights."""
        bundle = (_paper_bundle(device) if name == PAPER else
                  Bundle.load(find_named('models', name), device=device))
        size = bundle.model_config.image_size
        frame, goal = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
        return cls(bundle, frame, goal)

    def engines(self, names: list[str], config: PlanConfig | None = None) -> dict[str, Engine]:
        """Build backends; one that this machine cannot run is left out, with the reason logged.

        `config` is for those that fix shapes; the bundle's recommendation when None.
        """
        engines = {}
        for name in names:
            try:
                engines[name] = make_engine(name, self.bundle, config)
            except LewmError as error:
                _log.warning('backend %s is left out: %s', name, error)
        return engines

    def context(self, engine: Engine, history: int = 1) -> Context:
        """Encode `history` equal frames, one after the other, with nothing done between them."""
        latents = torch.stack([engine.encode(self.frame) for _ in range(history)])
        past = latents.new_zeros(1, history - 1, self.bundle.model_config.block_dim)
        return Context(latents[None], past, tuple(range(history)))

    def situation(self, engine: Engine, history: int = 1) -> tuple[Context, Goal]:
        """Encode a context and the goal."""
        return self.context(engine, history), Goal(latent=engine.encode(self.goal_frame))

    def solver(self, engine: Engine, config: PlanConfig) -> Solver:
        """Build a solver with a generator of its own, seeded by `config`."""
        return make_solver(config, self.bundle, engine)

    def candidates(self, count: int, horizon: int) -> torch.Tensor:
        """Draw candidates (S, T, K*A), the same every time."""
        device = next(self.bundle.model.parameters()).device
        return torch.randn(count, horizon, self.bundle.model_config.block_dim,
                           generator=torch.Generator().manual_seed(0)).to(device)


def finished(call: Callable[[], object], device: str) -> Callable[[], object]:
    """Return a call that lasts until the GPU has done its work, too."""
    if device == 'cpu':
        return call

    def wait() -> None:
        call()
        torch.cuda.synchronize()

    return wait


def _paper_bundle(device: str) -> Bundle:
    torch.manual_seed(0)
    model = LeWorldModel(ModelConfig(action_dim=2))
    for name, value in model.named_parameters():
        if 'adaLN' in name:   # zero before training, which would leave the actions without effect
            torch.nn.init.normal_(value, std=0.02)
    one = np.ones(2, np.float32)
    return Bundle(
        model=model.eval().requires_grad_(False).to(device),
        frame_transform=FrameTransform(224), action_normalizer=ActionNormalizer(0 * one, one),
        action_names=('x', 'y'), action_min=-one, action_max=one, control_dt_s=0.1, robot='none',
        task='', goal_tolerance=1.0, plan_config=PlanConfig(), provenance={}, metrics={})
