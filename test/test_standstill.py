"""Stopping and starting by interface: positions are held at the measured ones, or just ahead."""

from dataclasses import replace

from bag_factory import robot
from lewm_model.errors import ConfigError
from lewm_model.robots.robot import FLOAT_ARRAY, JOINT_STATE, JOINT_TRAJECTORY, ODOMETRY, TWIST
from lewm_ros.command.control_loop import ControlLoop
from lewm_ros.command.parameters import CommandParameters
from lewm_ros.limits.limiter import CommandLimiter
from lewm_ros.limits.standstill import standstill_of, still_command
from lewm_ros.wire.reasons import Code, Reason
from lewm_ros.wire.reports import CommandState
from loop_bench import Bench, MS, SETTINGS, values
import numpy as np
import pytest

# 1 rad/s while tracking (0.05 rad per step), 2 rad/s in a stop (0.1 rad per step)
ARM = robot(interface='joint_position', command_type=JOINT_TRAJECTORY, min_command=[-3, -3],
            max_command=[3, 3], max_rate=[1, 1], stop_rate=[2, 2])
BASE = robot(interface='twist', command_type=TWIST, joint_names=['linear.x', 'angular.z'],
             state_type=ODOMETRY, min_command=[-1, -2], max_command=[1, 2], max_rate=[2, 4],
             stop_rate=[4, 20])
STEP, STOP_STEP = 0.05, 0.1
AT = np.array([0.7, -0.4])


def arm_bench(settings: CommandParameters = SETTINGS, at=AT) -> Bench:
    """Return a bench whose joints lag 0.03 rad behind the last command, from `at` on."""
    bench = Bench(settings, ARM)
    bench.place = np.array(at, float)

    def joints():
        if bench.sent:
            goal = bench.sent[-1][1].executed
            bench.place = goal - np.clip(goal - bench.place, -0.03, 0.03)
        return bench.place

    bench.joints = joints
    return bench


def test_the_first_command_starts_from_the_measured_position():
    """The plan is at (2, 2), the arm at (0.7, -0.4): the way there begins 0.05 rad from it."""
    bench = arm_bench()
    bench.beat()
    bench.plan(2.0)
    first, second = bench.run(100)
    np.testing.assert_allclose(first.executed, AT + STEP)
    np.testing.assert_allclose(second.executed, AT + 2 * STEP)
    assert first.slewed and not first.clipped


def test_a_plan_near_the_robot_is_followed_exactly():
    """Within the rate the executed position is the planned one."""
    bench = arm_bench()
    bench.beat()
    bench.plan(AT + np.outer(np.arange(1, 11), (0.04, -0.02)), rows=10)
    steps = bench.run(500)
    np.testing.assert_allclose([s.executed for s in steps],
                               AT + np.outer(np.arange(1, 11), (0.04, -0.02)), atol=1e-6)
    assert not any(s.slewed for s in steps)


@pytest.mark.parametrize('measured', [None, (np.nan, 0.0)])
def test_without_a_measured_position_motion_never_begins(measured):
    """Nothing is sent, and the reason names the joints and the topic."""
    bench = Bench(robot=ARM)
    bench.joints = measured and (lambda: measured)
    bench.beat()
    bench.plan(0.1)
    assert bench.run(500) == []
    assert bench.loop.state is CommandState.IDLE
    assert 'no positions of shoulder, wrist on joint_states yet' in bench.reason()


def test_an_old_measured_position_does_not_count():
    """0.25 s after the last joint state (allowed: 0.2 s) motion does not begin; it says why."""
    bench = arm_bench()
    bench.run(10)
    bench.joints = None
    bench.run(250)
    bench.plan(0.1)
    assert bench.run(200) == []
    assert 'came 0.45 s ago, allowed are 0.2 s' in bench.reason()
    bench.joints = lambda: AT
    assert len(bench.run(100)) == 2


