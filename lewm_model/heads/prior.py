"""Planning without search: a small network answers with the block that leads to the goal.

Source: goal-conditioned inverse dynamics on frozen latents, arXiv 2605.08732. What was tried
instead, and what it measured, is in docs/planning.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lewm_model.heads.block_network import BlockNetwork, BlockNetworkConfig, mlp
import torch
from torch import Tensor

Rollout = Callable[[Tensor, Tensor, Tensor], Tensor]   # `LeWorldModel.rollout` or its like


@dataclass(frozen=True)
class PriorConfig(BlockNetworkConfig):
    """Sizes of the network."""


class InverseDynamicsPrior(BlockNetwork):
    """Maps where the robot is, where it shall be and when, to the block that leaves here.

    Args:
        config: Sizes.
        latent_dim: D.
        low: Smallest action, (A,) normalised; no answer is below it.
        high: Largest action, (A,) normalised.
        frameskip: K, control steps per block.
    """

    def __init__(self, config: PriorConfig, latent_dim: int, low: Tensor, high: Tensor,
                 frameskip: int) -> None:
        super().__init__(mlp(3 * latent_dim + 1, config.hidden_dim, config.hidden_layers,
                             len(low) * frameskip), low, high, frameskip)
        self.config = config

    def forward(self, latents: Tensor, goals: Tensor, steps_left: Tensor) -> Tensor:
        """Answer with one block each.

        Args:
            latents: Where the robot is, (B, D).
            goals: Where it shall be, (B, D).
            steps_left: Control steps in which to get there, (B,), at least K.

        Returns:
            Blocks (B, K*A), normalised, within the limits.
        """
        share = (self.frameskip / steps_left.to(latents))[:, None]   # of the way, in this block
        answer = self.net(torch.cat([latents, goals, share * (goals - latents), share], dim=-1))
        return self.within_limits(answer)


def imagine(prior: InverseDynamicsPrior, rollout: Rollout, latents: Tensor, past_blocks: Tensor,
            goals: Tensor, horizon: int, committed: Sequence[Tensor | None] | None = None
            ) -> tuple[Tensor, Tensor]:
    """Let the prior act in the world model for T blocks, on the model's own predictions.

    For each of B robots it does so T times side by side: attempt n is told to arrive after n
    blocks, and from then on to be back after one. An attempt in too great a hurry is one that
    does not get there.

    Args:
        prior: What acts.
        rollout: Predicts the latent after a block: latents (S, L, D), past blocks (S, L-1, K*A)
            and one block (S, 1, K*A) give (S, 1, D).
        latents: What was seen, oldest first: (1, L, D) of a single robot, or (B*T, L, D), T equal
            rows per robot.
        past_blocks: The executed blocks between, (1 or B*T, L-1, K*A).
        goals: (B, D).
        horizon: T.
        committed: Per robot the first d actions, (d, A) normalised, which can no longer be
            changed, or None.

    Returns:
        The blocks of each attempt (B, T, T, K*A), and the latents they lead to (B, T, T, D).
    """
    seen, robots = latents.shape[1], len(goals)
    latents = latents.expand(robots * horizon, -1, -1)
    blocks = past_blocks.expand(robots * horizon, -1, -1)
    fixed = [None if rows is None else rows.flatten() for rows in committed or [None] * robots]
    wanted = goals.repeat_interleave(horizon, dim=0)
    arrival = torch.arange(1, horizon + 1, device=latents.device).repeat(robots)    # [blocks]
    for elapsed in range(horizon):
        left = (arrival - elapsed).clamp(min=1) * prior.frameskip
        block = prior(latents[:, -1], wanted, left)
        first = elapsed * block.shape[1]
        for robot, rows in enumerate(fixed):
            if rows is not None and len(rows) > first:
                part = rows[first:first + block.shape[1]]
                block[robot * horizon:(robot + 1) * horizon, :len(part)] = part
        block = block[:, None]
        latents = torch.cat([latents, rollout(latents, blocks, block)], dim=1)
        blocks = torch.cat([blocks, block], dim=1)
    return (blocks[:, seen - 1:].unflatten(0, (robots, horizon)),
            latents[:, seen:].unflatten(0, (robots, horizon)))
