"""Add a prior to a bundle, which plans without search or gives the search a start."""

from __future__ import annotations

import argparse

from lewm_sim.commands import train_policy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    train_policy.add_training_arguments(parser)
    parser.set_defaults(kind='prior')


def run(args: argparse.Namespace) -> int:
    """Do what `lewm train-policy --kind prior` does."""
    return train_policy.run(args)
