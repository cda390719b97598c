"""What a model of push_t could reach at best, and where its plans go wrong; strict pairs.

For example: tools/push_t_limits.py push_t-pico --data data/push_t_new.h5 --new-data,
with --results out/strict.json (of `lewm evaluate --protocol strict --out`) for the third table.

Three tables. "Sight": the expert of the task, who knows how to push, acts on what the simulator
says, on what the readout says of each picture, or on a mixture, so that what latents lose
stands alone. "Plans": what was really done on the way to the goal, the plan of the search and
standing still, each by its cost as imagined, its cost by the pictures that it really leads to, and
where it leaves the T. "Trials": of `lewm evaluate --out`, whether the T is moved, and which way.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lewm_model import Bundle
from lewm_model.assemble import make_policy
from lewm_model.base.resources import find_named
from lewm_model.config import PlanConfig
from lewm_model.data.shards import open_data
from lewm_model.held_out import HeldOut
from lewm_model.types import Observation
from lewm_sim.evaluate.exam import set_exam, Settings
from lewm_sim.tasks.push_t.expert import PushExpert
import numpy as np
import torch

RANDOM = 300                   # candidates that the logged plan is ranked among
MOVED_M, MOVED_RAD = 0.005, 0.05
SEEN = ('pusher x', 'pusher y', 'block x', 'block y', 'block angle')   # in the order of the truth


def read(subject: HeldOut, frame: np.ndarray) -> np.ndarray:
    """Return what the readout says of a picture (H, W, 3), in the order of the truth, (5,)."""
    readout = subject.bundle.readout
    names = [one.name for one in readout.readable]
    return readout.read(subject.encode(frame[None]))[0][[names.index(name) for name in SEEN]]


def drive(task, world, pair, budget: int, goal: np.ndarray, see=None) -> list:
    """Let the expert push the T to `goal` (5,); `see` makes what it knows of a frame."""
    world.reset(pair.start)
    expert = PushExpert(goal[2:], task.control_dt_s)
    outcomes = []
    for _ in range(budget):
        known = world.truth() if see is None else see(world.render())
        action = expert.act(known[:2], known[2:])
        world.apply(np.zeros(2) if action is None else
                    np.clip(action, task.robot.min_command, task.robot.max_command))
        world.advance(task.control_dt_s)
        outcomes.append(task.outcome(world.truth(), pair.goal))
    return outcomes


def sight(exam, subject: HeldOut, world) -> list[dict]:
    """Return what the expert reaches, by what it sees."""
    rows = []
    for name, look, aim in (('truth', False, False), ('truth, goal by its picture', False, True),
                            ('pictures', True, False),
                            ('pictures, goal by its picture', True, True)):
        solved = []
        for pair in exam.pairs:
            goal = read(subject, pair.goal_rgb) if aim else pair.goal
            found = drive(exam.task, world, pair, exam.budget, goal,
                          (lambda frame: read(subject, frame)) if look else None)
            solved.append([one.solved(exam.tolerances[0]) for one in found])
        rows.append({'sees': name, 'reached': float(np.mean([any(one) for one in solved])),
                     'final': float(np.mean([one[-1] for one in solved]))})
    return rows


def reading(subject: HeldOut, pairs) -> dict[str, float]:
    """Return how wrong goals are read, root mean square: disk and T [m], angle [rad]."""
    errors = np.array([read(subject, pair.goal_rgb) - pair.goal for pair in pairs])
    errors[:, 4] = (errors[:, 4] + np.pi) % (2 * np.pi) - np.pi
    return {name: float(np.sqrt(np.square(errors[:, where]).sum(axis=-1).mean()))
            for name, where in (('disk', [0, 1]), ('block', [2, 3]), ('angle', [4]))}


def costs(latents: torch.Tensor, goal: torch.Tensor) -> dict[str, np.ndarray]:
    """Return both costs of latents (S, T, D), as the planner counts them."""
    far = (latents - goal).square().sum(dim=-1)
    return {'all': far.mean(dim=-1).numpy(), 'last': far[:, -1].numpy()}


@torch.inference_mode()
def plans(exam, subject: HeldOut, world, config: PlanConfig, seed: int = 0) -> list[dict]:
    """Return for each pair the costs of three plans, imagined and real, and where the T ends."""
    bundle, data = subject.bundle, subject.data
    skip, horizon = bundle.model_config.frameskip, config.horizon
    low, high = bundle.normalized_limits
    generator = torch.Generator().manual_seed(seed)
    policy, found = make_policy(bundle, config), []
    for pair in exam.pairs:
        first = int(data.ep_offset[pair.episode]) + pair.row
        policy.reset()
        goal = policy.set_goal_image(pair.goal_rgb).latent
        policy.observe(Observation(stamp_ns=0, rgb=pair.start_rgb))
        rows = {'logged': data.action[first:first + skip * horizon],
                'search': policy.plan(0).actions,
                'still': np.zeros((skip * horizon, bundle.model_config.action_dim), np.float32)}
        random = torch.randn(RANDOM, horizon, len(low), generator=generator)
        random = random.clamp(low, high).repeat(1, 1, skip)
        blocks = torch.cat([*(subject.blocks(one[None]).float() for one in rows.values()), random])
        here = subject.encode(pair.start_rgb[None])[:, None].expand(len(blocks), -1, -1)
        imagined = costs(bundle.model.rollout(here, blocks.new_zeros(len(blocks), 0,
                                                                     blocks.shape[-1]), blocks),
                         goal)
        entry = {'episode': data.ep_name[pair.episode], 'row': pair.row}
        for place, (name, actions) in enumerate(rows.items()):
            frames, end = execute(exam.task, world, pair, actions, skip)
            real = costs(subject.encode(frames)[None], goal)
            entry[name] = {'block_m': end['block'], 'angle_rad': end['angle'],
                           **{f'imagined_{key}': float(imagined[key][place]) for key in imagined},
                           **{f'real_{key}': float(real[key][0]) for key in real},
                           **{f'rank_{key}': float((imagined[key][len(rows):]
                                                    < imagined[key][place]).mean())
                              for key in imagined}}
        found.append(entry)
    return found


def execute(task, world, pair, actions: np.ndarray, skip: int):
    """Return the frames after each block, (T, H, W, 3), and the errors at the end."""
    world.reset(pair.start)
    frames = []
    for step, action in enumerate(actions, start=1):
        world.apply(np.asarray(action, float))
        world.advance(task.control_dt_s)
        if step % skip == 0:
            frames.append(world.render())
    return np.stack(frames), task.outcome(world.truth(), pair.goal).errors


def look_at(trial: dict, limits: dict[str, float]) -> dict[str, bool | float]:
    """Say of a trial of `lewm evaluate --out` what became of the T."""
    block, angle = (np.array(trial['errors'][name]) for name in ('block', 'angle'))
    disk = np.sqrt(np.maximum(np.square(trial['errors']['position']) - block ** 2, 0))
    share = np.maximum(block / limits['block'], angle / limits['angle'])
    moved = (np.abs(block - block[0]) > MOVED_M) | (np.abs(angle - angle[0]) > MOVED_RAD)
    return {'reached': bool((share[1:] < 1).any()), 'final': bool(share[-1] < 1),
            'moved': bool(moved.any()), 'nearer': bool(share[-1] < share[0] - 0.1),
            'farther': bool(share[-1] > share[0] + 0.1), 'lost': bool(
                (share[1:] < 1).any() and share[-1] >= 1),
            'start': float(share[0]), 'nearest': float(share[1:].min()),
            'disk_m': float(disk[1:].min())}


def table(header: tuple, rows) -> str:
    """Return a Markdown table."""
    return '\n'.join('| ' + ' | '.join(str(one) for one in row) + ' |'
                     for row in (header, ['---'] * len(header), *rows))


def main(words: list[str] | None = None) -> None:
    """Measure, print three tables, write JSON."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('bundle')
    parser.add_argument('--data', required=True)
    parser.add_argument('--new-data', action='store_true')
    parser.add_argument('--pairs', type=int, default=100)
    parser.add_argument('--plan', default='cem')
    parser.add_argument('--results', type=Path, action='append', default=[],
                        help='of `lewm evaluate --protocol strict --out`; may be repeated')
    parser.add_argument('--out', type=Path, default=Path('out/push_t_limits.json'))
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    bundle, data = Bundle.load(find_named('models', options.bundle)), open_data(options.data)
    settings = Settings(protocol='strict', part='all', count=options.pairs,
                        new_data=options.new_data)
    subject = HeldOut(bundle, data, new_data=options.new_data)
    exam = set_exam(bundle, data, settings)
    config = PlanConfig.from_yaml(find_named('config/plan', options.plan, '.yaml'))
    world = exam.task.make_world(exam.image_size)
    made = {'pairs': len(exam.pairs), 'goals_read_wrong': reading(subject, exam.pairs),
            'sight': sight(exam, subject, world), 'plans': plans(exam, subject, world, config)}
    world.close()
    print(f'{len(exam.pairs)} strict pairs; goals are read wrong by (root mean square) '
          + ', '.join(f'{name} {value:.4f}' for name, value in made['goals_read_wrong'].items()))
    print(table(('the expert sees', 'reached', 'end'), [
        (row['sees'], f'{row["reached"]:.0%}', f'{row["final"]:.0%}') for row in made['sight']]))
    keys = ('imagined_all', 'real_all', 'rank_all', 'imagined_last', 'real_last', 'rank_last',
            'block_m', 'angle_rad')
    print(table(('plan, medians', *keys), [
        (name, *(f'{np.median([one[name][key] for one in made["plans"]]):.3g}' for key in keys))
        for name in ('logged', 'search', 'still')]))
    limits = dict(exam.tolerances[0].limits)
    rows = [(path.stem, name, *(
        f'{np.mean([one[key] for one in found]):.0%}' for key in
        ('reached', 'final', 'moved', 'nearer', 'farther', 'lost')), *(
        f'{np.median([one[key] for one in found]):.2f}' for key in ('start', 'nearest')))
        for path in options.results
        for name, trials in json.loads(path.read_text(encoding='utf-8'))['trials'].items()
        for found in [[look_at(trial, limits) for trial in trials]]]
    if rows:
        print(table(('results', 'policy', 'reached', 'end', 'T moved', 'nearer at the end',
                     'farther', 'reached and lost', 'start, in tolerances', 'nearest'), rows))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({**made, 'trials': rows}, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
