"""Where a robot was measured last, and whether that can be believed. Pure, with injected time.

Joint states come from a topic that anybody may publish on. Two sources of the same joints that
disagree make values that jump faster than the joints can move; from then on nothing is believed
until the values have been calm for a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from lewm_model.robots.robot import RobotDescription
from lewm_ros.wire.reasons import Code, Reason
import numpy as np

CALM_S = 1.0         # without a jump, until positions are believed again [s]
_FASTER = 2.0        # than it is ever told to: a joint may be pushed, or overshoot
_JITTER_S = 0.1      # of arrivals [s]
_SPEED_STEPS = 2     # control steps over which speed is measured, but at least ...
_SPEED_S = 0.1       # ... so long [s]: arrivals jitter


def usual_max_age_s(control_dt_s: float) -> float:
    """Return for how long measured positions count when nobody says it [s]."""
    return max(0.2, 2 * control_dt_s)


class MeasuredPositions:
    """The newest positions of the joints of one robot.

    Args:
        robot: Its joints, and how fast they are told to move.
        max_age_s: Older positions do not count [s].
        watched: bool (A,), joints whose jumps count; None: all. A joint without limits may be
            reported modulo a turn.

    Attributes:
        max_age_s: As given; may be changed.
    """

    def __init__(self, robot: RobotDescription, max_age_s: float,
                 watched: np.ndarray | None = None) -> None:
        self.max_age_s = max_age_s
        self._robot = robot
        self._watched = np.ones(robot.action_dim, bool) if watched is None else watched
        self._fastest = (np.maximum(robot.max_rate, robot.stop_rate)
                         if robot.interface == 'joint_position'
                         else np.maximum(np.abs(robot.min_command), np.abs(robot.max_command)))
        self._what = f'positions of {", ".join(robot.joint_names)} on {robot.joint_state_topic}'
        self._speed_s = max(_SPEED_S, _SPEED_STEPS * robot.control_dt_s)
        self._recent: deque[tuple[np.ndarray, float]] = deque()   # (positions, arrival)
        self._heard: dict[Hashable, float] = {}                # source -> newest arrival
        self._jump: tuple[str, float] | None = None            # (text, when)

    @property
    def positions(self) -> np.ndarray:
        """Newest positions (A,), [rad] or [m]; ask `problem` first."""
        return self._recent[-1][0]

    @property
    def speed(self) -> np.ndarray:
        """Mean speed (A,) of late, [rad/s] or [m/s]; 0 where it cannot be told."""
        (first, since_s), (newest, arrival_s) = self._recent[0], self._recent[-1]
        if arrival_s <= since_s:
            return np.zeros_like(newest)
        return (newest - first) / (arrival_s - since_s)

    def take(self, positions: np.ndarray, steady_s: float, source: Hashable = None) -> None:
        """Take measured positions (A,) that arrived at `steady_s`; not finite ones are ignored.

        Args:
            positions: [rad] or [m].
            steady_s: Steady clock [s].
            source: Who measured them, such as the identity of a publisher; a name as text.
        """
        if not np.isfinite(positions).all():
            return
        positions = np.array(positions, np.float64)
        self._heard.pop(source, None)   # an equal key may tell more by now
        self._heard[source] = steady_s
        if self._recent:
            before, arrival_s = self._recent[-1]
            most = _FASTER * self._fastest * (steady_s - arrival_s + _JITTER_S)
            moved = np.abs(positions - before)
            if (self._watched & (moved > most)).any():
                self._jump = (self._describe(moved, most, steady_s - arrival_s), steady_s)
        self._recent.append((positions, steady_s))
        while steady_s - self._recent[0][1] > self._speed_s:
            self._recent.popleft()

    def age_s(self, steady_s: float) -> float:
        """Return the age of the newest positions [s]; inf without any."""
        return steady_s - self._recent[-1][1] if self._recent else float('inf')

    def sources(self, steady_s: float) -> list[Hashable]:
        """Return who measured the joints within the last second."""
        return [source for source, heard_s in self._heard.items() if steady_s - heard_s <= CALM_S]

    def conflict(self, steady_s: float) -> Reason:
        """Say that the values jumped within the last second, or nothing."""
        if self._jump is None or steady_s - self._jump[1] > CALM_S:
            return Reason()
        sources = self.sources(steady_s)
        names = ', '.join(sorted(filter(None, (str(source or '') for source in sources))))
        return Reason(Code.JOINT_STATE_CONFLICT, (
            f'{self._jump[0]}; {len(sources)} source{"s" * (len(sources) != 1)} of these joints'
            f'{names and f" ({names})"}; let only the driver publish them'))

    def problem(self, steady_s: float) -> Reason:
        """Say why the newest positions do not count, or nothing."""
        if not self._recent:
            return Reason(Code.NO_JOINT_STATE, f'no {self._what} yet')
        age_s = self.age_s(steady_s)
        if not age_s <= self.max_age_s:
            return Reason(Code.NO_JOINT_STATE, f'the newest {self._what} came {age_s:.2f} s ago, '
                          f'allowed are {self.max_age_s} s')
        return self.conflict(steady_s)

    def _describe(self, moved: np.ndarray, most: np.ndarray, elapsed_s: float) -> str:
        worst = int(np.argmax(np.where(self._watched, moved - most, -np.inf)))
        return (f'the {self._what} disagree from message to message: '
                f'{self._robot.joint_names[worst]} moved {moved[worst]:.3f} in {elapsed_s:.3f} s, '
                f'possible are {most[worst]:.3f}')
