"""Runs that cannot recover are stopped with the reason; healthy ones never are."""

import dataclasses

from lewm_model.config import TrainConfig
from lewm_model.data.clips import ClipLoader, Clips
from lewm_model.errors import TrainingError
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.sigreg import SigReg
from lewm_model.training.checkpoint import load_newest
from lewm_model.training.diagnosis import diagnose
from lewm_model.training.health import check_health, Health
from lewm_model.training.loop import train
from nano import SIZES, tiny_bundle
import pytest
from test_training import Rows
import torch

CONFIG = TrainConfig(batch_size=64, warmup=0.05, sigreg_weight=0.1)
STEPS = 9000
# (SIGReg held out and in training, latent std, worst probe) that the shipped model's recipe gave
# at steps 500, 1000, ...
MEASURED = [(16.56, 2.05, 0.959, 0.892), (6.44, 1.55, 0.994, 0.940), (4.13, 1.61, 0.990, 0.956),
            (5.24, 1.20, 1.031, 0.977)]
# The same and the action effect at steps 50, 100, ... of a run that turned out well.
EARLY = [(41.7, 5.5, 0.39, 0.168, 0.0), (130.6, 3.7, 0.85, 0.229, 0.0),
         (113.7, 3.9, 0.63, 0.382, 0.57), (41.1, 3.0, 0.96, 0.643, 0.65),
         (48.7, 2.6, 0.85, 0.652, 0.68)]


def checks(*rows, every=500):
    """Make health checks from rows of changes to a healthy one."""
    health = Health(0.03, 0.5, 1.6, 1.0, 20.0, 0.9, probes={'shoulder': 0.98, 'wrist': 0.9},
                    gate_norm=0.13, action_effect=1.3)
    healthy = {'training_sigreg': 1.2, **dataclasses.asdict(health)}
    return [{'step': every * (index + 1), **healthy, **row} for index, row in enumerate(rows)]


def test_a_healthy_run_is_left_alone_from_its_first_check():
    """Not one word about values that were measured on a good model whose BatchNorm lagged."""
    seen = checks(*({'sigreg': sigreg, 'training_sigreg': training, 'latent_std': std,
                     'probes': {'wrist': probe}} for sigreg, training, std, probe in MEASURED))
    for length in range(1, len(seen) + 1):
        assert diagnose(seen[:length], CONFIG, STEPS) is None


@pytest.mark.parametrize('warmup, grace_steps', [(0.05, 500), (0.0, 500), (0.0, 101)])
def test_frequent_checks_do_not_stop_a_healthy_start(warmup, grace_steps):
    """Held-out SIGReg of 130 (one point has 26) and actions without effect: it is too early."""
    config = dataclasses.replace(CONFIG, warmup=warmup, grace_steps=grace_steps)
    seen = checks(*({'sigreg': sigreg, 'training_sigreg': training, 'latent_std': std,
                     'probes': {'wrist': probe}, 'action_effect': effect}
                    for sigreg, training, std, probe, effect in EARLY), every=50)
    for length in range(1, len(seen) + 1):
        diagnose(seen[:length], config, STEPS)


@pytest.mark.parametrize('symptom, message', [
    ({'latent_std': 0.02}, 'step 1500: the latents have collapsed.*0.02.*collapse_std=0.1.*'
                           'Raise sigreg_weight'),
    ({'sigreg': 25.8, 'training_sigreg': 25.73},
     'SIGReg: it is 25.8.*25.7 in training.*above 19.2.*a single point has 25.7'),
    ({'action_effect': 1e-4, 'gate_norm': 2e-3},
     'ignores the actions.*0.0001 of what moves.*AdaLN gates: 0.002.*lewm inspect')])
def test_three_bad_checks_in_a_row_stop_the_run_with_the_reason(symptom, message):
    """Two do not, nor do three with a good one between them."""
    assert diagnose(checks(symptom, symptom), CONFIG, STEPS) is None
    assert diagnose(checks(symptom, symptom, {}, symptom), CONFIG, STEPS) is None
    with pytest.raises(TrainingError, match=message):
        diagnose(checks(symptom, symptom, symptom), CONFIG, STEPS)


def test_checks_during_warm_up_do_not_count():
    """Warm-up and grace end by step 500: of four bad checks every 200 steps, two count."""
    collapsed = {'latent_std': 0.02}
    assert diagnose(checks(*4 * [collapsed], every=200), CONFIG, STEPS) is None
    with pytest.raises(TrainingError, match='step 1000'):
        diagnose(checks(*5 * [collapsed], every=200), CONFIG, STEPS)


