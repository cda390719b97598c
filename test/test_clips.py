from pathlib import Path

from lewm_model.data.clips import ClipLoader, Clips, divide_clips, split_episodes
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError
from lewm_model.preprocess import ActionNormalizer
import numpy as np
import pytest
import torch

IDENTITY = ActionNormalizer(mean=np.zeros(2, np.float32), std=np.ones(2, np.float32))


def data_set(*lengths: int) -> EpisodeFile:
    """Build a set whose pixels and actions are the number of their row, last actions NaN."""
    lengths = np.array(lengths)
    rows = lengths.sum()
    offsets = np.cumsum(lengths) - lengths
    action = np.stack([np.arange(rows), np.arange(rows) + 1000], axis=1).astype(np.float32)
    action[offsets + lengths - 1] = np.nan
    pixels = np.broadcast_to(np.arange(rows, dtype=np.uint8)[:, None, None, None], (rows, 4, 4, 3))
    return EpisodeFile(path=Path('set.h5'), pixels=np.array(pixels), action=action,
                       ep_len=lengths, ep_offset=offsets,
                       ep_id=tuple(f'e{i}' for i in range(len(lengths))), columns={},
                       attributes={})


def test_a_clip_pairs_each_frame_with_the_block_leaving_it():
    """Frames are K rows apart; block t starts at frame t, oldest action first."""
    batch = Clips(data_set(22), IDENTITY).batch(np.array([1]))

    assert batch.frames.dtype == torch.uint8
    assert batch.frames[0, :, 0, 0, 0].tolist() == [1, 6, 11, 16]
    assert batch.rows.tolist() == [[1, 6, 11, 16]]
    assert batch.actions.shape == (1, 4, 10)
    assert batch.actions[0, 1].tolist() == [6, 1006, 7, 1007, 8, 1008, 9, 1009, 10, 1010]


def test_last_action_is_zero_after_scaling():
    """The missing action of a last row is the mean action, not robot zero."""
    normalizer = ActionNormalizer(mean=np.full(2, 5, np.float32), std=np.full(2, 2, np.float32))
    batch = Clips(data_set(20), normalizer).batch(np.array([0]))

    assert batch.actions[0, 3, -2:].tolist() == [0, 0]
    assert batch.actions[0, 0, :2].tolist() == [-2.5, 497.5]


@pytest.mark.parametrize(('length', 'count'), [(19, 0), (20, 1), (21, 2), (60, 41)])
def test_clips_per_episode(length, count):
    """An episode of L rows has max(0, L - 19) clips."""
    clips = Clips(data_set(length, 30), IDENTITY)

    assert len(clips) == count + 11


def test_no_clip_crosses_an_episode():
    """Every row of every clip belongs to the episode of its first row."""
    lengths = (25, 19, 40, 20)
    clips = Clips(data_set(*lengths), IDENTITY)
    episode = np.repeat(np.arange(4), lengths)
    first = episode[clips.starts]

    assert (episode[clips.starts + 19] == first).all()
    assert sorted(set(first)) == [0, 2, 3]


def test_only_the_chosen_episodes_are_used():
    """Training does not see a row of a held-out episode."""
    clips = Clips(data_set(25, 30, 35), IDENTITY, [2, 0])
    rows = clips.batch(np.arange(len(clips))).rows

    assert len(clips) == 6 + 16
    assert set(rows.ravel()).isdisjoint(range(25, 55))


def test_split_is_disjoint_stable_and_near_its_share():
    """Adding episodes moves none to the other side."""
    names = [f'episode_{index:06d}/0' for index in range(2000)]
    train, held_out = split_episodes(names, 0.1)
    train_before, held_out_before = split_episodes(names[:500], 0.1)

    assert sorted([*train, *held_out]) == list(range(2000))
    assert 150 < len(held_out) < 250
    assert set(held_out_before) == {index for index in held_out if index < 500}
    assert set(train_before) == {index for index in train if index < 500}


