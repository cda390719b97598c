"""Latents on paper: PCA, and exact t-SNE for up to a thousand or two of them.

Source: L. van der Maaten and G. Hinton, Visualizing Data using t-SNE, JMLR 9 (2008); exact
gradients, early exaggeration 12, start from the first two principal components.
"""

from __future__ import annotations

import math

from lewm_model.held_out import Progress, silent
import torch
from torch import Tensor

_EXAGGERATION, _EXAGGERATED_STEPS = 12.0, 150
_BISECTIONS = 60


def pca(points: Tensor, dims: int) -> tuple[Tensor, Tensor]:
    """Return coordinates (N, dims) and the share of variance of every component, (n,)."""
    centred = points.double() - points.double().mean(dim=0)
    _, singular, axes = torch.linalg.svd(centred, full_matrices=False)
    share = singular.square() / singular.square().sum()
    return (centred @ axes[:dims].T).float(), share.float()


def tsne(points: Tensor, perplexity: float = 30.0, steps: int = 500,
         progress: Progress = silent) -> Tensor:
    """Lay points (N, n) out in two dimensions, (N, 2), so that neighbours stay neighbours."""
    target = affinities(points, perplexity)
    layout = pca(points, 2)[0].double()
    layout *= 1e-4 / layout[:, 0].std()
    velocity, gains = torch.zeros_like(layout), torch.ones_like(layout)
    rate = max(len(points) / _EXAGGERATION / 4, 50.0)
    for step in range(steps):
        early = step < _EXAGGERATED_STEPS
        closeness = 1 / (1 + torch.cdist(layout, layout).square())
        closeness.fill_diagonal_(0)
        pull = (target * (_EXAGGERATION if early else 1.0) - closeness / closeness.sum())
        pull = pull * closeness
        gradient = 4 * (pull.sum(dim=1, keepdim=True) * layout - pull @ layout)
        turned = (gradient > 0) != (velocity > 0)
        gains = torch.where(turned, gains + 0.2, gains * 0.8).clamp(min=0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gains * gradient
        layout = layout + velocity
        layout = layout - layout.mean(dim=0)
        progress(step + 1, steps)
    return layout.float()


def affinities(points: Tensor, perplexity: float) -> Tensor:
    """Return symmetric neighbour probabilities (N, N) that add up to 1.

    Each point's Gaussian is as wide as makes it have `perplexity` neighbours in effect.
    """
    squared = torch.cdist(points.double(), points.double()).square()
    squared.fill_diagonal_(math.inf)
    low = torch.full((len(points), 1), -60.0, dtype=torch.float64)
    high = -low                                     # log precision is in between
    nearest = squared.min(dim=1, keepdim=True).values
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        weights = torch.exp(-(squared - nearest) * middle.exp())
        share = weights / weights.sum(dim=1, keepdim=True)
        entropy = -(share * share.clamp(min=1e-300).log()).sum(dim=1, keepdim=True)
        too_wide = entropy > math.log(perplexity)
        low, high = torch.where(too_wide, middle, low), torch.where(too_wide, high, middle)
    return (share + share.T) / (2 * len(points))
