"""What a loss curve hides: collapse, partial collapse, BatchNorm statistics that lag."""

from __future__ import annotations

from dataclasses import dataclass, field
import math

from lewm_model.models import WorldModel
from lewm_model.sigreg import SigReg
from lewm_model.world_model import LeWorldModel
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Health:
    """One look at a model on held-out clips, in eval mode."""

    prediction: float      # teacher-forced mean squared error of the next latent
    copy_error: float      # the same for "nothing moves": what prediction must beat
    sigreg: float          # eval mode; BatchNorm can hide a collapse from the training value
    latent_std: float      # mean over D; 1 is healthy, 0 is collapse
    effective_rank: float  # exp(entropy of the covariance spectrum), [1, D]
    step_distance: float   # median squared latent distance of frames one control step apart
    probes: dict[str, float] = field(default_factory=dict)  # R2 of a ridge probe per quantity
    straightness: float = math.nan   # mean cosine of consecutive latent steps, [-1, 1]; no loss
    #                                  asks for it: the paper's rises on Push-T
    gate_norm: float = math.nan      # root mean square of the AdaLN gates; exactly 0 at the start
    action_effect: float = math.nan  # mean squared change of the prediction when every clip gets
    #                                  the actions of another one, relative to copy_error

    @property
    def worst_probe(self) -> float:
        """Smallest R2: a mean would hide one factor that was lost."""
        return min(self.probes.values(), default=float('nan'))


@dataclass(frozen=True, eq=False)
class Readouts:
    """What linear probes are fitted to and judged by; episodes of both sides differ.

    A probe that is fitted on frames of the episodes that judge it recognises these episodes, and
    finds what the latents do not have.
    """

    frames: Tensor                 # of training episodes, (M, 3, H, W) float
    fit: dict[str, Tensor]         # their recorded quantities, (M, n) each; angles as sine and
    #                                cosine, so that a linear probe is fair
    held_out: dict[str, Tensor]    # of the first frame of each held-out clip, (B, n) each


@torch.inference_mode()
def check_health(model: WorldModel, frames: Tensor, blocks: Tensor, neighbours: Tensor,
                 readouts: Readouts | None, sigreg: SigReg, batch_size: int,
                 generator: torch.Generator) -> Health:
    """Look at a model.

    Args:
        model: Any mode; it is put back.
        frames: Held-out clips, (B, L+1, 3, H, W) float.
        blocks: (B, L+1, K*A) normalised.
        neighbours: Pairs of frames one control step apart, (N, 2, 3, H, W) float.
        readouts: For the probes; None: there are none.
        sigreg: The regulariser of the run.
        batch_size: Of the run; SIGReg depends on it, so only equal sizes can be compared.
        generator: Its randomness, apart from that of training.

    Returns:
        The measurements.
    """
    was_training = model.training
    model.eval()
    latents = torch.cat([model.encode(part) for part in frames.split(64)])  # (B, L+1, D)
    predicted = model.predict(latents[:, :-1], blocks[:, :-1])
    foreign = model.predict(latents[:, :-1], blocks[:, :-1].roll(len(blocks) // 2, dims=0))
    gate_norm = _gate_norm(model, blocks[:, :-1])
    pairs = torch.cat([model.encode(part) for part in neighbours.split(64)])
    shown = torch.cat([model.encode(part[:, None])[:, 0] for part in readouts.frames.split(64)]
                      ) if readouts else None
    model.train(was_training)
    flat = latents.flatten(0, 1)
    eigenvalues = torch.linalg.eigvalsh(flat.T.cov()).clamp(min=1e-12)
    share = eigenvalues / eigenvalues.sum()
    # Every n-th clip, mixed like a training batch: neighbours in the data set come from the same
    # few episodes and are less Gaussian than the whole (2.5 instead of 1.8 for a good model).
    count = max(1, len(latents) // batch_size)
    parts = [latents[first::count][:batch_size] for first in range(count)]
    copy_error = (latents[:, :-1] - latents[:, 1:]).square().mean().item()
    return Health(
        prediction=(predicted - latents[:, 1:]).square().mean().item(),
        copy_error=copy_error,
        sigreg=sum(sigreg(part, generator).item() for part in parts) / len(parts),
        latent_std=flat.std(dim=0).mean().item(),
        effective_rank=(-(share * share.log()).sum()).exp().item(),
        step_distance=(pairs[:, 0] - pairs[:, 1]).square().sum(-1).median().item(),
        probes={} if readouts is None else {
            name: ridge_probe((shown, values), (latents[:, 0], readouts.held_out[name]))
            for name, values in readouts.fit.items()},
        straightness=straightness(latents),
        gate_norm=gate_norm,
        action_effect=(foreign - predicted).square().mean().item() / max(copy_error, 1e-12))


def _gate_norm(model: WorldModel, blocks: Tensor) -> float:
    """Return the root mean square of the gates through which actions act; NaN without gates."""
    if not isinstance(model, LeWorldModel):
        return math.nan
    layers = [layer.chunk(6, dim=-1) for layer in
              model.predictor.modulate(model.action_encoder(blocks))]
    gates = torch.stack([torch.stack([layer[2], layer[5]]) for layer in layers])
    return gates.square().mean().sqrt().item()


def straightness(points: Tensor) -> float:
    """Return the mean cosine of consecutive velocities of (B, T, n), T >= 3, in [-1, 1].

    A pair with a velocity of zero counts as 0: it has no direction. NaN for shorter paths.

    Source: LeWorldModel, arXiv 2603.19312: on Push-T it rises to about 0.6 during training.
    """
    velocities = points[:, 1:] - points[:, :-1]
    return functional.cosine_similarity(velocities[:, :-1], velocities[:, 1:],
                                        dim=-1).mean().item()


def ridge_probe(fit: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor],
                strength: float = 1e-3) -> float:
    """Fit targets linearly from latents, and return R2 on others: (N, D) and (N, n) each."""
    (inputs, targets), (test_x, test_y) = (
        (torch.cat([latents.cpu().double(), torch.ones(len(latents), 1)], dim=1),   # mps: no
         wanted.double().cpu()) for latents, wanted in (fit, held_out))             # float64
    gram = inputs.T @ inputs / len(inputs) + strength * torch.eye(inputs.shape[1]).double()
    weights = torch.linalg.solve(gram, inputs.T @ targets / len(inputs))
    residual = (test_x @ weights - test_y).square().sum()
    total = (test_y - test_y.mean(dim=0)).square().sum()
    return (1 - residual / total.clamp(min=1e-12)).item()
