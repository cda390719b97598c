"""The encoder as one graph, from raw pixels to the latent, preprocessing inside.

It equals `LeWorldModel.encode(FrameTransform(...))` up to rounding. Folded into weights: pixel
scale, mean and std (into the patch embedding; pixels then enter as integers, exact even in bf16),
the affine parts of LayerNorm, BatchNorm of the projector, the attention scale. The last block
treats the class token only.
"""

from __future__ import annotations

from functools import lru_cache

from lewm_model.engines.graphs.linear import linear_factory, LinearFactory
from lewm_model.errors import EngineError, ShapeError
from lewm_model.preprocess import FrameTransform
from lewm_model.world_model import LeWorldModel
import numpy as np
import torch
from torch import nn, Tensor
from torch.nn import functional as F


class EncodeGraph(nn.Module):
    """Encodes one frame of a fixed size; takes the weights of a model in eval mode.

    Args:
        model: The model; it is read, not changed.
        transform: What the model's frames go through.
        frame_size: Height and width of the raw frames [px]. If it is not the model's, resizing is
            two constant matrix products, equal to bilinear interpolation with antialias.
        linear: Makes the linear maps.
        dtype: Of the matrix products; norms and what goes from layer to layer stay fp32.
        islands: Keep softmax and projector in fp32 too, for runtimes that take types literally.
    """

    def __init__(self, model: LeWorldModel, transform: FrameTransform,
                 frame_size: tuple[int, int], linear: LinearFactory,
                 dtype: torch.dtype = torch.float32, *, islands: bool = False) -> None:
        super().__init__()
        if not isinstance(model, LeWorldModel):
            raise EngineError('this engine and exports know the parts of a LeWorldModel only, and '
                              'this is a model to compare with (encoder: frozen); use backend: '
                              'torch')
        vit, size = model.encoder, transform.image_size
        embeddings = vit.embeddings
        conv = embeddings.patch_embeddings['projection']
        self._dtype, self._patch, self._grid = dtype, embeddings.patch_size, embeddings.grid
        device = conv.weight.device
        std = torch.tensor(transform.std, device=device)[:, None, None]
        mean = torch.tensor(transform.mean, device=device)[:, None, None]
        bias = conv.bias - (conv.weight * (mean / std)).sum(dim=(1, 2, 3))
        self._embed = linear((conv.weight / (255.0 * std)).flatten(1), bias)
        self._resizes = tuple(frame_size) != (size, size)
        self.register_buffer('_rows', _resizing(frame_size[0], size).to(device))
        self.register_buffer('_columns', _resizing(frame_size[1], size).to(device))
        positions = embeddings.position_embeddings[0].detach()
        self.register_buffer('_class', embeddings.cls_token[0].detach() + positions[:1])
        self.register_buffer('_positions', positions[1:].clone())
        self._blocks = nn.ModuleList(_Block(block, linear, dtype, islands)
                                     for block in vit.encoder['layer'])
        first, batch_norm, _, second = model.projector.net
        gain = batch_norm.weight / torch.sqrt(batch_norm.running_var + batch_norm.eps)
        weight = first.weight * gain[:, None]
        bias = ((first.bias - batch_norm.running_mean) * gain + batch_norm.bias
                + weight @ vit.layernorm.bias)
        self._eps, self._width = vit.layernorm.eps, vit.layernorm.normalized_shape
        self._project_dtype = torch.float32 if islands else dtype
        if islands:
            linear = linear_factory(torch.float32)
        self._project = nn.Sequential(linear(weight * vit.layernorm.weight, bias, 'gelu'),
                                      linear(second.weight, second.bias))

    def forward(self, rgb: Tensor) -> Tensor:
        """Encode pixels (H, W, 3), 0 to 255, uint8 or float32, to a latent (D,), float32."""
        pixels = rgb.permute(2, 0, 1).float()
        if self._resizes:
            pixels = self._rows @ pixels @ self._columns.T
        grid, patch = self._grid, self._patch
        patches = pixels.reshape(3, grid, patch, grid, patch).permute(1, 3, 0, 2, 4)
        patches = self._embed(patches.reshape(grid * grid, -1).to(self._dtype)).float()
        tokens = torch.cat([self._class, patches + self._positions])
        for block in self._blocks:
            tokens = block(tokens, 1 if block is self._blocks[-1] else len(self._positions) + 1)
        normed = F.layer_norm(tokens, self._width, eps=self._eps)
        return self._project(normed.to(self._project_dtype)).float()[0]


