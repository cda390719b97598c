"""An engine with planted faults, for those who must find them."""

from __future__ import annotations

from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.types import Context


class Faulty(TorchEngine):
    """Eager, with a planted fault."""

    name = 'faulty'

    def __init__(self, bundle, fault):
        super().__init__(bundle)
        self.fault = fault

    def encode(self, rgb):
        latent = super().encode(rgb)
        return latent * 1.001 if self.fault == 'encode' else latent

    def rollout(self, context, blocks):
        if self.fault == 'pairing':
            blocks = blocks.roll(1, dims=1)
        if self.fault == 'answer' and len(blocks) == 1:   # right but for a single candidate
            return super().rollout(context, -blocks)
        latents = super().rollout(context, blocks)
        if self.fault == 'history' and context.latents.shape[1] > 1:
            newest = Context(context.latents[:, -1:], context.past_blocks[:, :0], (0,))
            return super().rollout(newest, blocks)
        return latents * float('nan') if self.fault == 'nan' else latents
