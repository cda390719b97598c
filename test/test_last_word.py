"""The guard's decisions, with made-up clocks."""

from bag_factory import robot
from lewm_model.errors import ConfigError
from lewm_model.robots.robot import JOINT_TRAJECTORY
from lewm_ros.guard.last_word import LastWord, TICK_S
from lewm_ros.wire.reports import GuardPhase
import numpy as np
import pytest

WHEELS = robot(interface='joint_velocity', min_command=[-2, -2], max_command=[2, 2],
               max_rate=[10, 10], stop_rate=[20, 20])   # 1 per step in a stop
ARM = robot(interface='joint_position', command_type=JOINT_TRAJECTORY, min_command=[-3, -3],
            max_command=[3, 3], max_rate=[1, 1], stop_rate=[2, 2])   # 0.1 per step in a stop
SILENCE_S, HOLD_S = 0.2, 0.5
FAST = np.array([2.0, -1.0])


class Scene:
    """A guard in its own time: `run` ticks, `said` is what it sent with the time of it."""

    def __init__(self, description=WHEELS) -> None:
        self.word = LastWord(description, silence_s=SILENCE_S, hold_s=HOLD_S,
                             state_max_age_s=0.2)
        self.now_s = 100.0
        self.said: list[tuple[float, np.ndarray]] = []

    def command(self, action, *, at_rest=False, stamp_ns=0, stopping=False) -> None:
        self.overhear(action)
        self.word.hear_command_of_node(np.array(action, float), stamp_ns, self.now_s,
                                       stopping=stopping, at_rest=at_rest)

    def overhear(self, action) -> None:
        """Let a command come by on the robot's topic."""
        self.word.hear_command([0, 1], np.array(action, float))

    def run(self, seconds: float, tick_s: float = TICK_S, each=lambda: None) -> None:
        for _ in range(round(seconds / tick_s)):
            self.now_s += tick_s
            each()
            command = self.word.tick(self.now_s)
            if command is not None:
                self.said.append((self.now_s, command))

    def commands(self) -> list:
        return [command.tolist() for _, command in self.said]


def test_a_silent_command_node_is_answered_within_three_tenths_of_a_second():
    """Ramp by the stop rate to zero, standstill once per step for the hold time, silence."""
    scene = Scene()
    scene.command(FAST)
    died_s = scene.now_s
    scene.run(3.0)

    times = [at - died_s for at, _ in scene.said]
    assert SILENCE_S <= times[0] <= SILENCE_S + 2 * TICK_S
    assert scene.commands()[:3] == [[0.0, 0.0]] * 3      # 2 rad/s are two steps of the ramp
    assert times[-1] == pytest.approx(times[0] + HOLD_S, abs=0.07)
    assert len(times) == pytest.approx(HOLD_S / 0.06, abs=2)
    assert scene.word.phase is GuardPhase.SPOKEN
    assert scene.word.stops == 1


def test_the_ramp_is_that_of_an_emergency_stop():
    """No step is larger than the stop rate allows in the time since the command before."""
    slow = robot(interface='joint_velocity', min_command=[-2, -2], max_command=[2, 2],
                 max_rate=[10, 10], stop_rate=[5, 5])
    scene = Scene(slow)
    scene.command(FAST)
    scene.run(2.0)

    steps = np.diff([FAST, *scene.commands()], axis=0)
    assert np.abs(steps[0]).max() <= 5 * 2 * 0.05 + 1e-9
    assert np.abs(steps[1:]).max() <= 5 * 0.061 + 1e-9
    assert scene.commands()[-1] == [0.0, 0.0]


def test_a_position_arm_is_held_where_it_was_measured():
    """The commands go from the last one towards the measured place by the stop rate, and stay."""
    scene = Scene(ARM)
    scene.command([1.0, 1.0])
    scene.run(2.0, each=lambda: scene.word.measure(np.array([0.5, 0.95]), scene.now_s))

    first, last = scene.commands()[0], scene.commands()[-1]
    assert first == pytest.approx([0.8, 0.95])
    assert last == [0.5, 0.95]
    assert scene.word.phase is GuardPhase.SPOKEN


def test_without_measured_positions_the_last_command_is_held():
    """There is nothing better to say, and people are told."""
    scene = Scene(ARM)
    scene.command([1.0, 1.0])
    scene.run(0.4)

    assert scene.commands()[0] == [1.0, 1.0]
    assert 'holding the last command' in scene.word.reason


@pytest.mark.parametrize('signs', ['commands', 'reports'])
def test_it_never_speaks_while_the_command_node_lives(signs):
    """Commands alone, and reports alone, are signs of life; for a minute of either."""
    scene = Scene()
    scene.command(FAST)
    beat = ((lambda: scene.command(FAST)) if signs == 'commands'
            else (lambda: scene.word.hear_report_of_node(False, 0)))
    for _ in range(400):
        beat()
        scene.run(0.15 - TICK_S)

    assert scene.said == []