class _Block(nn.Module):
    """One pre-norm block on the tokens of one frame."""

    def __init__(self, block: nn.Module, linear: LinearFactory, dtype: torch.dtype,
                 islands: bool) -> None:
        super().__init__()
        self._softmax_dtype = torch.float32 if islands else dtype
        attention, before = block.attention['attention'], block.layernorm_before
        after, up = block.layernorm_after, block.intermediate['dense']
        self._dtype, self._heads = dtype, attention.heads
        self._eps, self._width = before.eps, before.normalized_shape
        scale = (before.weight.shape[0] // attention.heads) ** -0.5
        self._query = linear(*(part * scale for part in _folded(attention.query, before)))
        parts = [_folded(attention.key, before), _folded(attention.value, before)]
        self._key_value = linear(*(torch.cat(pair) for pair in zip(*parts, strict=True)))
        out, down = block.attention['output']['dense'], block.output['dense']
        self._out = linear(out.weight, out.bias)
        self._up = linear(*_folded(up, after), 'gelu')
        self._down = linear(down.weight, down.bias)

    def forward(self, tokens: Tensor, kept: int) -> Tensor:
        """Update and return the first `kept` tokens; each one sees all."""
        hidden = self._norm(tokens)
        query = self._query(hidden[:kept]).unflatten(-1, (self._heads, -1)).transpose(0, 1)
        key, value = self._key_value(hidden).unflatten(
            -1, (2, self._heads, -1)).permute(1, 2, 0, 3).unbind()
        scores = (query @ key.transpose(1, 2)).to(self._softmax_dtype)
        weights = scores.softmax(dim=-1).to(self._dtype)
        mixed = (weights @ value).transpose(0, 1).flatten(1)
        tokens = tokens[:kept] + self._out(mixed).float()
        return tokens + self._down(self._up(self._norm(tokens))).float()

    def _norm(self, tokens: Tensor) -> Tensor:
        return F.layer_norm(tokens, self._width, eps=self._eps).to(self._dtype)


def _folded(module: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Join the affine part of a norm into the linear map that follows it."""
    return module.weight * norm.weight, module.weight @ norm.bias + module.bias


class FrameResizer:
    """Brings raw frames to the size of the model, as `FrameTransform` does."""

    def __init__(self, image_size: int, device: torch.device) -> None:
        self._size, self._device = image_size, device
        self._matrix = lru_cache(maxsize=8)(
            lambda size: _resizing(size, image_size).to(device))   # one per size of frame seen

    def __call__(self, rgb: np.ndarray) -> Tensor:
        """Resize uint8 (H, W, 3) to float32 (image_size, image_size, 3), still 0 to 255.

        Raises:
            ShapeError: If it is no such frame.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[-1] != 3:
            raise ShapeError(f'a frame must be uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}')
        pixels = torch.from_numpy(np.ascontiguousarray(rgb)).to(self._device).float()
        if rgb.shape[:2] == (self._size, self._size):
            return pixels
        rows, columns = (self._matrix(size) for size in rgb.shape[:2])
        return (rows @ pixels.permute(2, 0, 1) @ columns.T).permute(1, 2, 0).contiguous()


def _resizing(size_in: int, size_out: int) -> Tensor:
    """Return the matrix (size_out, size_in) of bilinear interpolation with antialias."""
    picture = torch.eye(size_in)[None, None]   # its columns are what each pixel alone becomes
    return F.interpolate(picture, size=(size_out, size_in), mode='bilinear', antialias=True,
                         align_corners=False)[0, 0].contiguous()
