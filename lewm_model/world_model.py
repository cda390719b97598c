"""LeWorldModel: frames to latents, latents and actions to the next latents, imagined rollouts.

The parts are in `vit.py` and `predictor.py`, the losses in `training/` and `sigreg.py`. Weights
of the reference load strictly: names and shapes are the same at the default sizes.
"""

from __future__ import annotations

from lewm_model.config import ModelConfig
from lewm_model.errors import PlanningError, ShapeError
from lewm_model.predictor import ActionEncoder, Predictor
from lewm_model.vit import VisionTransformer
import torch
from torch import nn, Tensor


class LeWorldModel(nn.Module):
    """A joint-embedding world model with 18,034,478 parameters at the paper's sizes.

    Latents are the *projected* ones: losses, goals and costs all live there.

    Source: LeWorldModel, arXiv 2603.19312, section 3; sizes and names of the reference code.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VisionTransformer(config)
        self.predictor = Predictor(config)
        self.action_encoder = ActionEncoder(config)
        self.projector = _Projector(config.encoder_dim, config.projector_dim, config.latent_dim)
        self.pred_proj = _Projector(config.latent_dim, config.projector_dim, config.latent_dim)

    def encode(self, frames: Tensor) -> Tensor:
        """Encode frames one by one.

        Args:
            frames: (B, T, 3, H, W) float, as `FrameTransform` gives them.

        Returns:
            Latents (B, T, D). In training mode the projector normalises over all B*T frames.

        Raises:
            ShapeError: If the axes are wrong.
        """
        if frames.ndim != 5 or frames.shape[2] != 3:
            raise ShapeError(f'frames must be (B, T, 3, H, W), got {tuple(frames.shape)}')
        features = self.encoder(frames.flatten(0, 1))
        return self.projector(features).unflatten(0, frames.shape[:2])

    def predict(self, latents: Tensor, blocks: Tensor) -> Tensor:
        """Predict the frame after each frame, from it and what came before it.

        Args:
            latents: (B, L, D), oldest first, L at most `config.history`.
            blocks: (B, L, K*A), normalised units; block k leaves frame k.

        Returns:
            (B, L, D); position k predicts the latent of frame k+1.

        Raises:
            ShapeError: If axes or widths do not fit each other or this model.
        """
        self._check_latents(latents)
        self._check_blocks('action blocks', blocks)
        if latents.shape[:2] != blocks.shape[:2]:
            raise ShapeError(f'every latent needs the block leaving it: latents are '
                             f'{tuple(latents.shape)}, blocks {tuple(blocks.shape)}')
        return self._project(self.predictor(latents, self.action_encoder(blocks)))

    def rollout(self, latents: Tensor, past_blocks: Tensor, candidates: Tensor) -> Tensor:
        """Predict the latents reached by each candidate sequence, on its own predictions.

        Step t sees the last `config.history` latents, true or predicted, fewer while there are
        fewer; position rows always start at 0. Equals a loop over `predict(...)[:, -1]`, but
        treats every action block once and the last layer for the newest position only.

        Args:
            latents: What was seen, (1, L, D) or (S, L, D), oldest first.
            past_blocks: The executed blocks between those frames, (1 or S, L-1, K*A).
            candidates: (S, T, K*A), normalised units; candidates[:, 0] leaves the newest frame.

        Returns:
            Predicted latents (S, T, D); what was seen is not included.

        Raises:
            ShapeError: If axes or widths do not fit each other or this model.
            PlanningError: In training mode, where BatchNorm would mix the candidates.
        """
        if self.training:
            raise PlanningError('a rollout in training mode would normalise over the candidates; '
                                'call model.eval() first')
        self._check_latents(latents)
        self._check_blocks('past blocks', past_blocks)
        self._check_blocks('candidates', candidates)
        if past_blocks.shape[1] != latents.shape[1] - 1:
            raise ShapeError(f'there is one past block between two latents, got '
                             f'{latents.shape[1]} latents and {past_blocks.shape[1]} past blocks')
        count = len(candidates)
        blocks = torch.cat([past_blocks.expand(count, -1, -1), candidates], dim=1)
        latents = latents.expand(count, -1, -1)
        seen, steps = latents.shape[1], candidates.shape[1]
        modulations = self.predictor.modulate(self.action_encoder(blocks))
        for newest in range(seen, seen + steps):
            window = slice(max(0, newest - self.config.history), newest)
            features = self.predictor.predict(
                latents[:, window], [layer[:, window] for layer in modulations], last_only=True)
            latents = torch.cat([latents, self._project(features)], dim=1)
        return latents[:, seen:]

    def _project(self, features: Tensor) -> Tensor:
        return self.pred_proj(features.flatten(0, 1)).unflatten(0, features.shape[:2])

    def _check_latents(self, latents: Tensor) -> None:
        width = self.config.latent_dim
        if latents.ndim != 3 or latents.shape[1] == 0 or latents.shape[2] != width:
            raise ShapeError(f'latents must be (B, L, {width}) with L >= 1, '
                             f'got {tuple(latents.shape)}')

    def _check_blocks(self, name: str, blocks: Tensor) -> None:
        width = self.config.block_dim
        if blocks.ndim != 3 or blocks.shape[2] != width:
            raise ShapeError(f'{name} must be (B, L, {width}), frameskip={self.config.frameskip} '
                             f'actions of action_dim={self.config.action_dim} each, '
                             f'got {tuple(blocks.shape)}')


class _Projector(nn.Module):
    """Linear, BatchNorm, GELU, Linear; after a norm of its own SIGReg could not be satisfied."""

    def __init__(self, width_in: int, hidden: int, width_out: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width_in, hidden), nn.BatchNorm1d(hidden), nn.GELU(),
                                 nn.Linear(hidden, width_out))

    def forward(self, rows: Tensor) -> Tensor:
        """Project (N, width_in) to (N, width_out)."""
        return self.net(rows)
