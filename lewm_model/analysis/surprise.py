"""Violation of expectation: is the model surprised by what cannot happen?

Surprise of a frame = squared error between its predicted and its actual latent (mean over D),
divided by the mean of that error on held-out data: 1 is an ordinary frame.

Source: LeWorldModel, arXiv 2603.19312, violation of expectation. The paper does not state its
number of trajectories and its history length; we predict from all frames that the predictor can
take, and compare at the very frame at which the perturbation shows.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

from lewm_model.world_model import LeWorldModel
import numpy as np
import torch
from torch import Tensor

QUANTILE = 0.999      # of held-out surprise: one ordinary model step in 1000 is above it


@dataclass(frozen=True)
class PerturbedTrajectories:
    """The same N stretches of motion in several versions, T frames at model-step spacing."""

    frames: dict[str, np.ndarray]   # version -> uint8 (N, T, H, W, 3); one is 'unperturbed'
    actions: np.ndarray             # (N, (T-1)*K, A) robot units, the same for all versions
    perturbed_frame: int            # first frame that differs
    descriptions: dict[str, str]    # what was done, one line per version


@dataclass(frozen=True)
class Calibration:
    """What surprise is ordinary, from held-out episodes."""

    mean_error: float    # mean squared error of one-step prediction; surprise is relative to it
    threshold: float     # a high quantile of held-out surprise; nothing acts on it
    quantile: float      # which one
    samples: int         # frames it was measured on


@dataclass(frozen=True)
class PairedTest:
    """A two-sided paired t-test."""

    mean_difference: float
    t: float
    degrees: int
    p: float


@torch.inference_mode()
def prediction_errors(model: LeWorldModel, latents: Tensor, blocks: Tensor) -> Tensor:
    """Predict every frame from the true ones before it.

    Args:
        model: In eval mode.
        latents: (B, T, D) at model-step spacing.
        blocks: (B, T-1, K*A) normalised.

    Returns:
        Mean squared errors of frames 1 to T-1, (B, T-1).
    """
    history = model.config.history
    errors = []
    for frame in range(1, latents.shape[1]):
        window = slice(max(0, frame - history), frame)
        predicted = model.predict(latents[:, window], blocks[:, window])[:, -1]
        errors.append((predicted - latents[:, frame]).square().mean(dim=-1))
    return torch.stack(errors, dim=1)


def calibrate(errors: Tensor, quantile: float = QUANTILE) -> Calibration:
    """Derive the scale and a high quantile from held-out errors of any shape."""
    mean = errors.mean().item()
    surprises = (errors.flatten() / mean).double()
    return Calibration(mean_error=mean, threshold=surprises.quantile(quantile).item(),
                       quantile=quantile, samples=errors.numel())


def paired_t_test(values: np.ndarray, reference: np.ndarray) -> PairedTest:
    """Test whether `values` and `reference`, (N,) each, differ in the mean.

    Differences that are all equal give t = inf and p = 0 (t = 0 and p = 1 if they are all 0).
    """
    difference = np.asarray(values, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    count, mean = len(difference), float(difference.mean())
    error = float(difference.std(ddof=1)) / math.sqrt(count)
    if error == 0:
        t = math.copysign(math.inf, mean) if mean else 0.0
    else:
        t = mean / error
    return PairedTest(mean_difference=mean, t=t, degrees=count - 1, p=student_p(t, count - 1))


def student_p(t: float, degrees: int) -> float:
    """Return the two-sided p-value of Student's t.

    With t = sqrt(degrees) / tan(a) the density becomes sin(a)^(degrees - 1), which is smooth on
    (0, pi/2]: Gauss-Legendre quadrature of the tail is accurate to about 12 digits.
    """
    angle = math.atan2(math.sqrt(degrees), abs(t))
    nodes, weights = np.polynomial.legendre.leggauss(200)
    tail = (np.sin(angle * (nodes + 1) / 2) ** (degrees - 1) @ weights) * angle / 2
    log_whole = (math.log(math.pi) / 2 - math.log(2) + math.lgamma(degrees / 2)
                 - math.lgamma((degrees + 1) / 2))
    return min(1.0, float(tail) / math.exp(log_whole))
