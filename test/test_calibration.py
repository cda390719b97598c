"""What `lewm calibrate` measures, on recordings whose errors are known."""

from types import SimpleNamespace

from episode_sets import SQUARE_ROWS as ROWS, square_set, SQUARES
from lewm_model.analysis import calibration
from lewm_model.analysis.calibration import measure_ordinary
from lewm_model.base.quantile import quantile_with_interval
from lewm_model.bundles.bundle import Bundle
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError
from lewm_model.held_out import HeldOut
from lewm_sim import cli
from nano import tiny_bundle
import numpy as np
import pytest
import torch


@pytest.fixture(scope='module')
def data_path(tmp_path_factory):
    """Return a data set of a bright square that goes its way, another one in every episode."""
    return square_set(tmp_path_factory.mktemp('data') / 'square.h5')


@pytest.fixture
def subject(data_path):
    return HeldOut(tiny_bundle(provenance={'validation_split': 0.3}), EpisodeFile.open(data_path),
                   new_data=True)


def known(subject, monkeypatch, wrong):
    """Let an episode be wrong by normal errors of size `wrong(number)`, 30 frames each."""
    def predictions(subject, episode):
        chance = torch.Generator().manual_seed(episode)
        seen = torch.randn(ROWS, 16, generator=chance)
        errors = wrong(episode) * torch.randn(30, 16, generator=chance)
        return seen[-30:] + errors, seen
    monkeypatch.setattr(calibration, 'episode_predictions', predictions)
    return measure_ordinary(subject, pictures=4)


def test_ordinary_errors_have_surprise_one_and_the_limit_comes_from_whole_episodes(
        subject, monkeypatch):
    """Twelve episodes of 30 frames: 360 judged; the limit is the end of the interval."""
    found = known(subject, monkeypatch, lambda episode: 0.5)
    config = found.config
    assert (config.episodes, config.frames) == (SQUARES, 30 * SQUARES)
    assert config.mean_error == pytest.approx(0.25, rel=0.05)
    errors = 0.5 * torch.randn(4000, 16, generator=torch.Generator().manual_seed(1))
    assert found.surprise(torch.zeros(16), errors).mean().item() == pytest.approx(1, rel=0.1)
    assert config.surprise_limit == config.surprise_high >= config.surprise_low > 1


def test_what_is_usual_is_learnt_from_other_episodes(subject, monkeypatch):
    """One episode is ten times as wrong: to the others it is nothing usual, and that is seen."""
    found = known(subject, monkeypatch, lambda episode: 5.0 if episode == 3 else 0.5)
    assert found.config.surprise_high > 50     # judged by itself too it would be about 12


def test_a_real_model_is_judged_as_its_policy_judges_it(subject):
    """Twelve held-out episodes of 41 rows, of which 15 are the past of the first judged one."""
    found = measure_ordinary(subject, pictures=4)
    assert (found.config.episodes, found.config.frames) == (12, 12 * (ROWS - 15))
    assert found.config.read_errors == {}      # the bundle reads nothing
    expected, latents = calibration.episode_predictions(subject, 0)
    assert expected.shape == (ROWS - 15, 16) and latents.shape == (ROWS, 16)
    assert found.config.mean_error == pytest.approx(np.mean([
        (one[0] - one[1][15:]).square().mean().item() for one in (
            calibration.episode_predictions(subject, number) for number in range(12))]))


def test_what_is_read_has_its_error(subject):
    """A readout that reads the first number of a latent: the error of that number."""
    one = SimpleNamespace(name='first')
    readout = SimpleNamespace(readable=[one], moved=lambda before, after: (
        after - before)[:, :1].double().numpy())
    expected, seen = torch.zeros(100, 16), torch.full((100, 16), 0.5)
    assert calibration._read_errors(readout, expected, seen) == {'first': 0.5}


def test_too_few_episodes_are_refused(subject, monkeypatch):
    """Four are not enough; the message says how many are needed."""
    subject.held_out = subject.held_out[:4]
    with pytest.raises(DatasetError, match='4 held-out episodes.* at least 5 are needed'):
        measure_ordinary(subject)


def test_the_command_writes_it_into_the_bundle(data_path, tmp_path, capsys):
    """The numbers are in bundle.yaml and on the card, with the command."""
    folder = tiny_bundle(provenance={'validation_split': 0.3}).save(tmp_path / 'b')
    assert cli.main(['calibrate', str(folder), '--data', str(data_path), '--new-data',
                     '--pictures', '4']) == 0
    again = Bundle.load(folder)
    assert again.ordinary.config.pictures == 4
    assert f'{again.ordinary.config.surprise_limit:.3g}' in capsys.readouterr().out
    assert 'lewm calibrate' in (folder / 'README.md').read_text()


def test_the_limit_is_the_end_of_the_interval_of_a_high_quantile():
    """Of 45 numbers the largest bounds the 0.9 quantile from above, nearly."""
    found = quantile_with_interval(np.arange(45), calibration.EPISODE_QUANTILE)
    assert found.value < found.high <= 44
