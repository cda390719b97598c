"""Goals in tensors of their own: for graphs that hold them, and for gradients."""

from __future__ import annotations

from dataclasses import replace

from lewm_model.types import Goal


def copy_goal(goal: Goal) -> Goal:
    """Return the same goal in new tensors."""
    target = goal.target and replace(goal.target, columns=goal.target.columns.clone(),
                                     shares=goal.target.shares.clone())
    return replace(goal, latent=goal.latent.clone(), target=target)


def put_goal(place: Goal, goal: Goal) -> None:
    """Write the numbers of a goal into the tensors of another one of the same kind."""
    place.latent.copy_(goal.latent)
    if goal.target is not None:
        place.target.columns.copy_(goal.target.columns)
        place.target.shares.copy_(goal.target.shares)
