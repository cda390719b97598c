from lewm_ros.planner.latency import Latency
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
