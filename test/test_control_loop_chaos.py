"""Whatever arrives in whatever order: no command breaks a limit, and every stop is in time."""

from bag_factory import robot
from lewm_model.robots.robot import ODOMETRY, TWIST
from lewm_ros.limits.standstill import REMEMBERED_S
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState, PlanState
from loop_bench import Bench, MS, SETTINGS
import numpy as np
import pytest

ROBOTS = {
    'joint_velocity': robot(max_rate=[10, 20], stop_rate=[20, 40]),
    'limited': robot(max_rate=[10, 20], stop_rate=[20, 40], position_min=[-1, None],
                     position_max=[1, None]),
    'joint_position': robot(interface='joint_position', min_command=[-3, -3], max_command=[3, 2],
                            max_rate=[1, 2], stop_rate=[2, 2], position_max=[2.5, None]),
    'twist': robot(interface='twist', command_type=TWIST, state_type=ODOMETRY,
                   joint_names=['linear.x', 'angular.z'], min_command=[0, -2], max_command=[1, 2],
                   max_rate=[2, 4], stop_rate=[10, 10])}
TICK_MS = 10
BUDGET_MS = 500


class Chaos:
    """One robot, its body, and everything that can happen to it."""

    def __init__(self, kind: str, seed: int) -> None:
        self.robot, self.rng = ROBOTS[kind], np.random.default_rng(seed)
        self.positions = kind == 'joint_position'
        self.bench = Bench(SETTINGS, self.robot)
        self.place = np.array([0.5, -0.5])
        self.lie = np.zeros(2)
        self.lies = self.deaf = False
        self.pressed = False
        self.wanted_rest_ms: int | None = None     # since when it has to come to rest

    def act(self) -> None:
        """Let one thing happen."""
        bench, rng, dice = self.bench, self.rng, self.rng.random()
        if dice < 0.35:
            bench.beat(age_ms=int(rng.integers(-20, 150)), speed_scale=float(rng.choice(
                [1.0, 1.0, 0.5, 0.0])), state=(
                        PlanState.NO_GOAL if rng.random() < 0.1 else PlanState.PLANNING))
        elif dice < 0.55:
            bench.plan(rng.normal(0, 3), rows=int(rng.integers(1, 30)),
                       age_ms=int(rng.integers(-150, 400)))
        elif dice < 0.56:
            bench.epoch += 1
        elif dice < 0.57:
            bench.beat(session=int(rng.integers(70, 80)), epoch=int(rng.integers(0, 99)))
        elif dice < 0.575:
            bench.plan(np.nan)
        elif dice < 0.58:
            self.pressed = not self.pressed
            bench.loop.set_e_stop(self.pressed, bench.now_ms * MS)
        elif dice < 0.62:
            bench.loop.clear_fault()
            bench.loop.enable(bench.now_ms * MS)
        elif dice < 0.625:
            bench.now_ms += int(rng.integers(-3000, 3000))
        elif dice < 0.63:
            self.lies, self.lie = not self.lies, rng.normal(0, 1, 2)
        elif dice < 0.635:
            self.deaf = not self.deaf
        elif dice < 0.64:
            self.bench.steady_ms += int(rng.integers(0, 1500))   # a pause
        elif dice < 0.645:
            bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
        elif dice < 0.65:
            bench.loop.set_audience(Reason(), Reason(Code.NO_LISTENER, 'gone'))
        else:
            bench.loop.set_audience(Reason(), Reason())

    def tick(self) -> None:
        """Let time pass for one tick of the node."""
        bench = self.bench
        if not self.deaf:
            measured = self.place
            if self.lies and self.rng.random() < 0.5:
                measured = self.lie
            bench.loop.measure(measured, bench.steady_ms / 1e3)
        bench.run(TICK_MS, beats=False)
        if bench.sent:
            last = bench.sent[-1][1].executed
            self.place = (self.place + np.clip(last - self.place, -0.03, 0.03) if self.positions
                          else self.place + TICK_MS / 1e3 * last)

    def check(self, begin: int) -> None:
        """Look at the commands that went out from index `begin` on."""
        bench, robot_ = self.bench, self.robot
        rate = np.maximum(robot_.max_rate, robot_.stop_rate)
        step_s = robot_.control_dt_s
        for index in range(begin, len(bench.sent)):
            at_ms, step = bench.sent[index]
            values = step.executed
            assert np.isfinite(values).all()
            stop = step.overridden and step.state is not CommandState.HOLD
            if not stop or not self.positions:
                assert (values <= robot_.max_command + 1e-9).all()
                assert (values >= robot_.min_command - 1e-9).all()
            if index == 0:
                continue
            before_ms, before = bench.sent[index - 1]
            if self.positions and at_ms - before_ms > REMEMBERED_S * 1e3:
                continue    # so long ago that it may have been moved by others
            # twice: measured time counts up to two steps, as after a stall
            assert (np.abs(values - before.executed) <= 2 * rate * step_s + 1e-6).all()


@pytest.mark.parametrize('kind', ROBOTS)
@pytest.mark.parametrize('seed', range(8))
def test_no_stream_of_events_breaks_a_limit_and_every_stop_is_in_time(kind, seed):
    """Values and changes within the limits; at rest 0.5 s after following ended."""
    chaos = Chaos(kind, seed)
    moved, left_ms = 0, None
    for _ in range(1500):
        chaos.act()
        begin = len(chaos.bench.sent)
        chaos.tick()
        chaos.check(begin)
        loop, bench = chaos.bench.loop, chaos.bench
        moved += loop.following
        if loop.following:
            left_ms, ended_at = None, len(bench.sent)
        elif left_ms is None:
            left_ms = bench.steady_ms
        elif bench.steady_ms - left_ms > BUDGET_MS and not chaos.positions:
            report = loop.report(bench.now_ms * MS, bench.steady_ms / 1e3)
            assert report.at_rest, report
            assert not bench.sent or not bench.sent[-1][1].executed.any() or ended_at == 0
    assert moved > 10


@pytest.mark.parametrize('seed', range(8))
def test_a_limited_joint_is_never_driven_beyond_its_end(seed):
    """Whatever is planned, in plans of any length: the joint stays within [-1, 1]."""
    chaos = Chaos('limited', seed)
    chaos.place = np.zeros(2)
    for _ in range(400):
        chaos.bench.beat()
        if chaos.rng.random() < 0.3:
            chaos.bench.plan(chaos.rng.normal(0, 3), rows=int(chaos.rng.integers(1, 30)))
        for _ in range(5):
            chaos.tick()
            assert abs(chaos.place[0]) <= 1.0 + 1e-6
    assert np.abs(chaos.place[1]) > 0
