"""Turn a published LeWorldModel checkpoint into a bundle, or a bundle's model into one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lewm_model.bundles.bundle import Bundle

_FACTS = ('action_mean', 'action_std', 'stats_from', 'robot', 'action_names', 'action_min',
          'action_max', 'control_dt_s', 'goal_tolerance', 'frameskip', 'task')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('source', help='folder with config.json and weights.pt; with '
                                       '--to-released, folder or shipped name of a bundle')
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument('--out', type=Path, help='new folder of the bundle to write')
    target.add_argument('--to-released', type=Path, metavar='OUT',
                        help='new folder to write config.json and weights.pt into')
    parser.add_argument('--transformers', type=int, choices=(4, 5),
                        help='with --to-released: whose names the encoder gets; 4 (default) as '
                             'published, 5 for stable-worldmodel beside transformers 5')
    facts = parser.add_argument_group(
        'what a published checkpoint does not say',
        'An option wins over --robot, and that over --stats-from. Write --action-mean=-0.1,0.2 '
        'with an equals sign if the first number is negative.')
    facts.add_argument('--stats-from', type=Path, metavar='DATA',
                       help='the data set (HDF5) it was trained from: action statistics, the '
                            'goal tolerance (measured), and what else it has')
    facts.add_argument('--robot', help='name or YAML file of the robot: names, limits, rate')
    for name, meaning in (('mean', 'mean of each action'), ('std', 'standard deviation'),
                          ('min', 'lowest action (default: -1)'),
                          ('max', 'highest action (default: 1)')):
        facts.add_argument(f'--action-{name}', type=_numbers, metavar='X,Y,...',
                           help=f'{meaning}, robot units')
    facts.add_argument('--action-names', type=lambda text: text.split(','), metavar='A,B,...',
                       help='default: action_0, action_1, ...')
    facts.add_argument('--control-dt', type=float, dest='control_dt_s', metavar='SECONDS',
                       help='one action per step [s]')
    facts.add_argument('--frameskip', type=int, help='actions per block (default: 5)')
    facts.add_argument('--goal-tolerance', type=float,
                       help='squared latent distance that counts as reached')
    facts.add_argument('--task', help='what the model is for')
    facts.add_argument('--plan', type=Path, help="YAML of the planner settings to recommend "
                                                 "(default: the reference's)")


def run(args: argparse.Namespace) -> int:
    """Convert in the direction that the options name."""
    from lewm_model.base.resources import find_named
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.bundles.card import write_card
    from lewm_model.bundles.released import load_released, require_released_colours, write_released
    from lewm_model.config import PlanConfig
    from lewm_model.errors import ConfigError

    facts = {name: value for name in _FACTS if (value := getattr(args, name)) is not None}
    if args.plan:
        facts['plan_config'] = PlanConfig.from_yaml(args.plan)
    if args.to_released:
        if facts:
            raise ConfigError(f'--to-released takes none of {", ".join(facts)}: a published '
                              f'checkpoint has no place for them')
        bundle = Bundle.load(find_named('models', args.source))
        require_released_colours(bundle)
        write_released(bundle.model, args.to_released, transformers=args.transformers or 4)
        print(f'written to {args.to_released}; it does not say what the bundle said besides, the '
              f'way back is:\n{_way_back(bundle, args.to_released)}')
        return 0
    if args.transformers:
        raise ConfigError('--transformers goes with --to-released; reading knows both names')
    if args.out.is_dir() and any(args.out.iterdir()):
        raise ConfigError(f'{args.out} is not empty; name a new folder')
    bundle = load_released(args.source, **facts,
                           provenance={'commands': [args.command_line]})
    write_card(bundle, bundle.save(args.out))
    config = bundle.model_config
    print(f'bundle written to {args.out} (model {bundle.model_id}): {config.image_size} px, '
          f'{config.frameskip} x {config.action_dim} actions ({", ".join(bundle.action_names)}) '
          f'every {bundle.control_dt_s:g} s, goal tolerance {bundle.goal_tolerance:.4g}')
    return 0


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(',')]
    except ValueError:
        raise argparse.ArgumentTypeError(f'needs numbers with commas between them, '
                                         f'got {text!r}') from None


def _way_back(bundle: Bundle, folder: Path) -> str:
    """Return the command that makes the bundle again, but for planner, provenance, metrics."""
    import shlex

    def joined(values: object) -> str:
        return ','.join(str(value) for value in values)

    options = {'out': 'BUNDLE', 'action-mean': joined(bundle.action_normalizer.mean.tolist()),
               'action-std': joined(bundle.action_normalizer.std.tolist()),
               'action-names': joined(bundle.action_names),
               'action-min': joined(bundle.action_min.tolist()),
               'action-max': joined(bundle.action_max.tolist()),
               'control-dt': bundle.control_dt_s, 'goal-tolerance': bundle.goal_tolerance,
               'frameskip': bundle.model_config.frameskip, 'robot': bundle.robot,
               'task': bundle.task}
    return shlex.join(['lewm', 'convert', str(folder),
                       *(f'--{name}={value}' for name, value in options.items() if value)])
