"""Messages to types and back; nobody else touches message fields.

What arrives is checked here, so the rest of the code can trust its types: sizes, names,
finite numbers, known encodings. What does not fit raises a `LewmError` that says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
import hashlib
import math

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lewm_model import images
from lewm_model.errors import ImageError, PlanningError, ShapeError
from lewm_model.robot import COMPRESSED_IMAGE
from lewm_model.types import ActionChunk, Observation
from lewm_ros import msg as interfaces
from lewm_ros.wire.reports import ControllerReport, ExecutedStep, GoalSource, PlanReport, PlanState
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Header

_NS = 1_000_000_000
MAX_ROWS = 10_000  # 500 s at 20 Hz; more is a broken message, not a plan


# Time ---------------------------------------------------------------------------------------

def stamp_to_ns(stamp: Time) -> int:
    """Return integer nanoseconds of a message stamp."""
    return stamp.sec * _NS + stamp.nanosec


def ns_to_stamp(stamp_ns: int) -> Time:
    """Return a message stamp of integer nanoseconds; messages cannot carry negative time."""
    if stamp_ns < 0:
        raise ShapeError(f'stamp must not be negative, got {stamp_ns} ns')
    return Time(sec=stamp_ns // _NS, nanosec=stamp_ns % _NS)


def header(stamp_ns: int, frame_id: str = '') -> Header:
    """Build a message header."""
    return Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id)


def header_stamp_ns(message) -> int:
    """Return the header stamp of any stamped message."""
    return stamp_to_ns(message.header.stamp)


# Images -------------------------------------------------------------------------------------

def image_message_type(topic: str, image_type: str = '') -> type[Image] | type[CompressedImage]:
    """Return the class of a camera's messages.

    Args:
        topic: Camera topic; without a type its suffix decides, as image_transport names topics.
        image_type: Of the robot description; '' if it names none.
    """
    compressed = image_type == COMPRESSED_IMAGE if image_type else topic.endswith('/compressed')
    return CompressedImage if compressed else Image


def image_to_rgb(message: Image | CompressedImage, size: int | None = None,
                 assume_encoding: str = '') -> np.ndarray:
    """Decode a raw or compressed image message to RGB, uint8 (H, W, 3).

    The decoder is the one that turns bags into training data, also where cv_bridge is installed:
    a model must see the live camera as it saw the recorded one. A test compares both.

    Args:
        message: From the camera.
        size: Height and width that the model was trained on [px]; None: as it was captured.
        assume_encoding: Of the robot description: the colours of a message that names none.

    Raises:
        ImageError: If the encoding is unknown or the data does not fit the header.
    """
    if isinstance(message, CompressedImage):
        return images.square_from_compressed(message.data, message.format, size=size)
    return images.square_from_raw(message.encoding, message.height, message.width, message.step,
                                  bool(message.is_bigendian), memoryview(message.data), size=size,
                                  assume_encoding=assume_encoding)


def rgb_to_image(rgb: np.ndarray, stamp_ns: int, frame_id: str = '') -> Image:
    """Build an rgb8 image message from uint8 (H, W, 3)."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ImageError(f'an RGB picture is uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}')
    message = Image(header=header(stamp_ns, frame_id), height=rgb.shape[0], width=rgb.shape[1],
                    encoding='rgb8', is_bigendian=0, step=rgb.shape[1] * 3)
    # the setter copies bytes element by element unless it is given an array.array
    message.data.frombytes(np.ascontiguousarray(rgb).tobytes())
    return message


def image_to_observation(message: Image | CompressedImage, proprio: np.ndarray | None = None, *,
                         size: int | None = None, assume_encoding: str = '') -> Observation:
    """Return the observation of one camera message; the stamp is the capture time.

    `size` and `assume_encoding` are those of `image_to_rgb`.
    """
    return Observation(stamp_ns=header_stamp_ns(message),
                       rgb=image_to_rgb(message, size, assume_encoding), proprio=proprio)


def camera_info_to_msg(stamp_ns: int, frame_id: str, *, height: int, width: int,
                       fovy_rad: float) -> CameraInfo:
    """Build the description of an ideal pinhole camera with square pixels."""
    focal = 0.5 * height / math.tan(0.5 * fovy_rad)  # [px]
    cx, cy = 0.5 * width, 0.5 * height
    return CameraInfo(
        header=header(stamp_ns, frame_id), height=height, width=width,
        distortion_model='plumb_bob', d=[0.0] * 5,
        k=[focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0])


