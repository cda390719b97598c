#!/usr/bin/env python3
"""Measure training alone and beside another training process, with and without spinning threads.

    python tools/measure_beside.py [--seconds 10] [--waits asleep default] [--out FILE.json]

Each process trains the `nano` recipe on random frames in memory, two threads each. The rate is
that of the time when both are at work. A fair share beside one equal process is a half of the
rate alone; the processor time of a step says what spinning costs, also on a machine that others
use.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time

ROOT = Path(__file__).resolve().parents[1]
# What a process is started with; `default` is what torch's OpenMP does by itself.
WAITS = {'default': {}, 'asleep': {'OMP_WAIT_POLICY': 'PASSIVE'},
         **{f'spin {count}': {'GOMP_SPINCOUNT': count} for count in ('1000', '10000', '100000')}}


def main() -> int:
    """Run the pairs, print a table."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.partition('\n')[0])
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--waits', nargs='+', choices=WAITS, default=['default', 'asleep'])
    parser.add_argument('--neighbours', nargs='+', choices=['none', *WAITS],
                        default=['none', 'default', 'asleep'])
    parser.add_argument('--out', type=Path)
    parser.add_argument('--worker', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        train_until(json.loads(options.worker), options.threads)
        return 0
    found = []
    for wait in options.waits:
        for neighbour in options.neighbours:
            runs = measure([wait, *([] if neighbour == 'none' else [neighbour])], options)
            found.append({'wait': wait, 'neighbour': neighbour, 'processes': runs})
            print(f'{wait:12} beside {neighbour:12} ' + ';  '.join(
                f'{run["steps_per_s"]:6.2f} steps/s, {run["cpu_s_per_step"]:.3f} CPU s a step'
                for run in runs), flush=True)
    if options.out:
        options.out.write_text(json.dumps({'seconds': options.seconds, 'threads': options.threads,
                                           'cores': os.cpu_count(), 'runs': found}, indent=1))
    return 0


def measure(waits: list[str], options: argparse.Namespace) -> list[dict[str, float]]:
    """Train in one process for each of `waits` at once; return what each of them measured."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f'{number}') for number in range(len(waits))]
        plan = {'files': files, 'seconds': options.seconds, 'parent': os.getpid()}
        processes = []
        for number, wait in enumerate(waits):
            clean = {name: value for name, value in os.environ.items() if name not in (
                'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')}
            processes.append(subprocess.Popen(
                [sys.executable, __file__, '--threads', str(options.threads), '--worker',
                 json.dumps({**plan, 'number': number})], cwd=ROOT,
                env={**clean, **WAITS[wait], 'PYTHONPATH': os.pathsep.join(
                    [str(ROOT), os.environ.get('PYTHONPATH', '')])}, stdout=subprocess.PIPE))
        return [json.loads(process.communicate()[0]) for process in processes]


def train_until(plan: dict, threads: int) -> None:
    """Train; count the steps from when all are ready on, for the time that was asked for."""
    from lewm_model.config import ModelConfig
    from lewm_model.data.clips import ClipLoader, Clips
    from lewm_model.preprocess import ActionNormalizer, FrameTransform
    from lewm_model.training.health import Health
    from lewm_model.training.loop import Progress, train
    from lewm_model.training.run import Recipe
    import numpy as np
    import torch
    torch.set_num_threads(threads)
    recipe = Recipe.from_yaml(ROOT / 'config/train/nano.yaml', validate_every=10 ** 6,
                              checkpoint_every=10 ** 6, steps=10 ** 6)
    files = [Path(file) for file in plan['files']]
    done = [file.with_suffix('.done') for file in files]
    started, cpu, first, measured = None, 0.0, 0, {}

    def look(progress: Progress) -> None:
        nonlocal started, cpu, first
        if os.getppid() != plan['parent']:          # who started this has gone
            os._exit(1)
        if progress.step == 3:                      # warm
            files[plan['number']].touch()
        if started is None and all(file.exists() for file in files):
            started, cpu, first = time.monotonic(), time.process_time(), progress.step
        elapsed_s = 0 if started is None else time.monotonic() - started
        if not measured and elapsed_s > plan['seconds']:
            steps = progress.step - first
            measured.update(steps_per_s=steps / elapsed_s,
                            cpu_s_per_step=(time.process_time() - cpu) / max(1, steps))
            done[plan['number']].touch()
        if measured and all(file.exists() for file in done):   # the others still need company
            print(json.dumps(measured), flush=True)
            os._exit(0)

    rng = np.random.default_rng(0)
    data = type('Rows', (), {
        'path': 'memory', 'ep_len': np.full(20, 60), 'ep_offset': np.arange(20) * 60,
        'num_episodes': 20, 'columns': {},
        'pixels': rng.integers(0, 255, (1200, 64, 64, 3)).astype(np.uint8),
        'action': rng.normal(size=(1200, 2)).astype(np.float32)})()
    clips = Clips(data, ActionNormalizer.fit(data.action), num_frames=4, frameskip=5)
    train(ModelConfig.from_dict({**recipe.model, 'action_dim': 2}), recipe.train,
          ClipLoader(clips, recipe.train.batch_size, 0), transform=FrameTransform(64),
          run_folder=files[plan['number']].with_suffix('.run'), report=look,
          check=lambda model: Health(0, 0, 0, 0, 0, 0))


if __name__ == '__main__':
    sys.exit(main())
