"""Frames under other light, of moved cameras: what is drawn, exact resuming, what is learnt."""

import dataclasses

from lewm_model.data.clips import ClipLoader, Clips
from lewm_model.errors import ConfigError, TrainingError
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.training.distributed import Group
from lewm_model.training.frame_jitter import FrameJitter
from lewm_model.training.health import Health
from lewm_model.training.loop import train
from nano import SIZES
import numpy as np
import pytest
from test_training import loader, losses, Rows, run, TINY, whole_and_in_parts
import torch

ON = dataclasses.replace(TINY, light_jitter=0.3, camera_jitter=0.05)
STEPS = 200
HEALTHY = Health(0.1, 0.2, 1.0, 1.0, 8.0, 0.5)
RAMP = torch.arange(256, dtype=torch.uint8)[None, None, None, :, None].expand(1, 1, 1, -1, 3)


def jitter(strength=0.3, seed=0, first=0, camera=0.0, **group):
    return FrameJitter(strength, camera, first, seed, Group(**group))


def test_no_strength_is_no_change():
    """The frames themselves, in steps and in measurements."""
    assert jitter(0.0).of_step(RAMP, 5) is RAMP and jitter(0.0).of_measurement(RAMP, 5, 0) is RAMP


def test_before_the_first_step_of_it_frames_are_as_they_were():
    """In measurements too: they belong to the weights of their time."""
    light = jitter(first=5)
    assert light.of_step(RAMP, 4) is RAMP and light.of_measurement(RAMP, 5, 0) is RAMP
    assert light.of_step(RAMP, 5) is not RAMP
    assert torch.equal(light.of_measurement(RAMP, 6, 0), light.of_measurement(RAMP, 9, 0))
    assert not torch.equal(light.of_measurement(RAMP, 6, 0), RAMP)


def test_light_is_a_gain_of_each_colour_and_a_gamma_within_the_range():
    """Fitted to what became of a ramp of all levels, 300 times: to the ends, and no further."""
    frames = RAMP.expand(300, -1, -1, -1, -1)
    varied = jitter().of_step(frames, 0)[:, 0, 0].double() / 255              # (300, 256, 3)
    assert (varied.diff(dim=1) >= 0).all() and (varied[:, 0] == 0).all()      # black stays
    gammas, gains = [], []
    for curve in varied.flatten(0, 0).movedim(-1, 1).reshape(-1, 256).numpy():
        inside = (curve > 0.1) & (curve < 0.95)
        slope, offset = np.polyfit(np.log(np.arange(256)[inside] / 255), np.log(curve[inside]), 1)
        gammas.append(slope)
        gains.append(offset)
    gammas, gains = (np.array(found).reshape(300, 3) for found in (gammas, gains))
    most = -np.log(0.7)
    assert np.ptp(gammas, axis=1).max() < 0.05                 # one gamma for all colours
    assert -most - 0.03 < np.log(gammas).min() < -0.9 * most
    assert 0.9 * most < np.log(gammas).max() < most + 0.03
    assert -4 / 3 * most - 0.03 < gains.min() < -most and most < gains.max() < 4 / 3 * most + 0.03
    assert 0.5 * most < np.ptp(gains, axis=1).max() < 2 / 3 * most + 0.03      # white balance


def places(frames):
    """Return where the bright square of each frame is, (N, 2) row and column of its middle."""
    bright = frames[..., 0].double() - 40
    grid = torch.arange(frames.shape[-2]).double()
    return torch.stack([(bright.sum(-1) * grid).sum(-1), (bright.sum(-2) * grid).sum(-1)],
                       -1) / bright.sum((-1, -2))[:, None]


def test_a_camera_shifts_and_rolls_within_the_range_and_no_pixel_is_invented():
    """A square off the middle, 500 times: as far as it may go, both ways, with the same levels."""
    frame = torch.full((64, 64, 3), 40, dtype=torch.uint8)
    frame[8:16, 28:36] = 200
    frames = frame.expand(500, 1, -1, -1, -1)
    moved = jitter(0.0, camera=0.1).of_step(frames, 0)[:, 0]
    assert moved.min() == 40 and moved.max() <= 200
    before, after = places(frame[None])[0], places(moved)
    way = after - before
    assert 5.5 < way[:, 0].max() < 6.8 and -6.8 < way[:, 0].min() < -5.5      # 6.4 px down, up
    assert way[:, 1].abs().max() < 6.4 + 0.1 * 20 + 0.2                       # and rolled aside
    assert way[:, 1].abs().max() > 7
    assert torch.equal(jitter(0.0, camera=1e-9).of_step(frames[:3], 0), frames[:3])


def test_light_is_the_same_whether_the_camera_moves_or_not():
    """Of one colour nothing can move, so that only the light is left."""
    plain = torch.full((4, 2, 8, 8, 3), 120, dtype=torch.uint8)
    assert torch.equal(jitter().of_step(plain, 3), jitter(camera=0.1).of_step(plain, 3))


def test_every_frame_of_a_clip_has_a_light_of_its_own():
    """One light for a clip would be the easiest thing to predict."""
    for one in (jitter(), jitter(0.0, camera=0.3)):
        first, second = one.of_step(RAMP.expand(1, 2, -1, -1, -1), 0)[0]
        assert not torch.equal(first, second)


