"""Camera pictures to the model's square: JPEG decoded in part against in full."""

from __future__ import annotations

import argparse
import time

import cv2
from lewm_model.base import resources
from lewm_model.images.decode import (
    decode_compressed,
    resize_square,
    square_from_compressed,
)
import numpy as np

from bench.report import Group, Report
from bench.side_by_side import Measured, side_by_side, Variant

_CAMERAS = ((640, 480, 224), (640, 480, 64), (1280, 720, 224), (1920, 1080, 224))
_VIEW_SIZE = 256
_SENSOR_NOISE = 4.0   # standard deviation [grey levels]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('--bundle', default='reacher-nano',
                        help='whose latents are compared: shipped name or folder (%(default)s)')
    parser.add_argument('--quality', type=int, default=90, help='of the JPEGs (%(default)s)')
    parser.add_argument('--pictures', type=int, default=100,
                        help='random poses whose latents are compared (%(default)s)')
    parser.add_argument('--rounds', type=int, default=15, help='turns of each (%(default)s)')


def run(args: argparse.Namespace) -> Report:
    """Measure on views of the simulator, enlarged and with the noise of a sensor.

    Time is processor time of one thread: what other programs do does not count.
    """
    from lewm_model.bundles.bundle import Bundle
    from lewm_sim.tasks import load_task
    import torch

    bundle = Bundle.load(resources.find_named('models', args.bundle))
    world = load_task(bundle.task).make_world(_VIEW_SIZE)
    views = []
    for seed in range(args.pictures):
        world.start(np.random.default_rng(seed))
        views.append(world.render().copy())
    world.close()
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        groups = [_speed(camera, views[:8], args) for camera in _CAMERAS]
        groups.append(_latents(bundle, views, args))
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    return Report('pictures', tuple(groups))


def _full(content: bytes, size: int) -> np.ndarray:
    return resize_square(decode_compressed(content), size)


def _fast(content: bytes, size: int) -> np.ndarray:
    return square_from_compressed(content, size=size)


def _timed(contents: list[bytes], size: int, rounds: int) -> tuple[Measured, ...]:
    ways = {'in full': _full, 'in part': _fast}
    return tuple(side_by_side(
        {name: Variant(lambda way=way: [way(content, size) for content in contents],
                       units=len(contents)) for name, way in ways.items()},
        rounds=rounds, clock=time.process_time).values())


def _speed(camera: tuple[int, int, int], views: list[np.ndarray],
           args: argparse.Namespace) -> Group:
    width, height, size = camera
    rng = np.random.default_rng(0)
    contents = []
    for view in views:
        large = cv2.resize(view, (width, height), interpolation=cv2.INTER_CUBIC)
        noisy = np.clip(large + rng.normal(0, _SENSOR_NOISE, large.shape), 0, 255)
        contents.append(_jpeg(noisy.astype(np.uint8), args.quality))
    return Group(
        f'JPEG of {width}x{height} to {size} px', _timed(contents, size, args.rounds), 'picture',
        {'kB per picture': round(np.mean([len(content) for content in contents]) / 1e3, 1),
         'grey levels between both': _difference(
             [_fast(content, size) for content in contents],
             [_full(content, size) for content in contents])})


def _latents(bundle, views: list[np.ndarray], args: argparse.Namespace) -> Group:
    """Compare what the model makes of the same poses, seen in several ways."""
    from lewm_model.engines.choose import make_engine
    import torch

    engine, size = make_engine('torch', bundle), bundle.model_config.image_size
    contents = [_jpeg(view, args.quality) for view in views]
    seen = {'raw, area': [resize_square(view, size) for view in views],
            'raw, bilinear with antialias, by the model': views,
            'JPEG in full': [_full(content, size) for content in contents],
            'JPEG in part': [_fast(content, size) for content in contents]}
    latents = {name: torch.stack([engine.encode(picture) for picture in pictures])
               for name, pictures in seen.items()}
    notes = {'goal tolerance of the bundle, squared latent distance':
             round(bundle.goal_tolerance, 4)}
    for name, other in (('raw, bilinear with antialias, by the model', 'raw, area'),
                        ('JPEG in full', 'raw, area'), ('JPEG in part', 'raw, area'),
                        ('JPEG in part', 'JPEG in full')):
        squared = (latents[name] - latents[other]).square().sum(dim=1)
        notes[f'{name} - {other}'] = (f'median {squared.median():.4f}, '
                                      f'largest {squared.max():.4f}')
    return Group(f'JPEG of {_VIEW_SIZE}x{_VIEW_SIZE} to {size} px',
                 _timed(contents, size, args.rounds), 'picture', notes)


def _difference(ones: list[np.ndarray], others: list[np.ndarray]) -> str:
    levels = np.abs(np.array(ones, dtype=np.int16) - np.array(others, dtype=np.int16))
    return (f'mean {levels.mean():.2f}, 99 % {np.quantile(levels, 0.99):.0f}, '
            f'largest {levels.max()}')


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
