"""What every rollout takes; graphs that fix shapes would answer anything else with nonsense."""

from __future__ import annotations

from lewm_model.config import ModelConfig
from lewm_model.errors import ShapeError
from lewm_model.types import Context
from torch import Tensor


def checked_context(context: Context, blocks: Tensor, sizes: ModelConfig) -> Context:
    """Refuse what does not fit the model and return what it sees of the context.

    The model sees its last `history` frames; a longer context, as the prior's imagined attempts
    make it, would be a graph of its own for every length.

    Args:
        context: Latents (1, L, D), shared by all candidates, or (S, L, D), one per candidate;
            past blocks (1 or S, L-1, K*A), as the latents.
        blocks: Candidates, (S, T, K*A).
        sizes: The model's.

    Returns:
        The context without its frames before the last `history`.

    Raises:
        ShapeError: The message says which shape was wanted.
    """
    if blocks.ndim != 3 or blocks.shape[2] != sizes.block_dim:
        raise ShapeError(f'candidates must be (S, T, {sizes.block_dim}), '
                         f'got {tuple(blocks.shape)}')
    latents, past = context.latents, context.past_blocks
    if latents.ndim != 3 or latents.shape[1] == 0 or latents.shape[2] != sizes.latent_dim:
        raise ShapeError(f'latents must be (1 or S, L, {sizes.latent_dim}) with L >= 1, got '
                         f'{tuple(latents.shape)}')
    if len(latents) not in (1, len(blocks)):
        raise ShapeError(f'there is one context for all candidates or one for each of the '
                         f'{len(blocks)}, got {len(latents)}')
    expected = (len(latents), latents.shape[1] - 1, sizes.block_dim)
    if tuple(past.shape) != expected:
        raise ShapeError(f'past blocks must be {expected}, as the latents '
                         f'{tuple(latents.shape)}, got {tuple(past.shape)}')
    hidden = max(0, latents.shape[1] - sizes.history)
    if not hidden:
        return context
    return Context(latents[:, hidden:], past[:, hidden:], context.stamps_ns[-sizes.history:])
