"""Train what reads quantities from latents, and measure how exactly, on held-out episodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from lewm_model.data.measured_states import Measured, measured, STILL
from lewm_model.errors import DatasetError
from lewm_model.heads.readable import Readable, ReadoutConfig
from lewm_model.heads.readout import Readout
from lewm_model.held_out import HeldOut
import numpy as np
import torch
from torch import nn, Tensor

NOISE = 0.1          # standard deviation added to latents in training: imagined ones are not exact
_LEAST_EXPLAINED = 0.5   # share of a quantity's variance on held-out frames; below it is not read
_MOST_PLACES = 4096


def fit_readout(subject: HeldOut, latents: Tensor, sizes: ReadoutConfig | None, seed: int,
                batch_size: int, fit: Callable[[Callable[[], nn.Module], Callable], nn.Module]
                ) -> tuple[Readout, dict[str, Any]]:
    """Train a readout of everything that one picture shows, and judge it on held-out episodes.

    What turns out not to be readable is left out, and the network is trained again without it.

    Args:
        subject: Data set and bundle.
        latents: Of all rows of the data set, (N, D).
        sizes: Of the network; its quantities do not matter. None: the usual ones.
        seed: Of batches, noise and places.
        batch_size: Of the training.
        fit: Minimises a loss of a network that it builds.

    Returns:
        The readout, and what was left out, with reasons.

    Raises:
        DatasetError: If nothing is left.
    """
    kept, held_out = (_rows(subject, episodes) for episodes in (subject.kept, subject.held_out))
    found, left_out = readable_of(measured(subject.data), kept, held_out)
    while found:
        readout = _fit(subject, latents, kept, found, sizes, seed, batch_size, fit)
        readout, lost = _judge(readout, latents, found, held_out)
        if not lost:
            return readout, {'left_out': left_out}
        left_out |= lost
        found = [one for one in found if one.quantity.name not in lost]
    raise DatasetError(f'{subject.data.path}: nothing can be read from single latents: '
                       + ('; '.join(f'{name}: {why}' for name, why in left_out.items())
                          or 'no quantity was recorded') + '; record joint states or odometry')


def readable_of(everything: tuple[Measured, ...], *sides: np.ndarray
                ) -> tuple[list[Measured], dict[str, str]]:
    """Return what a goal may name, and why the rest cannot be.

    Args:
        everything: What was measured.
        sides: Rows, (n,) for each side; a quantity must be there and move on all of them.
    """
    found, left_out = [], {}
    for one in everything:
        name, values = one.quantity.name, [np.asarray(one.values[rows], float) for rows in sides]
        if one.quantity.kind == 'velocity':
            left_out[name] = 'a single picture does not show a velocity'
        elif one.quantity.width > 1:
            left_out[name] = f'a {one.quantity.kind} is more than one number'
        elif not all(np.isfinite(part).all() for part in values):
            left_out[name] = 'not recorded everywhere'
        elif any(np.ptp(part) <= STILL for part in values):
            left_out[name] = 'never moves'
        else:
            found.append(one)
    return found, left_out


def _fit(subject: HeldOut, latents: Tensor, rows: np.ndarray, found: list[Measured],
         sizes: ReadoutConfig | None, seed: int, batch_size: int, fit: Callable) -> Readout:
    inputs, columns = latents[rows], _columns(found, rows)
    chance = torch.Generator().manual_seed(seed)
    count = min(sizes.places if sizes else _MOST_PLACES, len(rows))
    quantities = [asdict(_described(one, rows)) for one in found]
    sizes = (replace(sizes, quantities=quantities, places=count) if sizes
             else ReadoutConfig(quantities, places=count))
    mean, std = columns.mean(dim=0), columns.std(dim=0).clamp(min=1e-6)

    def loss(readout: Readout) -> Tensor:
        chosen = torch.randint(len(inputs), (batch_size,), generator=chance)
        noise = NOISE * torch.randn(batch_size, inputs.shape[1], generator=chance)
        return (readout.net(inputs[chosen] + noise) - (columns[chosen] - mean) / std
                ).square().mean()

    readout = fit(lambda: subject.bundle.new_network('readout', sizes), loss)
    places = torch.randperm(len(inputs), generator=chance)[:count]
    for name, values in (('mean', mean), ('std', std), ('places', inputs[places]),
                         ('place_columns', columns[places])):
        getattr(readout, name).copy_(values)
    return readout


def _judge(readout: Readout, latents: Tensor, found: list[Measured], rows: np.ndarray
           ) -> tuple[Readout, dict[str, str]]:
    """Write held-out errors into a readout's description; return what it cannot read, and why."""
    answers, quantities, lost = readout.read(latents[rows]), [], {}
    for place, (one, measurement) in enumerate(zip(readout.readable, found, strict=True)):
        truth = np.asarray(measurement.values[rows], float)
        errors = one.error(answers[:, place:place + 1], truth)
        unexplained = (errors ** 2).mean() / one.targets(truth).var(axis=0).sum()
        if unexplained > 1 - _LEAST_EXPLAINED:
            lost[one.name] = (f'its readout explains {100 * max(1 - unexplained, 0):.0f} % of it '
                              f'in held-out frames')
        quantities.append({
            **asdict(one), 'read_error': _short(max(np.sqrt((errors ** 2).mean()), 1e-9)),
            'read_error_95': _short(np.quantile(errors, 0.95))})
    judged = Readout(replace(readout.config, quantities=quantities), readout.places.shape[1])
    judged.load_state_dict(readout.state_dict())
    return judged.eval().requires_grad_(False), lost


def _described(one: Measured, rows: np.ndarray) -> Readable:
    values, about = np.asarray(one.values[rows], float), one.quantity
    return Readable(about.name, about.kind, about.unit, about.of, read_error=1.0,
                    read_error_95=1.0, low=_short(values.min()), high=_short(values.max()))


def _columns(found: list[Measured], rows: np.ndarray) -> Tensor:
    return torch.from_numpy(np.concatenate(
        [one.quantity.targets(np.asarray(one.values[rows], float)) for one in found],
        axis=1)).float()


def _rows(subject: HeldOut, episodes: np.ndarray) -> np.ndarray:
    return np.concatenate([subject.data.ep_offset[one] + np.arange(subject.data.ep_len[one])
                           for one in episodes])


def _short(value: float) -> float:
    """Return six digits: what a person reads in `bundle.yaml`."""
    return float(f'{value:.6g}')
