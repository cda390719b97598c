"""tools/bench_gpu.sh: one command for the numbers of a GPU."""

import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]


def start(*options, **changes):
    return subprocess.run(
        [ROOT / 'tools' / 'bench_gpu.sh', *options], capture_output=True, text=True, timeout=250,
        env={**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', **changes})


@pytest.mark.skipif(shutil.which('nvidia-smi') is not None, reason='there is a GPU')
def test_without_a_gpu_it_says_so_and_measures_nothing(tmp_path):
    """Exit code 2, what was looked for, and what works here."""
    done = start(RESULTS=str(tmp_path / 'results'))
    assert done.returncode == 2
    assert re.search(r'torch sees no NVIDIA GPU.*--smoke runs the chain', done.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('options', 'changes', 'message'), [
    (['--smokee'], {}, "unknown option '--smokee'; known: --smoke, --help"),
    (['--smoke'], {'ROUNDS': '0'}, "ROUNDS must be a whole number from 1 on, got '0'"),
    (['--smoke'], {'PYTHON': 'no-such-python'}, 'PYTHON=no-such-python is not installed')])
def test_wrong_settings_are_named(options, changes, message, tmp_path):
    """Exit code 2, the value and what is allowed."""
    done = start(*options, RESULTS=str(tmp_path / 'results'), **changes)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.slow
def test_the_chain_runs_to_the_page(tmp_path):
    """With tiny numbers on the CPU: both reports, and a page with what they say."""
    results = tmp_path / 'results'
    done = start('--smoke', RESULTS=str(results))
    assert done.returncode == 0, done.stderr
    page = results.with_name('results.md').read_text()
    plan = json.loads((results / 'plan.json').read_text())
    for row in plan['groups'][0]['measured']:
        assert f'| {row["name"]} | {1e3 * row["median_s"]:.3f} |' in page
    fastest = min(row['median_s'] for row in json.loads(
        (results / 'encode.json').read_text())['groups'][0]['measured'])
    assert f'one encode in at most 1 ms | {1e3 * fastest:.2f} ms' in page
    assert '- cost error of torch-tuned' in page


def row(name, median_s):
    return {'name': name, 'median_s': median_s, 'p10_s': median_s, 'p99_s': 2 * median_s,
            'facts': {}, 'times_faster_than_first': {'median': 1.0}}


def report(kind, *rows):
    return {'kind': kind, 'command': f'lewm bench {kind}', 'machine': {'gpu': 'X'},
            'groups': [{'title': 'one', 'measured': list(rows), 'notes': {'error': 1e-3}}]}


def test_the_page_tells_goals_that_are_missed(tmp_path):
    """A goal is judged by the fastest of ours, never by the reference; ratios are of the best."""
    for name, content in (
            ('plan', report('plan', row('stable-worldmodel', 0.001), row('cuda-graph', 0.024),
                            row('cuda-graph-compiled', 0.021), row('tensorrt', 0.042))),
            ('encode', report('encode', row('torch', 0.002), row('tensorrt', 0.0009)))):
        (tmp_path / 'gpu').mkdir(exist_ok=True)
        (tmp_path / 'gpu' / f'{name}.json').write_text(json.dumps(content))
    subprocess.run([sys.executable, ROOT / 'tools' / 'bench_gpu_page.py', tmp_path / 'gpu'],
                   check=True)
    page = (tmp_path / 'gpu.md').read_text()
    assert '20 ms | 21.00 ms, cuda-graph-compiled | no |' in page
    assert '1 ms | 0.90 ms, tensorrt | yes |' in page
    assert 'TensorRT takes 2.00 times as long as CUDA graphs (tensorrt, cuda-graph-comp' in page
    assert page.count('stable-worldmodel did not take part') == 1
    assert '- error: 0.001' in page
