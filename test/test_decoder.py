"""The decoder of a bundle: trained on held-in frames, judged on the others, stored small."""

import dataclasses

from episode_sets import episode, ROWS, write_set
from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.card import render_card
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.heads.decoder import Decoder, DecoderConfig, PIXELS
from lewm_model.held_out import HeldOut
from lewm_model.training.decoder import fit_decoder
from lewm_model.training.divide import list_trained
from lewm_model.training.policies import fit, PolicyTrainConfig, train_policy, usual_config
from nano import SIZES, tiny_bundle
import numpy as np
import pytest
import torch

KEPT, EPISODES = range(6), 9
SMALL = DecoderConfig(hidden_dim=32, channels=8)
TRAINING = PolicyTrainConfig(batch_size=32, steps=150, learning_rate=5e-3)


def bars(number):
    """An episode whose pictures show one bright column, farther right in every row."""
    made = episode(number)
    pixels = np.full_like(made.pixels, 60)
    for row in range(ROWS):
        pixels[row, :, row:row + 16] = 220
    return dataclasses.replace(made, pixels=pixels)


@pytest.fixture(scope='module')
def subject(tmp_path_factory):
    data = write_set(tmp_path_factory.mktemp('data') / 'set.h5', map(bars, range(EPISODES)))
    return HeldOut(tiny_bundle(provenance={
        'validation_split': 0.3, **list_trained(Fingerprint.of(data), KEPT)}), data)


def test_what_latents_show_is_painted_and_judged_on_held_out_frames(subject):
    """The place of the bar is in the latent; both errors are measured again here."""
    latents = torch.zeros(EPISODES * ROWS, SIZES.latent_dim)
    latents[:, 0] = torch.arange(len(latents)) % ROWS / ROWS * 4 - 2
    decoder, found = fit_decoder(subject, latents, SMALL, 1, TRAINING.batch_size,
                                 lambda build, loss: fit(build, loss, TRAINING,
                                                         lambda progress: None))
    assert found['training_frames'] == len(KEPT) * ROWS and found['explained'] > 0.6
    rows = np.arange(len(KEPT) * ROWS, EPISODES * ROWS)
    painted = decoder.pictures(latents[rows]) / 255
    error = np.sqrt(((painted - subject.data.pixels[rows] / 255) ** 2).mean())
    assert error == pytest.approx(found['pixel_error'], abs=0.005)    # 8 bits, and clipped
    # The untrained model's rollouts mean nothing, so what is painted of them is far off.
    assert found['imagined_blocks'] == 3 and found['imagined_explained'] < found['explained']


def test_a_bundle_keeps_it_small_and_gives_back_the_same_pictures(subject, tmp_path):
    """Two bytes a number; saved again, the file is the same; the card says how well it paints."""
    decoder, measured = train_policy(subject.bundle, subject.data, 'decoder',
                                     SMALL, PolicyTrainConfig(batch_size=8, steps=3))
    folder = dataclasses.replace(subject.bundle, decoder=decoder,
                                 metrics={'decoder': measured}).save(tmp_path / 'bundle')
    file = folder / 'decoder.safetensors'
    numbers = sum(value.numel() for value in decoder.state_dict().values())
    assert measured['parameters'] == numbers
    assert 2 * numbers < file.stat().st_size < 2 * numbers + 4000
    again, before = Bundle.load(folder), file.read_bytes()
    assert again.decoder.paint[0].weight.dtype == torch.float32       # computed in full
    latents = torch.randn(3, SIZES.latent_dim)
    assert np.array_equal(again.decoder.pictures(latents), decoder.pictures(latents))
    assert decoder.pictures(latents).shape == (3, PIXELS, PIXELS, 3)
    again.save(folder)
    assert file.read_bytes() == before
    card = render_card(again, 'tiny')
    assert '## Pictures of latents' in card and 'frames imagined 3 blocks ahead' in card


def test_the_usual_training_of_a_decoder_is_its_own():
    """Pictures are dear: smaller batches than of the networks that read latents only."""
    assert usual_config('decoder').batch_size < usual_config('readout').batch_size
    assert usual_config('prior') == PolicyTrainConfig()


def test_pictures_of_any_latent_are_pictures():
    """What is out of all bounds is black or white, not wrapped around."""
    decoder = Decoder(SMALL, 4)
    decoder.mean_picture.fill_(9.0)
    assert (decoder.pictures(np.zeros((1, 4), np.float32)) == 255).all()
    decoder.mean_picture.fill_(-9.0)
    assert (decoder.pictures(np.zeros((1, 4), np.float32)) == 0).all()
