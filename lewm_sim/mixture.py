"""Who acts in which episode: one policy of a task, or several with stated shares.

Written `random`, or `expert:0.5,noisy_expert:0.3,random:0.2`; shares add up to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lewm_model.errors import ConfigError
import numpy as np

# Of the draw who acts, apart from the start and the actions: these stay as they are whether a
# policy acts alone or in a mixture.
_STREAM = 0x0AC7


@dataclass(frozen=True)
class Mixture:
    """Policies and their shares of the episodes."""

    shares: tuple[tuple[str, float], ...]   # name, share in (0, 1]

    @classmethod
    def parse(cls, text: str, known: Sequence[str]) -> Mixture:
        """Read a policy or a mixture.

        Args:
            text: As above.
            known: The policies of the task.

        Raises:
            ConfigError: The message says what is wrong and what there is.
        """
        shares = []
        for part in text.split(','):
            name, colon, share = part.strip().partition(':')
            if name not in known:
                raise ConfigError(f'there is no policy {name!r}; there are {", ".join(known)}, '
                                  f'and mixtures such as '
                                  f'{",".join(f"{one}:{1 / len(known):.3g}" for one in known)}')
            shares.append((name, _share(text, share) if colon else 1.0))
        total = sum(share for _, share in shares)
        if abs(total - 1) > 1e-6 or len({name for name, _ in shares}) < len(shares):
            raise ConfigError(f'a mixture names every policy once, with shares that add up to 1, '
                              f'such as expert:0.5,random:0.5; got {text!r}, which adds up to '
                              f'{total:g}')
        return cls(tuple(shares))

    def acting(self, seed: int, index: int) -> str:
        """Return who acts in an episode: a pure function of the set's seed and its index."""
        if len(self.shares) == 1:
            return self.shares[0][0]
        drawn = np.random.default_rng([seed, index, _STREAM]).random()
        place = np.searchsorted(np.cumsum([share for _, share in self.shares]), drawn, 'right')
        return self.shares[min(int(place), len(self.shares) - 1)][0]

    def counts(self, seed: int, indices: Sequence[int]) -> dict[str, int]:
        """Return in how many of these episodes each policy acts."""
        acting = [self.acting(seed, index) for index in indices]
        return {name: acting.count(name) for name, _ in self.shares}


def _share(text: str, share: str) -> float:
    try:
        value = float(share)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise ConfigError(f'a share is a number in (0, 1], got {share!r} in {text!r}')
    return value
