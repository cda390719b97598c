"""Film a model's trials on held-out pairs: a picture of failures and successes, and a video.

For example: tools/task_trials.py two_room-nano --data data/two_room.h5 --out out/two_room

A line of the picture is a trial: start, goal, then what the camera saw from start to end.
"""

import argparse
from pathlib import Path

import cv2
from lewm_model import Bundle
from lewm_model.assemble import make_policy
from lewm_model.base.resources import find_named
from lewm_model.config import PlanConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.held_out import HeldOut
from lewm_model.planning.fleet import Fleet
from lewm_sim.evaluate.pairs import sample_pairs
from lewm_sim.evaluate.protocols import protocol
from lewm_sim.evaluate.trials import run_fleet
from lewm_sim.tasks import load_task
import numpy as np
import torch

GAP, SCALE = 3, 2


class Filmed:
    """A world that keeps a frame of every control step."""

    def __init__(self, world):
        self._world, self.frames, self.truths = world, [], []

    def __getattr__(self, name):
        return getattr(self._world, name)

    def reset(self, state):
        """Go on from a state, and forget the film."""
        self._world.reset(state)
        self.frames, self.truths = [self._world.render()], [self._world.truth()]

    def advance(self, seconds):
        """Let time pass, and keep what the camera sees then."""
        self._world.advance(seconds)
        self.frames.append(self._world.render())
        self.truths.append(self._world.truth())


def strip(pair, frames, columns):
    """Return one line of the picture."""
    places = np.linspace(0, len(frames) - 1, columns).round().astype(int)
    parts = [pair.start_rgb, pair.goal_rgb, *(frames[place] for place in places)]
    size = pair.goal_rgb.shape[0] * SCALE
    parts = [cv2.resize(part, (size, size), interpolation=cv2.INTER_NEAREST) for part in parts]
    return np.hstack([np.pad(part, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)
                      for part in parts])


def write_video(path, trials, rate_hz):
    """Write the trials one after the other, the goal beside the camera."""
    import av
    with av.open(str(path), 'w') as container:
        stream = None
        for pair, frames in trials:
            for frame in frames:
                both = np.hstack([frame, pair.goal_rgb])
                both = cv2.resize(both, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)
                if stream is None:
                    stream = container.add_stream('libx264', rate=round(rate_hz))
                    stream.height, stream.width = both.shape[:2]
                    stream.pix_fmt = 'yuv420p'
                container.mux(stream.encode(av.VideoFrame.from_ndarray(both, 'rgb24')))
        container.mux(stream.encode())


def main():
    """Run the trials and write the files."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument('bundle')
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--protocol', default='strict')
    parser.add_argument('--plan', help="planner settings (the bundle's)")
    parser.add_argument('--episodes', type=int, default=64, help='pairs (%(default)s)')
    parser.add_argument('--seed', type=int, default=42)
    parser.add_argument('--lines', type=int, default=4, help='of failures, and of successes')
    parser.add_argument('--columns', type=int, default=8)
    parser.add_argument('--out', type=Path, required=True, help='folder')
    options = parser.parse_args()
    torch.set_num_threads(1)
    bundle = Bundle.load(find_named('models', options.bundle))
    plan = options.plan and PlanConfig.from_yaml(
        find_named('config/plan', options.plan, '.yaml'))
    data, task = EpisodeFile.open(options.data), load_task(bundle.task)
    tolerance = protocol(options.protocol).tolerances(task.facts)[0]
    first, *others = task.make_worlds(options.episodes + 1, data.pixels.shape[1])
    pairs = sample_pairs(data, HeldOut(bundle, data).held_out, task, first,
                         count=options.episodes, goal_offset=task.facts.goal_offset,
                         seed=options.seed, unsolved_by=tolerance)
    worlds = [Filmed(world) for world in others]
    trials = run_fleet(Fleet(make_policy(bundle, plan or None)), task, worlds, pairs,
                       task.facts.budget)
    shown = {True: [], False: []}
    for trial, pair, world in zip(trials, pairs, worlds, strict=True):
        shown[trial.reached(tolerance)].append((pair, world))
    print(f'{len(shown[True])} of {len(pairs)} reached')
    for pair, world in shown[False]:
        print(f'missed: episode {pair.episode} row {pair.row}, '
              f'from {world.truths[0].round(2)} to {pair.goal.round(2)}, '
              f'ended at {world.truths[-1].round(2)}')
    chosen = shown[False][:options.lines] + shown[True][:options.lines]
    options.out.mkdir(parents=True, exist_ok=True)
    picture = np.vstack([strip(pair, world.frames, options.columns) for pair, world in chosen])
    cv2.imwrite(str(options.out / 'trials.png'), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_video(options.out / 'trials.mp4', [(pair, world.frames) for pair, world in chosen],
                1 / task.control_dt_s)
    print(f'{options.out}/trials.png, trials.mp4: failures first')


if __name__ == '__main__':
    main()
