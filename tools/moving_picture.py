"""Join the demos of several tasks into one moving picture (WebP), in real time, for the README.

For example, after `make demo TASK=two_room ARGS="--out out/two_room"` and one like it:
tools/moving_picture.py docs/images/tasks.webp reacher=out/reacher two_room=out/two_room

Of each film the camera and the goal picture are shown, side by side, from the first second on,
with the film's short pause at the end of each goal; what ends earlier stands still.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
from lewm_ros.trials.video import CAMERA_AT, FPS, GOAL_AT, VIEW
import numpy as np
from PIL import Image, ImageDraw

GAP, TITLE = 8, 18                 # [px]
PAPER, INK = (250, 250, 248), (34, 36, 40)


def views(film: Path, side: int) -> Iterator[np.ndarray]:
    """Give camera and goal of each picture of a film, uint8 (side, 2 * side + GAP, 3)."""
    with av.open(str(film)) as container:
        for picture in container.decode(video=0):
            rgb = picture.to_ndarray(format='rgb24')
            both = [cv2.resize(rgb[top:top + VIEW, left:left + VIEW], (side, side),
                               interpolation=cv2.INTER_AREA)
                    for left, top in (CAMERA_AT, GOAL_AT)]
            yield np.hstack([both[0], np.full((side, GAP, 3), PAPER, np.uint8), both[1]])


def tile(name: str, picture: np.ndarray) -> np.ndarray:
    """Write the name of a task above its views."""
    above = Image.new('RGB', (picture.shape[1], TITLE), PAPER)
    ImageDraw.Draw(above).text((0, 2), f'{name}: camera, goal', INK)
    return np.vstack([np.asarray(above), picture])


def join(films: dict[str, Path], *, side: int, seconds: float, every: int, columns: int
         ) -> list[Image.Image]:
    """Return the pictures of the whole, `every`-th of the films'."""
    count = round(seconds * FPS)
    moving = {name: list(islice(views(path, side), 0, count, every))
              for name, path in films.items()}
    longest, pictures = max(map(len, moving.values())), []
    for index in range(longest):
        tiles = [np.pad(tile(name, shown[min(index, len(shown) - 1)]),
                        ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=PAPER[0])
                 for name, shown in moving.items()]
        tiles += [np.full_like(tiles[0], PAPER[0])] * (-len(tiles) % columns)
        rows = [np.hstack(tiles[first:first + columns]) for first in range(0, len(tiles), columns)]
        pictures.append(Image.fromarray(np.vstack(rows)))
    return pictures


def named_film(text: str) -> tuple[str, Path]:
    """Return (name, film) of `name=folder of a demo`."""
    name, _, folder = text.partition('=')
    film = Path(folder) / 'demo.mp4'
    if not film.is_file():
        raise argparse.ArgumentTypeError(f'{text!r} must be NAME=FOLDER, and {film} is not there; '
                                         f'make it with `make demo TASK={name}`')
    return name, film


def main(args: list[str] | None = None) -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path)
    parser.add_argument('demos', nargs='+', type=named_film, metavar='NAME=FOLDER')
    parser.add_argument('--seconds', type=float, default=12.0)
    parser.add_argument('--side', type=int, default=150, help='of each view [px] (%(default)s)')
    parser.add_argument('--every', type=int, default=2, help='picture of the film (%(default)s)')
    parser.add_argument('--columns', type=int, default=2)
    options = parser.parse_args(args)
    pictures = join(dict(options.demos), side=options.side, seconds=options.seconds,
                    every=options.every, columns=options.columns)
    pictures[0].save(options.out, save_all=True, append_images=pictures[1:], loop=0,
                     duration=round(1000 * options.every / FPS), quality=60, method=4)
    print(f'{options.out}: {len(pictures)} pictures, {options.out.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
