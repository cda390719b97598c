"""A control loop on two fake clocks that can be torn apart, and a record of all it sent."""

from __future__ import annotations

from lewm_model.robots.robot import RobotDescription
from lewm_model.types import ActionChunk
from lewm_ros.command.control_loop import ControlLoop
from lewm_ros.command.parameters import CommandParameters
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.reports import CommandState, ExecutedStep, PlanReport, PlanState
import numpy as np

MS = 1_000_000
DT_MS = 50
ROBOT = RobotDescription.from_yaml('sim_reacher')  # +-2 rad/s, 40 rad/s^2: 2 rad/s per step
SETTINGS = CommandParameters(require_enable=False)
PEOPLE = CommandParameters()                       # somebody enables it


class Bench:
    """A loop under test.

    Attributes:
        now_ms: Node clock.
        steady_ms: Steady clock.
        sent: All commands, (steady ms, step).
        joints: Called before every tick for the measured positions (A,); None: not measured.
    """

    def __init__(self, settings: CommandParameters = SETTINGS,
                 robot: RobotDescription = ROBOT) -> None:
        self.loop = ControlLoop(robot, settings)
        self.now_ms = 10_000
        self.steady_ms = 777_000
        self.sent: list[tuple[int, ExecutedStep]] = []
        self.sequence = 0
        self.epoch, self.session = 1, 77
        self.joints = None

    def plan(self, value=1.0, *, rows=25, age_ms=0, **changes) -> str:
        """Offer a plan of one value for all rows; return why it was refused."""
        self.sequence += 1
        stamp = (self.now_ms - age_ms) * MS
        values = {'stamp_ns': stamp, 'dt_s': 0.05,
                  'actions': np.full((rows, 2), value) if np.ndim(value) < 2 else value,
                  'epoch': self.epoch, 'sequence': self.sequence, 'observation_stamp_ns': stamp,
                  'session': self.session}
        return self.loop.receive_chunk(ActionChunk(**{**values, **changes}), self.now_ms * MS,
                                       self.steady_ms / 1e3)

    def beat(self, *, age_ms=0, **changes) -> None:
        """Let the planner give a sign of life."""
        stamp = (self.now_ms - age_ms) * MS
        self.loop.heartbeat(PlanReport(**{
            'stamp_ns': stamp, 'frame_stamp_ns': stamp, 'session': self.session,
            'epoch': self.epoch, 'state': PlanState.PLANNING, **changes}), self.steady_ms / 1e3)

    def run(self, ms, *, beats=True, camera=True, node_clock=True) -> list[ExecutedStep]:
        """Tick every 10 ms; heartbeats every 50 ms, with a live or a frozen camera."""
        begin = len(self.sent)
        frame_ms = self.now_ms
        for at in range(0, ms, 10):
            if beats and at % DT_MS == 0:
                self.beat(age_ms=0 if camera else self.now_ms - frame_ms)
            if self.joints is not None:
                self.loop.measure(np.array(self.joints(), float), self.steady_ms / 1e3)
            step = self.loop.tick(self.now_ms * MS, self.steady_ms / 1e3)
            if step is not None:
                self.sent.append((self.steady_ms, step))
            self.steady_ms += 10
            self.now_ms += 10 * node_clock
        return [step for _, step in self.sent[begin:]]

    def moving(self, value=1.0, **options) -> Bench:
        """Run half a second of a plan."""
        self.beat()
        self.plan(value, **options)
        self.run(500)
        assert self.loop.state is CommandState.TRACKING
        return self

    def reason(self) -> str:
        """Return what the report says."""
        return self.loop.report(self.now_ms * MS, self.steady_ms / 1e3).reason.text

    def last_motion_ms(self) -> int:
        """Return when the last command that was not zero was sent, steady clock."""
        return max(at for at, step in self.sent if step.executed.any())


def values(steps: list[ExecutedStep]) -> list[float]:
    """Return the first joint's commands."""
    return [step.executed[0] for step in steps]


def enabled(bench: Bench) -> Bench:
    """Enable it and let it follow a plan."""
    assert bench.loop.enable(bench.now_ms * MS) == ''
    bench.now_ms += 10
    return bench.moving(1.0)


def code(bench: Bench) -> Code:
    """Return the code of what the report says."""
    return bench.loop.report(bench.now_ms * MS, bench.steady_ms / 1e3).reason.code
