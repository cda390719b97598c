"""`lewm`: one subcommand per module of `lewm_sim.commands`.

A subcommand module has `add_arguments(parser)` and `run(args) -> int`; the first line of its
docstring is its help; `train_prior.py` is called `train-prior`. Only the chosen one is imported,
so `lewm --help` does not wait for torch.
"""

from __future__ import annotations

import argparse
import ast
from importlib import import_module
import os
from pathlib import Path
import shlex
import signal
import sys
import threading
import traceback

from lewm_model import __version__
from lewm_model.base.idle_threads import let_idle_threads_sleep
from lewm_model.errors import LewmError
import lewm_sim.commands

USAGE_ERROR = 2  # also for every LewmError: something a person can put right
INTERRUPTED = 130


def command_helps() -> dict[str, str]:
    """Map each subcommand to its one line of help, without importing it."""
    helps = {}
    for folder in lewm_sim.commands.__path__:
        for path in sorted(Path(folder).glob('[!_]*.py')):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
            first_line = (docstring or '').partition('\n')[0]
            helps[path.stem.replace('_', '-')] = first_line.replace('%', '%%')
    return helps


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """Build the parser; only the chosen subcommand gets its arguments, and is imported."""
    # No option may be cut short: --robot would be the --robot-out of `inspect`, which writes.
    parser = argparse.ArgumentParser(
        prog='lewm', description='Record, train and evaluate latent world models without ROS.',
        allow_abbrev=False, epilog='"lewm COMMAND --help" explains a command.')
    parser.add_argument('--version', action='version', version=f'lewm {__version__}')
    parser.add_argument('--debug', action='store_true',
                        help='show the traceback of an error (also: LEWM_DEBUG=1)')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name, help_line in command_helps().items():
        subparser = commands.add_parser(name, help=help_line, description=help_line,
                                        allow_abbrev=False)
        if name == chosen:
            module = import_module(f'lewm_sim.commands.{name.replace("-", "_")}')
            module.add_arguments(subparser)
            subparser.set_defaults(run_command=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    debug = '--debug' in argv or os.environ.get('LEWM_DEBUG', '0') not in ('', '0')
    argv = [word for word in argv if word != '--debug']  # so that it may stand anywhere
    let_idle_threads_sleep()   # before the command imports torch
    try:
        chosen = next((word for word in argv if not word.startswith('-')), None)
        args = build_parser(chosen).parse_args(argv)
        args.command_line = shlex.join(['lewm', *argv])  # what provenance records
        _interrupt_on_sigterm()
        code = args.run_command(args)
        sys.stdout.flush()
        return code
    except LewmError as error:
        if debug:
            traceback.print_exc()
        print(f'lewm: {error}', file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print('lewm: interrupted', file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _interrupt_on_sigterm() -> None:
    """Let `kill` end a command as Ctrl-C does: training saves, recording cleans up."""
    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


if __name__ == '__main__':
    status = main()
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        # Under torchrun everything is written by now, but threads of the communication library
        # can abort Python's own end, which torchrun would take for a failure.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
