"""Let robots drive in simulation, undisturbed and while something happens; keep what is expected.

    python tools/surprise_trials.py reacher --data data/reacher_new.h5 --new-data
    python tools/surprise_page.py

No ROS, no clock: one control step is one action. Robots drive side by side from goal to goal, as a
planner in a live system does. Of every frame its latent, what the model expected of it and what
was executed are kept below --out, in parts; run it again and it goes on where it stopped. What a
guard would have done is found out afterwards, by `surprise_page.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
import json
from pathlib import Path
import sys
import time

from lewm_model.assemble import make_policy
from lewm_model.base.resources import find_named
from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.weights import write_atomically
from lewm_model.config import PlanConfig
from lewm_model.data.shards import open_data
from lewm_model.held_out import HeldOut
from lewm_model.planning.fleet import Fleet
from lewm_model.types import Goal
from lewm_sim.look import Look
from lewm_sim.tasks import load_task, Task
import numpy as np
import torch

ROBOTS = 20              # side by side; trials of each event
PARTS = {'choose': 1, 'report': 3}     # batches of undisturbed drives; of other seeds and goals
DRIVE_S = 60.0           # of each undisturbed drive
GOAL_S = 4.0             # every robot gets a new goal so often, each at its own time
BEFORE_S, AFTER_S = 3.0, 8.0    # of an event
_POOL = 400              # held-out frames that are starts and goals
_LOOKED_AT = 30          # of them, to choose a goal that is about as far as one of the demo
_NO_COLOURS = np.zeros((1, 3))


@dataclass(frozen=True)
class Event:
    """Something that happens to a robot, its world or its camera."""

    text: str
    world: Callable | None = None      # (task, world, rng), once
    picture: Callable | None = None    # (frame, rng) -> frame, every frame from then on
    motion: Callable | None = None     # action -> action, after it was told, from then on


def teleport(task: Task, world, rng: np.random.Generator) -> None:
    """Put an object somewhere else; where there is none, the robot."""
    here = world.state()
    world.start(rng)
    elsewhere = world.state()
    world.reset(here)
    events = task.impossible()
    events.get('teleport block', events['teleport']).happen(world, elsewhere)


def moved(shift: float, roll: float) -> Callable:
    """Turn the camera: the picture shifts this far, in any direction, and rolls."""
    def happen(task: Task, world, rng: np.random.Generator) -> None:
        way = rng.uniform(0, 2 * np.pi)
        task.set_look(world, Look(_NO_COLOURS, 1.0, (shift * np.cos(way), shift * np.sin(way)),
                                  roll * rng.choice([-1, 1])))
    return happen


def lit(strength: float) -> Callable:
    """Change the brightness, up or down."""
    return lambda task, world, rng: task.set_look(world, Look(
        _NO_COLOURS, 1 + strength * rng.choice([-1, 1]), (0.0, 0.0), 0.0))


def coloured(strength: float) -> Callable:
    """Shift red, green and blue of every material."""
    return lambda task, world, rng: task.set_look(world, Look(
        rng.uniform(-strength, strength, (64, 3)), 1.0, (0.0, 0.0), 0.0))


def covered(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a dark picture with noise: not a frozen one."""
    return rng.normal(25, 3, frame.shape).clip(0, 255).astype(np.uint8)


def stuck(action: np.ndarray) -> np.ndarray:
    """Let the first joint stand still."""
    return action * (np.arange(len(action)) > 0)


EVENTS = {
    'teleport': Event('the object, or where there is none the robot, is suddenly elsewhere',
                      world=teleport),
    'blocked camera': Event('the picture is dark, with noise', picture=covered),
    'moved camera': Event('the picture shifts by 12 % of its size and rolls by 3 degrees',
                          world=moved(0.12, 0.05)),
    'nudged camera': Event('the picture shifts by 4 % and rolls by 1 degree',
                           world=moved(0.04, 0.017)),
    'stuck joint': Event('the first joint stands still whatever it is told', motion=stuck),
    'light': Event('brightness rises or falls by 40 %', world=lit(0.4)),
    'colour': Event('red, green and blue of every material shift by up to 0.1',
                    world=coloured(0.1)),
}


