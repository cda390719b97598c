"""BatchNorm's statistics are those of the data whenever a model is looked at or saved."""

import dataclasses

from lewm_model.errors import ConfigError
from lewm_model.preprocess import FrameTransform
from lewm_model.training.batch_norm import measure_batch_norms
from lewm_model.training.checkpoint import load_newest
from lewm_model.training.health import Health
from nano import tiny_bundle
import pytest
from test_training import loader, losses, run, TINY
import torch


def fresh():
    """Return a model that never trained, and a batch of frames and blocks."""
    torch.manual_seed(1)
    return tiny_bundle().model.train(), torch.randn(8, 4, 3, 64, 64), torch.randn(8, 4, 10)


def both(model, frames, blocks):
    """Return latents and predictions in the model's mode."""
    with torch.no_grad():
        latents = model.encode(frames)
        return latents, model.predict(latents[:, :-1], blocks[:, :-1])


def test_eval_and_training_mode_agree_on_the_batch_that_was_measured():
    """One batch: the same latents and predictions in both modes; before, they were far apart."""
    model, frames, blocks = fresh()
    before = both(model.eval(), frames, blocks)
    wanted = both(model.train(), frames, blocks)
    measure_batch_norms(model, [(frames, blocks)])
    assert model.training   # put back
    for ours, theirs, lagging in zip(both(model.eval(), frames, blocks), wanted, before,
                                     strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
        assert (lagging - theirs).abs().mean() > 0.1 * theirs.std()


def test_batches_count_as_all_their_rows_together():
    """Of batches of unlike brightness the variance of all rows, not a mean of their variances."""
    model, frames, blocks = fresh()
    frames = frames * torch.linspace(0.1, 3, 8)[:, None, None, None, None]
    measure_batch_norms(model, [(frames, blocks)])
    whole = {name: value.clone() for name, value in model.state_dict().items()}
    measure_batch_norms(model, [(frames[part], blocks[part])
                                for part in (slice(0, 3), slice(3, 4), slice(4, 8))])
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, whole[name], atol=1e-5, rtol=1e-4, msg=name)


def distances(folder, config):
    """Train; return how far eval mode is from the data's own statistics at every check."""
    clips = loader().clips
    batch = clips.batch(range(len(clips)))
    frames, found = FrameTransform(64)(batch.frames), []

    def check(model):
        seen = both(model.eval(), frames, batch.actions)
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        measure_batch_norms(model, [(frames, batch.actions)])
        wanted = both(model, frames, batch.actions)
        model.load_state_dict(kept)
        model.train()
        found.append(max((ours - theirs).abs().mean().item()
                         for ours, theirs in zip(seen, wanted, strict=True)))
        return Health(0.1, 0.2, 1.0, 1.0, 8.0, 0.5)
    return found, run(folder, config, check=check)


def test_eval_mode_means_something_in_the_middle_of_a_run(tmp_path):
    """Measured, nothing is off at any check; running averages lag. The training is the same."""
    lagging, before = distances(tmp_path / 'before', dataclasses.replace(TINY, norm_batches=0))
    measured, after = distances(tmp_path / 'after', TINY)   # 16 batches of 8: all 20 clips
    assert max(measured) < 1e-5 and min(lagging) > 0.02
    assert losses(before) == losses(after)
    for (name, ours), theirs in zip(before.model.named_parameters(), after.model.parameters(),
                                    strict=True):
        assert torch.equal(ours, theirs), name


def test_checkpoints_have_the_measured_statistics_and_older_runs_go_on(tmp_path):
    """The last checkpoint is the model that is returned; the setting may change on the way."""
    result = run(tmp_path, dataclasses.replace(TINY, norm_batches=2))
    saved = load_newest(tmp_path / 'checkpoints')['model']
    for name, value in result.model.state_dict().items():
        assert torch.equal(saved[name], value), name
    assert run(tmp_path, TINY).progress.step == 12
    with pytest.raises(ConfigError, match='TrainConfig.norm_batches must be not negative'):
        dataclasses.replace(TINY, norm_batches=-1)
