"""Several processes train as one would with the joint batch, and stop and go on together."""

import json
import os
from pathlib import Path
import subprocess
import sys

from joint_training import run
from lewm_model.data.clips import ClipLoader, Clips
from lewm_model.errors import ConfigError, DatasetError
from lewm_model.preprocess import ActionNormalizer
from lewm_model.training.checkpoint import load_newest
from lewm_model.training.distributed import Group, joined_processes
import numpy as np
import pytest
from test_training import Rows
import torch

pytestmark = pytest.mark.skipif(not torch.distributed.is_available()
                                or not torch.distributed.is_gloo_available(),
                                reason='this torch has no gloo')


def together(folder, size=2, **options):
    """Run `joint_training.py` in `size` processes; return their (code, stderr), their results."""
    folder.mkdir(exist_ok=True)
    (folder / 'meeting').unlink(missing_ok=True)
    script = Path(__file__).with_name('joint_training.py')
    environment = {**os.environ, 'GLOO_SOCKET_IFNAME': 'lo', 'PYTHONPATH': os.pathsep.join(
        [str(script.parent), str(script.parents[1])])}
    processes = [subprocess.Popen([sys.executable, str(script), str(rank), str(size), str(folder),
                                   json.dumps(options)], env=environment,
                                  stderr=subprocess.PIPE, text=True) for rank in range(size)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert set(codes) <= {0, 2, 130}, errors
    return list(zip(codes, errors, strict=True)), [torch.load(path, weights_only=True)
                   for path in sorted(folder.glob('rank_*.pt'))]


@pytest.mark.parametrize('changes, terms', [
    ({}, set()), ({'decoder_weight': 1.0}, {'pictures'}),
    # Weights that make terms as large as the other two: what is compared are absolute numbers.
    ({'state_weight': 0.2, 'rollout_weight': 0.2, 'rollout_steps': 2}, {'states', 'rollout'}),
    ({'loss': 'pldm', 'pldm_std': 0.4, 'pldm_cov': 0.3, 'inverse_weight': 1.0},
     {'std', 'cov', 'std_time', 'alignment', 'inverse'})],
    ids=['lewm', 'pictures', 'states and rollout', 'pldm'])
def test_two_processes_have_the_loss_and_gradients_of_one_with_the_joint_batch(
        tmp_path, changes, terms):
    """Prediction, SIGReg, other terms, every gradient, BatchNorm's statistics, to 1e-5, fp32."""
    (tmp_path / 'one').mkdir()
    options = {'norm_batches': 0, **changes}
    alone, gradients, _ = run(tmp_path / 'one', Group(), **options)
    _, (first, second) = together(tmp_path / 'two', **options)
    assert first['losses'][0].keys() - {'step', 'prediction', 'sigreg', 'grad_norm'} == terms
    for name, value in alone.progress.losses[0].items():
        assert first['losses'][0][name] == pytest.approx(value, abs=1e-5), name
    assert gradients.keys() == first['gradients'].keys()
    assert max(value.abs().max() for value in gradients.values()) > 1e-2
    for name, value in gradients.items():
        torch.testing.assert_close(first['gradients'][name], value, atol=1e-5, rtol=0, msg=name)
    statistics = [name for name in first['model'] if 'running' in name]
    assert len(statistics) == 4
    for name in statistics:
        torch.testing.assert_close(first['model'][name], alone.model.state_dict()[name],
                                   atol=1e-5, rtol=1e-5, msg=name)
    assert (first['checks'], second['checks']) == (1, 0)   # only the main process looks
    assert second['losses'] == []


def test_the_processes_stay_equal_and_differ_from_training_apart(tmp_path):
    """After 4 steps with dropout: bit for bit the same weights; one process has others."""
    _, (first, second) = together(tmp_path / 'two', steps=4, dropout=0.1)
    for ours, theirs in zip(first['model'].values(), second['model'].values(), strict=True):
        assert torch.equal(ours, theirs)
    (tmp_path / 'half').mkdir()
    half, _, _ = run(tmp_path / 'half', Group(), steps=4, batch_size=4)
    assert half.progress.losses[-1]['sigreg'] != pytest.approx(first['losses'][-1]['sigreg'],
                                                               rel=1e-3)


def test_sigterm_to_one_process_stops_all_and_they_go_on_exactly(tmp_path):
    """The main one is told to stop after step 3 of 6; resumed, the losses are those of a whole."""
    _, (whole, _) = together(tmp_path / 'whole', steps=6, dropout=0.1)
    ends, saved = together(tmp_path / 'parts', steps=6, dropout=0.1, terminate_at=3)
    assert ([code for code, _ in ends], saved) == ([130, 130], [])
    assert load_newest(tmp_path / 'parts' / 'run' / 'checkpoints')['step'] == 4
    _, (resumed, other) = together(tmp_path / 'parts', steps=6, dropout=0.1)
    assert resumed['losses'] == whole['losses']
    for name, value in resumed['model'].items():   # BatchNorm's measured statistics as well
        assert name.endswith('num_batches_tracked') or torch.equal(value, whole['model'][name])
    for ours, theirs in zip(resumed['model'].values(), other['model'].values(), strict=True):
        assert torch.equal(ours, theirs)


def test_when_the_main_process_stops_the_others_end_too(tmp_path):
    """Its health check fails at step 2: it says why, the other one ends as well, soon."""
    (main, other), _ = together(tmp_path, steps=6, fail_at=2)
    assert main[0] == other[0] == 2
    assert 'collapsed' in main[1]
    assert 'another process of this run has stopped' in other[1]


def test_the_parts_of_a_batch_are_disjoint_and_make_up_the_batch():
    """Three batches, divided in two and whole: the same rows in all."""
    rows = Rows()
    clips = Clips(rows, ActionNormalizer.fit(rows.action), num_frames=4, frameskip=5)
    whole = ClipLoader(clips, 8, 0)
    parts = [ClipLoader(clips, 8, 0, rank=rank, processes=2) for rank in range(2)]
    for _ in range(3):
        seen = [next(part).rows[:, 0] for part in parts]
        assert len(seen[0]) == len(seen[1]) == 4
        assert sorted(np.concatenate(seen)) == sorted(next(whole).rows[:, 0])
    assert parts[0].position == parts[1].position == whole.position
    with pytest.raises(DatasetError, match='multiple of the 3 processes.*got 8'):
        ClipLoader(clips, 8, 0, processes=3)


def test_one_process_alone_is_the_identity(monkeypatch):
    """Without torchrun nothing is set up and nothing changes."""
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    values = torch.randn(3)
    with joined_processes('cpu') as (group, device):
        assert group.is_main and group.size == 1 and device == 'cpu'
        assert group.mean(values) is values
        assert not torch.distributed.is_initialized()


def test_half_an_environment_of_torchrun_is_refused(monkeypatch):
    """WORLD_SIZE alone, as some batch systems set it: the message says what is missing."""
    monkeypatch.setenv('WORLD_SIZE', '2')
    for name in ('RANK', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match='RANK, LOCAL_RANK.*torchrun'), joined_processes('cpu'):
        pass