class Lane:
    """Drives of ROBOTS robots at once, on goals of one half of the held-out episodes."""

    def __init__(self, task: Task, subject: HeldOut, plan: PlanConfig, part: str) -> None:
        self.task, self.dt_s = task, subject.bundle.control_dt_s
        self.fleet = Fleet(make_policy(subject.bundle, plan, backend='torch'))
        self.worlds = task.make_worlds(ROBOTS, subject.data.pixels.shape[1])
        rows = subject.sample_rows(subject.part(part), _POOL, np.random.default_rng(0))
        self.latents, self.frames = subject.encode_rows(rows), subject.data.pixels[rows]
        self.states, self.truths = [], []
        for row in rows:
            self.states.append(task.recorded_state(self.worlds[0], subject.data.columns, row))
            self.worlds[0].reset(self.states[-1])
            self.truths.append(self.worlds[0].truth())

    def _goal(self, world, rng: np.random.Generator) -> Goal:
        """Choose a recorded picture that is about as far away as the goals of the demo."""
        near, far = self.task.facts.goal_chain
        here, rule = world.truth(), self.task.facts.tolerance()
        looked_at = rng.choice(len(self.states), _LOOKED_AT, replace=False)
        far_off = [abs(np.log(max(self.task.outcome(here, self.truths[place]).distance(rule), 1e-3)
                              / np.sqrt(near * far))) for place in looked_at]
        place = looked_at[int(np.argmin(far_off))]
        return Goal(latent=self.latents[place], image=self.frames[place])

    def drive(self, seconds: float, seed: list[int], event: Event | None = None,
              at_s: float = 0.0) -> dict[str, np.ndarray]:
        """Drive; return what was seen, expected, executed, sensed and true, (ROBOTS, steps, ...).

        `new_goal` tells at which steps a robot got a goal; pictures are kept of events only.
        """
        task, fleet, rng = self.task, self.fleet, np.random.default_rng(seed)
        dt_ns, steps = round(self.dt_s * 1e9), round(seconds / self.dt_s)
        at, every = round(at_s / self.dt_s), round(GOAL_S / self.dt_s)
        phases = rng.integers(0, every, ROBOTS)
        for world in self.worlds:
            task.set_look(world, None)
            world.reset(self.states[rng.integers(len(self.states))])
        fleet.reseed(seed[-1])
        fleet.set_goals(list(self.frames[:ROBOTS]))
        past: dict[str, list] = {name: [] for name in (
            'latents', 'expected', 'actions', 'sensed', 'truth', 'new_goal')}
        pictures = []
        chance = np.random.default_rng([*seed, 1])      # of the event: the way there is the same
        for step in range(steps):
            new = (step + phases) % every == 0 if step else np.ones(ROBOTS, bool)
            for robot in np.flatnonzero(new):
                fleet.policies[robot].set_goal(self._goal(self.worlds[robot], rng))
            happened = event is not None and step >= at
            if happened and step == at and event.world is not None:
                for world in self.worlds:
                    event.world(task, world, chance)
            frames = [world.render() for world in self.worlds]
            if happened and event.picture is not None:
                frames = [event.picture(frame, chance) for frame in frames]
            if event is not None:
                pictures.append(np.stack(frames))
            fleet.observe(step * dt_ns, frames)
            seen = torch.stack([policy.newest_latent for policy in fleet.policies])
            expected = [torch.full_like(seen[0], torch.nan) if one is None else one.expected
                        for one in fleet.expectations()]
            if step % fleet.steps_per_plan == 0:
                chunks = fleet.plan(step * dt_ns)
            actions = [chunk.actions[step % fleet.steps_per_plan] for chunk in chunks]
            for name, values in (
                    ('latents', seen.numpy()), ('expected', torch.stack(expected).numpy()),
                    ('actions', np.array(actions)), ('new_goal', new),
                    ('sensed', [world.sensed().positions for world in self.worlds]),
                    ('truth', [world.truth() for world in self.worlds])):
                past[name].append(np.array(values))
            for world, action in zip(self.worlds, actions, strict=True):
                world.apply(event.motion(action) if happened and event.motion else action)
                world.advance(self.dt_s)
            fleet.executed(step * dt_ns, actions)
        found = {name: np.stack(values, axis=1).astype(
            bool if name == 'new_goal' else np.float32) for name, values in past.items()}
        return found | ({'pictures': np.stack(pictures, axis=1)} if pictures else {})


def planner(bundle: Bundle) -> PlanConfig:
    """Return the cheapest planner that drives well: a policy, the prior, or a smaller search."""
    if bundle.plan_config.solver in ('gcbc', 'inverse', 'prior'):
        return bundle.plan_config
    if bundle.prior is not None:
        return PlanConfig.from_yaml(find_named('config/plan', 'prior', '.yaml'))
    return replace(bundle.plan_config, num_candidates=40, num_elites=8, iterations=3)


def jobs(part: str) -> list[tuple[str, int]]:
    """Return what is driven: event ('' for none), number."""
    return [(event, 0) for event in EVENTS] + [('', number) for number in range(PARTS[part])]


def main() -> None:
    """Drive what has not been driven yet."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.partition('\n')[0])
    parser.add_argument('task')
    parser.add_argument('--bundle', default='', help='by default the one that the task shows')
    parser.add_argument('--data', required=True)
    parser.add_argument('--new-data', action='store_true')
    parser.add_argument('--part', choices=tuple(PARTS), default='report')
    parser.add_argument('--seed', type=int, default=0, help='for other drives (0)')
    parser.add_argument('--out', type=Path, default=Path('runs/surprise'))
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    task = load_task(args.task)
    bundle = Bundle.load(find_named('models', args.bundle or task.bundle))
    subject = HeldOut(bundle, open_data([args.data]), new_data=args.new_data)
    folder, lane, started = args.out / args.task, None, time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    facts = {'task': args.task, 'model_id': bundle.model_id, 'dt_s': bundle.control_dt_s,
             'plan': planner(bundle).to_dict(), 'robots': ROBOTS, 'goal_s': GOAL_S,
             'at': round(BEFORE_S / bundle.control_dt_s),
             'command': ' '.join(['python', 'tools/surprise_trials.py', *sys.argv[1:]])}
    path = folder / 'facts.json'
    if path.exists() and (before := json.loads(path.read_text()))['model_id'] != bundle.model_id:
        raise SystemExit(f'{folder} is of model {before["model_id"]}, this is {bundle.model_id}; '
                         f'give another --out')
    write_atomically(path, json.dumps(facts, indent=1).encode())
    for event, number in jobs(args.part):
        path = folder / f'{args.part}-{event.replace(" ", "_") or "drive"}-{number}.npz'
        if path.exists():
            continue
        lane = lane or Lane(task, subject, planner(bundle), args.part)
        seed = [list(PARTS).index(args.part), int(bool(event)), number + 100 * args.seed]
        found = lane.drive(BEFORE_S + AFTER_S if event else DRIVE_S, seed,
                                  EVENTS.get(event), BEFORE_S)
        unfinished = path.with_suffix('.tmp')
        with unfinished.open('wb') as file:
            np.savez_compressed(file, **found)
        unfinished.rename(path)
        print(f'{path.name}: {time.monotonic() - started:.0f} s', flush=True)


if __name__ == '__main__':
    main()
