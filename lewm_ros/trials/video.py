"""The demo as pictures: a film of what the operator sees, and one contact sheet. No rclpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

import av
import cv2
from lewm_ros.trials.record import Frame, GoalResult, Record
from lewm_sim.tasks import Tolerance
from matplotlib import font_manager
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FPS = 20                       # one picture per control step
_PAUSE = 8                     # the end of each goal stays this long, to be seen [pictures]
_SIZE = (1280, 720)            # width, height [px]
_PAPER, _INK, _GREY, _LINE = (250, 250, 248), (34, 36, 40), (120, 124, 130), (220, 221, 218)
_BLUE, _GREEN, _RED = (31, 97, 191), (22, 140, 75), (200, 40, 45)
_ALARM = (247, 205, 203)
VIEW = 300                    # width and height of the two views
CAMERA_AT, GOAL_AT = (40, 96), (360, 96)
_DREAM = (690, 96, 550, 310)   # left, top, width, height of what the planner imagines
_NUMBERS_AT = (40, 440)        # three numbers in a row below the views
_COST = (110, 575, 620, 680)   # left, top, right, bottom of the curves
_SURPRISE = (730, 575, 1240, 680)


def write(results: list[GoalResult], record: Record, folder: Path, tolerance: Tolerance
          ) -> list[Path]:
    """Write `demo.png` and, if there are frames, `demo.mp4`; return what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / 'demo.png']
    contact_sheet(results, tolerance).save(files[0])
    if record.frames:
        files.append(folder / 'demo.mp4')
        write_film(film(results, record.frames, tolerance), files[1])
    return files


def write_film(pictures: Iterator[np.ndarray], path: Path, fps: int = FPS) -> None:
    """Encode uint8 (H, W, 3) pictures of one even size as H.264, yuv420p: browsers play it."""
    first = next(pictures)
    with av.open(str(path), 'w', options={'movflags': 'faststart'}) as container:
        stream = container.add_stream('libx264', rate=fps,
                                      options={'crf': '20', 'preset': 'veryfast'})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = 'yuv420p'
        for picture in chain([first], pictures):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode(None))


def film(results: list[GoalResult], frames: list[Frame], tolerance: Tolerance
         ) -> Iterator[np.ndarray]:
    """Draw one picture per frame, and more at the end of a goal, uint8 (H, W, 3)."""
    goals = [frame.goal for frame in frames]
    distances = np.array([frame.goal_distance for frame in frames], float)
    curves = (_Curve(*_logarithms(distances), goals, _COST),
              _Curve(*_surprise(frames), goals, _SURPRISE, [frame.alarm for frame in frames]))
    last = {frame.goal: index for index, frame in enumerate(frames)}
    background: Image.Image | None = None
    shown = None
    for index, frame in enumerate(frames):
        if frame.goal != shown:
            background = _background(results, frame.goal)
            shown = frame.goal
        picture = background.copy()
        result = results[frame.goal]
        done = result.reached and index > last[frame.goal] - FPS // 4
        picture.paste(_enlarged(frame.rgb, VIEW), CAMERA_AT)
        draw = ImageDraw.Draw(picture)
        _frame_around(draw, CAMERA_AT, _GREEN if done else _LINE)
        _numbers(draw, frame, tolerance, done)
        seconds = (frame.stamp_ns - frames[0].stamp_ns) / 1e9
        draw.text((1240, 60), f'{seconds:.1f} s', _GREY, _font(22), anchor='rs')
        _dream(picture, draw, frame.imagination)
        drawn = np.asarray(picture).copy()
        for curve in curves:
            drawn = curve.draw(drawn, index)
        for _ in range(_PAUSE if index == last[frame.goal] else 1):
            yield drawn


