"""What commands share that measure a bundle on data and put the result into it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TYPE_CHECKING

from lewm_sim.commands._data import (
    add_data_argument,
    add_new_data_argument,
    followed_by,
    open_data_argument,
)

if TYPE_CHECKING:
    from lewm_model.held_out import HeldOut


def add_measured_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare bundle and data, the seed of a choice of frames, and threads."""
    parser.add_argument('bundle', help='folder or shipped name of the bundle')
    add_data_argument(parser, '--data')
    add_new_data_argument(parser)
    parser.add_argument('--seed', type=int, default=0, help='of the choice of frames (0)')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads (1)')


def open_measured(args: argparse.Namespace) -> tuple[Path, HeldOut]:
    """Return the folder of the bundle, and the bundle with its data."""
    from lewm_model.base.resources import find_named
    from lewm_model.bundles.bundle import Bundle
    from lewm_model.held_out import HeldOut
    import torch

    torch.set_num_threads(args.threads)
    folder = find_named('models', args.bundle)
    return folder, HeldOut(Bundle.load(folder), open_data_argument(args), new_data=args.new_data)


def keep(subject: HeldOut, folder: Path, command_line: str, **found: Any) -> None:
    """Put what was found into the bundle and onto its card, with the command that found it."""
    from dataclasses import replace

    from lewm_model.bundles.card import write_card

    bundle = subject.bundle
    commands = followed_by(bundle.provenance.get('commands', []), subject.data, command_line)
    bundle = replace(bundle, **found, provenance={**bundle.provenance, 'commands': commands})
    bundle.save(folder)
    write_card(bundle, folder)
