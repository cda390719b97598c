"""What a plan would lead to, for people: the latents on the way, and those of its rivals.

Nothing of planning needs this. It is computed only when somebody asks, after the plan was handed
out: one rollout of a few candidates, where a search makes dozens of rollouts of hundreds.
"""

from __future__ import annotations

from lewm_model.models import WorldModel
from lewm_model.planning.protocols import Objective
from lewm_model.types import Context, Goal, Imagined, Plan
import numpy as np
import torch


@torch.inference_mode()
def imagine(model: WorldModel, objective: Objective, context: Context, goal: Goal, plan: Plan,
            most: int, *, sequence: int, wanted: Goal) -> Imagined:
    """Roll out a plan and what else was considered.

    Args:
        model: In eval mode.
        objective: Scores the candidates anew, from these very latents; those without a finite
            cost are left out.
        context: What the plan was made from.
        goal: What the plan was made for; a way-point, perhaps.
        plan: With its `considered`, if its solver had others.
        most: How many of these, at most; evenly, so that none of its iterations is left out.
        sequence: Of the plan's chunk.
        wanted: The goal that was given. Its latent is a picture's unless quantities count.
    """
    blocks = plan.blocks[None]
    if plan.considered is not None:
        count = len(plan.considered)
        places = torch.linspace(0, count - 1, min(most, count)).round().long()
        blocks = torch.cat([blocks, plan.considered[places]])
    latents = model.rollout(context.latents, context.past_blocks, blocks)    # (1+N, T, D)
    costs = objective(latents, goal)[1:]
    order = costs.argsort()       # as scored here: an engine may round the last digits otherwise
    order = order[costs[order].isfinite()]
    return Imagined(
        stamp_ns=context.stamps_ns[-1], sequence=sequence, goal_id=wanted.goal_id,
        seen=_numbers(context.latents[0, -1]),
        goal=np.zeros(0, np.float32) if wanted.target else _numbers(wanted.latent),
        plan=_numbers(latents[0]), costs=_numbers(costs[order]), fan=_numbers(latents[1:][order]))


def _numbers(values: torch.Tensor) -> np.ndarray:
    return values.float().cpu().numpy()
