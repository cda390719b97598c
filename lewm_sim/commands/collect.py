"""Record episodes of a simulated task as rosbags."""

from __future__ import annotations

import argparse
from pathlib import Path
import time

from lewm_sim.collect import acted, collect, CollectConfig
from lewm_sim.tasks import load_task, task_names
from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    defaults = CollectConfig()
    parser.add_argument('--task', default=defaults.task,
                        help=f'one of {", ".join(task_names())} (default: %(default)s)')
    parser.add_argument('--policy',
                        help='who acts, one of the policies of the task: random, or expert and '
                             'noisy_expert where it has them; or several with shares, as in '
                             "expert:0.5,random:0.5 (default: `acting` in the task's task.yaml)")
    parser.add_argument('--episodes', type=int, default=2000, help='how many the set shall hold')
    parser.add_argument('--steps', type=int, default=defaults.steps,
                        help='actions per episode (default: %(default)s)')
    parser.add_argument('--image-size', type=int,
                        help='square frames [px] (default: the usual size of the task)')
    parser.add_argument('--seed', type=int, default=defaults.seed)
    parser.add_argument('--workers', type=int, default=1, help='processes (default: %(default)s)')
    parser.add_argument('--out', type=Path, required=True,
                        help='folder of the set; run again to finish or to extend it')


def run(args: argparse.Namespace) -> int:
    """Record what is missing."""
    facts = load_task(args.task).facts
    config = CollectConfig(task=args.task, steps=args.steps, seed=args.seed,
                           image_size=args.image_size or facts.image_sizes[0],
                           policy=args.policy or facts.acting)
    start_s = time.monotonic()
    with tqdm(total=args.episodes, unit='episode', disable=None) as bar:
        recorded = collect(config, args.episodes, args.out, workers=args.workers,
                           command=args.command_line,
                           on_episode=lambda done, _: bar.update(done - bar.n))
    seconds = time.monotonic() - start_s
    print(f'{args.out}: {args.episodes} episodes of {args.steps} steps, {recorded} of them '
          f'recorded now in {seconds:.1f} s; who acted: '
          f'{", ".join(f"{name} {count}" for name, count in acted(args.out).items())}')
    return 0
