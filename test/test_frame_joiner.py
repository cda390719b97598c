"""Frames of several cameras by their stamps; no clock, no middleware."""

import pytest

pytest.importorskip('rclpy')   # the package's interfaces are generated with it

from lewm_ros.node.frame_joiner import FrameJoiner  # noqa: E402

MS = 1_000_000


def feed(joiner, frames):
    """Add (camera, stamp in ms) in order of arrival; return the sets as stamps."""
    return [made for place, stamp in frames for made in joiner.add(place, stamp * MS, stamp)]


def test_one_camera_is_passed_through():
    """Nothing is waited for."""
    assert feed(FrameJoiner(1, 0), [(0, 10), (0, 20), (0, 5)]) == [(10,), (20,), (5,)]


@pytest.mark.parametrize('order', [[0, 1], [1, 0]])
def test_cameras_triggered_together_need_both_whatever_comes_first(order):
    """Same stamps, either order of arrival: sets of equal stamps, none missing."""
    frames = [(place, stamp) for stamp in range(0, 300, 33) for place in order]
    sets = feed(FrameJoiner(2, 25 * MS), frames)
    assert sets == [(stamp, stamp) for stamp in range(0, 300, 33)]


@pytest.mark.parametrize('phase', [0, 4, 8, 12, 15, 17, 21, 29, 32])
def test_at_any_phase_the_nearest_is_chosen_and_waiting_ends_within_half_a_period(phase):
    """The other camera is `phase` ms later; arrival in order of stamps."""
    period, arrivals = 33, []
    for k in range(20):
        arrivals += [(k * period, 0), (k * period + phase, 1)]
    joiner, made = FrameJoiner(2, 20 * MS), {}
    for now, place in sorted(arrivals):
        for lead, other in joiner.add(place, now * MS, now):
            made[lead] = (other, now)
    for lead, (other, now) in list(made.items())[2:]:
        assert abs(other - lead) <= min(phase, period - phase)
        assert now - lead <= period / 2
    assert len(made) >= 18


def test_a_camera_that_fails_makes_sets_incomplete_and_is_named():
    """No old picture is put in the place of a missing one; the next frame ends the waiting."""
    joiner = FrameJoiner(3, 20 * MS)
    frames = [(place, stamp) for stamp in (0, 33, 66) for place in (0, 1, 2)]
    frames += [(place, stamp) for stamp in (99, 132, 165) for place in (0, 1)]
    assert feed(joiner, frames) == [(0, 0, 0), (33, 33, 33), (66, 66, 66)]
    assert (joiner.incomplete, joiner.lacking) == (2, 2)


def test_a_clock_that_jumps_back_starts_anew():
    """A simulator that was reset: frames of before are forgotten, one set at most is lost."""
    joiner = FrameJoiner(2, 20 * MS)
    assert feed(joiner, [(0, 1000), (1, 1000), (0, 10), (1, 10), (0, 43), (1, 43)]) == [
        (1000, 1000), (43, 43)]
