"""Train how far places are from each other, and choose the places of the bank."""

from __future__ import annotations

from collections.abc import Callable

from lewm_model.heads.reach import Reach, ReachConfig
from lewm_model.held_out import HeldOut
import numpy as np
import torch
from torch import nn, Tensor

_JUDGED_PAIRS = 4000
# Share of pairs of any two frames. What follows in a small world is everywhere: few of them, so
# that only what (nearly) never followed is further.
_ANY = 0.1


class Followed:
    """Draws pairs of frames: most of one episode and near, some of any two rows.

    Args:
        subject: Data set and bundle.
        latents: Of all rows of the data set, (N, D).
        episodes: Which of them to use.
        most: Blocks of near pairs.
        seed: Of the draw.
    """

    def __init__(self, subject: HeldOut, latents: Tensor, episodes: np.ndarray, most: int,
                 seed: int) -> None:
        data = subject.data
        self._latents, self._most = latents, most
        self._frameskip = subject.bundle.model_config.frameskip
        self._rows = np.concatenate([data.ep_offset[one] + np.arange(data.ep_len[one])
                                     for one in episodes])
        self._last = np.repeat(data.ep_offset[episodes] + data.ep_len[episodes] - 1,
                               data.ep_len[episodes])
        self._rng = np.random.default_rng(seed)

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return latents (B, D), goals (B, D) and classes (B,), see `Reach.forward`."""
        near = count - round(_ANY * count)
        chosen = self._rng.integers(len(self._rows), size=count)
        starts, last = self._rows[chosen], self._last[chosen]
        steps = self._rng.integers(1, self._most * self._frameskip + 1, size=count)
        goals = np.minimum(starts + steps, last)
        # Blocks from 1 on; a robot that stands still is one block away from where it is.
        classes = np.maximum(-(-(goals - starts) // self._frameskip), 1) - 1
        goals[near:] = self._rows[self._rng.integers(len(self._rows), size=count - near)]
        classes[near:] = self._most
        return (self._latents[starts], self._latents[goals], torch.from_numpy(classes))


def fit_reach(subject: HeldOut, latents: Tensor, sizes: ReachConfig | None, seed: int,
              batch_size: int, fit: Callable[[Callable[[], nn.Module], Callable], nn.Module]
              ) -> tuple[Reach, dict[str, float]]:
    """Train the network, fill the bank, and judge both on held-out episodes.

    Args:
        subject: Data set and bundle.
        latents: Of all rows of the data set, (N, D).
        sizes: Of network and bank; None: the usual ones, over the bundle's horizon.
        seed: Of draws and of the bank.
        batch_size: Of the training.
        fit: Minimises a loss of a network that it builds.

    Returns:
        The network, and the shares of pairs that it calls near: of frames that followed each
        other within `most` blocks, and of any two frames.
    """
    bundle = subject.bundle
    sizes = sizes or ReachConfig(most=bundle.plan_config.horizon)
    pairs = Followed(subject, latents, subject.kept, sizes.most, seed)

    def loss(reach: Reach) -> Tensor:
        here, there, classes = pairs.draw(batch_size)
        return nn.functional.cross_entropy(reach(here, there), classes)

    reach = fit(lambda: bundle.new_network('reach', sizes), loss)
    rows = np.concatenate([subject.data.ep_offset[one] + np.arange(subject.data.ep_len[one])
                           for one in subject.kept])
    reach.places.copy_(spread(latents[rows], sizes.places, seed))
    reach.survey()
    unseen = Followed(subject, latents, subject.held_out, sizes.most, seed)
    here, there, classes = unseen.draw(_JUDGED_PAIRS)
    near = reach.blocks(here, there).isfinite()
    related = classes < sizes.most
    return reach, {'near_of_followed': round(near[related].float().mean().item(), 4),
                   'near_of_any': round(near[~related].float().mean().item(), 4)}


def spread(latents: Tensor, count: int, seed: int, most: int = 20_000) -> Tensor:
    """Choose latents (count, D) that are far from each other, each the farthest from those before.

    Args:
        latents: (N, D); more than `most` are thinned out at random first.
        count: Wanted; fewer latents are repeated.
        seed: Of the thinning, and of the first one.
        most: Looked at.
    """
    chance = torch.Generator().manual_seed(seed)
    latents = latents[torch.randperm(len(latents), generator=chance)[:most]]
    chosen, far = [0], (latents - latents[0]).square().sum(dim=1)
    while len(chosen) < count:
        chosen.append(int(far.argmax()))
        far = torch.minimum(far, (latents - latents[chosen[-1]]).square().sum(dim=1))
    return latents[chosen]
