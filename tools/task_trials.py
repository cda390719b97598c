"""Film a model's trials on held-out pairs, those it misses and those it reaches, side by side.

For example: tools/task_trials.py two_room-nano --data data/new.h5 --new-data --slow 2 \
--plan prior --plan cem --out out/two_room

The pairs are those of `lewm evaluate` with the same options. Written into --out: `trials.mp4` and
`trials.webp` (a page can show it: 1 MB at most), where all trials run at once, with the error of
each instant; and `trials.png`, a line for each trial from its start to its end. Misses of the
first planner come first.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import io
from pathlib import Path

from lewm_model import Bundle
from lewm_model.assemble import make_policy
from lewm_model.base.resources import find_named
from lewm_model.config import PlanConfig
from lewm_model.planning.fleet import Fleet
from lewm_ros.trials.video import FPS, write_film
from lewm_sim.commands._data import add_data_argument, add_new_data_argument, open_data_argument
from lewm_sim.evaluate.exam import Exam, set_exam, Settings
from lewm_sim.evaluate.pairs import Pair
from lewm_sim.evaluate.trials import run_fleet, Trial
from lewm_sim.tasks import Task, Tolerance
from lewm_sim.world import World
import numpy as np
from PIL import Image, ImageDraw
import torch

GAP, LINE = 6, 13                  # between pictures, and of a line of text [px]
PAPER, INK = (250, 250, 248), (34, 36, 40)
REACHED, MISSED = (24, 120, 60), (176, 42, 48)
PAUSE_S = 1.0                      # at the end of the film
MOST_BYTES = 1_000_000             # of the WebP
# Which pictures of the film a WebP has, and how well they are stored; the first that fits counts
WEBP = ((1, 75), (1, 50), (2, 60), (2, 40), (3, 30), (4, 20))


class Recorded:
    """A world that keeps its states, the first and that after every control step."""

    def __init__(self, world: World) -> None:
        self._world, self.states = world, []

    def __getattr__(self, name: str):
        return getattr(self._world, name)

    def reset(self, state: np.ndarray) -> None:
        """Go on from a state, and forget the others."""
        self._world.reset(state)
        self.states = [self._world.state()]

    def advance(self, seconds: float) -> None:
        """Let time pass, and keep the state then."""
        self._world.advance(seconds)
        self.states.append(self._world.state())


@dataclass(frozen=True)
class Shown:
    """One planner's trial on a pair."""

    planner: str
    trial: Trial
    states: list[np.ndarray]


@dataclass(frozen=True)
class Judge:
    """What is said of a trial."""

    tolerance: Tolerance
    control_dt_s: float

    def verdict(self, shown: Shown) -> str:
        """Return planner and outcome, such as 'cem: reached, 1.2 s'."""
        solved = [outcome.solved(self.tolerance) for outcome in shown.trial.outcomes[1:]]
        return f'{shown.planner}: ' + (
            f'reached, {(solved.index(True) + 1) * self.control_dt_s:.1f} s'
            if any(solved) else 'missed')

    def error(self, shown: Shown, instant: int) -> str:
        """Return the error of an instant that is farthest from its limit."""
        errors = shown.trial.outcomes[instant].errors
        return f'{self.tolerance.worst(errors)} {self.tolerance.text(errors)}'

    def ink(self, shown: Shown) -> tuple[int, int, int]:
        """Return the colour of the verdict."""
        return REACHED if shown.trial.reached(self.tolerance) else MISSED


def run_trials(task: Task, exam: Exam, policies: dict[str, Fleet]) -> list[list[Shown]]:
    """Return, for each pair, the trial of each planner."""
    worlds = [Recorded(world) for world in task.make_worlds(len(exam.pairs), exam.image_size)]
    found: list[list[Shown]] = [[] for _ in exam.pairs]
    for name, fleet in policies.items():
        trials = run_fleet(fleet, task, worlds, exam.pairs, exam.budget)
        for place, trial, world in zip(found, trials, worlds, strict=True):
            place.append(Shown(name, trial, world.states))
    for world in worlds:
        world.close()
    return found


def chosen(tried: Sequence[Sequence[Shown]], tolerance: Tolerance, count: int) -> list[int]:
    """Return up to `count` pairs that the first planner misses, then as many that it reaches."""
    reached = [shown[0].trial.reached(tolerance) for shown in tried]
    return [number for wanted in (False, True)
            for number in [place for place, one in enumerate(reached) if one is wanted][:count]]


