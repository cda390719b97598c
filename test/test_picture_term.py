"""The auxiliary decoder: off it is not there, on it pulls at the encoder and resumes exactly."""

import dataclasses

from lewm_model.training import auxiliary_terms
from lewm_model.training.checkpoint import load_newest
from lewm_model.training.distributed import Group
from lewm_model.training.picture_term import PictureTerm
import pytest
from test_training import losses, run, TINY, whole_and_in_parts
import torch

ON = dataclasses.replace(TINY, decoder_weight=1.0)


def term(latent_dim=4, **changes):
    return PictureTerm(latent_dim, dataclasses.replace(TINY, **changes), 'cpu', Group())


def brightness(values):
    """Return frames (B, 1, 64, 64, 3) whose left half has these brightnesses."""
    frames = torch.full((len(values), 1, 64, 64, 3), 100, dtype=torch.uint8)
    frames[:, :, :, :32] = torch.tensor(values, dtype=torch.uint8)[:, None, None, None, None]
    return frames


def test_the_loss_is_the_share_of_variance_that_is_not_explained():
    """The mean picture costs 1, however little of the picture changes; nothing changes: finite."""
    painter = term()
    with torch.no_grad():
        for parameter in painter.head.parameters():
            parameter.zero_()          # paints the mean picture
    latents = torch.randn(6, 1, 4)
    for values in ([0, 50, 100, 150, 200, 250], [100, 101, 102, 103, 104, 105]):
        assert painter.loss(latents, brightness(values)).item() == pytest.approx(1, abs=1e-4)
    assert painter.loss(latents, brightness(6 * [7])).item() == pytest.approx(0, abs=1e-4)


def test_a_decoder_learns_what_the_latents_tell_and_no_more():
    """Latents that say the brightness: nearly all is painted; latents of noise: nothing."""
    values = torch.arange(0, 250, 25)
    told = (values / 125 - 1)[:, None, None].expand(-1, 1, 4)
    for latents, low, high in ((told, 0, 0.05), (torch.zeros(10, 1, 4), 0.95, 1.1)):
        painter = term(weight_decay=0.0)
        for _ in range(60):
            loss = painter.loss(latents, brightness(values.tolist()))
            loss.backward()
            painter.step(3e-3)
        assert low <= loss.item() < high


def test_its_gradient_reaches_the_encoder(tmp_path):
    """The same first losses with and without it; after one step other weights of the encoder."""
    without, along = (
        run(tmp_path / name, dataclasses.replace(config, steps=1, warmup=0.0))
        for name, config in (('without', TINY), ('along', ON)))
    assert losses(without) == losses(along)
    assert along.progress.losses[0]['pictures'] == pytest.approx(1, abs=0.3)
    assert 'pictures' not in without.progress.losses[0]
    patches = [result.model.encoder.state_dict() for result in (without, along)]
    assert any(not torch.equal(ours, theirs) for ours, theirs in
               zip(*(part.values() for part in patches), strict=True))
    assert without.model.state_dict().keys() == along.model.state_dict().keys()


def test_off_there_is_no_decoder_at_all(tmp_path, monkeypatch):
    """Weight 0, the default, is the training from before: the same steps, nothing in checkpoints.

    The random numbers that training draws are the same with it, so the first loss is, too.
    """
    def refuse(*arguments):
        raise AssertionError('made although its weight is 0')
    monkeypatch.setattr(auxiliary_terms, 'PictureTerm', refuse)
    run(tmp_path, TINY)
    assert 'pictures' not in load_newest(tmp_path / 'checkpoints')


def test_a_run_with_it_goes_on_exactly(tmp_path):
    """Interrupted after step 5 of 12: the same losses, of the decoder too, bit for bit."""
    whole, _ = whole_and_in_parts(tmp_path, ON)
    assert 'pictures' in whole.progress.losses[0]