def test_both_sides_of_the_split_have_an_episode():
    """Small sets can be trained on and watched."""
    for share in (1e-9, 1 - 1e-9):
        train, held_out = split_episodes(['a', 'b', 'c'], share)
        assert len(train) and len(held_out)
    with pytest.raises(DatasetError, match='record at least 2'):
        split_episodes(['a'], 0.5)


def test_dividing_clips_gives_every_clip_to_one_side_and_shares_frames():
    """The reference's split: random, exact in size, the same for a seed, frames on both sides."""
    clips = Clips(data_set(60, 60), IDENTITY)
    training, validation = divide_clips(clips, 0.25, seed=3)
    again, _ = divide_clips(clips, 0.25, seed=3)
    other, _ = divide_clips(clips, 0.25, seed=4)

    assert len(validation) == round(0.25 * len(clips))
    assert sorted([*training.starts, *validation.starts]) == sorted(clips.starts)
    assert (training.starts == again.starts).all()
    assert (training.starts != other.starts).any()
    frames = [set(part.batch(np.arange(len(part))).rows.ravel())
              for part in (training, validation)]
    assert frames[0] & frames[1]


def test_one_clip_cannot_be_divided():
    """A side without clips would only be noticed in the middle of a run."""
    with pytest.raises(DatasetError, match='1 clip'):
        divide_clips(Clips(data_set(20), IDENTITY), 0.1, seed=0)


def test_an_epoch_shows_every_clip_once_and_the_next_is_in_another_order():
    """Shuffling is without replacement and depends on seed and epoch."""
    clips = Clips(data_set(40, 38), IDENTITY)  # 21 + 19 clips
    loader = ClipLoader(clips, 8, seed=1)
    first, second = ([tuple(row) for _ in range(5) for row in next(loader).rows.tolist()]
                     for _ in range(2))

    assert sorted(first) == sorted(second) == sorted(
        map(tuple, clips.batch(np.arange(40)).rows.tolist()))
    assert first != second
    other = ClipLoader(clips, 8, seed=2)
    assert [tuple(row) for _ in range(5) for row in next(other).rows.tolist()] != first


@pytest.mark.parametrize('done', [0, 3, 5, 7])
def test_a_resumed_run_sees_what_it_would_have_seen(done):
    """Position is exact within, at the end of, and after an epoch."""
    clips = Clips(data_set(60), IDENTITY)  # 41 clips, 5 batches of 8
    straight = ClipLoader(clips, 8, seed=3)
    for _ in range(done):
        next(straight)
    resumed = ClipLoader(clips, 8, seed=3)
    resumed.restore(straight.position)

    for _ in range(7):
        ours, theirs = next(resumed), next(straight)
        np.testing.assert_array_equal(ours.rows, theirs.rows)
        assert torch.equal(ours.frames, theirs.frames)


def test_resuming_on_other_data_is_refused():
    """A position means nothing for another set, seed or batch size."""
    position = ClipLoader(Clips(data_set(60), IDENTITY), 8, seed=3).position
    with pytest.raises(DatasetError, match=r'clips: 41 then, 42 now; batch_size: 8 then, 4 now'):
        ClipLoader(Clips(data_set(61), IDENTITY), 4, seed=3).restore(position)


def test_too_little_data_is_refused():
    """The message tells how long episodes must be."""
    with pytest.raises(DatasetError, match='none of 2 episodes has the 20 rows .* longest has 19'):
        Clips(data_set(10, 19), IDENTITY)
    with pytest.raises(DatasetError, match='1 clips, fewer than one batch of 2'):
        ClipLoader(Clips(data_set(20), IDENTITY), 2, seed=0)


def test_batches_are_copies_of_a_read_only_map():
    """A training step may change its batch without touching the data set."""
    data = data_set(20)
    data.pixels.flags.writeable = False
    batch = Clips(data, IDENTITY).batch(np.array([0]))
    batch.frames.add_(1)

    assert batch.frames[0, 0, 0, 0, 0] == 1
    assert data.pixels[0, 0, 0, 0] == 0