def test_a_stop_lets_a_moving_arm_come_to_its_target_and_stay():
    """0.03 rad behind its target at 1 rad/s it coasts so far: it is not told to turn back."""
    bench = arm_bench().moving(3.0)
    place, last = bench.place.copy(), bench.sent[-1][1].executed
    assert (last - place > 0.02).all()
    steps = bench.run(600, beats=False)

    stop = [s for s in steps if s.state in (CommandState.RAMP_DOWN, CommandState.STOPPED)]
    assert bench.loop.state is CommandState.STOPPED
    assert len({tuple(s.executed) for s in stop}) == 1
    held = stop[-1].executed
    np.testing.assert_array_equal(held, stop[-1].requested)
    followed = [s for s in steps if s.state is CommandState.TRACKING][-1].executed
    np.testing.assert_array_equal(held, followed)
    assert 'instead' not in bench.reason()


def test_a_stop_holds_a_blocked_arm_where_it_is():
    """Something holds it 0.08 rad before its target: the target is taken back to where it is."""
    bench = arm_bench().moving(3.0)
    blocked = bench.place.copy() - 0.05
    bench.joints = lambda: blocked
    bench.run(150)
    bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
    np.testing.assert_array_equal(bench.run(600)[-1].executed, blocked)


@pytest.mark.parametrize('speed', [0.5, 1.0, -1.0])
@pytest.mark.parametrize('phase_s', [0.0, 0.02, 0.049])
def test_a_servo_comes_to_rest_without_turning_back(speed, phase_s):
    """A servo of 15/s, measured every 10 ms, rests within 0.19 s of a stop in any phase.

    Told to be where it was measured, it needs up to 0.22 s and comes back with 0.66 rad/s; told
    to go on to its target, it needs 0.21 s.
    """
    servo = Servo(speed)
    stop_s = 1.0 + phase_s
    speeds = servo.stop_at(stop_s)
    late = [seconds for seconds, at in speeds if abs(at) > 0.05]
    assert max(late) - stop_s < 0.19
    assert min(at * np.sign(speed) for _, at in speeds) > -0.02


