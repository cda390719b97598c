"""Goals as people give them: plain values to `msg/GoalSpec`, and the requests around them."""

from __future__ import annotations

from collections.abc import Sequence
import math

from geometry_msgs.msg import PoseStamped
from lewm_ros.msg import GoalSpec
from lewm_ros.srv import CaptureGoal, ListGoals, SetGoal, StartEpisode, StopEpisode
from lewm_ros.wire.goal_specs import msg_to_wish
from lewm_ros.wire.pictures import image_to_rgb, rgb_to_image
from lewm_ros.wire.stamps import header
import numpy as np
from std_srvs.srv import SetBool, Trigger


def picture(rgb: np.ndarray) -> GoalSpec:
    """Ask for what the camera would see, uint8 (H, W, 3)."""
    return GoalSpec(source=GoalSpec.MESSAGE, image=rgb_to_image(rgb, 0))


def file(uri: str) -> GoalSpec:
    """Ask for a picture file below the goal node's goal_root, on the goal node's machine."""
    return GoalSpec(source=GoalSpec.FILE, uri=uri)


def entry(name: str) -> GoalSpec:
    """Ask for an entry of the goal node's goal bank."""
    return GoalSpec(source=GoalSpec.BANK, uri=name)


def capture() -> GoalSpec:
    """Ask for what the camera sees next."""
    return GoalSpec(source=GoalSpec.CAPTURE)


def pixel(u: float, v: float) -> GoalSpec:
    """Ask for a point of the camera's picture, in shares of its width and height, [0, 1]."""
    return GoalSpec(source=GoalSpec.PIXEL, u=float(u), v=float(v))


def pose(x: float, y: float, yaw_rad: float | None = None, *, z: float = 0.0, frame: str = ''
         ) -> GoalSpec:
    """Ask for a place [m] and a turn about the vertical; what they stand for is the robot's.

    Without a turn the quaternion is all 0, which a spec reads as any turn.
    """
    message = PoseStamped(header=header(0, frame))
    place, turn = message.pose.position, message.pose.orientation
    place.x, place.y, place.z = float(x), float(y), float(z)
    turn.z, turn.w = (0.0, 0.0) if yaw_rad is None else (
        math.sin(yaw_rad / 2), math.cos(yaw_rad / 2))
    return stamped(message)


def stamped(message: PoseStamped) -> GoalSpec:
    """Ask for a pose that is a message already."""
    return GoalSpec(source=GoalSpec.POSE, pose=message)


def quantities(names: Sequence[str], values: Sequence[float]) -> GoalSpec:
    """Ask for values of quantities, each in its unit: a goal without a picture."""
    return GoalSpec(source=GoalSpec.QUANTITIES, names=list(names), values=_floats(values))


def counted(spec: GoalSpec, *, names: Sequence[str] = (), weights: Sequence[float] = (),
            tolerances: Sequence[float] = (), tolerance: float = 0.0, goal_id: str = '',
            task: str = '') -> GoalSpec:
    """Say which quantities count, how much, and how near is near enough; the spec changes.

    Args:
        spec: Of any source.
        names: With a picture: only these of what it shows; (): as the spec has it.
        weights: One per name; (): all 1.
        tolerances: One per name, in its unit; (): `tolerance` alone.
        tolerance: See `msg/Goal.msg`; 0: as the planner's parameter.
        goal_id: '': derived from the goal.
        task: For people and recordings.

    Raises:
        MessageError: If a field cannot be.
    """
    if names:
        spec.names = list(names)
    spec.weights, spec.tolerances = _floats(weights), _floats(tolerances)
    spec.tolerance, spec.goal_id, spec.task = float(tolerance), goal_id, task
    return spec


def check(spec: GoalSpec) -> GoalSpec:
    """Return the spec if the goal node could read it; raises LewmError with what is wrong."""
    msg_to_wish(spec)
    return spec


def names_of(spec: GoalSpec) -> list[str]:
    """Return the quantities that a spec names."""
    return list(spec.names)


def add_request(spec: GoalSpec) -> SetGoal.Request:
    """Ask for one more goal."""
    return SetGoal.Request(spec=spec)


def capture_request(goal_id: str, tolerance: float, task: str, timeout_s: float
                    ) -> CaptureGoal.Request:
    """Ask that what the camera sees next becomes the goal."""
    return CaptureGoal.Request(goal_id=goal_id, tolerance=float(tolerance), task=task,
                               timeout_s=float(timeout_s))


def captured(answer: CaptureGoal.Response) -> tuple[str, np.ndarray]:
    """Return id and picture, uint8 (H, W, 3), of what was captured."""
    return answer.goal.goal_id, image_to_rgb(answer.goal.image)


def switch_request(on: bool) -> SetBool.Request:
    """Ask that motion is enabled, or disabled."""
    return SetBool.Request(data=on)


def start_request(task: str, goal_id: str, metadata_json: str) -> StartEpisode.Request:
    """Ask for a recording."""
    return StartEpisode.Request(task=task, goal_id=goal_id, metadata_json=metadata_json)


def stop_request(*, success: bool, discard: bool, note: str) -> StopEpisode.Request:
    """Ask that the recording ends."""
    outcome = StopEpisode.Request.SUCCESS if success else StopEpisode.Request.FAILURE
    return StopEpisode.Request(outcome=outcome, discard=discard, note=note)


def list_request() -> ListGoals.Request:
    """Ask what the goal bank offers."""
    return ListGoals.Request()


def listed(answer: ListGoals.Response) -> dict[str, str]:
    """Return what each entry shows, by name."""
    return dict(zip(answer.names, answer.texts, strict=False))


def trigger_request() -> Trigger.Request:
    """Ask for the one thing that the service does."""
    return Trigger.Request()


def _floats(values: Sequence[float]) -> list[float]:
    return [float(value) for value in values]
