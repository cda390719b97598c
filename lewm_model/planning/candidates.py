"""Candidate block sequences: how noise is shaped, what none may leave, which people are shown.

All shapes have unit variance per value, so that `sample_std` means the same for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.config import PlanConfig
from lewm_model.errors import PlanningError
import torch
from torch import Tensor

TRIED = 16      # candidates of a whole search that are kept to be shown to people, at least


class Candidates:
    """Draws noise for candidates and keeps them where they belong.

    Args:
        config: `noise` with its options, `num_candidates`, `horizon`, `clip`.
        action_dim: A.
        block_dim: K*A.
        generator: Source of all randomness, on the device of the candidates.
        bounds: Lowest and highest action, each (A,) normalised; used when `config.clip`.

    Raises:
        PlanningError: If there are no bounds to clip to.
    """

    def __init__(self, config: PlanConfig, *, action_dim: int, block_dim: int,
                 generator: torch.Generator, bounds: tuple[Tensor, Tensor] | None = None) -> None:
        self._config, self._generator = config, generator
        self._few = min(-(-TRIED // config.iterations), config.num_candidates)
        self._action_dim, self._steps_per_block = action_dim, block_dim // action_dim
        self.shape = (config.horizon, block_dim)
        self._bounds = None
        if config.clip:
            if bounds is None:
                raise PlanningError('PlanConfig.clip is on, but no action bounds were given')
            self._bounds = tuple(bound.repeat(self._steps_per_block) for bound in bounds)
        self._shape_noise = {'independent': self._blocks, 'held': self._blocks,
                             'coloured': self._coloured, 'knots': self._knots}[config.noise]
        if config.noise == 'knots':
            self._between = _interpolation(config.knots, self._num_steps, generator.device)

    def noise(self, batch: int) -> Tensor:
        """Draw (B, S, T, K*A)."""
        return self._shape_noise(batch * self._config.num_candidates).reshape(
            batch, self._config.num_candidates, *self.shape)

    def constrain(self, blocks: Tensor, committed: Sequence[Tensor | None]) -> Tensor:
        """Keep (B, N, T, K*A) in bounds and put what is committed in front.

        Args:
            blocks: Any number N of sequences per robot.
            committed: Per robot the first d actions, (d, A), or None.
        """
        if self._bounds is not None:
            blocks = blocks.clamp(*self._bounds)
        if any(rows is not None and len(rows) for rows in committed):
            blocks = blocks.clone()
            for robot, rows in enumerate(committed):
                if rows is not None and len(rows):
                    blocks[robot].flatten(1)[:, :rows.numel()] = rows.flatten()
        return blocks

    def shown(self, samples: Tensor) -> Tensor:
        """Copy the few candidates of an iteration that people are shown, (..., n, T, K*A).

        They are those drawn last: first come the mean, and what stayed or was recalled.
        """
        return samples[..., -self._few:, :, :].clone()

    @property
    def _num_steps(self) -> int:
        return self._config.horizon * self._steps_per_block

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._generator, device=self._generator.device)

    def _blocks(self, count: int) -> Tensor:
        """Noise of its own per control step, or per block; late blocks may share it."""
        config, k = self._config, self._steps_per_block
        rows = 1 if config.noise == 'held' else k
        blocks = config.free_blocks or config.horizon
        noise = self._normal(count, blocks, rows * self._action_dim)
        tail = noise[:, -1:].expand(-1, config.horizon - blocks, -1)
        return torch.cat([noise, tail], dim=1).repeat(1, 1, k // rows)

    def _coloured(self, count: int) -> Tensor:
        """Power falls with frequency to the `colour`, along all T*K control steps.

        As in iCEM (arXiv 2008.06389): the bin of frequency zero is scaled like the first one. The
        reference colours the T blocks and leaves the steps inside a block independent.
        """
        steps = self._num_steps
        scale = torch.fft.rfftfreq(steps, device=self._generator.device)
        scale[0] = 1 / steps
        scale = scale ** (-self._config.colour / 2)
        white = torch.fft.rfft(self._normal(count, steps, self._action_dim), dim=1)
        noise = torch.fft.irfft(white * scale[:, None], n=steps, dim=1)
        # White noise spreads its variance evenly over all bins: a known factor, the same for all.
        folded = 2 * scale.square().sum() - scale[0].square()
        if steps % 2 == 0:
            folded = folded - scale[-1].square()
        return noise / (folded / steps).sqrt()

    def _knots(self, count: int) -> Tensor:
        """Linear between few random actions, evenly spaced over the horizon."""
        return torch.einsum('tn,sna->sta', self._between,
                            self._normal(count, self._config.knots, self._action_dim))


def _interpolation(knots: int, steps: int, device: torch.device) -> Tensor:
    """Return weights (steps, knots) of a piecewise linear curve, scaled to unit variance."""
    place = torch.linspace(0, knots - 1, steps, device=device)[:, None]
    weights = (1 - (place - torch.arange(knots, device=device)).abs()).clamp(min=0)
    return weights / weights.square().sum(dim=1, keepdim=True).sqrt()
