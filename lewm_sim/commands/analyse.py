"""Measure what a bundle knows, and write a report (HTML and JSON)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lewm_sim.commands._data import (
    add_data_argument,
    add_new_data_argument,
    open_data_argument,
)

if TYPE_CHECKING:
    from lewm_model.held_out import HeldOut
    from lewm_sim.perturb import TaskSimulator

PARTS = ('probes', 'surprise', 'straightness', 'horizon', 'distances', 'projection', 'grid',
         'decoder')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    add_data_argument(parser, '--data')
    add_new_data_argument(parser)
    parser.add_argument('--out', type=Path, required=True, help='folder of the report')
    parser.add_argument('--only', nargs='+', choices=PARTS, metavar='PART',
                        help=f'these parts only: {", ".join(PARTS)}')
    parser.add_argument('--run', type=Path,
                        help='folder of the training run, to see straightness over checkpoints')
    parser.add_argument('--quick', action='store_true',
                        help='seconds instead of minutes: shows that it works, not what is known')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads (1)')
    parser.add_argument('--save', action='store_true',
                        help='record the summary and how much surprise is ordinary in the bundle')


def run(args: argparse.Namespace) -> int:
    """Analyse with a progress bar per part, write the report, print the summary."""
    from lewm_model.analysis.parts import Size
    from lewm_model.analysis.report import (
        look_up,
        prepare_folder,
        show,
        to_document,
        write_report,
    )
    from lewm_model.analysis.run import analyse, subject_of
    from lewm_model.analysis.sections import glance_rows
    from lewm_model.base.resources import find_named
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.errors import ConfigError
    import torch
    from tqdm import tqdm

    if args.save and (args.quick or (args.only and 'surprise' not in args.only)):
        raise ConfigError('--save records how much surprise is ordinary: it needs the part '
                          'surprise, and not --quick')
    torch.set_num_threads(args.threads)
    prepare_folder(args.out)
    folder = find_named('models', args.bundle)
    bundle = Bundle.load(folder)
    subject = subject_of(bundle, open_data_argument(args), new_data=args.new_data)
    bars: dict[str, tqdm] = {}

    def progress(part: str, done: int, total: int) -> None:
        if part not in bars:
            for earlier in bars.values():
                earlier.close()
            bars[part] = tqdm(desc=f'{part:>12}', dynamic_ncols=True, mininterval=0.5,
                              bar_format='{desc} {bar:30} {percentage:3.0f} % {elapsed}')
        bars[part].total, bars[part].n = total, done
        bars[part].update(0)

    try:
        analysis = analyse(subject, Size.quick() if args.quick else Size(), args.only,
                           simulator=_simulator(subject), run_folder=args.run, progress=progress)
    finally:
        for bar in bars.values():
            bar.close()
    about = _about(subject, Path(folder), args)
    paths = write_report(analysis, about, args.out)
    document = to_document(analysis, about)
    for question, answer, key, _ in glance_rows(document):
        if question:
            print(question)
        print(f'  {show(look_up(document, key)):>10}  {answer}')
    print('written to ' + ' and '.join(map(str, paths)))
    if args.save:
        _save(bundle, Path(folder), document)
    return 0


def _simulator(subject: HeldOut) -> TaskSimulator | None:
    """Return the simulator of the bundle's task; None for a real robot's."""
    from lewm_sim.perturb import TaskSimulator
    from lewm_sim.tasks import load_task, task_names
    if subject.bundle.task not in task_names():
        return None
    return TaskSimulator(load_task(subject.bundle.task), subject.data.pixels.shape[1],
                         subject.bundle.model_config.frameskip)


def _about(subject: HeldOut, folder: Path, args: argparse.Namespace) -> dict:
    from datetime import datetime, timezone

    from lewm_model import __version__
    bundle = subject.bundle
    return {'bundle': folder.resolve().name, 'model_id': bundle.model_id, 'task': bundle.task,
            'robot': bundle.robot, 'latent_dim': bundle.model_config.latent_dim,
            'parameters': sum(value.numel() for value in bundle.model.parameters()),
            'data': subject.data.path.name, 'episodes': subject.data.num_episodes,
            'held_out_episodes': len(subject.held_out), 'new_data': args.new_data,
            'quick': args.quick,
            'lewm_version': __version__,
            'created': datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
            'commands': [*bundle.provenance.get('commands', []), args.command_line]}


def _save(bundle, folder: Path, document: dict) -> None:
    """Put the summary and the calibration under `metrics: analysis:` of the bundle."""
    from dataclasses import replace

    from lewm_model.bundles.card import write_card
    found = {**document['summary'], 'surprise': document['surprise']['calibration']}
    bundle = replace(bundle, metrics={**bundle.metrics, 'analysis': found})
    bundle.save(folder)
    write_card(bundle, folder)
    print(f'recorded in {folder}')
