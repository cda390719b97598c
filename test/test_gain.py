"""Whether things move as expected: a toy whose latent is what is read from it."""

from types import SimpleNamespace

from lewm_model.heads.readable import Readable
from lewm_model.heads.readout import Readout
from lewm_model.planning.gain import MotionGain, WINDOW_S
from lewm_model.planning.surprise import Expectation
import numpy as np
import pytest
import torch

DT_S = 0.1
ERRORS = {'x': 0.02, 'y': 0.02}


def readable(name, kind='position', low=-1.0, high=1.0, of='joint'):
    return Readable(name, kind, of=of, read_error=0.01, read_error_95=0.02, low=low, high=high)


def toy(*quantities):
    """Read a latent as it is."""
    quantities = quantities or (readable('x'), readable('y'))
    return SimpleNamespace(readable=quantities, shorter=lambda changes: Readout.shorter(
        SimpleNamespace(readable=quantities), changes),
        read=lambda latents: latents.double().numpy())


def feed(gain, expected, seen, start=(0.0, 0.0), steps=40, first=0):
    """Show frames that were expected to move by `expected` in a block and moved by `seen`."""
    before = torch.tensor(start)
    for step in range(first, first + steps):
        gain.add(round(step * DT_S * 1e9), Expectation(
            before + torch.tensor(expected), before + torch.tensor(seen), before))
    return gain.least()


def test_what_moves_as_expected_has_a_gain_of_one():
    """Also the one that moves less: it is the least of both."""
    found = feed(MotionGain(toy(), ERRORS, DT_S), (0.2, 0.2), (0.2, 0.15))
    assert (found.name, found.share) == ('y', pytest.approx(0.75))
    assert (found.expected, found.unit) == (pytest.approx(0.2), 'm')


def test_what_is_stuck_has_a_gain_of_zero_and_is_named():
    """One stands still, the other moves."""
    found = feed(MotionGain(toy(), ERRORS, DT_S), (0.2, 0.2), (0.0, 0.2))
    assert (found.name, found.share) == ('x', pytest.approx(0, abs=1e-9))


def test_what_is_not_expected_to_move_is_not_judged():
    """Two usual errors are not enough; a quantity without a known error is never judged."""
    assert feed(MotionGain(toy(), ERRORS, DT_S), (0.04, 0.0), (0.0, 0.0)) is None
    assert feed(MotionGain(toy(), {}, DT_S), (0.2, 0.2), (0.0, 0.0)) is None


def test_what_is_not_the_robots_own_is_not_judged():
    """A block that is jammed while the model imagines it pushed along is no stuck joint."""
    gain = MotionGain(toy(readable('x'), readable('y', of='block')), ERRORS, DT_S)
    assert feed(gain, (0.2, 0.2), (0.2, 0.0)).share == pytest.approx(1)


def test_it_takes_most_of_the_window_to_know():
    """1.5 s of 2 are too few, 1.6 s are enough; after `clear` it begins anew."""
    gain = MotionGain(toy(), ERRORS, DT_S)
    assert feed(gain, (0.2, 0.2), (0.0, 0.0), steps=15) is None
    assert feed(gain, (0.2, 0.2), (0.0, 0.0), steps=1, first=15).share == pytest.approx(0)
    gain.clear()
    assert gain.least() is None


def test_what_is_long_ago_does_not_count():
    """Stuck for a while, then moving for as long as the window."""
    gain = MotionGain(toy(), ERRORS, DT_S)
    feed(gain, (0.2, 0.2), (0.0, 0.0))
    found = feed(gain, (0.2, 0.2), (0.2, 0.2), first=40, steps=round(WINDOW_S / DT_S))
    assert found.share == pytest.approx(1)


def test_a_wall_at_the_edge_of_the_data_is_no_stuck_joint():
    """At 0.98 of [-1, 1] nothing is expected to go beyond 0.99; in the middle it is."""
    assert feed(MotionGain(toy(), ERRORS, DT_S), (0.2, 0.0), (0.0, 0.0), start=(0.98, 0.0)) is None
    assert feed(MotionGain(toy(), ERRORS, DT_S), (-0.2, 0.0), (0.0, 0.0),
                start=(0.98, 0.0)).share == pytest.approx(0, abs=1e-9)


def test_an_angle_goes_the_shorter_way_and_around():
    """From 3.1 on by 0.2 is -2.98; an angle that came all around has no edge."""
    angle = readable('turn', 'angle', -6.5, 7.1)
    gain = MotionGain(toy(angle), {'turn': 0.02}, DT_S)
    for step in range(40):
        gain.add(round(step * DT_S * 1e9), Expectation(
            torch.tensor([3.3 - 2 * np.pi]), torch.tensor([3.3 - 2 * np.pi]),
            torch.tensor([3.1])))
    found = gain.least()
    assert (found.share, found.expected) == (pytest.approx(1), pytest.approx(0.2, abs=1e-6))
