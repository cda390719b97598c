"""Drive a running system from Python: say where to go, watch, stop; no ROS to write.

    from lewm_ros import Commander

    with Commander() as robot:
        robot.enable()
        robot.reach('goal.png', timeout_s=20)
        while not robot.done():
            print(robot.feedback())
        print(robot.result())

The goal node carries it out (`action/ReachGoal`), so `ros2 action send_goal` does the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import inspect
import json
import time
from typing import Any

from lewm_ros.action import ReachGoal
from lewm_ros.commander import specs
from lewm_ros.commander.calibration import CalibrationReader, PLANNER
from lewm_ros.commander.link import CommanderError, Link
from lewm_ros.commander.under_way import UnderWay
from lewm_ros.srv import CaptureGoal, ListGoals, SetGoal, StartEpisode, StopEpisode
from lewm_ros.wire import giving
from lewm_ros.wire.reach_msgs import order_to_msg
from lewm_ros.wire.reaching import ReachOrder, ReachProgress, ReachResult
import numpy as np
from rclpy.action import ActionClient
from std_srvs.srv import SetBool, Trigger

_BAG_S = 60.0       # until a recording is complete on disk
_LOOK_S = 0.1


class Commander:
    """A running system, as one object; use it in a `with` block.

    Leaving the block while the robot is on its way cancels that, which stops the robot.

    Args:
        namespace: Of the system.
        name: Of this program's node; '': made from its process number.
        domain_id: ROS domain; None: as ROS_DOMAIN_ID says.
        timeout_s: How long to wait for a node that is not there, or does not answer [s].
    """

    def __init__(self, namespace: str = '', *, name: str = '', domain_id: int | None = None,
                 timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._under_way: UnderWay | None = None
        self._link = link = Link(namespace, name, domain_id)
        client = link.node.create_client
        self._enable = client(SetBool, 'command_node/enable')
        self._stop = client(Trigger, 'command_node/stop')
        self._clear = client(Trigger, 'goal_node/clear_goal')
        self._capture = client(CaptureGoal, 'goal_node/capture_goal')
        self._add = client(SetGoal, 'goal_node/add_goal')
        self._list = client(ListGoals, 'goal_node/list_goals')
        self._start_episode = client(StartEpisode, 'recorder_node/start_episode')
        self._stop_episode = client(StopEpisode, 'recorder_node/stop_episode')
        self._calibrate = client(Trigger, f'{PLANNER}/calibrate_surprise')
        self._calibration: CalibrationReader | None = None     # made when it is needed
        self._reach = ActionClient(link.node, ReachGoal, 'goal_node/reach_goal')
        link.start()

    def __enter__(self) -> Commander:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.shut_down()

    def shut_down(self) -> None:
        """Cancel what is under way, and leave ROS."""
        try:
            if self._under_way is not None and not self.done(0.0):
                self.cancel()
        finally:
            self._link.shut_down()

    # Going somewhere ---------------------------------------------------------------------------

    def reach(self, goal: Any = None, *, file: str = '', entry: str = '',
              pixel: Sequence[float] | None = None, pose: Sequence[float] | None = None,
              frame: str = '', capture: bool = False, only: Sequence[str] = (),
              weights: Sequence[float] | Mapping[str, float] = (),
              tolerances: Sequence[float] | Mapping[str, float] = (), tolerance: float = 0.0,
              goal_id: str = '', task: str = '', dwell_s: float = 0.0, timeout_s: float = 0.0,
              no_progress_s: float = 0.0, dry_run: bool = False, **quantities: float) -> None:
        """Begin to go to a goal, or to several one after the other; what was before ends.

        Returns when the goal node has taken it, not when the robot is there; a goal that cannot
        be used is a result (GOAL_REFUSED).

        Args:
            goal: A picture (uint8, H x W x 3), a picture file of this machine, quantities as
                `{name: value}`, a PoseStamped, a GoalSpec, or a list of these.
            file: A picture file below the goal node's goal_root.
            entry: Name of an entry of the goal node's goal bank.
            pixel: A point (u, v) of the camera's picture, shares of its width and height.
            pose: (x, y) or (x, y, yaw), [m] and [rad], in `frame`; without yaw any direction.
            frame: Of the pose.
            capture: What the camera sees next.
            only: With a picture: only these quantities of what it shows count.
            weights: Of what counts, one each, in order or by name.
            tolerances: The same, each in its unit: reached when every error is below its own.
            tolerance: See `msg/Goal.msg`; 0: as the planner's parameter.
            goal_id: Of a single goal; '': made from it.
            task: For people and recordings.
            dwell_s: Each goal must stay met this long; 0: as the planner's parameter [s].
            timeout_s: For all of it; 0: none [s].
            no_progress_s: Aborted after so much motion without getting closer; 0: as the goal
                node's parameter [s].
            dry_run: Plan to the first goal and tell its cost; nothing moves.
            **quantities: A goal without a picture: values by name, such as `shoulder=0.5`.

        Raises:
            CommanderError: The goal node is not there, or does not answer.
            LewmError: What was given cannot be a goal; says what can.
        """
        specs.refuse_options(quantities, _OPTIONS)
        goals = specs.count(
            specs.specs_of(goal, file=file, entry=entry, pixel=pixel, pose=pose, frame=frame,
                           capture=capture, numbers=quantities),
            only=only, weights=weights, tolerances=tolerances, tolerance=tolerance,
            goal_id=goal_id, task=task)
        order = ReachOrder(dwell_s, timeout_s, no_progress_s, dry_run)
        self._under_way = UnderWay.begin(self._link, self._reach, order_to_msg(order, goals),
                                         self._timeout_s)

    def add(self, goal: Any = None, **way: Any) -> str:
        """Go to one more goal after the others, without a stop; return its id.

        Args:
            goal: As of `reach`.
            **way: Or `file`, `entry`, `pixel`, `pose`, `capture`, as of `reach`.

        Raises:
            CommanderError: Nothing is under way, or the goal cannot be used.
        """
        several = specs.specs_of(goal, **way)
        if len(several) != 1:
            raise CommanderError(f'add takes one goal, got {len(several)}')
        return self._call(self._add, giving.add_request(giving.check(several[0]))).goal_id

    def done(self, wait_s: float = _LOOK_S) -> bool:
        """Tell whether nothing is under way any more; wait for that a moment, so loops rest."""
        return self._under_way is None or self._under_way.is_over(wait_s)

    def feedback(self) -> ReachProgress | None:
        """Return how it goes; None: nothing was begun."""
        return self._under_way.progress if self._under_way else None

    def result(self, timeout_s: float | None = None) -> ReachResult:
        """Wait for the end and return how it ended; true if every goal was reached.

        Args:
            timeout_s: How long to wait; None: as long as it takes [s].

        Raises:
            CommanderError: It has not ended in time, or nothing was begun.
        """
        if self._under_way is None:
            raise CommanderError('nothing was begun; call reach first')
        end_s = time.monotonic() + (float('inf') if timeout_s is None else timeout_s)
        while not self.done(min(_LOOK_S, max(end_s - time.monotonic(), 0.0))):
            if time.monotonic() >= end_s:
                raise CommanderError(f'the robot is still on its way after {timeout_s:g} s; wait '
                                     f'longer, or cancel')
        return self._under_way.result()

    def cancel(self) -> ReachResult:
        """Stop the robot, wait until it stands, and return how it ended."""
        if self._under_way is None:
            raise CommanderError('nothing was begun, so there is nothing to cancel; stop() stops '
                                 'the robot whoever moves it')
        self._under_way.cancel(self._timeout_s)
        return self._under_way.result()

    # The robot ---------------------------------------------------------------------------------

    def enable(self) -> None:
        """Allow motion; raises CommanderError with what is in the way."""
        self._call(self._enable, giving.switch_request(True), again=True)

    def disable(self) -> None:
        """Stop, and allow no motion until `enable`."""
        self._call(self._enable, giving.switch_request(False), again=True)

    def stop(self) -> None:
        """Stop the robot now, whoever moves it; `enable` is needed before it moves again."""
        self._call(self._stop, giving.trigger_request(), again=True)

    def calibrate(self, timeout_s: float | None = None) -> str:
        """Let the planner measure which surprise is ordinary on this robot; wait for the end.

        The robot has to drive as usual all the time, such as by a long `reach` begun before.

        Args:
            timeout_s: How long to wait; None: as long as the planner speaks [s].

        Returns:
            What came of it, in the planner's words: limit and file, or why nothing was learnt. A
            new limit counts when the planner is configured again.

        Raises:
            CommanderError: It does not watch, such as without `surprise_file`; or nothing is
                heard of the end.
        """
        if self._calibration is None:
            self._calibration = CalibrationReader(self._link.node)
        answer = self._call(self._calibrate, giving.trigger_request())
        return self._calibration.outcome(answer.message, timeout_s)

    # Goals and recordings ----------------------------------------------------------------------

    def capture(self, goal_id: str = '', *, tolerance: float = 0.0, task: str = ''
                ) -> tuple[str, np.ndarray]:
        """Make what the camera sees next the goal, so the robot stays; return id and picture.

        Keep the picture to come back to it later: `reach(picture)`.
        """
        answer = self._call(self._capture, giving.capture_request(
            goal_id, tolerance, task, self._timeout_s / 2))
        return giving.captured(answer)

    def entries(self) -> dict[str, str]:
        """Return the entries of the goal bank, `reach(entry=name)`, and what each shows."""
        return giving.listed(self._call(self._list, giving.list_request(), again=True))

    def clear(self) -> None:
        """Take the goal away: the robot stops, and stays enabled."""
        self._call(self._clear, giving.trigger_request(), again=True)

    def record(self, task: str = '', *, goal_id: str = '',
               metadata: Mapping[str, Any] | None = None) -> str:
        """Begin to record an episode; return the folder of its bag."""
        said = json.dumps(dict(metadata)) if metadata else ''
        return self._call(self._start_episode, giving.start_request(task, goal_id, said)).bag_uri

    def stop_recording(self, *, success: bool = True, discard: bool = False, note: str = ''
                       ) -> str:
        """End the recording; return the folder of its bag, which is complete on disk then."""
        return self._call(self._stop_episode, giving.stop_request(
            success=success, discard=discard, note=note), timeout_s=_BAG_S).bag_uri

    def _call(self, client: Any, request: Any, *, again: bool = False,
              timeout_s: float | None = None) -> Any:
        return self._link.call(client, request, timeout_s or self._timeout_s, again=again)


_OPTIONS = [name for name, item in inspect.signature(Commander.reach).parameters.items()
            if item.kind is inspect.Parameter.KEYWORD_ONLY]