class Servo:
    """A joint that follows its target as x' = 15 (target - x), driven as the command node does."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._rest = standstill_of(ARM, 0.2)
        self._limiter = CommandLimiter(ARM)

    def stop_at(self, stop_s: float) -> list[tuple[float, float]]:
        """Move, stop at `stop_s`; return the seconds and speeds of every millisecond after it."""
        target, at, sent_s, speeds = 0.0, 0.0, -1.0, []
        for ms in range(2000):
            now_s = ms / 1e3
            if ms % 10 == 0:
                self._rest.measure(np.array([at, 0.0]), now_s)
            last = np.array([target, 0.0])
            if now_s >= stop_s and (not speeds or now_s - sent_s >= ARM.control_dt_s - 1e-9):
                rest = self._rest.rest(last, now_s)
                target = self._limiter.limit(rest, last, now_s - sent_s, stopping=True).values[0]
                sent_s = now_s
            elif now_s < stop_s and ms % 50 == 0:
                if sent_s < 0:
                    self._rest.start(last, 0.0, now_s)
                target, sent_s = target + self._speed * ARM.control_dt_s, now_s
            moved = 15 * (target - at)
            at += moved / 1e3
            if now_s >= stop_s:
                speeds.append((now_s, moved))
        return speeds


def test_a_stop_is_ramped_towards_a_far_measured_position():
    """An arm that could not follow, 0.5 rad behind: 0.1 rad per step, no jump."""
    bench = arm_bench()
    bench.joints = lambda: AT
    bench.moving(3.0)
    bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
    stop = values(bench.run(400))
    begin = bench.sent[-len(stop) - 1][1].executed[0]
    moves = np.diff([begin, *stop])
    assert np.abs(moves).max() <= STOP_STEP + 1e-9
    np.testing.assert_allclose(stop[-1], AT[0])
    assert np.count_nonzero(moves) >= 4


def test_a_sagging_arm_is_not_followed_down():
    """The target is measured once, when the stop begins."""
    bench = arm_bench().moving(3.0)
    bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
    held = values(bench.run(100))[-1]
    bench.joints = lambda: bench.place - 0.2
    assert set(values(bench.run(600))) == {held}


def test_without_a_fresh_measurement_the_last_command_is_held_and_said_to_be():
    """No joint states for 0.3 s in motion, then a stop: it stays at the last command."""
    bench = arm_bench().moving(3.0)
    bench.joints = None
    last = values(bench.run(300))[-1]
    bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
    assert set(values(bench.run(200))) == {last}
    assert 'came 0.31 s ago, allowed are 0.2 s: holding the last command inst' in bench.reason()


def test_holding_is_published_for_a_while_then_silence():
    """About 20 equal positions after a stop, one per step, then another controller may move."""
    bench = arm_bench(replace(SETTINGS, stop_publish_s=1.0)).moving(3.0)
    bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
    steps = bench.run(3000)
    assert 20 <= len(steps) <= 24
    assert len(set(values(steps[2:]))) == 1
    assert bench.steady_ms - bench.sent[-1][0] > 1800


@pytest.mark.parametrize('way', ['silence', 'disable', 'e_stop', 'fault'])
def test_after_a_pause_motion_starts_from_where_the_arm_is_now(way):
    """Somebody moved it by 1 rad meanwhile; the first command is one step from there.

    That is seen as a jump, and not believed for a second.
    """
    bench = arm_bench().moving(3.0)
    if way == 'disable':
        bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
    elif way == 'e_stop':
        bench.loop.set_e_stop(True, bench.now_ms * MS)
    elif way == 'fault':
        bench.loop.fault(Reason(Code.INTERNAL, 'test'), bench.now_ms * MS)
    bench.run(3000 if way == 'silence' else 200, beats=False)
    bench.joints = lambda: AT - 1.0
    bench.run(3100)
    bench.loop.set_e_stop(False, bench.now_ms * MS)
    bench.loop.clear_fault()
    assert bench.loop.enable(bench.now_ms * MS) == ''
    bench.run(10)
    bench.plan(3.0)
    np.testing.assert_allclose(bench.run(10)[0].executed, AT - 1.0 + STEP)


def test_a_gap_in_the_plan_is_continued_without_a_step_back():
    """Hold, ramp, and a late plan while in charge: from the last command, not from behind."""
    bench = arm_bench()
    bench.beat()
    bench.plan(3.0, rows=4)
    bench.run(500)
    assert bench.loop.state is CommandState.STOPPED
    last = bench.sent[-1][1].executed
    bench.plan(3.0)
    np.testing.assert_allclose(bench.run(10)[0].executed, last + STEP)


def test_zero_is_a_place_like_any_other():
    """Nothing pulls a small position to zero."""
    bench = arm_bench(at=(0.3, 0.3))
    bench.beat()
    bench.plan(0.32)
    np.testing.assert_allclose(bench.run(10)[0].executed, 0.32)


def test_positions_outside_the_limits_are_left_at_the_allowed_rate():
    """An arm found beyond a limit is led back, not thrown."""
    bench = arm_bench(at=(3.4, 0.0))
    bench.beat()
    bench.plan(9.0)
    steps = bench.run(500)
    assert values(steps)[0] == pytest.approx(3.35)
    assert values(steps)[-1] == pytest.approx(3.0)
    assert np.abs(np.diff(values(steps))).max() <= STEP + 1e-9


def test_halting_holds_and_never_speaks_out_of_turn():
    """In motion: to where the arm comes to rest, here its target. At rest: not a word."""
    bench = arm_bench()
    assert bench.loop.halt(bench.now_ms * MS, bench.steady_ms / 1e3) is None
    bench = arm_bench().moving(3.0)
    last = bench.sent[-1][1].executed
    step = bench.loop.halt(bench.now_ms * MS, bench.steady_ms / 1e3)
    assert step.overridden
    np.testing.assert_array_equal(step.executed, last)
    assert bench.loop.halt(bench.now_ms * MS, bench.steady_ms / 1e3) is None


def test_a_base_ramps_each_axis_to_zero_and_falls_silent():
    """0.6 m/s at 4 m/s^2 takes three steps of 50 ms, 1 rad/s at 20 rad/s^2 one."""
    bench = Bench(replace(SETTINGS, stop_publish_s=0.5), BASE)
    bench.beat()
    bench.plan(np.tile((0.6, 1.0), (25, 1)))
    bench.run(500)
    bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
    steps = bench.run(2000)
    np.testing.assert_allclose([s.executed for s in steps[:4]],
                               [(0.4, 0.0), (0.2, 0.0), (0.0, 0.0), (0.0, 0.0)], atol=1e-6)
    assert not any(s.executed.any() for s in steps[3:])
    assert bench.steady_ms - bench.sent[-1][0] > 1200


@pytest.mark.parametrize('kind', [FLOAT_ARRAY, JOINT_STATE])
def test_efforts_are_refused_with_what_to_do_instead(kind):
    """No last word stops them: zero effort lets an arm fall."""
    with pytest.raises(ConfigError, match="robot 'arm' is commanded by efforts, .* position or "):
        ControlLoop(robot(interface='joint_effort', command_type=kind), SETTINGS)


def test_a_position_robot_without_joint_states_is_refused():
    """Odometry does not say where joints are."""
    with pytest.raises(ConfigError, match='state_type must be sensor_msgs/msg/JointState'):
        standstill_of(replace(ARM, state_type=ODOMETRY), 0.2)


def test_standing_still_is_zero_speed_or_the_present_position():
    """Of a position robot that nobody has measured there is no such command."""
    assert still_command(BASE, None).tolist() == [0, 0]
    assert still_command(BASE, AT).tolist() == [0, 0]
    assert still_command(ARM, AT).tolist() == AT.tolist()
    with pytest.raises(ConfigError, match='those are not known; is joint_states published'):
        still_command(ARM, None)


@pytest.mark.parametrize('seed', range(10))
def test_chaos_never_makes_a_position_robot_jump(seed):
    """Property: between two commands, or from the arm to the first one, at most what is allowed.

    Plans, gaps, stops, lost joint states and people who move the arm come in any order.
    """
    rng = np.random.default_rng(seed)
    bench = arm_bench()
    lag = bench.joints
    heard, since = bench.place.copy(), 0
    for _ in range(800):
        dice = rng.random()
        if dice < 0.1:
            bench.plan(rng.normal(0, 3), rows=int(rng.integers(1, 30)))
        elif dice < 0.12:
            bench.loop.disable(Reason(Code.STOPPED_BY_CALL, 'test'), bench.now_ms * MS)
        elif dice < 0.16:
            bench.loop.clear_fault()
            bench.loop.enable(bench.now_ms * MS)
        elif dice < 0.17:
            bench.plan(np.nan)
        elif dice < 0.19:
            bench.joints = None if bench.joints else lag
        elif dice < 0.20:
            bench.run(int(rng.integers(100, 1500)), beats=False)
        begin = len(bench.sent)
        bench.run(10, beats=dice < 0.8)
        for index in range(begin, len(bench.sent)):
            last = bench.sent[index - 1][1].executed if index else heard
            step = bench.sent[index][1]
            # both at once: a rate's two steps after a stall, or a start 0.03 rad behind
            allowed = 2 * STOP_STEP + 0.03
            assert np.isfinite(step.executed).all()
            assert (np.abs(step.executed - last) <= allowed + 1e-9).all()
            since += 1
    assert since > 50
