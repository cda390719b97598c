"""Draw the picture of a task for the README: moments of one episode, side by side.

For example: .venv/bin/python tools/task_picture.py two_room docs/images/two_room.png
"""

import argparse
from pathlib import Path

import cv2
from lewm_sim.tasks import load_task
import numpy as np

GAP = 6


def moments(name: str, seed: int, steps: int, count: int, size: int) -> np.ndarray:
    """Return `count` frames, evenly over `steps` actions, in a row."""
    task = load_task(name)
    world = task.make_world(size)
    rng = np.random.default_rng(seed)
    world.start(rng)
    act = task.policy('expert' if 'expert' in task.policies else 'random', rng)
    wanted = set(np.linspace(0, steps, count).round().astype(int).tolist())
    frames = []
    for step in range(steps + 1):
        if step in wanted:
            frames.append(world.render())
        action = act(world.truth())
        if action is not None:
            world.apply(action)
        world.advance(task.control_dt_s)
    world.close()
    white = np.full((size, GAP, 3), 255, np.uint8)
    return np.hstack([part for frame in frames for part in (frame, white)][:-1])


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument('task')
    parser.add_argument('out', type=Path)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--steps', type=int, default=40)
    parser.add_argument('--count', type=int, default=4)
    parser.add_argument('--size', type=int, default=160)
    options = parser.parse_args()
    row = moments(options.task, options.seed, options.steps, options.count, options.size)
    cv2.imwrite(str(options.out), cv2.cvtColor(row, cv2.COLOR_RGB2BGR))


if __name__ == '__main__':
    main()
