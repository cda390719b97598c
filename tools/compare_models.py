"""Train and judge what a model is compared with, on its data, protocol and loop; resumable.

For example: python tools/compare_models.py push_t-nano --data data/push_t.h5 --config nano \
--out out/compare/push_t

Kept in --out, and not done again where it is there: PLDM at a third, once and three times of its
weights for std and cov (the best on the half of the held-out pairs that things are chosen by is
reported), a frozen encoder (DINO-WM-like), cloned behaviour and inverse dynamics on the model's
latents; then every one on the same pairs, searches at several budgets: `table.md`, `curve.png`.
"""

import argparse
import json
import logging
from pathlib import Path
import shutil
import subprocess
import sys

from lewm_model.base.resources import find_named
from lewm_model.bundles.evaluation_table import markdown_table
from lewm_model.config import load_yaml
from lewm_model.frozen_encoder import CHANNELS, token_count
from lewm_sim.evaluate.curve import draw_curves
import yaml

SCALES = {'third': 1 / 3, 'once': 1.0, 'thrice': 3.0}      # of PLDM's std and cov
POLICIES = ('gcbc', 'prior')
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
                              'inverse_weight': 0.0, 'decoder_weight': 0.0}}


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

    def train(self, name: str, recipe: dict) -> Path:
        """Return a trained bundle."""
        bundle, path = self.out / name, self.out / f'{name}.yaml'
        if not (bundle / 'bundle.yaml').is_file():
            path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding='utf-8')
            self.lewm('train', self.args.data, '--config', path, '--out', bundle, '--run',
                      self.out / f'{name}_run', '--threads', self.args.threads)
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
                self.lewm('train-policy', bundle, '--data', self.args.data, '--kind', kind,
                          '--threads', self.args.threads)
        return bundle

    def judge(self, bundle: Path, *options: object, part: str = '') -> dict:
        """Return the results of a bundle; `part` as for `lewm evaluate`."""
        args, path = self.args, self.out / f'{bundle.name}{part and f"_{part}"}.json'
        if not path.is_file():
            self.lewm('evaluate', bundle, '--data', args.data, '--protocol', args.protocol,
                      '--episodes', args.pairs, '--planner-seeds', args.planner_seeds,
                      '--threads', args.threads, '--out', path,
                      *(('--part', part) if part else ()), *options)
        return json.loads(path.read_text(encoding='utf-8'))

    def best_pldm(self) -> Path:
        """Return the PLDM model that does best at the end on the pairs that things are chosen by.

        Of equally good ones the one with the published weights.
        """
        found = {}
        for name, scale in SCALES.items():
            bundle = self.train(f'pldm_{name}', pldm_recipe(self.base, scale))
            row = self.judge(bundle, part='choose')['scores'][0]
            found[name] = (row['final'], row['reached'], name == 'once')
        return self.out / f'pldm_{max(found, key=found.get)}'


def table(several: list[tuple[str, dict]]) -> str:
    """Return one table of all models and planners at the tolerance that counts."""
    rows = []
    for model, results in several:
        counting = results['scores'][0]['tolerance']
        for row in results['scores']:
            if row['tolerance'] != counting:
                continue
            effort = results['efforts'].get(row['policy'])
            if effort is None and model != several[0][0]:
                continue           # floors are the same for all
            rows.append((model if effort else 'floor', row['policy'], *(
                f'{100 * row[rule]:.0f} % ({100 * row[f"{rule}_interval"][0]:.0f}-'
                f'{100 * row[f"{rule}_interval"][1]:.0f})' for rule in ('reached', 'final')), *(
                    (f'{1e3 * effort["plan_seconds_median"]:.1f} ms',
                     f'{effort["flops_per_step"] / 1e6:.4g} M') if effort else ('–', '–'))))
    tolerance = several[0][1]['scores'][0]['tolerance']
    return '\n'.join(markdown_table(('model', 'planner', f'reached, {tolerance}', 'at the end',
                                     'one plan', 'FLOPs per control step'), rows))


def main() -> None:
    """Make what is missing, then the table and the picture."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('bundle', help='the model: a folder or a shipped name')
    parser.add_argument('--data', required=True, help='what it was trained from')
    parser.add_argument('--config', required=True, help='the recipe it was trained with')
    parser.add_argument('--out', type=Path, required=True, help='folder of everything made')
    parser.add_argument('--steps', type=int, help="optimiser steps, instead of the recipe's")
    parser.add_argument('--protocol', default='held-out')
    parser.add_argument('--pairs', type=int, default=200)
    parser.add_argument('--planner-seeds', type=int, default=3)
    parser.add_argument('--budgets', default='10x1,30x3,100x5')
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='[%(name)s] %(message)s')
    work = Comparison(args)
    plans = [word for name in ('cem', 'gcbc', 'inverse', 'prior') for word in ('--plan', name)]
    several = [('ours', work.judge(work.with_policies(), *plans, '--budgets', args.budgets))]
    for name, bundle in (('PLDM', work.best_pldm()),
                         ('DINO-WM-like', work.train('frozen', frozen_recipe(work.base)))):
        several.append((name, work.judge(bundle, '--plan', 'cem', '--budgets', args.budgets)))
    (args.out / 'table.md').write_text(table(several), encoding='utf-8')
    draw_curves(several, args.out / 'curve.png')
    print(table(several))


if __name__ == '__main__':
    main()
