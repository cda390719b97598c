"""Broken bags, messages, settings, bundles and data sets: read, or refused with a `LewmError`.

Each group runs in a process of its own under the rules of `fuzz_guard`: no other exception, no
hang, no gigabytes, nothing written outside the output folder, no input changed, no temporary file
left. libhdf5 is the exception: a few damaged files (one of some thousands) crash the process,
which nothing in Python can prevent; such crashes are counted, and must come out of a call into it.

`LEWM_FUZZ_CASES=5000 pytest -m slow test/test_fuzz.py` runs as many cases of each group, with
another seed every day. Pictures have a fuzz test of their own, `test_image_fuzz`.
"""

from __future__ import annotations

from collections import Counter
import datetime
import json
import os
from pathlib import Path
import re
import subprocess
import sys

from fuzz_mutations import TEXTS
from lewm_model.base.yaml_text import MAX_BYTES, parse_yaml
from lewm_model.config import load_yaml
from lewm_model.errors import ConfigError
import pytest

CASES = {'bags': 250, 'messages': 250, 'settings': 900, 'bundles': 120, 'datasets': 700}
WORKER = Path(__file__).with_name('fuzz_worker.py')


def fuzz(group: str, seed: int, cases: int, folder: Path, *plant: str, first: int = 0
         ) -> tuple[int, str, str]:
    """Run cases; return exit status, output and errors."""
    done = subprocess.run(
        [sys.executable, str(WORKER), group, str(seed), str(first), str(cases), str(folder),
         *plant], capture_output=True, text=True, timeout=3600, check=False,
        env={**os.environ, 'OMP_NUM_THREADS': '1'})
    return done.returncode, done.stdout, done.stderr


def judge(group: str, seed: int, cases: int, folder: Path) -> None:
    """Run cases; fail with the words of the first one that breaks a rule."""
    counts, crashes, first = Counter(), 0, 0
    while first < cases:
        status, out, errors = fuzz(group, seed, cases - first, folder, first=first)
        current = folder / 'current'
        case = current.read_text(encoding='utf-8') if current.exists() else 'none'
        if group == 'datasets' and status < 0 and _inside_hdf5(errors):
            crashes += 1      # nothing that Python can turn into an error; go on after it
            first = int(case.split()[1]) + 1
            continue
        assert status == 0, f'seed {seed}, case {case}: {errors[-3000:]}'
        counts.update(json.loads(out.splitlines()[-1]))
        break
    assert crashes <= 1 + cases / 500
    if not crashes:     # what came before a crash is not reported
        assert counts['accepted'] + counts['refused'] >= cases
        assert min(counts.values()) > cases / 100, counts   # else it tests little


def _inside_hdf5(errors: str) -> bool:
    """Tell from the traceback of a crash whether it came out of a call into libhdf5."""
    frames = re.findall(r'File "([^"]+)"', errors.partition('Segmentation fault')[2])
    return bool(frames) and ('/h5py/' in frames[0] or frames[0].endswith(
        ('data/episodes.py', 'data/columns.py', 'data/rows.py')))


@pytest.mark.parametrize('group', sorted(CASES))
def test_damage_is_survived_or_refused(group, tmp_path):
    """The same cases every time, so that a failure is one of the last change."""
    judge(group, 0, CASES[group], tmp_path / 'fuzz')


@pytest.mark.slow
@pytest.mark.parametrize('group', sorted(CASES))
def test_more_damage_is_survived_or_refused(group, tmp_path):
    """New cases every day, as many as LEWM_FUZZ_CASES says."""
    judge(group, datetime.date.today().toordinal(),
          int(os.environ.get('LEWM_FUZZ_CASES', '2000')), tmp_path / 'fuzz')


@pytest.mark.parametrize(('plant', 'words'), [
    ('crash', 'KeyError'), ('segfault', 'Segmentation fault'), ('memory', 'MemoryError'),
    ('hang', '_hang'),
    ('write', 'open of .*stray'), ('overwrite', 'open of '), ('litter', 'was left behind')])
def test_a_planted_fault_is_found(plant, words, tmp_path):
    """Each rule is one that a case can break: the process ends and says which case it was."""
    status, _, errors = fuzz('settings', 0, 5, tmp_path / 'fuzz', plant)
    assert status != 0
    assert re.search(words, errors), errors[-1000:]
    assert (tmp_path / 'fuzz/current').read_text() == 'settings 2'


@pytest.mark.parametrize('text', TEXTS, ids=range(len(TEXTS)))
def test_no_yaml_text_does_anything_but_data(text, tmp_path):
    """Bombs, deep nesting, tags that run code and scalars that make the parser fail."""
    (tmp_path / 'a.yaml').write_text(text, encoding='utf-8')
    try:
        values = load_yaml(tmp_path / 'a.yaml')
    except ConfigError as error:
        assert 0 < len(str(error)) < 2000
    else:
        assert isinstance(values, dict)


def test_aliases_are_counted_as_what_they_stand_for():
    """Aliases of small things are welcome; a thousand million of them in ten lines are not."""
    assert parse_yaml('a: &a {x: 1}\nb: {<<: *a, y: 2}', 't') == {'a': {'x': 1},
                                                                  'b': {'x': 1, 'y': 2}}
    bomb = 'l0: &l0 [x]\n' + ''.join(f'l{n}: &l{n} [{", ".join([f"*l{n - 1}"] * 9)}]\n'
                                     for n in range(1, 10))
    with pytest.raises(ConfigError, match='aliases stand for more than'):
        parse_yaml(bomb, 't')
    with pytest.raises(ConfigError, match='inside of what it stands for'):
        parse_yaml('&a [*a]', 't')
    with pytest.raises(ConfigError, match='nested deeper than'):
        parse_yaml('[' * 50 + ']' * 50, 't')


def test_settings_are_files_of_a_reasonable_size(tmp_path):
    """A pipe would be waited for, a huge file would be parsed for minutes."""
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'large').write_bytes(b'a' * (MAX_BYTES + 1))
    for name, words in (('pipe', 'not a file'), ('large', 'more than'), ('.', 'not a file'),
                        ('none', 'No such file'), ('\0', 'null byte')):
        with pytest.raises(ConfigError, match=words):
            load_yaml(tmp_path / name)
