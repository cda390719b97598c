from lewm_ros.simulation.pacer import Pacer
import pytest


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_ticks_keep_to_the_schedule_although_each_costs_time():
    """Ten ticks of 10 ms that take 3 ms each are over after 100 ms, not after 130."""
    clock = Clock()
    pacer = Pacer(0.01, clock=clock)
    for _ in range(10):
        clock.now += 0.003
        clock.now += pacer.remaining_s()
        pacer.tick()
    assert clock.now == pytest.approx(100.1)


def test_a_stall_is_not_made_up_for():
    """After a stall of one second at most one tick is due at once; the next waits a period."""
    clock = Clock()
    pacer = Pacer(0.01, clock=clock)
    clock.now += 1.0
    assert pacer.remaining_s() < 0
    pacer.tick()
    assert pacer.remaining_s() == pytest.approx(0.0)
    pacer.tick()
    assert pacer.remaining_s() == pytest.approx(0.01)


def test_half_speed_takes_twice_as_long():
    """A factor of 0.5 makes a tick of 10 ms last 20 ms, and that is what it reports."""
    clock = Clock()
    pacer = Pacer(0.01, 0.5, clock)
    for _ in range(50):
        clock.now += pacer.remaining_s()
        pacer.tick()
    assert clock.now == pytest.approx(101.0)
    assert pacer.achieved() == pytest.approx(0.5)


def test_a_slow_machine_reports_the_factor_it_achieves():
    """Ticks of 10 ms that take 40 ms run at a quarter of real time; measuring starts anew."""
    clock = Clock()
    pacer = Pacer(0.01, clock=clock)
    for _ in range(10):
        clock.now += 0.04
        pacer.tick()
    assert pacer.achieved() == pytest.approx(0.25)
    assert pacer.achieved() == 0.0
