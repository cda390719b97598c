"""Probes: how much of each physical quantity can be read from frozen latents.

Targets are standardised with the statistics of the fitting rows, so a mean squared error near 1
means "not there". Fitted on training episodes, scored on held-out ones.

Source: LeWorldModel, arXiv 2603.19312, probing of physical quantities. The paper does not state
the width and the optimiser of its probes; ours are written below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn, Tensor
from torch.nn import functional

Readout = Callable[[Tensor], Tensor]
RIDGE = 1e-3         # strength, relative to standardised inputs
MLP_WIDTH = 256      # two hidden layers
_BATCH, _LEARNING_RATE = 256, 2e-3


@dataclass(frozen=True)
class ProbeScore:
    """How well one probe reads one quantity on held-out rows."""

    mse: float       # of standardised targets: 0 is perfect, 1 is no information
    mse_std: float   # spread of the squared error over rows
    r: float         # Pearson correlation, mean over the quantity's components


def probe(fit: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], *, mlp_steps: int = 1500,
          seed: int = 0) -> dict[str, ProbeScore]:
    """Fit both probes and score them.

    Args:
        fit: Inputs (N, D) and targets (N, n).
        held_out: The same for scoring, of episodes that neither model nor probe has seen.
        mlp_steps: Optimiser steps of the MLP.
        seed: Of the MLP.

    Returns:
        Scores of `linear` and `mlp`.
    """
    centre, scale = _statistics(fit[0])
    mean, std = _statistics(fit[1])
    inputs, targets = (fit[0] - centre) / scale, (fit[1].float() - mean) / std
    unseen, truth = (held_out[0] - centre) / scale, (held_out[1].float() - mean) / std
    readouts = {'linear': fit_linear(inputs, targets),
                'mlp': fit_mlp(inputs, targets, steps=mlp_steps, seed=seed)}
    return {name: score(readout(unseen), truth) for name, readout in readouts.items()}


def fit_linear(inputs: Tensor, targets: Tensor, strength: float = RIDGE) -> Readout:
    """Fit a ridge regression with intercept in closed form."""
    design = functional.pad(inputs.double(), (0, 1), value=1.0)
    gram = design.T @ design / len(design)
    gram += strength * torch.eye(len(gram), dtype=gram.dtype)
    weights = torch.linalg.solve(gram, design.T @ targets.double() / len(design))
    return lambda rows: (functional.pad(rows.double(), (0, 1), value=1.0) @ weights).float()


def fit_mlp(inputs: Tensor, targets: Tensor, *, steps: int, seed: int) -> Readout:
    """Fit two hidden layers with AdamW and a cosine schedule."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(inputs.shape[1], MLP_WIDTH), nn.GELU(),
            nn.Linear(MLP_WIDTH, MLP_WIDTH), nn.GELU(),
            nn.Linear(MLP_WIDTH, targets.shape[1]))
        optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            chosen = torch.randint(len(inputs), (_BATCH,))
            loss = functional.mse_loss(network(inputs[chosen]), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval().requires_grad_(False)
    return network


def score(predicted: Tensor, targets: Tensor) -> ProbeScore:
    """Compare predictions with standardised targets, both (N, n)."""
    errors = (predicted - targets).square().mean(dim=1)
    left, right = predicted - predicted.mean(dim=0), targets - targets.mean(dim=0)
    correlation = (left * right).sum(dim=0) / (left.norm(dim=0) * right.norm(dim=0)).clamp(1e-12)
    return ProbeScore(mse=errors.mean().item(), mse_std=errors.std().item(),
                      r=correlation.mean().item())


def _statistics(values: Tensor) -> tuple[Tensor, Tensor]:
    values = values.float()
    return values.mean(dim=0), values.std(dim=0).clamp(min=1e-6)
