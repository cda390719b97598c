"""The past on the control grid: frame k goes with the block leaving it."""

from lewm_model.errors import PlanningError
from lewm_model.planning.history import History
import numpy as np
import pytest
import torch

DT_NS = 50_000_000
K = 2


def history(length=3):
    return History(length=length, steps_per_block=K, control_dt_s=0.05, action_dim=1)


def drive(memory, steps, jitter_ns=0):
    """Latent n at control step n, then action n for the step that starts there."""
    for step in range(steps):
        memory.observe(step * DT_NS + (jitter_ns if step % 2 else 0), torch.tensor([float(step)]))
        memory.executed(step * DT_NS, np.array([10.0 + step]))


def test_one_frame_gives_a_context_of_one():
    """No block is needed when there is nothing in between."""
    memory = history()
    memory.observe(5, torch.tensor([7.0]))
    context = memory.context()
    assert context.latents.tolist() == [[[7.0]]]
    assert context.past_blocks.shape == (1, 0, K)
    assert context.stamps_ns == (5,)


@pytest.mark.parametrize('jitter_ns', [0, 20_000_000, -20_000_000])
def test_frames_are_one_block_apart_and_paired_with_the_block_leaving_them(jitter_ns):
    """At step 6 with K = 2: frames 2, 4, 6 and the actions of steps 2-3 and 4-5."""
    memory = history()
    drive(memory, 7, jitter_ns)
    context = memory.context()
    assert context.latents.flatten().tolist() == [2.0, 4.0, 6.0]
    assert context.past_blocks.tolist() == [[[12.0, 13.0], [14.0, 15.0]]]


def test_an_unknown_action_shortens_the_context():
    """A block with a hole is never made up."""
    memory = history()
    for step in range(7):
        memory.observe(step * DT_NS, torch.tensor([float(step)]))
        if step != 3:
            memory.executed(step * DT_NS, np.array([10.0 + step]))
    assert memory.context().latents.flatten().tolist() == [4.0, 6.0]


def test_a_missing_frame_shortens_the_context():
    """So does a frame that was dropped on the way."""
    memory = history()
    for step in (0, 1, 2, 3, 5, 6):
        memory.observe(step * DT_NS, torch.tensor([float(step)]))
    for step in range(7):
        memory.executed(step * DT_NS, np.array([0.0]))
    assert memory.context().latents.flatten().tolist() == [6.0]


def test_time_must_not_run_backwards():
    """A clock jump is reported, not averaged over; clearing makes a new start."""
    memory = history()
    memory.observe(10, torch.zeros(1))
    with pytest.raises(PlanningError, match='not newer'):
        memory.observe(10, torch.zeros(1))
    memory.clear()
    memory.observe(3, torch.zeros(1))
    assert memory.newest[0] == 3


def test_without_a_frame_there_is_no_context():
    """The message asks about the camera."""
    with pytest.raises(PlanningError, match='is the camera running'):
        history().context()


@pytest.mark.parametrize(('fps', 'dt_ns'), [(60, 100_000_000), (30, 250_000_000), (240, DT_NS)])
def test_a_fast_camera_does_not_shorten_the_context(fps, dt_ns):
    """What is kept is as long as a context takes, however many frames that is."""
    memory = History(length=3, steps_per_block=5, control_dt_s=dt_ns / 1e9, action_dim=1)
    for k in range(12 * dt_ns * fps // 10 ** 9):
        memory.observe(k * 10 ** 9 // fps, torch.tensor([float(k)]))
    for step in range(12):
        memory.executed(step * dt_ns, np.array([float(step)]))
    assert memory.context().latents.shape == (1, 3, 1)


def test_what_is_older_than_a_context_is_forgotten():
    """An hour of frames does not fill the memory."""
    memory = history()
    drive(memory, 5000)
    assert len(memory._latents) == len(memory._actions) < 12
