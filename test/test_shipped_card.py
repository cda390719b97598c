"""Card, README and docs of the shipped model say the same; `tools/remake_card.sh` measures it."""

import os
from pathlib import Path
import re
import shlex
import subprocess

from lewm_model import Bundle
from lewm_model.bundles.card import CARD_FILE, render_card
from lewm_sim.cli import build_parser
import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / 'models' / 'reacher-nano'


@pytest.fixture(scope='module')
def bundle():
    return Bundle.load(FOLDER)


def solved(bundle, policy, limit, rule):
    """Return how many pairs a policy solved, as the bundle records it."""
    rows = [row for row in bundle.metrics['evaluation']['scores']
            if policy in row['policy'] and _limit(row) == limit]
    assert len(rows) == 1
    return round(rows[0][rule] * bundle.metrics['evaluation']['pairs'])


def _limit(row):
    """Return the first limit that a row names; older records have one number in radians."""
    return row.get('tolerance_rad') or float(re.search(r'\d[\d.]*', row['tolerance'])[0])


def test_the_card_is_what_the_bundle_says(bundle):
    """Nobody edits a card: it is written from the bundle, by the code of this version."""
    assert (FOLDER / CARD_FILE).read_text(encoding='utf-8') == render_card(bundle, FOLDER.name), (
        'write it again: tools/remake_card.sh')


def test_the_readme_quotes_the_card(bundle):
    """Success, floor and minutes of training in README.md are those of the bundle."""
    text = ' '.join((ROOT / 'README.md').read_text(encoding='utf-8').split())
    found = re.search(r'(\d+) of (\d+) held-out goals reached within 0\.05 rad, (\d+) held within '
                      r'0\.1 rad, where random exploration reaches (\d+) and holds (\d+)', text)
    assert found, 'README.md does not quote the card any more'
    random = 'random' if any(row['policy'] == 'random' for row in
                             bundle.metrics['evaluation']['scores']) else 'exploration'
    assert [int(word) for word in found.groups()] == [
        solved(bundle, 'planner', 0.05, 'reached'), bundle.metrics['evaluation']['pairs'],
        solved(bundle, 'planner', 0.1, 'final'), solved(bundle, random, 0.05, 'reached'),
        solved(bundle, random, 0.1, 'final')]
    minutes = re.search(r'with (\d+) minutes of training', text)
    assert int(minutes[1]) == round(bundle.provenance['training_minutes'])


def test_the_docs_quote_the_card(bundle):
    """docs/training.md has the same prediction error, worst probe and success."""
    text = (ROOT / 'docs' / 'training.md').read_text(encoding='utf-8')
    row = next(line for line in text.splitlines() if line.startswith('| `nano` |'))
    health = bundle.metrics['training']
    found = re.search(r'held-out prediction ([\d.]+), probes ([\d.]+) and above; the shipped '
                      r'model reaches (\d+) of (\d+) goals within 0\.05 rad', row)
    assert found, 'docs/training.md does not quote the card any more'
    assert float(found[1]) == round(health['prediction'], 4)
    assert float(found[2]) <= min(health['probes'].values()) < float(found[2]) + 0.01
    assert (int(found[3]), int(found[4])) == (solved(bundle, 'planner', 0.05, 'reached'),
                                              bundle.metrics['evaluation']['pairs'])


def test_one_command_measures_all_of_it_again(tmp_path):
    """Health, success and what it knows; each command parses and records what it finds."""
    (tmp_path / 'python').write_text(
        '#!/usr/bin/env bash\n{ printf \'%q \' "$@"; echo; } >> "$CALLS"\n')
    (tmp_path / 'python').chmod(0o755)
    calls = tmp_path / 'calls'
    subprocess.run([ROOT / 'tools' / 'remake_card.sh'], check=True, timeout=60, env={
        **os.environ, 'PYTHON': str(tmp_path / 'python'), 'CALLS': str(calls)})
    lines = [shlex.split(line) for line in calls.read_text().splitlines()]
    ours = [build_parser(words[2]).parse_args(words[2:]) for words in lines
            if words[:2] == ['-m', 'lewm_sim.cli']]
    assert [(args.command, args.bundle) for args in ours if getattr(args, 'save', False)] == [
        ('evaluate', 'reacher-nano'), ('analyse', 'reacher-nano')]
    assert ours[-1].out == Path('docs/results/reacher-nano')
    assert ['tools/remake_health.py', 'reacher-nano'] in [words[:2] for words in lines]
    assert lines[-1][-1] == 'test/test_shipped_card.py'
