"""Joint states, action chunks and executed commands; nobody else touches their fields.

What arrives is checked here, so the rest of the code can trust its types. What does not fit
raises a `LewmError` that says why.
"""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.errors import PlanningError, ShapeError
from lewm_model.recordings.joints import named_values
from lewm_model.types import ActionChunk
from lewm_ros import msg as interfaces
from lewm_ros.wire import checks
from lewm_ros.wire.reports import ExecutedStep
from lewm_ros.wire.stamps import header, header_stamp_ns, ns_to_stamp, stamp_to_ns
import numpy as np
from sensor_msgs.msg import JointState

MAX_ROWS = 10_000  # 500 s at 20 Hz; more is a broken message, not a plan


def joints_to_msg(stamp_ns: int, names: Sequence[str], positions: np.ndarray,
                  velocities: np.ndarray) -> JointState:
    """Build a joint state message, [rad] and [rad/s]."""
    return JointState(header=header(stamp_ns), name=list(names),
                      position=np.asarray(positions, float).tolist(),
                      velocity=np.asarray(velocities, float).tolist())


def msg_to_positions(message: JointState, names: Sequence[str]) -> np.ndarray:
    """Return joint positions in the order of `names`, float32 (P,).

    Raises:
        ShapeError: If a joint is missing or has no position, or names and positions do not fit
            together.
    """
    known = named_values(message.name, message.position)
    missing = [name for name in names if name not in known]
    if missing:
        raise ShapeError(f'joint state lacks the position of {", ".join(missing)}; '
                         f'it has {", ".join(known) or "none"}')
    return checks.finite([known[name] for name in names], (len(names),), 'position', np.float32)


def chunk_to_msg(chunk: ActionChunk, *, names: Sequence[str], interface: int,
                 committed_steps: int = 0, plan_time_s: float = 0.0, cost: float = 0.0,
                 model_id: str = '') -> interfaces.ActionChunk:
    """Build the message of a chunk; `interface` is a constant of ActionChunk.msg."""
    rows, columns = chunk.actions.shape
    if columns != len(names):
        raise ShapeError(f'chunk has {columns} actions per row, but {len(names)} names: '
                         f'{", ".join(names)}')
    return interfaces.ActionChunk(
        header=header(chunk.stamp_ns), session=chunk.session, epoch=chunk.epoch,
        seq=chunk.sequence, interface=interface, names=list(names), horizon=rows,
        action_dim=columns, dt=float(chunk.dt_s),
        actions=chunk.actions.astype(float).ravel().tolist(),
        committed_steps=committed_steps, obs_stamp=ns_to_stamp(chunk.observation_stamp_ns),
        plan_time_s=float(plan_time_s), cost=float(cost), model_id=model_id)


def msg_to_chunk(message: interfaces.ActionChunk, *, names: Sequence[str],
                 interface: int) -> ActionChunk:
    """Return the chunk of a message meant for the robot with these `names`, in this order.

    Raises:
        PlanningError: If it is for another robot, has other sizes, or no session.
        MessageError: If a number or stamp cannot be.
    """
    name = f'chunk {message.seq}'
    if list(message.names) != list(names):
        raise PlanningError(f'{name} is for [{", ".join(message.names[:20])}], this robot has '
                            f'[{", ".join(names)}]; use a bundle made for it')
    if message.interface != interface:
        raise PlanningError(f'{name} has interface {message.interface}, this robot takes '
                            f'{interface}, see ActionChunk.msg')
    if message.session == 0:
        raise PlanningError(f'{name} has session 0; whoever makes chunks draws a random one')
    rows, columns = message.horizon, message.action_dim
    fits = columns == len(names) and 1 <= rows <= MAX_ROWS
    if not fits or len(message.actions) != rows * columns:
        raise PlanningError(f'{name} says {rows} rows of {columns} actions and carries '
                            f'{len(message.actions)} numbers; this robot has {len(names)} '
                            f'actions, and rows must be in [1, {MAX_ROWS}]')
    return ActionChunk(
        stamp_ns=header_stamp_ns(message), dt_s=checks.within(message.dt, 1e-6, 1e3, 'dt'),
        actions=checks.finite(message.actions, (rows, columns), f'{name}: actions', np.float32),
        epoch=message.epoch, sequence=message.seq,
        observation_stamp_ns=stamp_to_ns(message.obs_stamp), session=message.session)


def executed_to_msg(step: ExecutedStep, *, names: Sequence[str],
                    interface: int) -> interfaces.ExecutedCommand:
    """Build the message of one executed command."""
    return interfaces.ExecutedCommand(
        header=header(step.stamp_ns), session=step.session, epoch=step.epoch,
        chunk_seq=step.sequence, step=step.step, interface=interface, names=list(names),
        requested=np.asarray(step.requested, float).tolist(),
        executed=np.asarray(step.executed, float).tolist(), clipped=step.clipped,
        slewed=step.slewed, overridden=step.overridden, state=int(step.state),
        chunk_age_s=float(step.chunk_age_s), speed_scale=float(step.speed_scale))


def msg_to_executed(message: interfaces.ExecutedCommand, names: Sequence[str],
                    interface: int | None = None) -> tuple[int, np.ndarray]:
    """Return (stamp_ns, action float32 (A,)) of an executed command.

    Raises:
        ShapeError: If it is for other joints, or of another interface (a constant of
            ActionChunk.msg; None: any).
        MessageError: If its stamp or numbers cannot be.
    """
    if interface is not None and message.interface != interface:
        raise ShapeError(f'executed command has interface {message.interface}, this robot takes '
                         f'{interface}, see ActionChunk.msg')
    if list(message.names) != list(names):
        raise ShapeError(f'executed command is for [{", ".join(message.names[:20])}], expected '
                         f'[{", ".join(names)}]')
    action = checks.finite(message.executed, (len(names),), 'executed', np.float32)
    return header_stamp_ns(message), action
