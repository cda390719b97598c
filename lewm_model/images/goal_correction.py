"""A goal picture in the light, and at the place of the camera, as the camera sees now.

Most of a goal picture shows what the camera shows now, all but what moved. From that follow what
exposure and white balance did (a gain and an offset of each colour) and how far the camera moved
(a few pixels). Only what is plain is corrected, because a goal that is corrected wrongly is lost:

- a light, if more than half of the picture is not as the camera shows it, and a gain and an offset
  explain most of that;
- a shift, if what has edges is elsewhere on all four sides of the picture and hardly anything
  stayed: an object that moved is in one place, and the scene around it stays.

So a scene of which less than half moved is never touched. NumPy only, no state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lewm_model.errors import ConfigError
from lewm_model.images.light import fit_lights, LEAST, Light, misfit, SAME, tolerance
from lewm_model.images.recoloured import recoloured
from lewm_model.images.shift import (
    fine_shift,
    moved,
    Shift,
    shown,
    STAYS,
    steepness,
    whole_shift,
)
import numpy as np

if TYPE_CHECKING:
    from lewm_model.images.tiles import Tile

CORRECTIONS = ('off', 'exposure', 'all')
_LEAST_SIDE = 16       # px; smaller pictures say nothing
_MOST_LEFT = 0.45      # of the picture may be unexplained: what moved
_LEFT_OF = 0.5         # and of what differs
_CONTRAST = 24.0       # levels: that far from the usual brightness a pixel tells of the light
_TELLING = 0.002       # of the pixels must, at least 12
_FEWEST = 24           # pixels that tell a shift
_EDGE = 10.0           # levels a pixel: steep enough to change if the camera moved
_LEAST_PX = 0.25       # smaller shifts are none
_WHOLE_PX = 0.05       # nearer to whole pixels a shift is whole, and undone without a trace
_SLACK_PX = 0.1        # how exactly a shift is known
_FOR, _AGAINST = 0.4, 0.25   # votes for it, of those who tell; against it, of those for it


@dataclass(frozen=True, eq=False)
class Correction:
    """What became of a goal picture; sentences begin with "it", the picture.

    Attributes:
        rgb: To go to, uint8 (H, W, 3); the very picture that was given if nothing is corrected.
        said: What was corrected, for people; '': nothing.
        doubt: What plainly differs and is not corrected; '': nothing.
        light: From the camera's light now to the picture's; of a single camera.
        shift: From where the camera shows things to where the picture has them; likewise [px].
    """

    rgb: np.ndarray
    said: str = ''
    doubt: str = ''
    light: Light = SAME
    shift: Shift = STAYS

    @property
    def text(self) -> str:
        """Both sentences."""
        return '; '.join(filter(None, (self.said, self.doubt)))


def check_correction(which: str) -> None:
    """Refuse what is none of CORRECTIONS with a ConfigError."""
    if which not in CORRECTIONS:
        raise ConfigError(f'goal_correction must be one of {", ".join(CORRECTIONS)}, got '
                          f'{which!r}')


def correct_goal(goal: np.ndarray, live: np.ndarray, which: str, tiles: Sequence[Tile] = ()
                 ) -> Correction:
    """Correct a goal picture by what the camera shows now.

    Args:
        goal: uint8 (H, W, 3).
        live: The newest frame, of the same cameras; of another size it tells nothing.
        which: 'off'; 'exposure': gain and offset of each colour; 'all': also a shift, for cameras
            that stand still (one on the robot is moved on purpose).
        tiles: Places of the cameras in the picture, if there are several; each has a light and a
            shift of its own.

    Raises:
        ConfigError: If `which` is none of CORRECTIONS.
    """
    check_correction(which)
    if which == 'off' or goal.shape != live.shape or np.array_equal(goal, live):
        return Correction(goal)
    if len(tiles) < 2:
        return _corrected(goal, live, which)
    rgb, found = goal.copy(), []
    for tile in tiles:
        box = np.s_[tile.top:tile.top + tile.height, tile.left:tile.left + tile.width]
        found.append(_corrected(goal[box], live[box], which))
        rgb[box] = found[-1].rgb
    said = _of_cameras(one.said for one in found)
    return Correction(rgb if said else goal, said, _of_cameras(one.doubt for one in found))


@dataclass(frozen=True, eq=False)
class _View:
    """How the camera's picture becomes the goal's, but for what moved in the scene."""

    shift: Shift
    light: Light
    tolerance: float        # levels by which pixels that show the same may differ
    strange: bool = False   # most of it differs and no light explains that


def _corrected(goal: np.ndarray, live: np.ndarray, which: str) -> Correction:
    if min(goal.shape[:2]) < _LEAST_SIDE:
        return Correction(goal)
    now, then = live.astype(np.float32), goal.astype(np.float32)
    view, doubts = _look(now, then, STAYS), []
    away = _of_moved_camera(now, then, view)
    if away is not None and which == 'all':
        view = away
    elif away is not None:
        doubts.append(f'it shows everything {_far(away.shift)}, as by a camera that was moved, '
                      f'which is not corrected (goal_correction: all does)')
    if view.strange and recoloured(live, goal):
        doubts.append('most of it has other colours than the camera shows now, which no gain and '
                      'offset explain: take it again in this light')
    doubt = ', and '.join(doubts)
    if view.light is SAME and view.shift == STAYS:
        return Correction(goal, doubt=doubt)
    return Correction(_restored(live, now, then, view), _said(view), doubt, view.light,
                      view.shift)


def _look(now: np.ndarray, then: np.ndarray, shift: Shift) -> _View:
    """Find the light of the goal picture, if the camera has moved by this shift."""
    inside = shown(now.shape, shift)
    here, there = moved(now, shift)[inside], then[inside]
    plain = misfit(SAME, here, there)
    if (plain <= LEAST).mean() > 0.5:
        return _View(shift, SAME, LEAST)
    if not _tells(here):
        return _View(shift, SAME, LEAST)
    for light in fit_lights(here, there):
        limit = tolerance(light, here, there)
        differs = (plain > limit).mean()
        if differs <= 0.5:
            return _View(shift, SAME, limit)
        unlike = misfit(light, here, there) > limit
        if unlike.mean() <= min(_MOST_LEFT, _LEFT_OF * differs) and _tells(here[~unlike]):
            return _View(shift, light, limit)
    return _View(shift, SAME, limit, strange=True)


def _tells(pixels: np.ndarray) -> bool:
    """Tell whether pixels, (N, 3), differ in brightness: one grey has any gain and offset."""
    level = pixels.mean(axis=1)
    far = np.abs(level - np.median(level)) >= _CONTRAST
    return far.sum() >= max(12, _TELLING * len(level))


def _of_moved_camera(now: np.ndarray, then: np.ndarray, still: _View) -> _View | None:
    """Return how the goal picture shows the scene from a place beside; None: it plainly does not.

    Pixels vote that would differ between both cases.
    """
    edges = steepness(now) > _EDGE
    at_home = misfit(still.light, now, then) <= still.tolerance
    if edges.sum() < _FEWEST or not still.strange and at_home[edges].mean() > 0.9:
        return None
    start = whole_shift(now, then)
    light = _light_near(now, then, start)
    fine = fine_shift(now, then, start, light.seen)
    whole = (float(round(fine[0])), float(round(fine[1])))
    shift = whole if np.allclose(fine, whole, atol=_WHOLE_PX) else fine
    if max(map(abs, shift)) < _LEAST_PX:
        return None
    view = _look(now, then, shift)
    beside = moved(now, shift)
    here, there = view.light.seen(now), view.light.seen(beside)
    slack = view.tolerance + _SLACK_PX * steepness(there)
    telling = shown(now.shape, shift) & (np.abs(there - here).max(axis=2) > 3 * slack)
    votes = telling & (misfit(view.light, beside, then) <= slack)
    against = telling & (np.minimum(misfit(view.light, now, then),
                                    misfit(still.light, now, then)) <= slack)
    plain = (telling.sum() >= _FEWEST and votes.sum() >= _FOR * telling.sum()
             and against.sum() <= _AGAINST * votes.sum() and _on_all_sides(votes))
    return view if plain else None


def _light_near(now: np.ndarray, then: np.ndarray, shift: Shift) -> Light:
    """Return the light at a shift that may be half a pixel wrong: it may explain too little."""
    view, inside = _look(now, then, shift), shown(now.shape, shift)
    return fit_lights(moved(now, shift)[inside], then[inside])[0] if view.strange else view.light


def _on_all_sides(marks: np.ndarray) -> bool:
    """Tell whether there are marks, bool (H, W), within an eighth of each border."""
    down, right = (max(side // 8, 4) for side in marks.shape)
    return all(part.sum() >= 3 for part in (marks[:down], marks[-down:], marks[:, :right],
                                            marks[:, -right:]))


def _restored(live: np.ndarray, now: np.ndarray, then: np.ndarray, view: _View) -> np.ndarray:
    """Return the goal picture as the camera would take it now.

    What both show alike is taken from the camera: it is exact, and not cut off.
    """
    back = (-view.shift[0], -view.shift[1])
    seen, then = moved(moved(now, view.shift), back), moved(then, back)
    alike = (misfit(view.light, seen, then) <= LEAST) | ~shown(now.shape, back)
    undone = view.light.undone(then)
    if view.light is not SAME:
        _fill_cut_off(undone, then, now, alike)
    rgb = np.clip(np.rint(undone), 0, 255).astype(np.uint8)
    rgb[alike] = live[alike]
    return rgb


def _fill_cut_off(undone: np.ndarray, then: np.ndarray, now: np.ndarray, alike: np.ndarray
                  ) -> None:
    """Give what the goal picture has cut off at black or white what usually was cut off so.

    Where the camera shows the same (`alike`), it says what that was: floor under a white glare
    becomes floor, also where the robot stands on it now.
    """
    cut = (then >= 254.5).astype(int) - (then <= 0.5)
    kinds = (cut + 1) @ (9, 3, 1)            # one number for each way to be cut off
    for kind in np.unique(kinds[~alike & cut.any(axis=2)]):
        of_kind = kinds == kind
        known, wanted = of_kind & alike, of_kind & ~alike
        if known.sum() >= 4:
            undone[wanted] = np.where(cut[wanted] != 0, np.median(now[known], axis=0),
                                      undone[wanted])


def _said(view: _View) -> str:
    parts = []
    if view.light is not SAME:
        parts.append('with ' + ', '.join(f'{gain:.2f}' for gain in view.light.gain)
                     + ' times the light that the camera has now (red, green, blue)')
        if (np.abs(view.light.offset) >= 0.5).any():
            parts.append(', '.join(f'{offset:+.0f}' for offset in view.light.offset)
                         + ' of 255 brighter')
    if view.shift != STAYS:
        parts.append(f'with everything {_far(view.shift)}')
    return f'it was taken {" and ".join(parts)}; that is corrected'


def _far(shift: Shift) -> str:
    right, down = shift
    ways = ((right, 'left', 'right'), (down, 'up', 'down'))
    return ' and '.join(f'{abs(pixels):.1f} px {(less, more)[pixels > 0]}'
                        for pixels, less, more in ways if abs(pixels) >= 0.05)


def _of_cameras(texts: Iterable[str]) -> str:
    return '; '.join(f'camera {place}: {text}' for place, text in enumerate(texts, 1) if text)