# Joints -------------------------------------------------------------------------------------

def joints_to_msg(stamp_ns: int, names: Sequence[str], positions: np.ndarray,
                  velocities: np.ndarray) -> JointState:
    """Build a joint state message, [rad] and [rad/s]."""
    return JointState(header=header(stamp_ns), name=list(names),
                      position=np.asarray(positions, float).tolist(),
                      velocity=np.asarray(velocities, float).tolist())


def msg_to_positions(message: JointState, names: Sequence[str]) -> np.ndarray:
    """Return joint positions in the order of `names`, float32 (P,).

    Raises:
        ShapeError: If a joint is missing or has no position.
    """
    known = dict(zip(message.name, message.position, strict=False))  # too few: missing below
    missing = [name for name in names if name not in known]
    if missing:
        raise ShapeError(f'joint state lacks the position of {", ".join(missing)}; '
                         f'it has {", ".join(known) or "none"}')
    return np.array([known[name] for name in names], np.float32)


# Chunks -------------------------------------------------------------------------------------

def chunk_to_msg(chunk: ActionChunk, *, names: Sequence[str], interface: int,
                 committed_steps: int = 0, plan_time_s: float = 0.0, cost: float = 0.0,
                 model_id: str = '') -> interfaces.ActionChunk:
    """Build the message of a chunk; `interface` is a constant of ActionChunk.msg."""
    rows, columns = chunk.actions.shape
    if columns != len(names):
        raise ShapeError(f'chunk has {columns} actions per row, but {len(names)} names: '
                         f'{", ".join(names)}')
    return interfaces.ActionChunk(
        header=header(chunk.stamp_ns), epoch=chunk.epoch, seq=chunk.sequence,
        interface=interface, names=list(names), horizon=rows, action_dim=columns,
        dt=float(chunk.dt_s), actions=chunk.actions.astype(float).ravel().tolist(),
        committed_steps=committed_steps, obs_stamp=ns_to_stamp(chunk.observation_stamp_ns),
        plan_time_s=float(plan_time_s), cost=float(cost), model_id=model_id)


def msg_to_chunk(message: interfaces.ActionChunk, *, names: Sequence[str],
                 interface: int) -> ActionChunk:
    """Return the chunk of a message meant for the robot with these `names`, in this order.

    Raises:
        PlanningError: If sizes, names, interface or numbers do not fit this robot.
    """
    if list(message.names) != list(names):
        raise PlanningError(f'chunk {message.seq} is for [{", ".join(message.names)}], '
                            f'this robot has [{", ".join(names)}]; use a bundle made for it')
    if message.interface != interface:
        raise PlanningError(f'chunk {message.seq} has interface {message.interface}, '
                            f'this robot takes {interface}, see ActionChunk.msg')
    rows, columns = message.horizon, message.action_dim
    fits = columns == len(names) and 1 <= rows <= MAX_ROWS
    if not fits or len(message.actions) != rows * columns:
        raise PlanningError(f'chunk {message.seq} says {rows} rows of {columns} actions and '
                            f'carries {len(message.actions)} numbers; this robot has '
                            f'{len(names)} actions, and rows must be in [1, {MAX_ROWS}]')
    if not (np.isfinite(message.dt) and message.dt > 0):
        raise PlanningError(f'chunk {message.seq} has dt {message.dt}; it must be positive')
    with np.errstate(over='ignore'):  # what float32 cannot hold becomes inf and is refused
        actions = np.asarray(message.actions, np.float64).astype(np.float32)
    actions = actions.reshape(rows, columns)
    if not np.isfinite(actions).all():
        raise PlanningError(f'chunk {message.seq} has non-finite actions in row '
                            f'{int(np.argwhere(~np.isfinite(actions))[0, 0])}')
    return ActionChunk(stamp_ns=header_stamp_ns(message), dt_s=message.dt,
                       actions=actions, epoch=message.epoch,
                       sequence=message.seq,
                       observation_stamp_ns=stamp_to_ns(message.obs_stamp))


# Reports ------------------------------------------------------------------------------------

def executed_to_msg(step: ExecutedStep, *, names: Sequence[str],
                    interface: int) -> interfaces.ExecutedCommand:
    """Build the message of one executed command."""
    return interfaces.ExecutedCommand(
        header=header(step.stamp_ns), epoch=step.epoch, chunk_seq=step.sequence, step=step.step,
        interface=interface, names=list(names),
        requested=np.asarray(step.requested, float).tolist(),
        executed=np.asarray(step.executed, float).tolist(), clipped=step.clipped,
        slewed=step.slewed, overridden=step.overridden, state=int(step.state),
        chunk_age_s=float(step.chunk_age_s))


