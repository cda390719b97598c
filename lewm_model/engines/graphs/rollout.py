"""The rollout as one graph with all horizon steps in it, and nothing computed twice.

It equals `LeWorldModel.rollout` up to rounding, for less work:

- What does not depend on the input is folded into weights: BatchNorm of `pred_proj`, the affine
  part of every LayerNorm that a linear map follows, the attention scale, 1 + scale of AdaLN.
- Everything that actions do to the layers is computed for all blocks at once.
- While the window grows, keys and values of earlier frames are kept: attention is causal, so they
  cannot change. When the window slides its positions start at 0 again, and it is computed anew.
- Frames before the newest, and their executed blocks, are equal for all candidates: one row each,
  unless each candidate brings a context of its own.
- The first frame of a window sees only itself: its attention is one small linear map, value and
  output joined, without a query.
- The last layer and `pred_proj` treat the newest frame only.

Rows are ordered by frame: one per frame that all candidates share, S per other frame.
"""

from __future__ import annotations

from lewm_model.engines.graphs.linear import linear_factory, LinearFactory
from lewm_model.world_model import LeWorldModel
import torch
from torch import nn, Tensor
from torch.nn import functional as F


class RolloutGraph(nn.Module):
    """Imagines candidates; takes the weights of a model in eval mode.

    Args:
        model: The model; it is read, not changed.
        linear: Makes the linear maps.
        dtype: Of the matrix products; norms, gates and what goes from layer to layer stay fp32.
        islands: Keep softmax and projector in fp32 too, for runtimes that take types literally.
    """

    def __init__(self, model: LeWorldModel, linear: LinearFactory,
                 dtype: torch.dtype = torch.float32, *, islands: bool = False) -> None:
        super().__init__()
        transformer, encoder = model.predictor.transformer, model.action_encoder
        first, _, second = encoder.embed
        weight, bias = encoder.patch_embed.weight.squeeze(-1), encoder.patch_embed.bias
        self._history, self._dtype = model.config.history, dtype
        self._embed = nn.Sequential(
            linear(first.weight @ weight, first.weight @ bias + first.bias, 'silu'),
            linear(second.weight, second.bias))
        self._condition = _projection(transformer.cond_proj, linear)
        self._input = _projection(transformer.input_proj, linear)
        self.register_buffer('_positions', model.predictor.pos_embedding[0].detach().clone())
        self._layers = nn.ModuleList(_Layer(layer, model.config.predictor_head_dim, linear, dtype,
                                            islands)
                                     for layer in transformer.layers)
        self._eps, self._width = transformer.norm.eps, transformer.norm.normalized_shape
        self._project_dtype = torch.float32 if islands else dtype
        self._project = _folded_projector(
            model, linear_factory(torch.float32) if islands else linear)

    def forward(self, latents: Tensor, past_blocks: Tensor, candidates: Tensor) -> Tensor:
        """Imagine.

        Args:
            latents: What was seen, (1, L, D) or one context per candidate, (S, L, D); oldest
                first.
            past_blocks: The executed blocks in between, (1, L-1, K*A) or (S, L-1, K*A), as
                `latents`.
            candidates: (S, T, K*A).

        Returns:
            Predicted latents (S, T, D), float32.
        """
        seen, steps = int(latents.shape[1]), int(candidates.shape[1])   # fixed in an export
        count = candidates.shape[0]
        shared = seen - 1
        each = int(latents.shape[0])   # rows of a frame that was seen: 1, or S
        past = past_blocks[0] if each == 1 else past_blocks.transpose(0, 1).flatten(0, 1)
        blocks = torch.cat([past, candidates.transpose(0, 1).flatten(0, 1)])
        conditions = self._embed(blocks.to(self._dtype))
        if self._condition is not None:
            conditions = self._condition(conditions)
        conditions = F.silu(conditions)
        modulations = [layer.modulate(conditions) for layer in self._layers]
        frames = [*(latents[:, k] for k in range(shared)), latents[:, shared].expand(count, -1)]
        starts = [*(k * each for k in range(shared)),
                  *(shared * each + t * count for t in range(steps + 1))]
        start, done = -1, 0
        for newest in range(shared, shared + steps):
            oldest = max(0, newest + 1 - self._history)
            if oldest != start:   # positions moved: what was kept is about another window
                start = done = oldest
                kept: list[list[tuple[Tensor, Tensor]]] = [[] for _ in self._layers]
            tokens = torch.cat([frames[k] + self._positions[k - start]
                                for k in range(done, newest + 1)])
            if self._input is not None:
                tokens = self._input(tokens.to(self._dtype)).float()
            first_row = starts[done]
            rows = slice(first_row, starts[newest + 1])
            cuts = [slice(starts[k] - first_row, starts[k + 1] - first_row)
                    for k in range(done, newest + 1)]
            done = newest + 1
            for layer, parts, pairs in zip(self._layers, modulations, kept, strict=True):
                only = cuts[-1] if layer is self._layers[-1] and len(cuts) > 1 else None
                tokens = layer(tokens, [part[rows] for part in parts], pairs, cuts, only)
            normed = F.layer_norm(tokens, self._width, eps=self._eps)
            frames.append(self._project(normed.to(self._project_dtype)).float())
        return torch.stack(frames[seen:], dim=1)


