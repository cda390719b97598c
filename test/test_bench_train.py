"""The loops that `lewm bench train` compares do the same work on the same data."""

from contextlib import closing
from dataclasses import replace

from counted_loop import work
from lewm_model.config import TrainConfig
from lewm_model.data.clips import Clips
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import TrainingError
from lewm_model.ingest.episode_writer import Episode, write_episodes
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.robots.robot import RobotDescription
from lewm_model.sigreg import SigReg
from lewm_sim.cli import main
from nano import SIZES, tiny_bundle
import numpy as np
import pytest
import torch
import yaml

from bench._loops import our_loop, Subject
from bench._own_process import OwnProcess
from bench._plain_loop import (
    Batches,
    broadcast_sigreg,
    DenseSamples,
    plain_layers,
    PlainLoop,
    write_chunked,
)

CONFIG = TrainConfig(batch_size=8, sigreg_projections=16, precision='fp32', learning_rate=1e-3)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bench')
    rng = np.random.default_rng(0)

    def episode(index, rows=30):
        action = rng.uniform(-1, 1, (rows, 2))
        action[-1] = np.nan
        return Episode(
            episode_id=f'e{index}', source='none', sha256='0' * 64,
            pixels=rng.integers(0, 255, (rows, 64, 64, 3)).astype(np.uint8), action=action,
            qpos=np.zeros((rows, 2)), qvel=np.zeros((rows, 2)),
            stamp_ns=np.arange(rows) * 50_000_000)
    write_episodes(folder / 'data.h5', [episode(index) for index in range(4)], 4 * [30],
                   RobotDescription.from_yaml('sim_reacher'), 64, {'task': 'reacher'})
    return EpisodeFile.open(folder / 'data.h5')


def samples(data, folder, clips, dtype=torch.float32):
    write_chunked(data, folder / 'chunked.h5', 'lzf')
    return DenseSamples(folder / 'chunked.h5', clips, ActionNormalizer.fit(data.action), dtype)


def test_both_loaders_give_the_same_clips(data, tmp_path):
    """Frames and actions of every clip are equal, also where an episode's last action is NaN."""
    clips = Clips(data, ActionNormalizer.fit(data.action))
    plain = samples(data, tmp_path, clips)
    ours = clips.batch(np.arange(len(clips)))
    assert len(plain) == len(clips) == 44
    for index in range(len(clips)):
        frames, actions = plain[index]
        torch.testing.assert_close(frames, FrameTransform(64)(ours.frames[index]),
                                   rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(actions, ours.actions[index])


def test_both_ways_compute_the_same_model():
    """Fused attention and a whole last block change the time, not the latents; it is undone."""
    model = tiny_bundle().model
    frames = torch.rand(2, 4, 3, 64, 64)
    before = model.encode(frames)
    with plain_layers(attention=True, last_block=True):
        inside = model.encode(frames)
    torch.testing.assert_close(inside, before, rtol=1e-4, atol=1e-5)
    assert torch.equal(model.encode(frames), before)


def test_both_sigregs_are_the_same_statistic():
    """Latents in one point have the known 0.40205 B whatever the directions."""
    point = torch.zeros(32, 4, 6)
    assert broadcast_sigreg(point, 64, 17).item() == pytest.approx(12.866, rel=1e-4)
    assert SigReg(64, 17)(point).item() == pytest.approx(12.866, rel=1e-4)


def test_the_plain_loop_learns(data, tmp_path):
    """A benchmark against a loop that does not train would be worthless."""
    clips = Clips(data, ActionNormalizer.fit(data.action))
    batches = Batches(samples(data, tmp_path, clips), 8, 0, pin=False)
    plain = PlainLoop(SIZES, CONFIG, batches, 'cpu')
    first = plain.run(1)
    assert plain.run(15) < first


class CountedTurns:
    """Turns without a process: some of them, then the end."""

    def __init__(self, *turns):
        self.turns = list(turns)

    def next(self):
        if not self.turns:
            raise KeyboardInterrupt
        return self.turns.pop(0)


def subject(data, tmp_path, **changes):
    return Subject(replace(SIZES, **changes), CONFIG, data.path, tmp_path / 'chunked.h5', 'cpu',
                   threads=1, workers=0, folder=tmp_path / 'run')


def test_our_loop_is_the_training_and_takes_the_steps_of_its_turns(data, tmp_path, monkeypatch):
    """3 + 2 optimiser steps of `train`, and not one more."""
    steps = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, 'step',
                        lambda self: (steps.append(0), step(self)))
    with pytest.raises(KeyboardInterrupt):
        our_loop(CountedTurns(3, 2), subject(data, tmp_path))
    assert len(steps) == 5


def test_processor_time_is_counted_for_whom_it_was_spent():
    """Of a loop's own process, per step, without its start and without what others do."""
    with closing(OwnProcess(work, 100)) as loop:
        loop.rest()
        loop.run(3)
        loop.run(2)
        loop.rest()
        assert loop.cpu_s_per_step == pytest.approx(0.1, rel=0.3)


def test_what_a_loop_raises_reaches_the_benchmark(data, tmp_path):
    """Not a process that dies in silence and a benchmark that waits for ever."""
    with closing(OwnProcess(work, 2)) as loop:
        loop.run(2)
        with pytest.raises(TrainingError, match='ValueError: 3 steps are too many'):
            loop.run(1)
        with pytest.raises(TrainingError, match='ended with exit code'):
            loop.run(1)
    with closing(OwnProcess(our_loop, subject(data, tmp_path, action_dim=3))) as loop, \
            pytest.raises(TrainingError, match='action_dim=3'):
        loop.run(1)


@pytest.mark.slow
def test_the_command_measures_and_writes(data, tmp_path, capsys):
    """Every variant is there, the plain loop first; threads, workers and data are stated."""
    model = {key: value for key, value in SIZES.to_dict().items() if key != 'action_dim'}
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump(
        {'model': model, 'train': {'batch_size': 8, 'sigreg_projections': 16}, 'plan': {}}))
    assert main(['bench', 'train', '--data', str(data.path), '--config',
                 str(tmp_path / 'tiny.yaml'), '--steps', '1', '--rounds', '1', '--workers', '1',
                 '--episodes', '3', '--out', str(tmp_path / 'out')]) == 0
    said = capsys.readouterr().out
    for name in ('plain loop, 1 workers', 'plain loop, 0 workers', 'ours, plain loader',
                 'ours, fused attention', 'ours, whole last block', 'CPU ms per sample',
                 '3 episodes, 90 frames'):
        assert name in said
    assert (tmp_path / 'out' / 'train.json').exists()