def msg_to_executed(message: interfaces.ExecutedCommand, names: Sequence[str],
                    interface: int | None = None) -> tuple[int, np.ndarray]:
    """Return (stamp_ns, action float32 (A,)) of an executed command.

    Raises:
        ShapeError: If it is for other joints, of another interface (a constant of
            ActionChunk.msg; None: any), or not finite.
    """
    if interface is not None and message.interface != interface:
        raise ShapeError(f'executed command has interface {message.interface}, this robot takes '
                         f'{interface}, see ActionChunk.msg')
    action = np.asarray(message.executed, np.float32)
    if list(message.names) != list(names) or action.shape != (len(names),):
        raise ShapeError(f'executed command has {action.size} values for '
                         f'[{", ".join(message.names)}], expected [{", ".join(names)}]')
    if not np.isfinite(action).all():
        raise ShapeError(f'executed command is not finite: {action.tolist()}')
    return header_stamp_ns(message), action


# fields that messages carry under the same name; the rest is converted by hand
_PLAN_FIELDS = [f.name for f in fields(PlanReport) if f.name not in ('stamp_ns', 'state')]
_CONTROLLER_FIELDS = [f.name for f in fields(ControllerReport)
                      if f.name not in ('stamp_ns', 'state', 'sequence')]


def plan_report_to_msg(report: PlanReport) -> interfaces.PlanStatus:
    """Build the planner's status message."""
    return interfaces.PlanStatus(
        header=header(report.stamp_ns), state=int(report.state),
        **{name: getattr(report, name) for name in _PLAN_FIELDS})


def msg_to_plan_report(message: interfaces.PlanStatus) -> PlanReport:
    """Return the planner's report of its status message."""
    return PlanReport(stamp_ns=header_stamp_ns(message), state=PlanState(message.state),
                      **{name: getattr(message, name) for name in _PLAN_FIELDS})


def controller_report_to_msg(report: ControllerReport) -> interfaces.ControllerState:
    """Build the command side's status message."""
    return interfaces.ControllerState(
        header=header(report.stamp_ns), state=int(report.state), chunk_seq=report.sequence,
        **{name: getattr(report, name) for name in _CONTROLLER_FIELDS})


def diagnostics_to_msg(stamp_ns: int, name: str, *, level: bytes, summary: str,
                       values: dict[str, object], hardware_id: str = '') -> DiagnosticArray:
    """Build a /diagnostics message with one status; `level` is of DiagnosticStatus."""
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticArray(header=header(stamp_ns), status=[DiagnosticStatus(
        level=level, name=name, message=summary, hardware_id=hardware_id, values=pairs)])


# Goals --------------------------------------------------------------------------------------

def picture_hash(rgb: np.ndarray) -> bytes:
    """Return the 32 bytes of SHA-256 over the decoded RGB pixels."""
    return hashlib.sha256(np.ascontiguousarray(rgb).tobytes()).digest()


def goal_to_msg(rgb: np.ndarray, *, stamp_ns: int, goal_id: str = '', task: str = '',
                source: GoalSource = GoalSource.FILE) -> interfaces.GoalImage:
    """Build the goal message; an empty `goal_id` becomes the head of the picture's hash."""
    digest = picture_hash(rgb)
    return interfaces.GoalImage(
        header=header(stamp_ns), goal_id=goal_id or digest.hex()[:12], source=int(source),
        image=rgb_to_image(rgb, stamp_ns), sha256=np.frombuffer(digest, np.uint8), task=task)


def msg_to_goal(message: interfaces.GoalImage,
                size: int | None = None) -> tuple[np.ndarray, str, GoalSource]:
    """Return (rgb uint8 (H, W, 3), goal_id, source) of a goal message.

    `size` is that of `image_to_rgb`; the hash is of the picture before it is resized.

    Raises:
        ImageError: If the picture cannot be decoded or is not the one that was hashed.
    """
    rgb = image_to_rgb(message.image)
    if picture_hash(rgb) != bytes(message.sha256):
        raise ImageError(f'goal {message.goal_id!r}: the pixels do not match their SHA-256; '
                         f'publish the goal again')
    square = rgb if size is None else images.resize_square(rgb, size)
    return square, message.goal_id, GoalSource(message.source)
