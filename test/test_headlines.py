"""README's numbers of speed are those that benchmarks wrote; one command measures them again."""

import json
import os
import re
import shlex
import subprocess

from import_rules import ROOT
from lewm_sim.cli import build_parser
import pytest

README = ' '.join((ROOT / 'README.md').read_text(encoding='utf-8').split())
RESULTS = ROOT / 'docs' / 'results'
SCRIPT = ROOT / 'tools' / 'remake_speed.sh'
# Notes what it is asked for, and makes what the script looks for.
PRETENDED = """#!/usr/bin/env bash
{ printf '%q ' "$@"; echo; } >> "$CALLS"
words="$*" out="${@: -1}"
case "$words" in
  *' bench '*) mkdir -p "$out"; echo '{}' > "$out/$4.json"; touch "$out/$4.png" ;;
  *' ingest '*) echo made > "$WORK/reacher.h5" ;;
  *' collect '*) mkdir -p "$out" ;;
  *' train '*) mkdir -p "$out"; echo made > "$out/bundle.yaml" ;;
esac
"""


def group(place):
    """Return the first group of a report."""
    return json.loads((RESULTS / f'{place}.json').read_text(encoding='utf-8'))['groups'][0]


def times(place, name):
    """Return how many times as fast as the first of its group something is, at the median."""
    found, = (one for one in group(place)['measured'] if one['name'] == name)
    return found['times_faster_than_first']['median']


def quoted(text, value):
    """Hold that a number in a text is a value, rounded as it is written."""
    assert float(text) == round(value, len(text.partition('.')[2])), f'{text} is {value:.4g} now'


def test_one_plan_is_quoted_with_its_dtypes_and_the_costs():
    """Both in fp32, the default backend beside the fastest, and bf16 with what it is against."""
    found = re.search(
        r'`openvino` ([\d.]+) times as fast, both in fp32, costs within (\S+); the default, '
        r'`torch-tuned:fp32`, ([\d.]+) times; `openvino` in bf16 against the reference in fp32: '
        r'([\d.]+) times, costs within (\S+) ', README)
    assert found, 'README.md does not quote docs/results/planning/reference_budget.json any more'
    notes = group('planning/reference_budget')['notes']
    for name, said, bound in (('openvino:fp32', found[1], found[2]),
                              ('torch-tuned:fp32', found[3], found[2]),
                              ('openvino:bf16', found[4], found[5])):
        quoted(said, times('planning/reference_budget', name))
        assert float(notes[f'cost error of {name} against stable-worldmodel']) <= float(bound)


def test_an_executed_step_is_quoted_beside_the_plan():
    """A plan of the reference budget is executed for 25 control steps, the others for 5."""
    found = re.search(r'\| ([\d.]+) times as fast with success .*?, ([\d.]+) times with better '
                      r'success \(per plan ([\d.]+) and ([\d.]+) times', README)
    assert found, 'README.md does not quote docs/results/planning/success.json any more'
    for name, step, plan in (('icem 16 x 3', found[1], found[3]), ('cem_prior', found[2],
                                                                   found[4])):
        quoted(step, times('planning/success', name) * 5 / 25)
        quoted(plan, times('planning/success', name))


def test_training_is_quoted_in_both_dtypes():
    """In README.md and in docs/training.md."""
    page = ' '.join((ROOT / 'docs' / 'training.md').read_text(encoding='utf-8').split())
    for text, pattern in (
            (README, r'both in fp32: ([\d.]+) \(`nano`\) and ([\d.]+) times \(`tiny64`\); ours in '
                     r'bf16: ([\d.]+) and ([\d.]+) times'),
            (page, r'both in fp32: ([\d.]+) times as fast on two cores with `nano`, ([\d.]+) '
                   r'times with `tiny64`; ours in bf16 ([\d.]+) and ([\d.]+) times')):
        found = re.search(pattern, text)
        assert found, f'{pattern} is not in the text any more'
        for said, place, name in zip(found.groups(), 2 * ('training/nano', 'training/tiny64'),
                                     ('ours, fp32', 'ours, fp32', 'ours', 'ours'), strict=True):
            quoted(said, times(place, name))


@pytest.fixture
def remake(tmp_path):
    """Return what starts the script with a pretended lewm, and reads what that was asked for."""
    (tmp_path / 'python').write_text(PRETENDED)
    (tmp_path / 'python').chmod(0o755)
    calls, work = tmp_path / 'calls', tmp_path / 'work'
    work.mkdir()

    def run(*words):
        calls.write_text('')
        done = subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=60, env={
            **os.environ, 'PYTHON': str(tmp_path / 'python'), 'CALLS': str(calls),
            'WORK': str(work), 'RESULTS': str(tmp_path / 'results')})
        done.calls = [shlex.split(line) for line in calls.read_text().splitlines()]
        return done
    return run


def test_one_command_measures_all_of_it_and_nothing_twice(remake, tmp_path):
    """Its commands parse, what README quotes is among the results, seven rounds at least."""
    done = remake()
    assert done.returncode == 0, done.stderr
    asked = [build_parser(words[2]).parse_args(words[2:]) for words in done.calls
             if words[:2] == ['-m', 'lewm_sim.cli']]
    assert [args.command for args in asked[:3]] == ['collect', 'ingest', 'train']
    assert len(asked) == 11 and all(args.rounds >= 7 for args in asked[3:])
    made = {str(path.relative_to(tmp_path / 'results')) for path in
            (tmp_path / 'results').rglob('*.json')}
    assert made >= {'planning/reference_budget.json', 'planning/success.json',
                    'training/nano.json', 'training/tiny64.json'}
    assert done.calls[-1] == ['-m', 'pytest', '-q', 'test/test_headlines.py']
    again = remake()
    assert again.returncode == 0 and again.calls == done.calls[-1:]
    refused = remake('--fast')
    assert refused.returncode == 2 and 'no option but --help, got: --fast' in refused.stderr
