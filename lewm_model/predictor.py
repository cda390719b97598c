"""The dynamics: a causal transformer over latents that actions steer through AdaLN-zero.

`ActionEncoder` embeds action blocks, `Predictor` maps latents and those embeddings to what comes
next. Module names are those of the released weights. `LeWorldModel` joins the two.
"""

from __future__ import annotations

from lewm_model.attention import attention, merge_heads, split_heads
from lewm_model.config import ModelConfig
from lewm_model.errors import ShapeError
import torch
from torch import nn, Tensor
from torch.nn import functional as F

_SMOOTHED_DIM = 10   # the reference keeps 10 whatever the length of an action block
_EMBED_RATIO = 4
_ADALN_EPS = 1e-6


class ActionEncoder(nn.Module):
    """Embed each action block by itself: (B, L, K*A) to (B, L, D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = _EMBED_RATIO * config.latent_dim
        # The released weights store this linear map as a convolution of kernel 1.
        self.patch_embed = nn.Conv1d(config.block_dim, _SMOOTHED_DIM, kernel_size=1)
        self.embed = nn.Sequential(nn.Linear(_SMOOTHED_DIM, hidden), nn.SiLU(),
                                   nn.Linear(hidden, config.latent_dim))

    def forward(self, blocks: Tensor) -> Tensor:
        """Embed normalised action blocks, oldest action first inside a block."""
        smoothed = F.linear(blocks, self.patch_embed.weight.squeeze(-1), self.patch_embed.bias)
        return self.embed(smoothed)


class Predictor(nn.Module):
    """Predict, for every frame of a window, the features of the frame after it.

    Position k sees frames and actions 0..k. At initialisation all gates are zero: the output is
    the norm of latents plus positions and does not depend on the actions.

    Source: Peebles & Xie 2023 (AdaLN-zero), sizes of the LeWorldModel reference.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.history = config.history
        self.pos_embedding = nn.Parameter(torch.randn(1, config.history, config.latent_dim))
        self.transformer = _ConditionalTransformer(config)

    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Predict every position of a window.

        Args:
            latents: (B, L, D), L at most the history the model was built for.
            actions: Embedded action blocks (B, L, D); block k leaves frame k.

        Returns:
            (B, L, D), not yet projected; position k is about frame k+1.

        Raises:
            ShapeError: If the window is longer than the history.
        """
        return self.predict(latents, self.modulate(actions))

    def modulate(self, actions: Tensor) -> list[Tensor]:
        """Compute what the actions do to each layer, (B, T, 6 * predictor_dim) per layer.

        It depends on one action block alone, not on its place in a window: a rollout computes
        it once for all windows that a block is part of.
        """
        conditions = self.transformer.cond_proj(actions)
        return [layer.adaLN_modulation(conditions) for layer in self.transformer.layers]

    def predict(self, latents: Tensor, modulations: list[Tensor], *,
                last_only: bool = False) -> Tensor:
        """Predict from latents (B, L, D) and `modulate`'s answer for the same L blocks.

        With `last_only` the answer is (B, 1, D), what `[:, -1:]` of the whole would be, for
        less work.
        """
        length = latents.shape[1]
        if not 1 <= length <= self.history:
            raise ShapeError(f'the predictor was built for windows of 1 to '
                             f'history={self.history} frames, got {length}')
        return self.transformer(latents + self.pos_embedding[:, :length], modulations, last_only)


class _ConditionalTransformer(nn.Module):
    """Conditional blocks and a final norm; projections exist only where widths differ."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.predictor_dim
        self.input_proj = _projection(config.latent_dim, dim)
        self.cond_proj = _projection(config.latent_dim, dim)
        self.output_proj = _projection(dim, config.latent_dim)
        self.layers = nn.ModuleList(_Block(config) for _ in range(config.predictor_depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, latents: Tensor, modulations: list[Tensor], last_only: bool) -> Tensor:
        tokens = self.input_proj(latents)
        newest = len(self.layers) - 1
        for index, (layer, modulation) in enumerate(
                zip(self.layers, modulations, strict=True)):
            tokens = layer(tokens, modulation, last_only and index == newest)
        return self.output_proj(self.norm(tokens))


class _Block(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by the action."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, hidden, dropout = config.predictor_dim, config.predictor_mlp_dim, config.dropout
        self.attn = _CausalAttention(config)
        self.mlp = nn.ModuleDict({'net': nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, dim), nn.Dropout(dropout))})
        self.norm1 = nn.LayerNorm(dim, eps=_ADALN_EPS, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, eps=_ADALN_EPS, elementwise_affine=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        nn.init.zeros_(self.adaLN_modulation[1].weight)
        nn.init.zeros_(self.adaLN_modulation[1].bias)

    def forward(self, tokens: Tensor, modulation: Tensor, last_only: bool) -> Tensor:
        shift, scale, gate, *rest = modulation.chunk(6, dim=-1)
        mixed = self.attn(self.norm1(tokens) * (1 + scale) + shift, last_only)
        if last_only:
            tokens, gate, *rest = (part[:, -1:] for part in (tokens, gate, *rest))
        tokens = tokens + gate * mixed
        shift, scale, gate = rest
        return tokens + gate * self.mlp['net'](self.norm2(tokens) * (1 + scale) + shift)


class _CausalAttention(nn.Module):
    """Multi-head attention to the own and earlier positions, with its own norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.predictor_heads
        self.dropout = config.dropout
        inner = config.predictor_heads * config.predictor_head_dim
        self.norm = nn.LayerNorm(config.predictor_dim)
        self.to_qkv = nn.Linear(config.predictor_dim, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, config.predictor_dim),
                                    nn.Dropout(config.dropout))

    def forward(self, tokens: Tensor, last_only: bool) -> Tensor:
        tokens = self.norm(tokens)
        if last_only:  # the newest position may see everything: no mask, one query
            inner = self.to_out[0].in_features
            queries = F.linear(tokens[:, -1:], self.to_qkv.weight[:inner])
            keys, values = F.linear(tokens, self.to_qkv.weight[inner:]).chunk(2, dim=-1)
        else:
            queries, keys, values = self.to_qkv(tokens).chunk(3, dim=-1)
        mixed = attention(split_heads(queries, self.heads), split_heads(keys, self.heads),
                          split_heads(values, self.heads), causal=not last_only,
                          dropout=self.dropout if self.training else 0.0)
        return self.to_out(merge_heads(mixed))


def _projection(width_in: int, width_out: int) -> nn.Module:
    return nn.Identity() if width_in == width_out else nn.Linear(width_in, width_out)
