"""Tiny bundles that read quantities, for tests that need one in milliseconds."""

from __future__ import annotations

from dataclasses import asdict

from lewm_model import Bundle
from lewm_model.heads.readable import Readable, ReadoutConfig
from lewm_model.heads.readout import Readout
from nano import SIZES, tiny_bundle
import torch

ERROR = 0.01


def entry(name: str, kind: str = 'position', low: float = -5.0, high: float = 5.0) -> dict:
    """Describe a quantity that is read within `ERROR`."""
    return asdict(Readable(name, kind, read_error=ERROR, read_error_95=2 * ERROR, low=low,
                           high=high))


def bundle_that_reads(*, always: tuple[float, float] | None = None, **changes) -> Bundle:
    """Build an untrained bundle that reads 'first' and 'second' from its latents.

    Args:
        always: What it reads from every latent; None: what its random weights answer.
        changes: Parts of the bundle.
    """
    torch.manual_seed(5)
    readout = Readout(ReadoutConfig([entry('first'), entry('second')], hidden_dim=8,
                                    hidden_layers=1, places=3), SIZES.latent_dim)
    if always is not None:
        readout.std.zero_()
        readout.mean.copy_(torch.tensor(always))
    return tiny_bundle(readout=readout.eval().requires_grad_(False), **changes)
