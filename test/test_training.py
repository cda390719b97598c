"""Training goes on where it was stopped, exactly; and says what is wrong when it cannot."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

from lewm_model import LeWorldModel
from lewm_model.config import TrainConfig
from lewm_model.data.clips import ClipLoader, Clips
from lewm_model.errors import TrainingError
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.training.checkpoint import load, load_newest, save_checkpoint
from lewm_model.training.health import Health
from lewm_model.training.loop import train
from nano import SIZES
import numpy as np
import pytest
import torch

TINY = TrainConfig(batch_size=8, steps=12, learning_rate=1e-3, warmup=0.25, sigreg_weight=0.1,
                   sigreg_projections=16, precision='fp32', log_every=1, validate_every=4,
                   checkpoint_every=4, seed=1)
SIZES = dataclasses.replace(SIZES, dropout=0.1)   # so that the random state matters


class Rows:
    """A data set of random frames in memory, with what `Clips` reads."""

    def __init__(self, episodes=4, length=24):
        rng = np.random.default_rng(0)
        self.path = 'rows'
        self.ep_len = np.full(episodes, length)
        self.ep_offset = np.arange(episodes) * length
        self.num_episodes = episodes
        self.pixels = rng.integers(0, 255, (episodes * length, 64, 64, 3)).astype(np.uint8)
        self.action = rng.normal(size=(episodes * length, 2)).astype(np.float32)
        self.columns = {}


def loader():
    rows = Rows()
    clips = Clips(rows, ActionNormalizer.fit(rows.action), num_frames=4, frameskip=5)
    return ClipLoader(clips, TINY.batch_size, TINY.seed)


def run(folder, config=TINY, report=lambda progress: None, check=None):
    """Train in `folder`; health is a stub, its own tests are elsewhere."""
    return train(SIZES, config, loader(), run_folder=folder, transform=FrameTransform(64),
                 check=check or (lambda model: Health(0.1, 0.2, 1.0, 1.0, 8.0, 0.5)),
                 report=report)


def losses(result):
    return [(point['prediction'], point['sigreg']) for point in result.progress.losses]


def whole_and_in_parts(folder, config=TINY, run=run):
    """Train at a stretch, and stopped after step 5; return both, which are equal bit for bit."""
    whole = run(folder / 'whole', config)

    def stop(progress):
        if progress.step == 5:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        run(folder / 'parts', config, report=stop)
    resumed = run(folder / 'parts', config)
    assert resumed.progress.losses == whole.progress.losses
    for ours, theirs in zip(resumed.model.state_dict().values(),
                            whole.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    return whole, resumed


def test_losses_are_the_documented_ones(tmp_path):
    """The first logged losses equal prediction and SIGReg worked out by hand."""
    from lewm_model.sigreg import SigReg
    result = run(tmp_path, dataclasses.replace(TINY, steps=1))
    torch.manual_seed(TINY.seed)
    model = LeWorldModel(SIZES).train()
    batch = next(loader())
    latents = model.encode(FrameTransform(64)(batch.frames))
    predicted = model.predict(latents[:, :3], batch.actions[:, :3])
    gaussianity = SigReg(16)(latents, torch.Generator().manual_seed(TINY.seed))
    expected = (predicted - latents[:, 1:]).square().mean().item(), gaussianity.item()
    assert losses(result)[0] == pytest.approx(expected, rel=1e-5)


def test_the_learning_rate_warms_up_and_decays_to_zero(tmp_path):
    """Linear over the first quarter, then a cosine that ends at 0."""
    seen = []
    run(tmp_path, report=lambda progress: seen.append(progress.learning_rate))
    assert seen[:3] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert seen[3] == pytest.approx(1e-3)
    assert all(a > b for a, b in zip(seen[3:], seen[4:], strict=False))
    assert seen[-1] < 5e-5


def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path):
    """Stop after 5 of 12 steps (between checkpoints), go on: the same losses, bit for bit."""
    _, resumed = whole_and_in_parts(tmp_path)
    assert [check['step'] for check in resumed.progress.checks] == [4, 8, 12]


def test_a_finished_run_is_not_trained_again(tmp_path):
    """Calling once more returns the same model at once."""
    first = run(tmp_path)
    steps = []
    second = run(tmp_path, report=lambda progress: steps.append(progress.step))
    assert steps == []
    assert losses(first) == losses(second)


def test_other_settings_do_not_go_on_from_a_checkpoint(tmp_path):
    """The message names what differs."""
    run(tmp_path)
    with pytest.raises(TrainingError, match=r'train.learning_rate \(0.001 there, 0.002 now\)'):
        run(tmp_path, dataclasses.replace(TINY, learning_rate=2e-3))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    """With the step, the quantity, and what to try; the last checkpoint stays."""
    def poison(progress):
        if progress.step == 5:
            TrainingHook.model.encoder.embeddings.cls_token.data.fill_(float('nan'))

    class TrainingHook:
        model = None

    def check(model):
        TrainingHook.model = model
        return Health(0.1, 0.2, 1.0, 1.0, 8.0, 0.5)
    message = 'prediction, sigreg, gradient norm became NaN.*step 5'
    with pytest.raises(TrainingError, match=message):
        run(tmp_path, report=poison, check=check)
    assert load_newest(tmp_path / 'checkpoints')['step'] == 4


def test_checkpoints_are_pruned_but_the_best_stays(tmp_path):
    """The newest two, and best.pt from the step that was best."""
    values = iter([0.3, 0.1, 0.2])
    run(tmp_path, check=lambda model: Health(next(values), 0.2, 1.0, 1.0, 8.0, 0.5))
    names = sorted(path.name for path in (tmp_path / 'checkpoints').iterdir())
    assert names == ['best.pt', 'step_00000008.pt', 'step_00000012.pt']
    assert load(tmp_path / 'checkpoints' / 'best.pt')['step'] == 8


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(tmp_path):
    """A file that was cut short (power loss) costs some steps, not the run."""
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {'step': step, 'x': torch.zeros(100)}, keep=5)
    newest = tmp_path / 'step_00000002.pt'
    newest.write_bytes(newest.read_bytes()[:200])
    assert load_newest(tmp_path)['step'] == 1
    with pytest.raises(TrainingError, match='cannot be read'):
        load(newest)


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    """Tensors and plain values only; a pickle's code does not run."""
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / 'exploded'), 'w'))
    torch.save({'step': 1, 'bomb': Bomb()}, tmp_path / 'step_00000001.pt')
    assert load_newest(tmp_path) is None
    assert not (tmp_path / 'exploded').exists()


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_a_full_disk_keeps_the_earlier_checkpoints(tmp_path):
    """Writing fails with advice; nothing that was there is lost."""
    save_checkpoint(tmp_path, 1, {'step': 1}, keep=1)
    (tmp_path / 'step_00000002.partial').symlink_to('/dev/full')
    with pytest.raises(TrainingError, match='cannot write checkpoint.*free some space'):
        save_checkpoint(tmp_path, 2, {'x': torch.zeros(10 ** 6)}, keep=1)
    assert load_newest(tmp_path)['step'] == 1


def test_a_killed_run_goes_on_with_the_same_losses(tmp_path):
    """SIGKILL in the middle of training: the resumed run repeats the uninterrupted one."""
    whole = run(tmp_path / 'whole')
    script = (f'import sys, pathlib, time; sys.path[:0] = {[p for p in sys.path if p]!r}\n'
              f'import torch; torch.set_num_threads({torch.get_num_threads()})\n'
              'import test_training\n'
              f'test_training.run(pathlib.Path({str(tmp_path / "killed")!r}),\n'
              '                  report=lambda progress: time.sleep(0.1))\n')
    environment = {**os.environ, 'PYTHONPATH': os.path.dirname(__file__)}
    process = subprocess.Popen([sys.executable, '-c', script], env=environment)
    newest = tmp_path / 'killed' / 'checkpoints' / 'step_00000008.pt'
    deadline = time.monotonic() + 60
    while not newest.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert newest.exists()
    assert losses(run(tmp_path / 'killed')) == losses(whole)
