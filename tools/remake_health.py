"""Look at a finished model as training did at its end, with the measures of this version.

For example: python tools/remake_health.py reacher-nano --data data/reacher.h5 --config nano

What it finds replaces `metrics.training` of the bundle, and with it a section of the card.
"""

import argparse
from dataclasses import asdict, replace

from lewm_model import Bundle
from lewm_model.base.resources import find_named
from lewm_model.bundles.card import write_card
from lewm_model.data.shards import open_data
from lewm_model.training.run import measure_health, Recipe


def main() -> None:
    """Measure, put the result into the bundle and onto its card."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    parser.add_argument('--data', required=True, help='what it was trained from')
    parser.add_argument('--config', required=True, help='the recipe it was trained with')
    args = parser.parse_args()
    folder = find_named('models', args.bundle)
    bundle = Bundle.load(folder)
    recipe = Recipe.from_yaml(find_named('config/train', args.config, '.yaml'))
    health = asdict(measure_health(bundle, open_data(args.data), recipe.train))
    bundle = replace(bundle, metrics={**bundle.metrics, 'training': health})
    bundle.save(folder)
    write_card(bundle, folder)
    print(f'prediction {health["prediction"]:.4g}, SIGReg {health["sigreg"]:.3g}, worst probe '
          f'{min(health["probes"].values(), default=float("nan")):.3f}; recorded in {folder}')


if __name__ == '__main__':
    main()
