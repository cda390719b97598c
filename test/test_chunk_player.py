"""The chunk player plays the newest valid plan by absolute time."""

from lewm_model.errors import LewmError, PlanningError, ShapeError
from lewm_model.types import ActionChunk
from lewm_ros.command.chunk_player import ChunkPlayer, ChunkRefused
import numpy as np
import pytest

MS = 1_000_000
T0 = 5_000 * MS
DT = 50 * MS


def make_player() -> ChunkPlayer:
    return ChunkPlayer(action_dim=2, dt_s=0.05)


def make_chunk(first: float = 0.0, *, rows: int = 4, stamp: int = T0, epoch: int = 1,
               sequence: int = 1, **changes) -> ActionChunk:
    """Row k holds (first + k, -first - k), so a sample shows which row it is."""
    ramp = first + np.arange(rows, dtype=np.float32)
    values = {'stamp_ns': stamp, 'dt_s': 0.05, 'actions': np.stack([ramp, -ramp], axis=1),
              'epoch': epoch, 'sequence': sequence, 'observation_stamp_ns': stamp}
    return ActionChunk(**{**values, **changes})


def offer(player: ChunkPlayer, chunk: ActionChunk, now: int = T0) -> None:
    player.offer(chunk, now, max_future_s=0.1)


@pytest.mark.parametrize(('after_ms', 'row'), [
    (0, 0), (49, 1), (47, 0), (50, 1), (99, 2), (100, 2), (197, 3), (198, None), (200, None)])
def test_row_is_the_elapsed_steps_with_a_little_tolerance(after_ms, row):
    """Row floor(elapsed / dt) is due; up to 2.5 ms (5 %) before a grid point counts as on it."""
    player = make_player()
    offer(player, make_chunk())

    sample = player.sample(T0 + after_ms * MS)

    assert (None if sample is None else sample.step) == row
    if sample is not None:
        assert sample.action.tolist() == [row, -row]
        assert sample.stamp_ns == T0 + row * DT


def test_late_chunk_loses_its_head():
    """A chunk that arrives 120 ms after its first row starts with row 2."""
    player = make_player()
    offer(player, make_chunk(), now=T0 + 120 * MS)

    assert player.take(T0 + 120 * MS).step == 2


def test_chunk_that_is_over_is_refused():
    """A chunk whose last row has passed tells by how much."""
    with pytest.raises(ChunkRefused, match=r'ended 0\.100 s ago'):
        offer(make_player(), make_chunk(), now=T0 + 300 * MS)


def test_future_chunk_waits_while_the_present_one_plays_on():
    """A chunk that starts in 60 ms takes over exactly then, with no gap before."""
    player = make_player()
    offer(player, make_chunk())
    offer(player, make_chunk(10, stamp=T0 + 100 * MS, sequence=2), now=T0 + 40 * MS)

    firsts = [player.sample(T0 + ms * MS).action[0] for ms in (40, 90, 100, 150)]

    assert firsts == [0, 1, 10, 11]


def test_chunk_too_far_ahead_is_refused():
    """max_future_s is the limit; the message gives both numbers."""
    player = make_player()
    with pytest.raises(ChunkRefused, match=r'starts 0\.101 s ahead, allowed are 0\.1 s'):
        offer(player, make_chunk(stamp=T0 + 101 * MS))
    offer(player, make_chunk(stamp=T0 + 100 * MS))


def test_nothing_is_due_before_the_first_row():
    """A pending chunk has no sample, and says when it starts."""
    player = make_player()
    offer(player, make_chunk(stamp=T0 + 80 * MS))

    assert player.sample(T0) is None
    assert player.next_step_ns(T0) == T0 + 80 * MS


def test_newer_chunk_replaces_the_present_one_as_a_whole():
    """After a swap no row of the old chunk is ever seen again."""
    player = make_player()
    offer(player, make_chunk(rows=40))
    offer(player, make_chunk(100, rows=3, stamp=T0 + DT, sequence=2), now=T0 + DT)

    assert [player.sample(T0 + k * DT).action[0] for k in (1, 2, 3)] == [100, 101, 102]
    assert player.sample(T0 + 4 * DT) is None


@pytest.mark.parametrize(('epoch', 'sequence', 'reason'), [
    (1, 9, 'older than epoch 2'), (2, 5, 'comes after chunk 5'), (2, 4, 'comes after chunk 5')])
def test_superseded_chunks_are_refused_and_change_nothing(epoch, sequence, reason):
    """Older epochs and repeated or older sequence numbers are refused."""
    player = make_player()
    offer(player, make_chunk(7, epoch=2, sequence=5))

    with pytest.raises(ChunkRefused, match=reason):
        offer(player, make_chunk(epoch=epoch, sequence=sequence))

    assert player.sample(T0).action[0] == 7


def test_new_epoch_drops_the_present_chunk():
    """Hearing of a new epoch ends the old plan at once; an old number changes nothing."""
    player = make_player()
    offer(player, make_chunk(epoch=3))
    player.note_epoch(2)
    assert player.sample(T0) is not None
    player.note_epoch(4)
    assert player.sample(T0) is None
    offer(player, make_chunk(epoch=4, sequence=0))
    assert player.sample(T0) is not None