def contact_sheet(results: list[GoalResult], tolerance: Tolerance) -> Image.Image:
    """Draw start, goal and final picture of every goal, two goals to a row."""
    side, gap, text = 150, 10, 170
    cell = (3 * (side + gap) + text, side + 30)
    rows = (len(results) + 1) // 2
    sheet = Image.new('RGB', (2 * cell[0] + 80, rows * cell[1] + 90), _PAPER)
    draw = ImageDraw.Draw(sheet)
    reached = sum(result.reached for result in results)
    draw.text((40, 24), f'{reached} of {len(results)} goals reached', _INK, _font(26, True))
    for number, result in enumerate(results):
        x = 40 + (number % 2) * cell[0]
        y = 90 + (number // 2) * cell[1]
        for k, (name, rgb) in enumerate((('start', result.start_rgb), ('goal', result.goal_rgb),
                                         ('final', result.final_rgb))):
            at = (x + k * (side + gap), y)
            sheet.paste(_enlarged(rgb, side), at)
            colour = (_GREEN if result.reached else _RED) if name == 'final' else _LINE
            draw.rectangle((*at, at[0] + side, at[1] + side), outline=colour, width=2)
            if number < 2:
                draw.text((at[0] + side / 2, y - 6), name, _GREY, _font(14), anchor='ms')
        x += 3 * (side + gap) + 8
        word, colour = ('reached', _GREEN) if result.reached else ('missed', _RED)
        draw.text((x, y + 8), f'{number + 1}  {word}', colour, _font(18, True))
        draw.text((x, y + 38), f'after {result.seconds:.2f} s', _INK, _font(15))
        draw.text((x, y + 66), f'off by {tolerance.text(result.final.errors)}', _INK, _font(15))
        draw.text((x, y + 88), f'from {tolerance.text(result.start.errors, 2)}', _GREY, _font(15))
        draw.text((x, y + 116), f'latent {result.goal_distance:.3f}', _GREY, _font(15))
    return sheet


class _Curve:
    """One curve over the whole film.

    Args:
        shares: Height of each frame's point in the box, in [0, 1]; NaN: there is none.
        limits: Likewise, of the line that should not be crossed.
        goals: Number of each frame's goal.
        box: Left, top, right, bottom [px].
        alarms: Of which frames the background is coloured; (): of none.
    """

    def __init__(self, shares: np.ndarray, limits: np.ndarray, goals: list[int],
                 box: tuple[int, int, int, int], alarms: Sequence[bool] = ()) -> None:
        left, top, right, bottom = self._box = box
        self._x = np.linspace(left, right, len(goals)).round().astype(int)
        self._y, self._limits = (bottom - np.clip(values, 0, 1) * (bottom - top)
                                 for values in (shares, limits))
        self._goals, self._alarms = goals, alarms or [False] * len(goals)

    def draw(self, picture: np.ndarray, index: int) -> np.ndarray:
        """Draw the curve up to frame `index` into a picture, uint8 (H, W, 3)."""
        _, top, _, bottom = self._box
        for k in range(1, index + 1):
            if self._alarms[k]:
                cv2.rectangle(picture, (self._x[k - 1] + 1, top), (self._x[k], bottom),
                              _ALARM, -1)
            if self._goals[k] != self._goals[k - 1]:
                cv2.line(picture, (self._x[k], top), (self._x[k], bottom), _LINE, 1)
        self._line(picture, self._limits, index, _RED, 2)
        points = self._line(picture, self._y, index, _BLUE, 2)
        if len(points):
            cv2.circle(picture, tuple(points[-1, 0]), 5 * 16, _BLUE, -1, cv2.LINE_AA, shift=4)
        return picture

    def _line(self, picture: np.ndarray, y: np.ndarray, index: int,
              colour: tuple[int, int, int], width: int) -> np.ndarray:
        known = np.isfinite(y[:index + 1])
        points = np.stack([self._x[:index + 1], y[:index + 1]], axis=1)[known]
        fixed = (points * 16).round().astype(np.int32).reshape(-1, 1, 2)  # 1/16 px
        if len(fixed):
            cv2.polylines(picture, [fixed], False, colour, width, cv2.LINE_AA, shift=4)
        return fixed


def _logarithms(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return latent distances as shares of a logarithmic axis, without a limit."""
    distances = np.where(distances > 0, distances, np.nan)
    low, high = (np.log10(np.nanquantile(distances, q)) for q in (0.005, 1.0))
    return (np.log10(distances) - low) / max(high - low, 1e-6), np.full(len(distances), np.nan)


def _surprise(frames: list[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """Return surprise and its limit as shares of an axis that begins at 0."""
    values, limits = (np.array([getattr(frame, name) for frame in frames], float)
                      for name in ('surprise', 'surprise_limit'))
    known = np.concatenate([values, limits])
    top = 1.1 * max([2.0, *known[np.isfinite(known)].tolist()])
    return values / top, limits / top


def _background(results: list[GoalResult], goal: int) -> Image.Image:
    """Draw all that stays the same while one goal is pursued."""
    picture = Image.new('RGB', _SIZE, _PAPER)
    draw = ImageDraw.Draw(picture)
    title = f'goal {goal + 1} of {len(results)}'
    draw.text((40, 60), title, _INK, _font(30, True), anchor='ls')
    reached = sum(result.reached for result in results[:goal])
    draw.text((64 + _font(30, True).getlength(title), 60), f'{reached} reached so far', _GREY,
              _font(22), anchor='ls')
    rgb = results[goal].goal_rgb
    size = f'{rgb.shape[1]} x {rgb.shape[0]} px'
    below = CAMERA_AT[1] + VIEW + 8
    draw.text((CAMERA_AT[0], below), f'camera ({size}, all the planner sees)', _GREY, _font(15))
    draw.text((GOAL_AT[0], below), 'goal picture', _GREY, _font(15))
    picture.paste(_enlarged(rgb, VIEW), GOAL_AT)
    _frame_around(draw, GOAL_AT, _LINE)
    for box, name in ((_COST, 'latent\ndistance\n(log)'),
                      (_SURPRISE, 'surprise\n(red: limit,\nfilled: alarm)')):
        left, top, right, bottom = box
        draw.line((left, bottom, right, bottom), _LINE, 2)
        draw.text((left - 8, (top + bottom) / 2), name, _GREY, _font(13), anchor='rm',
                  align='right')
        draw.text((left, 706), 'time', _GREY, _font(13), anchor='ls')
    return picture


def _numbers(draw: ImageDraw.ImageDraw, frame: Frame, tolerance: Tolerance, done: bool) -> None:
    (x, y), errors = _NUMBERS_AT, frame.outcome.errors
    for name, value in ((f'largest error: {tolerance.worst(errors)}', tolerance.text(errors)),
                        ('latent distance', f'{frame.goal_distance:.3f}'),
                        ('planning takes', f'{frame.plan_ms:.0f} ms')):
        draw.text((x, y), name, _GREY, _font(16))
        draw.text((x, y + 24), value, _INK, _font(28, True))
        x += 220
    if done:
        draw.text((x, y + 18), 'reached', _GREEN, _font(36, True))


def _dream(picture: Image.Image, draw: ImageDraw.ImageDraw, jpeg: bytes) -> None:
    left, top, width, height = _DREAM
    if not jpeg:
        draw.text((left, top), 'no imagination was shown', _GREY, _font(15))
        return
    rgb = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    scale = min(width / rgb.shape[1], height / rgb.shape[0])
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture.paste(Image.fromarray(cv2.resize(rgb, size, interpolation=method)), (left, top))


def _frame_around(draw: ImageDraw.ImageDraw, at: tuple[int, int],
                  colour: tuple[int, int, int]) -> None:
    width = 2 if colour == _LINE else 6
    draw.rectangle((at[0] - width, at[1] - width, at[0] + VIEW + width - 1,
                    at[1] + VIEW + width - 1), outline=colour, width=width)


def _enlarged(rgb: np.ndarray, side: int) -> Image.Image:
    method = cv2.INTER_AREA if rgb.shape[0] > side else cv2.INTER_CUBIC
    return Image.fromarray(cv2.resize(rgb, (side, side), interpolation=method))


@lru_cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return a font that ships with matplotlib, so every machine has it."""
    weight = 'bold' if bold else 'regular'
    return ImageFont.truetype(font_manager.findfont(
        font_manager.FontProperties(family='DejaVu Sans', weight=weight)), size)
