"""What exposure and white balance make of a picture: a gain and an offset of each colour.

`fit_lights` finds them between two pictures of one scene in which some things moved. NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST = 2.5              # levels: what shows the same may differ by that in any case
_MOST = 20.0             # levels: and never by more, however noisy
_GAINS, _OFFSET = (0.35, 2.2), 64.0      # what is believed; an offset in levels
_FAR = 24.0              # levels: a pixel that is further off has moved; it counts no more for it
_NEAR = (24.0, 12.0, 8.0, 8.0)           # levels: what a fit is made of, step by step
_PIXELS = 4096           # looked at, about
_ONES, _PAIRS = 64, 128  # pixels, and pairs of pixels, that are tried
_FEWEST = 16             # pixels that a fit is made of
_CONTRAST = 16.0         # levels: between the two of a pair
_DARKEST = 12.0          # levels: darker pixels tell no gain


@dataclass(frozen=True, eq=False)
class Light:
    """How one picture becomes another one of the same things; levels are in [0, 255]."""

    gain: np.ndarray      # float32 (3,), of red, green, blue
    offset: np.ndarray    # float32 (3,) [levels]

    def seen(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture, (..., 3), in this light, cut off at black and white."""
        return np.clip(picture * self.gain + self.offset, 0, 255)

    def undone(self, picture: np.ndarray) -> np.ndarray:
        """Return what looked so, (..., 3), in this light; what was cut off stays so."""
        return (picture - self.offset) / self.gain


SAME = Light(np.ones(3, np.float32), np.zeros(3, np.float32))


def misfit(light: Light, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return how far a picture is from another one in this light.

    What is white in the first one may have been brighter, what is black darker.

    Args:
        light: From the first to the second.
        first: float32 (..., 3) [levels].
        second: Likewise.

    Returns:
        (...) [levels], of that of red, green and blue which fits least.
    """
    rest = second - light.seen(first)
    free = ((first >= 255) & (rest > 0)) | ((first <= 0) & (rest < 0))
    return np.abs(np.where(free, 0, rest)).max(axis=-1)


def cost(light: Light, first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean misfit, of which no pixel has more than 24 levels."""
    return float(np.minimum(misfit(light, first, second), _FAR).mean())


def tolerance(light: Light, first: np.ndarray, second: np.ndarray) -> float:
    """Return by how much pixels that show the same differ: about 2.5 times their noise [levels].

    It is told by the best third of the pixels, so up to 40 % that moved do not matter.
    """
    return float(np.clip(2.6 * np.quantile(misfit(light, first, second), 0.3), LEAST, _MOST))


def fit_lights(first: np.ndarray, second: np.ndarray) -> tuple[Light, ...]:
    """Return the lights that explain most pixels, the more likely first.

    One has gains alone, from the single pixel that explains most others; one has offsets too, from
    a pair of pixels. Both are fitted to all pixels near them. Gains alone are more likely, unless
    they explain clearly less. The same pictures always have the same answer.

    Args:
        first: float32 (N, 3) [levels], pixels of the first picture.
        second: Likewise, at the same places of the second one.
    """
    step = -(-len(first) // _PIXELS)
    first, second = first[::step], second[::step]
    clear = np.flatnonzero((_within(first) & _within(second)).all(axis=1))
    if len(clear) < _FEWEST:
        return (SAME,)
    rng = np.random.default_rng(0)
    plain = _refined(_best(*_gains(first, second, clear, rng), first, second), first, second,
                     line=False)
    line = _refined(_best(*_lines(first, second, clear, rng), first, second), first, second,
                    line=True)
    simple = cost(plain, first, second)
    better = cost(line, first, second) < simple - max(0.5, 0.1 * simple)
    return (line, plain) if better else (plain, line)


def _within(levels: np.ndarray) -> np.ndarray:
    """Tell which levels were not cut off."""
    return (levels > 1) & (levels < 254)


def _gains(first: np.ndarray, second: np.ndarray, clear: np.ndarray, rng: np.random.Generator
           ) -> tuple[np.ndarray, np.ndarray]:
    """Return a gain, (n, 3), for each of some pixels; no offset."""
    bright = clear[first[clear].min(axis=1) >= _DARKEST]
    ones = rng.choice(bright if len(bright) else clear, _ONES)
    gains = second[ones] / first[ones]
    return gains, np.zeros_like(gains)


def _lines(first: np.ndarray, second: np.ndarray, clear: np.ndarray, rng: np.random.Generator
           ) -> tuple[np.ndarray, np.ndarray]:
    """Return gain and offset, (n, 3), for each of some pairs: a dark and a bright pixel."""
    level = first[clear].mean(axis=1)
    is_dark = level < (level.min() + level.max()) / 2
    if not is_dark.any():
        return np.ones((0, 3), np.float32), np.zeros((0, 3), np.float32)
    dark, bright = rng.choice(clear[is_dark], _PAIRS), rng.choice(clear[~is_dark], _PAIRS)
    contrast = first[bright] - first[dark]
    told = (contrast >= _CONTRAST).all(axis=1)
    dark, bright, contrast = dark[told], bright[told], contrast[told]
    gains = (second[bright] - second[dark]) / contrast
    return gains, second[dark] - gains * first[dark]


def _best(gains: np.ndarray, offsets: np.ndarray, first: np.ndarray, second: np.ndarray) -> Light:
    """Return the best of these, each (n, 3), or that nothing changed."""
    fair = ((gains > _GAINS[0]) & (gains < _GAINS[1]) & (np.abs(offsets) < _OFFSET)).all(axis=1)
    some = np.unique(np.round(np.hstack([64 * gains[fair], offsets[fair] / 2])), axis=0)
    lights = [SAME, *map(Light, some[:, :3] / 64, some[:, 3:] * 2)]
    return min(lights, key=lambda light: cost(light, first, second))


def _refined(light: Light, first: np.ndarray, second: np.ndarray, *, line: bool) -> Light:
    """Fit gains, or gains and offsets, to all pixels that are near already."""
    for near in _NEAR:
        used = misfit(light, first, second) <= near
        light = _fitted(light, first[used], second[used], line=line)
    return light


def _fitted(light: Light, first: np.ndarray, second: np.ndarray, *, line: bool) -> Light:
    gain, offset = light.gain.copy(), light.offset.copy()
    for channel in range(3):
        used = _within(first[:, channel]) & _within(second[:, channel])
        one, other = first[used, channel], second[used, channel]
        if len(one) < _FEWEST:
            continue
        if not line:
            gain[channel] = (one @ other) / (one @ one)
            continue
        # Both pictures have noise, so the ratio of the spreads: least squares would be too flat.
        if one.std() > 4:
            gain[channel] = np.clip(other.std() / one.std(), *_GAINS)
        offset[channel] = other.mean() - gain[channel] * one.mean()
    return Light(gain, offset)