def test_after_clear_only_plans_on_newer_frames_count():
    """A chunk planned on a frame from before the stop is refused, a fresh one is taken."""
    player = make_player()
    offer(player, make_chunk())
    player.clear(T0 + 20 * MS)

    with pytest.raises(ChunkRefused, match='before the last stop'):
        offer(player, make_chunk(sequence=2), now=T0 + 20 * MS)
    with pytest.raises(ChunkRefused, match='before the last stop'):
        offer(player, make_chunk(sequence=2, observation_stamp_ns=T0 + 20 * MS),
              now=T0 + 30 * MS)
    offer(player, make_chunk(sequence=3, observation_stamp_ns=T0 + 20 * MS + 1),
          now=T0 + 30 * MS)

    assert player.sample(T0 + 30 * MS).sequence == 3


def test_a_planner_that_starts_again_is_only_heard_after_the_old_epoch_is_forgotten():
    """A new planner counts from zero; forget_epoch makes room for it."""
    player = make_player()
    offer(player, make_chunk(epoch=8))
    player.clear(T0 - 1)
    with pytest.raises(ChunkRefused, match='older than epoch 8'):
        offer(player, make_chunk(epoch=0))
    player.forget_epoch()
    offer(player, make_chunk(epoch=0, sequence=0))
    assert player.sample(T0).epoch == 0


@pytest.mark.parametrize(('changes', 'error', 'reason'), [
    ({'actions': np.zeros((4, 3))}, ShapeError, r'\(4, 3\).*\(rows, 2\)'),
    ({'actions': np.zeros((0, 2))}, ShapeError, 'at least one row'),
    ({'actions': np.zeros(8)}, ShapeError, r'\(8,\)'),
    ({'actions': np.array([[0, np.nan]])}, PlanningError, 'non-finite'),
    ({'actions': np.array([[np.inf, 0]])}, PlanningError, 'non-finite'),
    ({'dt_s': 0.1}, PlanningError, r'control step of 0\.1 s.*0\.05'),
    ({'dt_s': float('nan')}, PlanningError, 'control step of nan'),
])
def test_malformed_chunks_are_errors_and_not_mere_refusals(changes, error, reason):
    """Wrong sizes, dt or numbers raise, say why, and leave the present chunk playing."""
    player = make_player()
    offer(player, make_chunk(7))

    with pytest.raises(LewmError, match=reason) as caught:
        offer(player, make_chunk(sequence=2, **changes))

    assert caught.type is error
    assert player.sample(T0).action[0] == 7


def test_the_sender_cannot_change_a_chunk_that_was_taken_over():
    """Actions are copied and cannot be written."""
    player, chunk = make_player(), make_chunk(7)
    offer(player, chunk)
    chunk.actions[:] = 99

    assert player.sample(T0).action[0] == 7
    with pytest.raises(ValueError, match='read-only'):
        player.sample(T0).action[0] = 1


def test_take_gives_each_step_once_however_often_it_is_asked():
    """Asked every millisecond, four rows give four commands, each at its grid point."""
    player = make_player()
    offer(player, make_chunk())

    taken = [(ms, s.step) for ms in range(250) if (s := player.take(T0 + ms * MS))]

    assert taken == [(0, 0), (48, 1), (98, 2), (148, 3)]  # 2 ms early is within the tolerance
    assert player.deadline_misses == 0


def test_steps_without_a_command_are_counted_as_missed():
    """Taking rows 0, 1, 5 and 6 misses three deadlines."""
    player = make_player()
    offer(player, make_chunk(rows=10))

    for step in (0, 1, 5, 6):
        player.take(T0 + step * DT)

    assert player.deadline_misses == 3


def test_an_interruption_is_no_missed_deadline():
    """Steps between the end of tracking and its next start are not counted."""
    player = make_player()
    offer(player, make_chunk(rows=10))
    player.take(T0)
    player.interrupt()
    player.take(T0 + 6 * DT)

    assert player.deadline_misses == 0


@pytest.mark.parametrize('phase_ms', [5, 20, 30, 45])
def test_change_of_grid_neither_doubles_nor_skips_a_command(phase_ms):
    """On a new grid the next command comes 0.5 to 1.5 steps after the last one."""
    player = make_player()
    offer(player, make_chunk(rows=10))
    stamps = []
    for ms in range(0, 400):
        if ms == 110:
            offer(player, make_chunk(50, rows=10, stamp=T0 + (50 + phase_ms) * MS, sequence=2),
                  now=T0 + ms * MS)
        sample = player.take(T0 + ms * MS)
        if sample:
            stamps.append(sample.stamp_ns)

    gaps = np.diff(stamps) / DT
    assert (gaps >= 0.5).all() and (gaps <= 1.5).all()
    assert np.sum(gaps != 1) == 1
    assert player.deadline_misses == 0


def test_steps_left_counts_down_to_zero():
    """Before, during and after a chunk of four rows."""
    player = make_player()
    assert player.steps_left(T0) == 0
    offer(player, make_chunk())

    assert [player.steps_left(T0 + k * DT) for k in range(6)] == [3, 2, 1, 0, 0, 0]


def test_next_step_is_the_next_grid_point():
    """The node sets its timer to it."""
    player = make_player()
    assert player.next_step_ns(T0) is None
    offer(player, make_chunk())

    assert player.next_step_ns(T0 + 3 * MS) == T0 + DT
    assert player.next_step_ns(T0 + 50 * MS) == T0 + 2 * DT