def tile(goal: np.ndarray, views: Sequence[np.ndarray], texts: Sequence[tuple[str, str]],
         inks: Sequence[tuple[int, int, int]], title: str) -> np.ndarray:
    """Return the goal and a view of each planner, two lines of text above each."""
    side = goal.shape[0]
    width = side * (1 + len(views)) + GAP * (2 + len(views))
    picture = Image.new('RGB', (width, side + 2 * LINE + 2 * GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for place, (view, (above, below), ink) in enumerate(zip(
            (goal, *views), (('goal', title), *texts), (INK, *inks), strict=True)):
        left = GAP + place * (side + GAP)
        draw.text((left, GAP - 2), above, ink)
        draw.text((left, GAP - 2 + LINE), below, INK)
        picture.paste(Image.fromarray(view), (left, GAP + 2 * LINE))
    return np.asarray(picture)


def sheet(parts: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Return pictures of one size in rows, apart from each other."""
    parts = [np.pad(part, ((0, 0), (GAP, GAP), (0, 0)), constant_values=PAPER[0])
             for part in parts]
    parts = [*parts, *[np.full_like(parts[0], PAPER[0])] * (-len(parts) % columns)]
    return np.vstack([np.hstack(parts[first:first + columns])
                      for first in range(0, len(parts), columns)])


class Film:
    """Pictures of some trials, drawn anew from their states at any size."""

    def __init__(self, world: World, judge: Judge, pairs: Sequence[Pair],
                 tried: Sequence[Sequence[Shown]]) -> None:
        self._world, self._judge, self._pairs, self._tried = world, judge, pairs, tried
        self._goals = [self._draw(pair.goal_state) for pair in pairs]

    def _draw(self, state: np.ndarray) -> np.ndarray:
        self._world.reset(state)
        return self._world.render()

    def pictures(self, columns: int) -> Iterator[np.ndarray]:
        """Give all trials at each instant; even height and width, as video wants them."""
        for instant in range(len(self._tried[0][0].states)):
            parts = [tile(goal, [self._draw(one.states[instant]) for one in tried],
                          [(self._judge.verdict(one), self._judge.error(one, instant))
                           for one in tried], [self._judge.ink(one) for one in tried],
                          f'episode {pair.episode}, row {pair.row}')
                     for pair, goal, tried in zip(self._pairs, self._goals, self._tried,
                                                  strict=True)]
            picture = sheet(parts, columns)
            yield picture[:picture.shape[0] // 2 * 2, :picture.shape[1] // 2 * 2]

    def lines(self, columns: int) -> np.ndarray:
        """Return a line for each trial: what happened, the goal, views from start to end."""
        found = []
        for pair, goal, tried in zip(self._pairs, self._goals, self._tried, strict=True):
            for one in tried:
                instants = np.linspace(0, len(one.states) - 1, columns).round().astype(int)
                texts = [(f'{instant * self._judge.control_dt_s:.1f} s',
                          self._judge.error(one, instant)) for instant in instants]
                line = tile(goal, [self._draw(one.states[instant]) for instant in instants],
                            texts, [INK] * columns, '')
                head = Image.new('RGB', (line.shape[1], LINE + GAP), PAPER)
                ImageDraw.Draw(head).text(
                    (GAP, GAP), f'{self._judge.verdict(one)}   (episode {pair.episode}, row '
                    f'{pair.row})', self._judge.ink(one))
                found += [np.asarray(head), line]
        return np.vstack(found)


def write_webp(pictures: Sequence[np.ndarray], path: Path, picture_s: float,
               most_bytes: int = MOST_BYTES) -> None:
    """Write a moving picture that pauses at its end, as good as it can be in so many bytes."""
    for every, quality in WEBP:
        images = [Image.fromarray(picture) for picture in (*pictures[:-1:every], pictures[-1])]
        seconds = [picture_s * every] * (len(images) - 1) + [picture_s + PAUSE_S]
        stored = io.BytesIO()
        images[0].save(stored, 'WEBP', save_all=True, append_images=images[1:], loop=0,
                       duration=[round(1000 * one) for one in seconds], quality=quality, method=4)
        if len(stored.getvalue()) <= most_bytes:
            path.write_bytes(stored.getvalue())
            return
    raise SystemExit(f'{path} would have {len(stored.getvalue()) / 1e6:.1f} MB, at most '
                     f'{most_bytes / 1e6:.1f} are wanted; use fewer --trials or a smaller --side')


def parse(words: list[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('bundle', help='folder or shipped name')
    add_data_argument(parser, '--data')
    add_new_data_argument(parser)
    parser.add_argument('--protocol', default='strict', help='as for lewm evaluate (%(default)s)')
    parser.add_argument('--plan', action='append', default=[],
                        help="planner settings, a file or a shipped name (the bundle's); may be "
                             'repeated: the planners are shown side by side')
    parser.add_argument('--episodes', type=int, default=50, help='pairs to try (%(default)s)')
    parser.add_argument('--goal-offset', type=int, help="control steps (the task's)")
    parser.add_argument('--budget', type=int, help="control steps (the task's)")
    parser.add_argument('--seed', type=int, default=42, help='of the pairs (%(default)s)')
    parser.add_argument('--trials', type=int, default=3,
                        help='shown of misses, and as many of successes (%(default)s)')
    parser.add_argument('--columns', type=int, default=3, help='of the film (%(default)s)')
    parser.add_argument('--instants', type=int, default=7, help='in a line of the picture')
    parser.add_argument('--side', type=int, default=160, help='of each view [px] (%(default)s)')
    parser.add_argument('--slow', type=float, default=1.0,
                        help='times longer than it took (%(default)s)')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads (%(default)s)')
    parser.add_argument('--out', type=Path, required=True, help='folder')
    options = parser.parse_args(words)
    for name in ('trials', 'columns', 'instants', 'slow'):
        if not getattr(options, name) > 0:
            parser.error(f'--{name} must be above 0, got {getattr(options, name)}')
    return options


def main(words: list[str] | None = None) -> None:
    """Run the trials and write the files."""
    options = parse(words)
    torch.set_num_threads(options.threads)
    bundle = Bundle.load(find_named('models', options.bundle))
    plans = {Path(name).stem: PlanConfig.from_yaml(find_named('config/plan', name, '.yaml'))
             for name in options.plan} or {'planner': bundle.plan_config}
    exam = set_exam(bundle, open_data_argument(options), Settings(
        protocol=options.protocol, count=options.episodes, goal_offset=options.goal_offset,
        budget=options.budget, seed=options.seed, new_data=options.new_data))
    judge = Judge(exam.tolerances[0], exam.task.control_dt_s)
    tried = run_trials(exam.task, exam, {name: Fleet(make_policy(bundle, plan))
                                         for name, plan in plans.items()})
    for place, name in enumerate(plans):
        trials = [shown[place].trial for shown in tried]
        print(f'{name}: {sum(one.reached(judge.tolerance) for one in trials)} of {len(trials)} '
              f'reached, {sum(one.holds(judge.tolerance) for one in trials)} at the end '
              f'({judge.tolerance})')
    for pair, shown in zip(exam.pairs, tried, strict=True):
        for one in shown:
            if not one.trial.reached(judge.tolerance):
                print(f'missed by {one.planner}: episode {pair.episode} row {pair.row}, from '
                      f'{pair.start_truth.round(2)} to {pair.goal.round(2)}, ends with '
                      f'{judge.error(one, -1)}')
    picked = chosen(tried, judge.tolerance, options.trials)
    world = exam.task.make_world(options.side)
    film = Film(world, judge, [exam.pairs[place] for place in picked],
                [tried[place] for place in picked])
    options.out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(film.lines(options.instants)).save(options.out / 'trials.png')
    pictures = list(film.pictures(options.columns))
    world.close()
    picture_s = judge.control_dt_s * options.slow
    times = max(1, round(FPS * picture_s))
    write_film((picture for number, picture in enumerate(pictures) for _ in range(
        times + round(FPS * PAUSE_S) * (number == len(pictures) - 1))),
               options.out / 'trials.mp4')
    write_webp(pictures, options.out / 'trials.webp', picture_s)
    print(f'{options.out}: trials.png, trials.mp4, trials.webp '
          f'({(options.out / "trials.webp").stat().st_size / 1e6:.2f} MB)')


if __name__ == '__main__':
    main()