def test_light_depends_on_seed_and_step_alone():
    """So a run that goes on sees what it would have seen; measurements are no step's."""
    drawn = jitter().of_step(RAMP, 3)
    assert torch.equal(drawn, jitter().of_step(RAMP, 3))
    for other in (jitter().of_step(RAMP, 4), jitter(seed=1).of_step(RAMP, 3),
                  jitter().of_measurement(RAMP, 3, 3)):
        assert not torch.equal(drawn, other)


def test_processes_see_together_what_one_sees():
    """The first of two the even clips, the second the odd ones, as batches are divided."""
    frames = RAMP.expand(6, 2, -1, -1, -1)
    alone = jitter(camera=0.1).of_step(frames, 7)
    for rank in (0, 1):
        part = jitter(camera=0.1, rank=rank, size=2).of_step(frames[rank::2], 7)
        assert torch.equal(part, alone[rank::2])


def test_a_run_resumes_exactly_and_its_losses_are_others(tmp_path):
    """Bit for bit, with the statistics of BatchNorm measured under varied light."""
    whole, _ = whole_and_in_parts(tmp_path, ON)
    assert losses(whole) != losses(run(tmp_path / 'off'))


def test_it_begins_after_half_of_the_steps_or_with_the_weights_of_another(tmp_path, monkeypatch):
    """Of 12 steps with the seventh; of a run that knows the scene already with the first."""
    seen = []
    monkeypatch.setattr(FrameJitter, '_vary', lambda self, frames, draw, *_: seen.append(draw)
                        or frames)

    def first(folder, **options):
        seen.clear()
        result = train(SIZES, ON, loader(), run_folder=folder, transform=FrameTransform(64),
                       check=lambda model: HEALTHY, **options)
        return result, min(step for kind, step in seen if kind == 0)
    trained, began = first(tmp_path / 'alone')
    assert began == 6
    assert first(tmp_path / 'more', weights=trained.model.state_dict())[1] == 0


def test_auxiliary_heads_are_asked_for_frames_as_they_were(tmp_path):
    """A decoder that had to paint the light would make the latent keep it."""
    from lewm_model.training import picture_term
    asked = []

    class Noting(picture_term.PictureTerm):
        def loss(self, latents, frames):
            asked.append(frames)
            return super().loss(latents, frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('lewm_model.training.auxiliary_terms.PictureTerm', Noting)
        run(tmp_path, dataclasses.replace(ON, decoder_weight=1.0, steps=2, warmup=0.0))
    batches = loader()
    assert all(torch.equal(frames, next(batches).frames) for frames in asked)
    assert len(asked) == 2


class Scenes(Rows):
    """A bright square on grey, which actions move, mirrored at the borders."""

    def __init__(self):
        super().__init__(episodes=16)
        self.pixels[:] = 90
        for frames, actions in zip(self.pixels.reshape(16, 24, 64, 64, 3),
                                   self.action.reshape(16, 24, 2), strict=True):
            places = np.abs((24 + 3 * np.cumsum(actions, axis=0) - actions) % 96 - 48)
            for frame, (row, column) in zip(frames, places.astype(int), strict=True):
                frame[row:row + 16, column:column + 16] = 170


def moved_by_light(model, frames):
    """Return how far light moves latents, as share of how far apart those of scenes are."""
    with torch.no_grad():
        usual, darker = (model.encode(FrameTransform(64)(torch.from_numpy(one))[:, None])[:, 0]
                         for one in (frames, np.rint(0.75 * frames).astype(np.uint8)))
    apart = (usual - usual.roll(1, 0)).norm(dim=1).mean()
    return ((usual - darker).norm(dim=1).mean() / apart).item()


def test_a_model_learns_that_light_does_not_matter(tmp_path):
    """After the same steps on the same scenes light moves latents less than half as far."""
    rows = Scenes()

    def share(strength):
        clips = Clips(rows, ActionNormalizer.fit(rows.action), num_frames=4, frameskip=5)
        config = dataclasses.replace(TINY, batch_size=32, steps=STEPS, light_jitter=strength,
                                     validate_every=STEPS, checkpoint_every=STEPS)
        return moved_by_light(train(
            SIZES, config, ClipLoader(clips, 32, 1), run_folder=tmp_path / str(strength),
            transform=FrameTransform(64), check=lambda model: HEALTHY).model, rows.pixels[::7])
    without, along = share(0.0), share(0.3)
    assert along < 0.5 * without, (along, without)


def test_what_cannot_be_is_refused(tmp_path):
    """A strength of 1 is no light at all; a frozen encoder sees each frame once."""
    for value in (-0.1, 1.0):
        with pytest.raises(ConfigError, match=r'light_jitter must be in \[0, 1\)'):
            dataclasses.replace(TINY, light_jitter=value)
    for value in (-0.1, 0.5):
        with pytest.raises(ConfigError, match=r'camera_jitter must be in \[0, 0.5\)'):
            dataclasses.replace(TINY, camera_jitter=value)
    from lewm_model.training.regularizer import require_fitting
    frozen = dataclasses.replace(SIZES, encoder='frozen', latent_dim=112 * 16)
    for name in ('light_jitter', 'camera_jitter'):
        with pytest.raises(TrainingError, match=f'{name} must be 0 with a frozen encoder'):
            require_fitting(frozen, dataclasses.replace(TINY, loss='prediction', **{name: 0.1}))
