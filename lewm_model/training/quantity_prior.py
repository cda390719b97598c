"""What goals of quantities are learnt from: what was measured, and which of it counts."""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.bundles.bundle import Bundle
from lewm_model.data.measured_states import measured
from lewm_model.errors import BundleError, DatasetError
from lewm_model.heads.readable import Readable
from lewm_model.heads.readout import Readout
from lewm_model.held_out import HeldOut
import numpy as np
import torch
from torch import Tensor

_TOGETHER = 0.5      # share of goals that ask for all of one thing, such as of the block
_EVERYTHING = 0.1    # and for all that there is; the rest asks for any quantities


class Wanted:
    """What the readout reads at every row of a data set, and what was measured there.

    Args:
        subject: Data set and bundle, which must have a readout.
        latents: Of all rows of the data set, (N, D).
        seed: Of what counts.

    Attributes:
        read: Columns (N, n) in units, as `Readout.forward` answers.
        known: The same, measured.

    Raises:
        BundleError: If the bundle has no readout.
        DatasetError: If the data set lacks a quantity that it reads, or has a number missing.
    """

    def __init__(self, subject: HeldOut, latents: Tensor, seed: int) -> None:
        readout = readout_of(subject.bundle)
        found = {one.quantity.name: one for one in measured(subject.data)}
        lost = [one.name for one in readout.readable if one.name not in found]
        if lost:
            raise DatasetError(f'{subject.data.path}: the bundle reads {", ".join(lost)}, which '
                               f'this data set does not have')
        columns = np.concatenate([one.targets(np.asarray(found[one.name].values, float))
                                  for one in readout.readable], axis=1)
        if not np.isfinite(columns).all():
            raise DatasetError(f'{subject.data.path}: not all of what the bundle reads was '
                               f'recorded everywhere')
        with torch.inference_mode():
            self.read = readout(latents)
        self.known = torch.from_numpy(columns).float()
        self._things = things(readout.readable)
        self._columns = torch.tensor([one.columns for one in readout.readable])
        self._chance = torch.Generator().manual_seed(seed)

    def asked(self, count: int) -> Tensor:
        """Draw what counts, bool (B, n): all of one thing, some quantities, or everything."""
        kinds = torch.rand(count, generator=self._chance)
        some = torch.rand(count, len(self._columns), generator=self._chance) < 0.5
        one = torch.randint(len(self._columns), (count,), generator=self._chance)
        some[torch.arange(count), one] = True           # at least one
        which = torch.randint(len(self._things), (count,), generator=self._chance)
        some = torch.where((kinds < _TOGETHER)[:, None], self._things[which], some)
        some |= (kinds > 1 - _EVERYTHING)[:, None]
        return some.repeat_interleave(self._columns, dim=1)


def readout_of(bundle: Bundle) -> Readout:
    """Return what reads quantities.

    Raises:
        BundleError: If the bundle has none.
    """
    if bundle.readout is None:
        raise BundleError('goals of quantities need what reads them, which the bundle does not '
                          'have; add it first with `lewm train-policy --kind readout`')
    return bundle.readout


def things(readable: Sequence[Readable]) -> Tensor:
    """Return what belongs together, bool (things, quantities): all that is said of one thing."""
    names = list(dict.fromkeys(one.of or one.name for one in readable))
    return torch.tensor([[(one.of or one.name) == name for one in readable] for name in names])