class _Layer(nn.Module):
    """One conditional block on rows."""

    def __init__(self, block: nn.Module, head_dim: int, linear: LinearFactory,
                 dtype: torch.dtype, islands: bool) -> None:
        super().__init__()
        self._softmax_dtype = torch.float32 if islands else dtype
        attention, (norm, up, _, _, down, _) = block.attn, block.mlp['net']
        self._dtype = dtype
        self._width = attention.norm.normalized_shape
        self._steering_eps, self._eps = block.norm1.eps, attention.norm.eps
        self._heads = (attention.heads, head_dim)
        inner = attention.heads * head_dim
        qkv = attention.to_qkv.weight
        weight, bias = qkv * attention.norm.weight, qkv @ attention.norm.bias
        self._query = linear(weight[:inner] * head_dim ** -0.5, bias[:inner] * head_dim ** -0.5)
        self._key_value = linear(weight[inner:], bias[inner:])
        out = attention.to_out[0]
        self._out = linear(out.weight, out.bias)
        self._alone = linear(out.weight @ weight[2 * inner:],
                             out.weight @ bias[2 * inner:] + out.bias)
        self._up = linear(up.weight * norm.weight, up.weight @ norm.bias + up.bias, 'gelu')
        self._down = linear(down.weight, down.bias)
        adaln = block.adaLN_modulation[1]
        bias = adaln.bias.detach().clone().unflatten(0, (6, -1))
        bias[[1, 4]] += 1   # LN(x) * (1 + scale)
        self._modulation = linear(adaln.weight, bias.flatten())

    def modulate(self, conditions: Tensor) -> tuple[Tensor, ...]:
        return self._modulation(conditions).float().chunk(6, dim=-1)

    def forward(self, tokens: Tensor, modulation: list[Tensor],
                pairs: list[tuple[Tensor, Tensor]], cuts: list[slice],
                only: slice | None) -> Tensor:
        """Update the rows of new frames; `pairs` are keys and values so far and grow.

        With `only`, just those rows are updated and returned: the newest frame's.
        """
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = modulation
        hidden = self._norms(tokens, shift, scale)
        keys_values = self._key_value(hidden).unflatten(-1, (2, *self._heads))
        before = len(pairs)
        pairs += [(keys_values[cut, 0], keys_values[cut, 1]) for cut in cuts]
        if only is not None:
            attended = self._out(self._mix(hidden[only], pairs))
            tokens, gate, shift_mlp, scale_mlp, gate_mlp = (
                part[only] for part in (tokens, gate, shift_mlp, scale_mlp, gate_mlp))
        else:
            attended = self._attend(hidden, pairs, before, cuts)
        tokens = torch.addcmul(tokens, gate, attended.float())
        hidden = self._norms(tokens, shift_mlp, scale_mlp)
        return torch.addcmul(tokens, gate_mlp, self._down(self._up(hidden)).float())

    def _norms(self, tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        normed = F.layer_norm(tokens, self._width, eps=self._steering_eps)
        steered = torch.addcmul(shift, normed, scale)
        return F.layer_norm(steered, self._width, eps=self._eps).to(self._dtype)

    def _attend(self, hidden: Tensor, pairs: list[tuple[Tensor, Tensor]], before: int,
                cuts: list[slice]) -> Tensor:
        """Let the rows of each new frame look at the frames up to it; the first sees itself."""
        alone = [self._alone(hidden[cuts[0]])] if before == 0 else []
        mixed = [self._mix(hidden[cut], pairs[:k + 1])
                 for k, cut in enumerate(cuts[len(alone):], before + len(alone))]
        return torch.cat(alone + ([self._out(torch.cat(mixed))] if mixed else []))

    def _mix(self, hidden: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Attend from one frame's rows to 2 to `history` frames.

        With so few keys, products of whole rows beat a matrix product per candidate and head.
        """
        query = self._query(hidden).unflatten(-1, self._heads)
        scores = torch.stack([(query * key).sum(dim=-1) for key, _ in pairs])
        weights = scores.to(self._softmax_dtype).softmax(dim=0).to(self._dtype).unsqueeze(-1)
        mixed = weights[0] * pairs[0][1]
        for weight, (_, value) in zip(weights[1:], pairs[1:], strict=True):
            mixed = mixed + weight * value
        return mixed.flatten(1)


def _projection(module: nn.Module, linear: LinearFactory) -> nn.Module | None:
    return None if isinstance(module, nn.Identity) else linear(module.weight, module.bias)


def _folded_projector(model: LeWorldModel, linear: LinearFactory) -> nn.Sequential:
    """Join the final norm's affine part, the output projection and BatchNorm into pred_proj."""
    transformer = model.predictor.transformer
    first, batch_norm, _, second = model.pred_proj.net
    gain = batch_norm.weight / torch.sqrt(batch_norm.running_var + batch_norm.eps)
    weight = first.weight * gain[:, None]
    bias = (first.bias - batch_norm.running_mean) * gain + batch_norm.bias
    if not isinstance(transformer.output_proj, nn.Identity):
        bias = bias + weight @ transformer.output_proj.bias
        weight = weight @ transformer.output_proj.weight
    bias = bias + weight @ transformer.norm.bias
    return nn.Sequential(linear(weight * transformer.norm.weight, bias, 'gelu'),
                         linear(second.weight, second.bias))
