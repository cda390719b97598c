"""Train and judge what a model is compared with, on its data, protocol and loop; resumable.

For example: python tools/compare_models.py two_room-nano --data data/two_room.h5 --config pico \
--judge-data data/two_room_new.h5 --seeds 1,2,3 --out out/compare/two_room

Kept in --out, and not done again where it is there: PLDM at a third, once and three times of its
weights for std and cov (the best on the half of the held-out pairs that things are chosen by is
reported), a frozen encoder (DINO-WM-like), cloned behaviour and inverse dynamics on the model's
latents; then every one on the same pairs, the model with its recommended planner and all with a
search at several budgets: `table.md`, with paired comparisons, `table.json`, `curve.png`.
"""

import argparse
import json
import logging
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Any

from lewm_model import Bundle
from lewm_model.base.resources import find_named
from lewm_model.bundles.evaluation_table import comparison_text, markdown_table
from lewm_model.config import load_yaml
from lewm_model.errors import MissingPackageError
from lewm_model.frozen_encoder import CHANNELS, released_weights, token_count
from lewm_sim.evaluate.against import compare_trials, tolerance_of
from lewm_sim.evaluate.curve import draw_curves
import yaml

SCALES = {'third': 1 / 3, 'once': 1.0, 'thrice': 3.0}      # of PLDM's std and cov
POLICIES = ('gcbc', 'prior')
# Terms beside the published two, which PLDM does not have.
AUXILIARY = ('inverse_weight', 'decoder_weight', 'state_weight', 'rollout_weight')
RECOMMENDED = 'recommended'        # the planner that the model's bundle recommends
Several = list[tuple[str, dict[str, Any]]]                 # models with their results, ours first
_log = logging.getLogger('compare_models')


def pldm_recipe(base: dict, scale: float) -> dict:
    """Return a recipe with PLDM's objective: as many clips, in batches of 128 at least.

    A covariance needs more clips in a batch than latent dimensions; steps shrink as the batch
    grows.
    """
    train = {key: value for key, value in base['train'].items() if key != 'sigreg_weight'}
    batch = max(train['batch_size'], 128)
    steps = round(train['steps'] * train['batch_size'] / batch)
    return {**base, 'train': {**train, 'loss': 'pldm', 'batch_size': batch, 'steps': steps,
                              'pldm_std': 18.0 * scale, 'pldm_cov': 12.0 * scale,
                              **dict.fromkeys(AUXILIARY, 0.0)}}


def frozen_recipe(base: dict) -> dict:
    """Return a recipe on frozen tokens: the same clips and planner, predictor of nano_frozen."""
    known = load_yaml(find_named('config/train', 'nano_frozen', '.yaml'))
    model, train = base['model'], base['train']
    sizes = {**known['model'], **{key: model[key] for key in ('image_size', 'history',
                                                              'frameskip')},
             'latent_dim': CHANNELS * token_count(model['image_size'])}
    return {'model': sizes, 'plan': base['plan'], 'train': {
        **known['train'], **{key: train[key] for key in ('batch_size', 'steps')}}}