@pytest.mark.parametrize('ending', [
    lambda scene: scene.command([0.0, 0.0]),
    lambda scene: scene.command([0.0, 0.0], at_rest=True),
    lambda scene: (scene.command(FAST, stamp_ns=7, stopping=True),
                   scene.word.hear_report_of_node(True, 7)),
    lambda scene: None])
def test_a_node_that_said_standstill_may_be_silent(ending):
    """Deactivated, ended cleanly, or never moved: the guard has nothing to say."""
    scene = Scene()
    ending(scene)
    scene.run(5.0)
    assert scene.said == []
    assert scene.word.phase is GuardPhase.WAITING


def test_a_report_from_before_the_command_does_not_count_as_standstill():
    """Two topics may overtake each other; the stamps say which came first."""
    scene = Scene()
    scene.command(FAST, stamp_ns=8)
    scene.word.hear_report_of_node(True, 7)
    scene.run(0.5)
    assert scene.word.phase is GuardPhase.SPEAKING


@pytest.mark.parametrize('late_ns', [1, 49_999_999])
def test_a_report_from_within_the_control_step_of_a_command_does_not_count_either(late_ns):
    """A command of a plan is stamped with the start of its step, and sent up to 0.05 s later."""
    scene = Scene()
    scene.command(FAST, stamp_ns=8)
    scene.word.hear_report_of_node(True, 8 + late_ns)
    scene.run(0.5)
    assert scene.word.phase is GuardPhase.SPEAKING


def test_a_node_that_dies_between_a_command_and_its_report_was_not_at_rest():
    """The robot has the speed; that `executed_command` never came changes nothing."""
    scene = Scene()
    scene.command([0.0, 0.0], at_rest=True, stopping=True)
    scene.overhear(FAST)
    scene.run(0.5)
    assert scene.word.phase is GuardPhase.SPEAKING
    assert scene.commands()[-1] == [0.0, 0.0]


def test_it_yields_at_once_when_the_command_node_commands_again():
    """Not one more word, in the ramp or after it; and it is ready for the next death."""
    scene = Scene(ARM)
    scene.command([1.0, 1.0])
    scene.run(0.26, each=lambda: scene.word.measure(np.zeros(2), scene.now_s))
    assert scene.said
    said = len(scene.said)
    for _ in range(20):
        scene.command([0.9, 0.9])
        scene.run(0.05, tick_s=0.01)

    assert len(scene.said) == said
    assert scene.word.phase is GuardPhase.WATCHING
    scene.run(0.5)
    assert scene.word.stops == 2


def test_a_new_node_that_only_reports_ends_the_standstill_and_not_the_ramp():
    """It waits for its plan and would not stop the robot; once at rest the guard falls silent."""
    scene = Scene(ARM)
    scene.command([1.0, 1.0])
    scene.run(2.0, each=lambda: (scene.word.measure(np.zeros(2), scene.now_s),
                                 scene.said and scene.word.hear_report_of_node(True, 1)))

    assert scene.commands()[-1] == [0.0, 0.0]
    assert scene.commands().count([0.0, 0.0]) == 1


@pytest.mark.parametrize('after_s', [0.15, 0.3])
def test_it_leaves_the_robot_to_somebody_else_who_commands_it(after_s):
    """Before or after the first word: another's command ends the guard's part."""
    scene = Scene()
    scene.command(FAST)
    scene.run(after_s)
    said = len(scene.said)
    scene.overhear([0.5, 0.5])
    scene.run(3.0)

    assert len(scene.said) == said
    assert scene.word.phase is GuardPhase.TAKEN_OVER
    scene.command(FAST)
    assert scene.word.phase is GuardPhase.WATCHING


def test_its_own_commands_are_not_somebody_elses():
    """They come back on the topic it listens to."""
    scene = Scene()
    scene.command(FAST)
    scene.run(1.0, each=lambda: [scene.overhear(said) for _, said in scene.said[-2:]])
    assert scene.word.phase is GuardPhase.SPOKEN


def test_a_command_that_the_node_could_not_report_is_its_own():
    """Killed between the command and its record: that is no other driver."""
    scene = Scene()
    scene.command(FAST)
    scene.run(0.06)
    scene.overhear(FAST + 0.1)
    scene.run(0.5)
    assert scene.word.phase is GuardPhase.SPEAKING


def test_a_machine_that_stood_still_was_not_silent():
    """The guard slept too: its late tick counts as one, so waiting messages are heard first."""
    scene = Scene()
    scene.command(FAST)
    scene.run(0.1)
    scene.run(3.0, tick_s=3.0)
    assert scene.said == []
    scene.command(FAST)
    scene.run(0.15)
    assert scene.said == []


def test_a_robot_that_no_word_can_stop_is_refused():
    """Efforts, as in the command node."""
    with pytest.raises(ConfigError, match='efforts'):
        Scene(robot(interface='joint_effort'))
