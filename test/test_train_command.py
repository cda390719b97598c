"""`lewm train` from the command line: one process, torchrun, and what is on the screen."""

import os
from pathlib import Path
import subprocess
import sys

from lewm_model.bundles.bundle import Bundle
from lewm_model.ingest.episode_writer import Episode, write_episodes
from lewm_model.robots.robot import RobotDescription
from lewm_model.training import lambda_search
from lewm_model.training.lambda_search import Trial
from lewm_sim import cli
from nano import SIZES
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A data set of noise and a recipe of six tiny steps."""
    folder = tmp_path_factory.mktemp('train')
    rng = np.random.default_rng(0)

    def episode(index, rows=30):
        return Episode(
            episode_id=f'e{index}', source='none', sha256='0' * 64,
            pixels=rng.integers(0, 255, (rows, 64, 64, 3)).astype(np.uint8),
            action=rng.uniform(-1, 1, (rows, 2)), qpos=rng.normal(size=(rows, 2)),
            qvel=np.zeros((rows, 2)), stamp_ns=np.arange(rows) * 50_000_000)
    write_episodes(folder / 'data.h5', [episode(index) for index in range(8)], 8 * [30],
                   RobotDescription.from_yaml('sim_reacher'), 64, {'task': 'reacher'})
    model = {key: value for key, value in SIZES.to_dict().items() if key != 'action_dim'}
    (folder / 'recipe.yaml').write_text(yaml.safe_dump({
        'model': model, 'train': {'batch_size': 8, 'steps': 6, 'learning_rate': 1e-3,
                                  'sigreg_projections': 16, 'precision': 'fp32', 'log_every': 1,
                                  'validate_every': 3, 'grace_steps': 0}, 'plan': {}}))
    return folder


def train(files, out, *launcher, options=()):
    done = subprocess.run(
        [sys.executable, *launcher, '-m', 'lewm_sim.cli', 'train', str(files / 'data.h5'),
         '--config', str(files / 'recipe.yaml'), '--out', str(out), '--run-folder', f'{out}-run',
         '--threads', '1', *options],
        cwd=ROOT, capture_output=True, text=True, timeout=200,
        env={**os.environ, 'GLOO_SOCKET_IFNAME': 'lo', 'PYTHONPATH': str(ROOT)})
    return done.returncode, done.stdout + done.stderr


def scalars(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(run / 'tensorboard'))
    events.Reload()
    return {tag: [point.value for point in events.Scalars(tag)]
            for tag in events.Tags()['scalars']}


def test_torchrun_gives_the_model_of_one_process(files, tmp_path):
    """Two processes: one bundle, one bar, the losses and, nearly, the health of one process."""
    code, said = train(files, tmp_path / 'one')
    assert code == 0, said
    code, said = train(files, tmp_path / 'two', '-m', 'torch.distributed.run', '--standalone',
                       '--nproc-per-node', '2')
    assert code == 0, said
    assert said.count('bundle written') == said.count('step 6: held out') == 1
    for word in ('gates 0.', 'action effect', 'clips/s', 'min left', 'warning: lost? '):
        assert word in said
    one, two = scalars(tmp_path / 'one-run'), scalars(tmp_path / 'two-run')
    assert len(one['training/prediction']) == 6
    assert two['training/prediction'] == pytest.approx(one['training/prediction'], rel=2e-3)
    assert two['training/sigreg'] == pytest.approx(one['training/sigreg'], rel=2e-3)
    assert {'held_out/gate_norm', 'held_out/action_effect', 'training/clips_per_s',
            'training/remaining_minutes'} <= two.keys()
    provenance = Bundle.load(tmp_path / 'two').provenance
    assert provenance['processes'] == 2
    assert provenance['commands'][-1].startswith('torchrun --nproc-per-node 2 -m lewm_sim.cli')


def test_search_lambda_prints_the_option_to_train_with(files, tmp_path, monkeypatch, capsys):
    """What was found can be pasted; each run has 1000 steps unless --steps says otherwise."""
    asked = []

    def found(data, recipe, *, run_folder, report, device):
        asked.append(recipe.train.steps)
        return Trial(0.0562, 0.021, 1.31, 0.97, 60.0)
    monkeypatch.setattr(lambda_search, 'search_lambda', found)
    words = ['train', str(files / 'data.h5'), '--config', str(files / 'recipe.yaml'), '--out',
             str(tmp_path / 'out'), '--run', str(tmp_path / 'run'), '--search-lambda']
    assert cli.main(words) == cli.main([*words, '--steps', '7']) == 0
    assert asked == [1000, 7]
    assert 'best: --sigreg-weight 0.0562 (SIGReg 1.31' in capsys.readouterr().out


def test_search_lambda_reports_why_nothing_passes(files, tmp_path):
    """Noise has nothing to read out: exit code 2, the table stays, no bundle is written."""
    code, said = train(files, tmp_path / 'out', options=['--search-lambda', '--steps', '2'])
    assert code == 2
    assert 'no SIGReg weight passed' in said
    assert (tmp_path / 'out-run' / 'lambda' / 'lambda_search.json').exists()
    assert not (tmp_path / 'out').exists()


def test_a_run_begins_with_the_weights_of_a_bundle_of_the_same_data(files, tmp_path):
    """With a learning rate near 0 the weights stay; another division of the data is refused."""
    code, output = train(files, tmp_path / 'first')
    assert code == 0, output
    still = tmp_path / 'still.yaml'
    still.write_text((files / 'recipe.yaml').read_text().replace('0.001', '1.0e-12'))
    options = ('--config', str(still), '--begin-with', str(tmp_path / 'first'))
    code, output = train(files, tmp_path / 'second', options=options)
    assert code == 0, output
    first, second = (Bundle.load(tmp_path / name) for name in ('first', 'second'))
    before = dict(first.model.named_parameters())
    for name, value in second.model.named_parameters():
        assert (value - before[name]).abs().max() < 1e-6, name
    assert second.provenance['begins_with'] == first.model_id
    assert [line.split()[1] for line in second.provenance['commands']] == ['train', 'train']
    code, output = train(files, tmp_path / 'third', options=(*options, '--seed', '7'))
    assert code != 0 and 'seed (3072 there, 7 now)' in output
