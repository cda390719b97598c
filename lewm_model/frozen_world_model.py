"""A world model in DINO-WM's manner, to compare with: tokens of a frozen network, predicted.

The interface is that of `LeWorldModel`; a latent is the whole grid of tokens in a row, D = P * C,
so that the cost of planning is the squared distance over all tokens, as DINO-WM's.

Source: DINO-WM, arXiv 2411.04983: tokens of a frozen encoder are never pooled, actions are
embedded to 10 numbers and joined to every token, a transformer with a mask over frames predicts
the tokens of the next one, the loss is their mean squared error. Differences, which is why it is
called "DINO-WM-like": a small supervised ImageNet network (`frozen_encoder.py`) stands in the
place of DINOv2, there is no proprioception, and the transformer predicts the change of each token,
beginning with none.
"""

from __future__ import annotations

from lewm_model.attention import merge_heads, plain_attention, split_heads
from lewm_model.config import ModelConfig
from lewm_model.errors import PlanningError, ShapeError
from lewm_model.frozen_encoder import FrozenEncoder, token_count
import torch
from torch import nn, Tensor
from torch.nn import functional

_ACTION_DIM = 10      # of an embedded block, as DINO-WM's


class FrozenWorldModel(nn.Module):
    """Frozen tokens and a transformer that predicts them.

    Args:
        config: Sizes, with `encoder: frozen`; what is said of projector and ViT has no meaning.
        encoder: Maps pictures (N, 3, H, W) to tokens (N, P, C) and is not trained; None: the one
            of `frozen_encoder`, without its weights.
    """

    def __init__(self, config: ModelConfig, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        self.encoder = (encoder or FrozenEncoder()).requires_grad_(False)
        self.tokens = token_count(config.image_size)
        self.action_encoder = nn.Linear(config.block_dim, _ACTION_DIM)
        self.predictor = _TokenPredictor(config, self.tokens,
                                         config.latent_dim // self.tokens)

    def encode(self, frames: Tensor) -> Tensor:
        """Encode frames (B, T, 3, H, W) one by one to latents (B, T, P*C).

        Raises:
            ShapeError: If the axes are wrong.
        """
        if frames.ndim != 5 or frames.shape[2] != 3:
            raise ShapeError(f'frames must be (B, T, 3, H, W), got {tuple(frames.shape)}')
        return self.encoder(frames.flatten(0, 1)).flatten(1).unflatten(0, frames.shape[:2])

    def predict(self, latents: Tensor, blocks: Tensor) -> Tensor:
        """Predict the frame after each frame; see `LeWorldModel.predict`.

        Raises:
            ShapeError: If axes or widths do not fit each other or this model.
        """
        self._check('latents', latents, self.config.latent_dim)
        self._check('action blocks', blocks, self.config.block_dim)
        if latents.shape[:2] != blocks.shape[:2]:
            raise ShapeError(f'every latent needs the block leaving it: latents are '
                             f'{tuple(latents.shape)}, blocks {tuple(blocks.shape)}')
        tokens = latents.unflatten(2, (self.tokens, -1))                  # (B, L, P, C)
        return (tokens + self.predictor(tokens, self.action_encoder(blocks))).flatten(2)

    def rollout(self, latents: Tensor, past_blocks: Tensor, candidates: Tensor) -> Tensor:
        """Predict the latents reached by each candidate; see `LeWorldModel.rollout`.

        Raises:
            ShapeError: If axes or widths do not fit each other or this model.
            PlanningError: In training mode, where dropout would act.
        """
        if self.training:
            raise PlanningError('a rollout in training mode would drop connections; call '
                                'model.eval() first')
        self._check('latents', latents, self.config.latent_dim)
        self._check('candidates', candidates, self.config.block_dim)
        if past_blocks.shape[1] != latents.shape[1] - 1:
            raise ShapeError(f'there is one past block between two latents, got '
                             f'{latents.shape[1]} latents and {past_blocks.shape[1]} past blocks')
        count, seen = len(candidates), latents.shape[1]
        blocks = torch.cat([past_blocks.expand(count, -1, -1), candidates], dim=1)
        latents = latents.expand(count, -1, -1)
        for newest in range(seen, blocks.shape[1] + 1):
            window = slice(max(0, newest - self.config.history), newest)
            predicted = self.predict(latents[:, window], blocks[:, window])[:, -1:]
            latents = torch.cat([latents, predicted], dim=1)
        return latents[:, seen:]

    def _check(self, name: str, values: Tensor, width: int) -> None:
        if values.ndim != 3 or values.shape[1] == 0 or values.shape[2] != width:
            raise ShapeError(f'{name} must be (B, L, {width}) with L >= 1, got '
                             f'{tuple(values.shape)}')


class _TokenPredictor(nn.Module):
    """Transformer over the tokens of all frames; a token sees its own frame and earlier ones."""

    def __init__(self, config: ModelConfig, tokens: int, channels: int) -> None:
        super().__init__()
        dim = config.predictor_dim
        self.embed = nn.Linear(channels + _ACTION_DIM, dim)
        self.positions = nn.Parameter(0.02 * torch.randn(config.history, tokens, dim))
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.predictor_depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, channels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, actions: Tensor) -> Tensor:
        """Predict changes: tokens (B, L, P, C) and actions (B, L, 10) to (B, L, P, C).

        Raises:
            ShapeError: If there are more frames than the model was built for.
        """
        frames, count = tokens.shape[1:3]
        if frames > len(self.positions):
            raise ShapeError(f'the predictor was built for {len(self.positions)} frames, got '
                             f'{frames}')
        joined = torch.cat([tokens, actions[:, :, None].expand(-1, -1, count, -1)], dim=-1)
        rows = (self.embed(joined) + self.positions[:frames]).flatten(1, 2)     # (B, L*P, dim)
        frame = torch.arange(frames, device=rows.device).repeat_interleave(count)
        seen = frame[:, None] >= frame                                          # (L*P, L*P)
        for layer in self.layers:
            rows = layer(rows, seen)
        return self.head(self.norm(rows)).unflatten(1, (frames, count))


class _Layer(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, inner = config.predictor_dim, config.predictor_heads * config.predictor_head_dim
        self.heads, self.dropout = config.predictor_heads, config.dropout
        self.norm, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * inner, bias=False), nn.Linear(inner, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, config.predictor_mlp_dim), nn.GELU(),
                                 nn.Linear(config.predictor_mlp_dim, dim))

    def forward(self, rows: Tensor, seen: Tensor) -> Tensor:
        """Update rows (B, N, dim); row i sees row j where `seen` (N, N) says so."""
        parts = (split_heads(part, self.heads) for part in
                 self.qkv(self.norm(rows)).chunk(3, dim=-1))
        mixed = plain_attention(*parts, seen=seen,
                                dropout=self.dropout if self.training else 0.0)
        rows = rows + self.out(merge_heads(mixed))
        return rows + functional.dropout(self.mlp(self.norm_mlp(rows)), self.dropout,
                                         self.training)
