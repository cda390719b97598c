"""Bundles in which every part has a say: gates open, statistics that are not zero and one."""

from dataclasses import replace

from lewm_model import Bundle, LeWorldModel, ModelConfig
from lewm_model.assemble import make_policy
from lewm_model.config import PlanConfig
from lewm_model.heads.prior import PriorConfig
from lewm_model.types import Observation
from nano import PLAN, SIZES, tiny_bundle
import numpy as np
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


def planned_blocks(backend: str, bundle: Bundle | None = None,
                   config: PlanConfig | None = None) -> torch.Tensor:
    """Plan once from a dark frame to a bright one on a backend, (T, K*A)."""
    policy = make_policy(bundle or alive_bundle(), config, backend=backend)
    policy.set_goal_image(np.full((64, 64, 3), 200, np.uint8))
    policy.observe(Observation(stamp_ns=1, rgb=np.full((64, 64, 3), 20, np.uint8)))
    policy.plan(1)
    return policy.last_plan.blocks


def with_prior(bundle: Bundle) -> Bundle:
    """Give a bundle an untrained prior."""
    torch.manual_seed(3)
    prior = bundle.new_prior(PriorConfig(hidden_dim=8, hidden_layers=2))
    return replace(bundle, prior=prior.eval())
