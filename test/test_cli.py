from __future__ import annotations

import os
import re
import subprocess
import sys

from import_rules import ROOT
from lewm_model.errors import DatasetError
from lewm_sim import cli
import pytest


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A subcommand called `act` whose `run` does what the test puts into `act.behave`."""
    (tmp_path / 'act.py').write_text(
        '"""Act 100% as told.\n\nMore about it."""\n'
        'behave = lambda args: 0\n'
        'def add_arguments(parser): parser.add_argument("--level", type=int, default=1)\n'
        'def run(args): return behave(args)\n')
    monkeypatch.setattr('lewm_sim.commands.__path__', [str(tmp_path)])
    import lewm_sim.commands.act as act
    yield act
    del sys.modules['lewm_sim.commands.act'], sys.modules['lewm_sim.commands'].act


def test_subcommand_gets_its_options_and_gives_the_exit_code(command):
    """`lewm act --level 3` runs the module with its own options and returns its code."""
    command.behave = lambda args: args.level
    assert cli.main(['act', '--level', '3']) == 3


def test_help_shows_the_first_docstring_line_only(command, capsys):
    """The help of a subcommand is its first docstring line, a percent sign included."""
    with pytest.raises(SystemExit) as leave:
        cli.main(['--help'])
    shown = capsys.readouterr().out
    assert leave.value.code == 0
    assert 'Act 100% as told.' in shown
    assert 'More about it' not in shown


def test_deliberate_error_is_one_line_and_exit_code_2(command, capsys, monkeypatch):
    """A LewmError is a clean message on stderr, without a traceback."""
    monkeypatch.delenv('LEWM_DEBUG', raising=False)

    def fail(args):
        raise DatasetError('the set is empty; record some episodes')

    command.behave = fail
    assert cli.main(['act']) == 2
    assert capsys.readouterr().err == 'lewm: the set is empty; record some episodes\n'


@pytest.mark.parametrize('argv, variable', [(['act', '--debug'], None), (['--debug', 'act'], None),
                                            (['act'], '1')])
def test_debug_adds_the_traceback(command, capsys, monkeypatch, argv, variable):
    """`--debug` anywhere, or LEWM_DEBUG=1, shows where the error came from."""
    if variable:
        monkeypatch.setenv('LEWM_DEBUG', variable)

    def fail(args):
        raise DatasetError('the set is empty')

    command.behave = fail
    assert cli.main(argv) == 2
    assert 'Traceback' in capsys.readouterr().err


def test_bugs_are_not_hidden(command):
    """An error that is not deliberate comes out as it is."""
    def fail(args):
        raise ZeroDivisionError

    command.behave = fail
    with pytest.raises(ZeroDivisionError):
        cli.main(['act'])


def test_interrupt_is_exit_code_130(command, capsys):
    """Ctrl-C ends with the code that shells use for it, and no traceback."""
    def interrupt(args):
        raise KeyboardInterrupt

    command.behave = interrupt
    assert cli.main(['act']) == 130
    assert capsys.readouterr().err == 'lewm: interrupted\n'


def test_a_module_with_an_underscore_is_a_command_with_a_hyphen(command, tmp_path, capsys):
    """`train_prior.py` is `lewm train-prior`: help shows it so, and it runs."""
    (tmp_path / 'act_again.py').write_text((tmp_path / 'act.py').read_text())
    assert cli.main(['act-again', '--level', '3']) == 0
    del sys.modules['lewm_sim.commands.act_again']
    assert list(cli.command_helps()) == ['act', 'act-again']


def test_unknown_command_lists_the_known_ones(command, capsys):
    """A wrong name is refused with the names that exist."""
    with pytest.raises(SystemExit) as leave:
        cli.main(['akt'])
    assert leave.value.code == 2
    assert "'akt'" in (message := capsys.readouterr().err)
    assert "'act'" in message


def test_help_and_version_import_no_subcommand():
    """`lewm --help` lists every real subcommand and stays free of torch, mujoco and numpy."""
    code = ('import sys, lewm_sim.cli as cli\n'
            'try: cli.main(["--help"])\n'
            'except SystemExit: pass\n'
            'print("heavy:", sorted({"torch", "mujoco", "numpy", "h5py"} & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                          env={**os.environ, 'COLUMNS': '200'})
    assert 'heavy: []' in done.stdout
    assert {'collect', 'ingest', 'train', 'evaluate', 'inspect'} <= set(cli.command_helps())
    for name, help_line in cli.command_helps().items():
        assert help_line.endswith('.'), f'{name}: the docstring has to start with a sentence'
        assert re.search(rf'^ +{name}\s', done.stdout, re.MULTILINE)


def test_no_option_can_be_cut_short(capsys):
    """`inspect --robot x` would be `--robot-out x`, and write a file of that name."""
    with pytest.raises(SystemExit):
        cli.main(['inspect', 'bag', '--robot', 'robot.yaml'])
    assert 'unrecognized arguments: --robot robot.yaml' in capsys.readouterr().err


def test_every_parser_of_every_program_says_so():
    """Those that programs make for themselves, too."""
    made = [(path, line) for folder in ('lewm_model', 'lewm_ros', 'lewm_sim', 'tools', 'bench',
                                        'originals')
            for path in (ROOT / folder).rglob('*.py')
            for line in re.findall(r'(?:ArgumentParser|add_parser)\(.*(?:\n +.*)?(?:\n +.*)?',
                                   path.read_text(encoding='utf-8'))]
    assert len(made) > 20
    assert not [path for path, line in made if 'allow_abbrev=False' not in line]