class Comparison:
    """The folder of one comparison, and how its parts are made."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.out = args, args.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.base = load_yaml(find_named('config/train', args.config, '.yaml'))
        if args.steps:
            self.base['train']['steps'] = args.steps

    def lewm(self, *words: object) -> None:
        """Run one command; its own messages are shown."""
        line = [str(word) for word in words]
        _log.info('lewm %s', ' '.join(line))
        subprocess.run([sys.executable, '-m', 'lewm_sim.cli', *line], check=True)

    @property
    def data(self) -> list[str]:
        """The set that models are trained from, as options."""
        return [word for path in self.args.data for word in ('--data', path)]

    @property
    def judge_data(self) -> list[str]:
        """The set that pairs come from, as options."""
        if not self.args.judge_data:
            return self.data
        return [*(word for path in self.args.judge_data for word in ('--data', path)),
                '--new-data']

    def train(self, name: str, recipe: dict, seed: int | None = None) -> Path:
        """Return a trained bundle; a seed is part of its name."""
        name += '' if seed is None else f'_seed_{seed}'
        bundle, path = self.out / name, self.out / f'{name}.yaml'
        if not (bundle / 'bundle.yaml').is_file():
            path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding='utf-8')
            self.lewm('train', *self.args.data, '--config', path, '--out', bundle, '--run',
                      self.out / f'{name}_run', '--threads', self.args.threads,
                      *(() if seed is None else ('--seed', seed)))
        return bundle

    def with_policies(self) -> Path:
        """Return a copy of the model with policies on its latents; the model stays as it is."""
        bundle = self.out / 'ours'
        if not bundle.exists():
            shutil.copytree(find_named('models', self.args.bundle), self.out / 'ours.partial',
                            dirs_exist_ok=True)
            (self.out / 'ours.partial').rename(bundle)
        for kind in POLICIES:
            if not (bundle / f'{kind}.safetensors').is_file():
                self.lewm('train-policy', bundle, *self.data, '--kind', kind,
                          '--threads', self.args.threads)
        return bundle

    def recommended(self, bundle: Path) -> Path:
        """Return a file with the planner settings that a bundle recommends."""
        path = self.out / f'{RECOMMENDED}.yaml'
        path.write_text(yaml.safe_dump(Bundle.load(bundle).plan_config.to_dict()),
                        encoding='utf-8')
        return path

    def judge(self, bundle: Path, *options: object, part: str = '', name: str = '') -> dict:
        """Return the results of a bundle, kept under its name or another; `part` as evaluated."""
        args = self.args
        path = self.out / f'{name or bundle.name}{part and f"_{part}"}.json'
        if not path.is_file():
            self.lewm('evaluate', bundle, *self.judge_data, '--protocol', args.protocol,
                      '--episodes', args.pairs, '--planner-seeds', args.planner_seeds,
                      '--threads', args.threads, '--out', path,
                      *(('--part', part) if part else ()), *options)
        results = json.loads(path.read_text(encoding='utf-8'))
        different = [f'{name} {results[name]} there, {asked} asked for' for name, asked in (
            ('protocol', args.protocol), ('pairs', args.pairs),
            ('planner_seeds', args.planner_seeds)) if results[name] != asked]
        if different:
            raise SystemExit(f'{path} was made by an earlier call under other rules '
                             f'({"; ".join(different)}); delete it, or choose another --out')
        return results

    def best_scale(self, seed: int | None = None) -> str:
        """Return which weights of PLDM do best at the end on the pairs that things are chosen by.

        Of equally good ones the published weights.
        """
        found = {}
        for name, scale in SCALES.items():
            bundle = self.train(f'pldm_{name}', pldm_recipe(self.base, scale), seed)
            row = self.judge(bundle, part='choose')['scores'][0]
            found[name] = (row['final'], row['reached'], name == 'once')
        return max(found, key=found.get)

    def rivals(self) -> list[tuple[str, Path]]:
        """Return the other models, each of every seed; weights are chosen with the first one."""
        seeds = self.args.seeds or [None]
        scale = self.best_scale(seeds[0])
        recipes = (('PLDM', f'pldm_{scale}', pldm_recipe(self.base, SCALES[scale])),
                   ('DINO-WM-like', 'frozen', frozen_recipe(self.base)))
        return [(title + ('' if seed is None else f', seed {seed}'),
                 self.train(name, recipe, seed))
                for title, name, recipe in recipes for seed in seeds]

    def results(self) -> Several:
        """Return the results of all models on the same pairs, what ours recommends first."""
        ours, budgets = self.with_policies(), ('--budgets', self.args.budgets)
        policies = [word for name in ('gcbc', 'inverse', 'prior') for word in ('--plan', name)]
        return [('ours', self.judge(ours, '--plan', self.recommended(ours),
                                    name=f'ours_{RECOMMENDED}')),
                ('ours', self.judge(ours, '--plan', 'cem', *policies, *budgets)),
                *((name, self.judge(bundle, '--plan', 'cem', *budgets))
                  for name, bundle in self.rivals())]


def rows(several: Several) -> list[dict[str, Any]]:
    """Return every model and planner at the tolerance that counts; floors once, they see nothing.

    What a decision costs is None for a floor.
    """
    found = []
    for number, (model, results) in enumerate(several):
        for row in results['scores']:
            effort = results['efforts'].get(row['policy'])
            if row['tolerance'] == results['scores'][0]['tolerance'] and (effort or not number):
                found.append({'model': model if effort else 'floor', **row, 'effort': effort})
    return found


def comparisons(several: Several) -> list[dict[str, Any]]:
    """Compare, pair by pair, what ours recommends with every other model's costliest search.

    Before that with our other planners, and then ours with theirs, the same planner each.
    """
    first = several[0][1]
    tolerance = tolerance_of(first['task'], first['scores'][0]['tolerance'])
    trials = {(model, policy): results['trials'][policy]
              for model, results in several for policy in results['efforts']}
    costs = {(model, policy): effort['flops_per_step']
             for model, results in several for policy, effort in results['efforts'].items()}
    best, *mine = [key for key in trials if key[0] == 'ours']
    pairs = [(best, one) for one in mine]
    for model in dict.fromkeys(model for model, _ in trials if model != 'ours'):
        theirs = [key for key in trials if key[0] == model]
        pairs += [(best, max(theirs, key=costs.get))]
        pairs += [(('ours', policy), (model, policy)) for _, policy in theirs
                  if ('ours', policy) in trials]
    return [one for pair in pairs for one in compare_trials(
        {', '.join(key): trials[key] for key in pair}, tolerance)]


def table(found: list[dict[str, Any]]) -> str:
    """Return rows as a table."""
    cells = []
    for row in found:
        effort = row['effort']
        cells.append((row['model'], row['policy'], *(
            f'{100 * row[rule]:.0f} % ({100 * row[f"{rule}_interval"][0]:.0f}-'
            f'{100 * row[f"{rule}_interval"][1]:.0f})' for rule in ('reached', 'final')), *(
                (f'{1e3 * effort["plan_seconds_median"]:.1f} ms',
                 f'{effort["flops_per_step"] / 1e6:.4g} M') if effort else ('–', '–'))))
    return '\n'.join(markdown_table(('model', 'planner', f'reached, {found[0]["tolerance"]}',
                                     'at the end', 'one plan', 'FLOPs per control step'), cells))


def parse(words: list[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('bundle', help='the model: a folder or a shipped name')
    parser.add_argument('--data', action='append', required=True,
                        help='what it was trained from; may be repeated')
    parser.add_argument('--judge-data', action='append', default=[],
                        help='a set that nobody was trained from, for pairs; may be repeated '
                             '(the held-out episodes of --data)')
    parser.add_argument('--config', required=True, help='the recipe it was trained with')
    parser.add_argument('--out', type=Path, required=True, help='folder of everything made')
    parser.add_argument('--steps', type=int, help="optimiser steps, instead of the recipe's")
    parser.add_argument('--seeds', type=lambda text: [int(part) for part in text.split(',')],
                        metavar='SEED,...',
                        help="train the others once with each (once, with the recipe's)")
    parser.add_argument('--protocol', default='held-out')
    parser.add_argument('--pairs', type=int, default=200)
    parser.add_argument('--planner-seeds', type=int, default=3)
    parser.add_argument('--budgets', default='10x1,30x3,100x5')
    parser.add_argument('--threads', type=int, default=1)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Make what is missing, then the table and the picture."""
    args = parse(words)
    logging.basicConfig(level=logging.INFO, format='[%(name)s] %(message)s')
    try:
        released_weights()      # what is missing is said before the first training, not after it
    except MissingPackageError as error:
        raise SystemExit(f'compare_models: {error}') from None
    several = Comparison(args).results()
    found, paired = rows(several), comparisons(several)
    text = '\n'.join([table(found), 'Pair by pair:', '',
                      *(f'- {comparison_text(one)}.' for one in paired), ''])
    (args.out / 'table.md').write_text(text, encoding='utf-8')
    ours = several[0][1]
    (args.out / 'table.json').write_text(json.dumps({
        **{name: ours[name] for name in ('task', 'protocol', 'part', 'pairs', 'goal_offset',
                                         'budget', 'seed', 'planner_seeds')},
        'models': {name: results['model_id'] for name, results in several},
        'rows': found, 'comparisons': paired}, indent=1) + '\n', encoding='utf-8')
    draw_curves(several, args.out / 'curve.png')
    print(text)


if __name__ == '__main__':
    main()
