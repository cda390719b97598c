"""Two auxiliary terms, off by default: the robot's own states, and predictions of predictions."""

import dataclasses
from types import SimpleNamespace

from lewm_model import LeWorldModel
from lewm_model.data.clips import ClipLoader, Clips
from lewm_model.errors import ConfigError
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.quantities import Quantity, to_json
from lewm_model.training.checkpoint import load_newest
from lewm_model.training.distributed import Group
from lewm_model.training.health import Health
from lewm_model.training.loop import train
from lewm_model.training.rollout_term import open_loop_error
from lewm_model.training.state_term import state_targets, StateTerm
import numpy as np
import pytest
from test_training import losses, Rows, SIZES, TINY, whole_and_in_parts
import torch

FAR = dataclasses.replace(TINY, rollout_weight=0.5, rollout_steps=3)
TOLD = dataclasses.replace(TINY, state_weight=0.5)
STATES = torch.randn(160, 2, generator=torch.Generator().manual_seed(0))


def run(folder, config, report=lambda progress: None):
    """Train on random frames, with clips as long as the settings want."""
    rows = Rows(length=40)
    clips = Clips(rows, ActionNormalizer.fit(rows.action), frameskip=5,
                  num_frames=config.clip_frames(SIZES.history))
    return train(SIZES, config, ClipLoader(clips, config.batch_size, config.seed),
                 run_folder=folder, transform=FrameTransform(64),
                 check=lambda model: Health(0.1, 0.2, 1.0, 1.0, 8.0, 0.5), report=report,
                 states=STATES)


class Sized(SimpleNamespace):
    def __len__(self):
        return len(self.action)


def data_set(quantities, columns, **more):
    """Return what `state_targets` reads, 4 episodes of 10 rows, NaN where nothing is said."""
    values = np.full((40, len(quantities)), np.nan)
    for place, column in columns.items():
        values[:, place] = column
    return Sized(
        path='rows.h5', action=np.zeros((40, 2)), attributes={
            'state_quantities': to_json(quantities), **more.pop('attributes', {})},
        columns={'qpos': values, **more}, ep_len=np.full(4, 10), ep_offset=np.arange(4) * 10)


def test_targets_are_the_robots_own_states_over_what_is_trained_on():
    """Angles around the turn, standardised over training episodes; no truth, no velocity."""
    ramp = np.linspace(-3, 3, 40)
    data = data_set([Quantity('lift', 'position'), Quantity('turn', 'angle'),
                     Quantity('speed', 'velocity'), Quantity('fixed', 'position')],
                    {0: ramp, 1: ramp, 2: ramp, 3: 1.0},
                    truth=np.zeros((40, 1)),
                    attributes={'truth_quantities': to_json([Quantity('block', 'position')])})
    found = state_targets(data, [0, 1, 2])
    assert found.shape == (40, 3)                      # lift, sine and cosine
    torch.testing.assert_close(found[:30].mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:30].std(dim=0, unbiased=False), torch.ones(3))
    lift = (ramp - ramp[:30].mean()) / ramp[:30].std()
    np.testing.assert_allclose(found[:, 0], lift, rtol=1e-5)
    sine = np.sin(ramp)
    np.testing.assert_allclose(found[:, 1], (sine - sine[:30].mean()) / sine[:30].std(),
                               rtol=1e-4, atol=1e-5)


def test_data_without_states_is_refused_with_the_reason():
    """Nothing recorded, nothing that moves, and gaps each say so."""
    for quantities, columns, words in (
            ([Quantity('lift', 'position')], {0: 1.0}, r'lift \(never moves\)'),
            ([Quantity('lift', 'position')], {}, r'lift \(not recorded everywhere\)'),
            ([Quantity('speed', 'velocity')], {0: np.arange(40)}, 'none that move;')):
        data = data_set(quantities, columns)
        with pytest.raises(ConfigError, match=f'state_weight asks .*{words}.*set it to 0'):
            state_targets(data, [0, 1])


def test_a_state_costs_what_the_latents_do_not_say():
    """Latents that are the states: nothing is left; latents without them: all of the variance."""
    rows = np.arange(160).reshape(40, 4)
    variance = STATES.var(dim=0, unbiased=False).mean().item()
    for told, low, high in ((1.0, 0, 0.02), (0.0, 0.98, 1.1)):
        latents = torch.zeros(40, 4, 16)
        latents[..., :2] = told * STATES[torch.from_numpy(rows)]
        term = StateTerm(16, STATES, dataclasses.replace(TINY, weight_decay=0.0), 'cpu', Group())
        for _ in range(300):
            loss = term.loss(latents, rows)
            loss.backward()
            term.step(1e-2)
        assert low <= loss.item() / variance < high


def test_the_open_loop_error_is_that_of_a_rollout():
    """The same predictions as those of a plan over true first frames, from the second on."""
    torch.manual_seed(3)
    model = LeWorldModel(dataclasses.replace(SIZES, dropout=0.0)).eval()
    for layer in model.predictor.parameters():
        torch.nn.init.normal_(layer, std=0.2)          # gates that are not 0
    latents, blocks = torch.randn(6, 7, SIZES.latent_dim), torch.randn(6, 7, SIZES.block_dim)
    first = model.predict(latents[:, :3], blocks[:, :3])[:, -1:]
    found = open_loop_error(model, latents, blocks, first)
    imagined = model.rollout(latents[:, :3], blocks[:, :2], blocks[:, 2:6])   # frames 3 to 6
    torch.testing.assert_close(found, (imagined[:, 1:] - latents[:, 4:]).square().mean())
    taught = model.predict(latents[:, 3:6], blocks[:, 3:6])[:, -1:]
    assert abs(found - (taught - latents[:, 6:]).square().mean()) > 1e-3


@pytest.mark.parametrize(('config', 'term'), [(FAR, 'rollout'), (TOLD, 'states')])
def test_a_run_with_a_term_logs_it_and_goes_on_exactly(tmp_path, config, term):
    """Interrupted after step 5 of 12: the same losses, bit for bit."""
    whole, _ = whole_and_in_parts(tmp_path, config, run)
    assert set(whole.progress.losses[0]) == {'step', 'prediction', 'sigreg', 'grad_norm', term}


def test_its_gradient_reaches_the_encoder(tmp_path):
    """Equal before the first step; after it other weights of the encoder; off: nothing is kept."""
    short = dataclasses.replace(TINY, steps=1, warmup=0.0)
    without = run(tmp_path / 'without', short)
    told = run(tmp_path / 'told', dataclasses.replace(short, state_weight=1.0))
    assert losses(told) == losses(without)
    assert any(not torch.equal(ours, theirs) for ours, theirs in
               zip(told.model.encoder.parameters(), without.model.encoder.parameters(),
                   strict=True))
    assert 'states' not in load_newest(tmp_path / 'without' / 'checkpoints')
    assert told.model.state_dict().keys() == without.model.state_dict().keys()


def test_clips_are_as_long_as_what_is_imagined():
    """One frame more than the model sees, or `rollout_steps` where they count."""
    assert (TINY.clip_frames(3), FAR.clip_frames(3), FAR.clip_frames(1)) == (4, 6, 4)
    with pytest.raises(ConfigError, match='rollout_steps must be at least 2, got 1'):
        dataclasses.replace(TINY, rollout_steps=1)
