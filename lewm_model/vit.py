"""The frame encoder: a vision transformer whose output is its class token, nothing more.

Module names are those of the released LeWorldModel weights, which follow Hugging Face's
`ViTModel` (transformers 4), so that released files load strictly. The projector that turns the
class token into a latent is in `world_model.py`.
"""

from __future__ import annotations

from lewm_model.attention import attention, merge_heads, split_heads
from lewm_model.config import ModelConfig
from lewm_model.errors import ShapeError
import torch
from torch import nn, Tensor
from torch.nn import functional as F

_LAYER_NORM_EPS = 1e-12
_INIT_STD = 0.02
_MLP_RATIO = 4


class VisionTransformer(nn.Module):
    """Pre-norm ViT with learned positions: one vector per image.

    Source: Dosovitskiy et al. 2021, sizes and epsilon of the LeWorldModel reference.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.encoder_dim
        self.embeddings = _Embeddings(config.image_size, config.patch_size, dim)
        self.encoder = nn.ModuleDict({'layer': nn.ModuleList(
            _Block(dim, config.encoder_heads) for _ in range(config.encoder_depth))})
        self.layernorm = nn.LayerNorm(dim, eps=_LAYER_NORM_EPS)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Encode normalised images.

        Args:
            images: (N, 3, H, W) float; H and W are multiples of the patch size. Sizes other
                than the configured one interpolate the position embeddings.

        Returns:
            Class tokens after the final norm, (N, encoder_dim).

        Raises:
            ShapeError: If the axes are wrong or the image cannot be cut into whole patches.
        """
        tokens = self.embeddings(images)
        *blocks, last = self.encoder['layer']
        for block in blocks:
            tokens = block(tokens)
        # Only the class token leaves the encoder: the last block need not update the patches.
        return self.layernorm(last(tokens, kept=1)[:, 0])


class _Embeddings(nn.Module):
    """Patches, class token and positions."""

    def __init__(self, image_size: int, patch_size: int, dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.grid = image_size // patch_size
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.position_embeddings = nn.Parameter(torch.empty(1, 1 + self.grid ** 2, dim))
        self.patch_embeddings = nn.ModuleDict({
            'projection': nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size)})

    def forward(self, images: Tensor) -> Tensor:
        """Turn (N, 3, H, W) into (N, 1 + patches, dim)."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise ShapeError(f'images must be (N, 3, H, W), got {tuple(images.shape)}')
        height, width = images.shape[-2:]
        size = self.patch_size
        if height < size or width < size or height % size or width % size:
            raise ShapeError(f'image height and width must be multiples of '
                             f'patch_size={size}, got {height} x {width}')
        patches = self.patch_embeddings['projection'](images).flatten(2).transpose(1, 2)
        class_tokens = self.cls_token.expand(len(images), -1, -1)
        return (torch.cat([class_tokens, patches], dim=1)
                + self.positions(height // size, width // size))

    def positions(self, rows: int, columns: int) -> Tensor:
        """Position embeddings for a grid of patches, interpolated unless it is the own one."""
        if (rows, columns) == (self.grid, self.grid):
            return self.position_embeddings
        class_position, patch_positions = self.position_embeddings.split(
            [1, self.grid ** 2], dim=1)
        picture = patch_positions.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        picture = F.interpolate(picture, size=(rows, columns), mode='bicubic',
                                align_corners=False)
        return torch.cat([class_position, picture.flatten(2).transpose(1, 2)], dim=1)


class _Block(nn.Module):
    """Pre-norm self-attention and MLP, no dropout."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({'attention': _SelfAttention(dim, heads),
                                        'output': nn.ModuleDict({'dense': nn.Linear(dim, dim)})})
        self.intermediate = nn.ModuleDict({'dense': nn.Linear(dim, _MLP_RATIO * dim)})
        self.output = nn.ModuleDict({'dense': nn.Linear(_MLP_RATIO * dim, dim)})
        self.layernorm_before = nn.LayerNorm(dim, eps=_LAYER_NORM_EPS)
        self.layernorm_after = nn.LayerNorm(dim, eps=_LAYER_NORM_EPS)

    def forward(self, tokens: Tensor, kept: int | None = None) -> Tensor:
        """Update and return the first `kept` tokens, all by default; each one sees all."""
        normed = self.layernorm_before(tokens)
        mixed = self.attention['attention'](normed[:, :kept], normed)
        tokens = tokens[:, :kept] + self.attention['output']['dense'](mixed)
        hidden = F.gelu(self.intermediate['dense'](self.layernorm_after(tokens)))
        return tokens + self.output['dense'](hidden)


class _SelfAttention(nn.Module):
    """Query, key and value projections with bias."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)

    def forward(self, asking: Tensor, tokens: Tensor) -> Tensor:
        """Let `asking` (N, Q, dim) look at `tokens` (N, V, dim)."""
        return merge_heads(attention(split_heads(self.query(asking), self.heads),
                                     split_heads(self.key(tokens), self.heads),
                                     split_heads(self.value(tokens), self.heads)))


def _initialise(module: nn.Module) -> None:
    """Truncated normal weights, zero biases; norms keep their ones and zeros."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.trunc_normal_(module.weight, std=_INIT_STD)
        nn.init.zeros_(module.bias)
    elif isinstance(module, _Embeddings):
        nn.init.trunc_normal_(module.cls_token, std=_INIT_STD)
        nn.init.trunc_normal_(module.position_embeddings, std=_INIT_STD)