def test_it_can_be_turned_off():
    """`unhealthy_checks` 0 never stops, and still warns."""
    off = dataclasses.replace(CONFIG, unhealthy_checks=0)
    bad = {'latent_std': 0.02, 'probes': {'wrist': 0.1}}
    assert 'wrist (R2 0.10)' in diagnose(checks(*5 * [bad]), off, STEPS)


def test_a_lost_quantity_is_named_with_what_helps():
    """One factor lost, for ever: it is named, what is not lost is not, and the run goes on."""
    seen = checks(*5 * [{'probes': {'shoulder': 0.99, 'block angle': 0.15}}])
    warning = diagnose(seen, CONFIG, STEPS)
    assert warning.startswith('lost? block angle (R2 0.15) can hardly be read')
    for words in ('cover more of the picture', 'larger pictures', 'decoder_weight 1', 'more steps',
                  'sigreg_weight (0.1;'):
        assert words in warning
    assert 'shoulder' not in warning and 'rising' not in warning
    on = dataclasses.replace(CONFIG, decoder_weight=1.0)
    assert 'decoder' not in diagnose(seen, on, STEPS)


def test_what_is_still_coming_is_given_time():
    """R2 0.1, 0.2, 0.3 in the first half: more steps; in the second half all the help is said."""
    seen = checks(*({'probes': {'turn': value}} for value in (0.1, 0.2, 0.3)))
    assert diagnose(seen, CONFIG, STEPS).endswith('(lost_probe=0.5); more steps may bring it')
    assert 'turn (R2 0.30, rising)' in diagnose(seen, CONFIG, STEPS)
    assert 'What has helped' in diagnose(seen, CONFIG, 2000)
    assert 'What has helped' in diagnose(checks(*3 * [{'probes': {'turn': 0.1}}]), CONFIG, STEPS)


def test_checks_of_an_older_version_are_not_judged_on_what_they_lack():
    """Without action effect and gates a run that goes on is not called blind."""
    old = checks({}, {}, {})
    for check in old:
        del check['action_effect'], check['gate_norm'], check['training_sigreg']
        check['sigreg'] = 50.0
    assert diagnose(old, CONFIG, STEPS) is None


def look(model):
    torch.manual_seed(1)
    return check_health(model, torch.randn(64, 4, 3, 64, 64), torch.randn(64, 4, 10),
                        torch.randn(8, 2, 3, 64, 64), None, SigReg(16), 64, torch.Generator())


def test_the_action_effect_is_zero_until_the_gates_open():
    """AdaLN-zero: no effect at the start; a bias on the gates alone is no effect of actions."""
    model = tiny_bundle().model
    health = look(model)
    assert (health.gate_norm, health.action_effect) == (0, 0)
    linear = model.predictor.transformer.layers[0].adaLN_modulation[1]
    torch.nn.init.constant_(linear.bias, 0.5)
    health = look(model)
    assert health.gate_norm == pytest.approx(0.5)
    assert health.action_effect == 0
    torch.nn.init.normal_(linear.weight, std=0.5)
    assert look(model).action_effect > 0.01


def test_training_without_sigreg_is_stopped_before_its_end(tmp_path):
    """A real run with lambda 0 collapses; it ends early and its earlier checkpoint stays."""
    config = TrainConfig(batch_size=8, steps=2000, learning_rate=3e-3, warmup=0.005,
                         sigreg_weight=0.0, sigreg_projections=16, precision='fp32',
                         validate_every=20, checkpoint_every=20, checkpoint_minutes=60,
                         grace_steps=0)
    rows = Rows()
    clips = Clips(rows, ActionNormalizer.fit(rows.action), num_frames=4, frameskip=5)
    batch = clips.batch(range(8))
    transform = FrameTransform(64)

    def check(model):
        return check_health(model, transform(batch.frames), batch.actions,
                            transform(batch.frames[:, :2]), None, SigReg(16), 8,
                            torch.Generator().manual_seed(0))
    with pytest.raises(TrainingError, match=r'stopped at step.*Raise sigreg_weight \(0\)'):
        train(SIZES, config, ClipLoader(clips, 8, 0), run_folder=tmp_path, transform=transform,
              check=check)
    stopped = load_newest(tmp_path / 'checkpoints')
    assert 20 <= stopped['step'] < 200
    assert stopped['checks'][-1]['latent_std'] < 0.5
