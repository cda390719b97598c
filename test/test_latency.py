from lewm_ros.planner.loop.latency import Latency
import pytest


def make(**changes) -> Latency:
    return Latency(**{'dt_s': 0.05, 'max_steps': 10, 'margin_s': 0.02, 'first_s': 0.1, **changes})


def test_steps_cover_the_latency_and_the_margin():
    """0.1 s and 0.02 s of margin need 3 steps of 0.05 s; exactly two steps need two."""
    assert make().steps() == 3
    assert make(margin_s=0.0).steps() == 2


def test_measurements_replace_the_first_belief():
    """Fast answers reserve one step, slow ones the maximum, and one outlier in 40 not all."""
    latency = make()
    for _ in range(40):
        latency.add(0.01)
    assert latency.steps() == 1
    latency.add(2.0)
    assert latency.steps() == 1
    for _ in range(40):
        latency.add(2.0)
    assert latency.steps() == 10
    assert latency.quantile_s(0.5) == pytest.approx(2.0)


@pytest.mark.parametrize(('usual_s', 'replan_steps', 'limit_s'), [
    (0.01, 5, 0.25),    # never sooner than this
    (0.07, 25, 0.28),   # four times the usual
    (0.1, 5, 0.25),     # no longer than a plan is followed before the next
    (0.4, 5, 0.8),      # a slow planner gets twice its usual time
    (0.2, 25, 0.8)])
def test_an_answer_is_stuck_after_a_few_times_the_usual(usual_s, replan_steps, limit_s):
    """At 20 Hz and a plan per block a hang is noticed within 0.25 s."""
    latency = Latency(dt_s=0.05, max_steps=10, margin_s=0.0, first_s=usual_s)
    assert latency.stuck_limit_s(replan_steps) == pytest.approx(limit_s)


def test_three_pauses_do_not_delay_the_next_alarm_and_a_planner_that_became_slow_is_let():
    """Three of 1 s among 37 of 0.05 s change nothing; when all take 0.4 s, 0.8 s are allowed."""
    latency = make()
    for seconds in [0.05] * 37 + [1.0] * 3:
        latency.add(seconds)
    assert latency.stuck_limit_s(5) == pytest.approx(0.25)
    for _ in range(40):
        latency.add(0.4)
    assert latency.stuck_limit_s(5) == pytest.approx(0.8)


def test_a_pause_counts_as_the_limit_and_a_planner_that_became_slow_is_let_after_a_while():
    """Ten times slower than it was: at most 20 answers are called stuck."""
    latency = make()
    for _ in range(40):
        latency.add(0.05)
    for _ in range(3):
        latency.add_late(5)
    assert latency.stuck_limit_s(5) == pytest.approx(0.25)
    stuck = 3
    while latency.stuck_limit_s(5) < 0.5:
        latency.add_late(5)
        stuck += 1
    assert stuck <= 20


def test_looking_at_a_frame_hangs_sooner_than_a_plan_of_a_slow_planner():
    """Four times the usual, at least 0.15 s; a pause in forty frames changes nothing.

    Never later than after five control steps, but for what usually takes half as long or longer.
    """
    looking = Latency(dt_s=0.05, max_steps=1, margin_s=0.0, first_s=0.0)
    assert looking.hung_limit_s() == 0.15
    for seconds in [0.005] * 39 + [3.0]:
        looking.add(seconds)
    assert looking.hung_limit_s() == 0.15
    for usual_s, limit_s in ((0.06, 0.24), (0.1, 0.25), (0.2, 0.4)):
        for _ in range(40):
            looking.add(usual_s)
        assert looking.hung_limit_s() == pytest.approx(limit_s)


def test_another_engine_is_measured_anew():
    """What the old one took says nothing."""
    latency = Latency(dt_s=0.05, max_steps=10, margin_s=0.0, first_s=0.01)
    latency.add(0.02)
    latency.restart(0.3)
    assert latency.quantile_s(0.95) == 0.3
