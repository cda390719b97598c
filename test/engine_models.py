"""Bundles in which every part has a say: gates open, statistics that are not zero and one."""

from dataclasses import replace

from lewm_model import Bundle, LeWorldModel, ModelConfig
from nano import PLAN, SIZES, tiny_bundle
import torch

PLAN_2 = replace(PLAN, history=2)
# Equal widths, as in the paper: the predictor has no projections then.
EQUAL_WIDTHS = replace(SIZES, latent_dim=24)


def alive_bundle(sizes: ModelConfig = SIZES, seed: int = 0, **changes) -> Bundle:
    """Build an untrained bundle whose predictions depend on all its weights."""
    torch.manual_seed(seed)
    model = LeWorldModel(sizes).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    for name, buffer in model.named_buffers():
        if name.endswith('running_mean'):
            buffer.normal_(std=0.5)
        elif name.endswith('running_var'):
            buffer.uniform_(0.5, 2.0)
    return tiny_bundle(model=model, plan_config=PLAN_2, **changes)
