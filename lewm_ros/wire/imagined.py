"""The message of what the planner imagines."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.types import Imagined
from lewm_ros import msg as interfaces
from lewm_ros.wire import checks
from lewm_ros.wire.stamps import header, header_stamp_ns
import numpy as np

_MOST = {'latent_dim': 65536, 'blocks': 1000, 'candidates': 1000}


@dataclass(frozen=True, eq=False)
class Shown:
    """What one message says; see `Imagined`."""

    imagined: Imagined
    session: int
    epoch: int
    model_id: str
    block_s: float       # from one latent of the plan to the next [s]


def imagined_to_msg(imagined: Imagined, *, session: int, epoch: int, model_id: str,
                    block_s: float) -> interfaces.Imagined:
    """Build the message."""
    message = interfaces.Imagined(
        header=header(imagined.stamp_ns), session=session, epoch=epoch, seq=imagined.sequence,
        model_id=model_id, goal_id=imagined.goal_id, block_s=float(block_s),
        latent_dim=len(imagined.seen))
    for name in ('seen', 'goal', 'plan', 'costs', 'fan'):
        # the setter copies number by number unless it is given an array.array
        getattr(message, name).frombytes(
            np.ascontiguousarray(getattr(imagined, name), np.float32).tobytes())
    return message


def msg_to_imagined(message: interfaces.Imagined) -> Shown:
    """Return what a message says.

    Raises:
        MessageError: If sizes contradict each other, or a number cannot be.
    """
    dim = message.latent_dim
    checks.within(dim, 1, _MOST['latent_dim'], 'latent_dim')
    checks.within(message.block_s, 1e-3, 3600.0, 'block_s')
    steps, count = len(message.plan) // dim, len(message.costs)
    checks.within(steps, 1, _MOST['blocks'], 'number of rows of plan')
    checks.within(count, 0, _MOST['candidates'], 'number of costs')

    def read(name: str, *shape: int) -> np.ndarray:
        return checks.finite(getattr(message, name), shape, name, np.float32)

    imagined = Imagined(
        stamp_ns=header_stamp_ns(message), sequence=message.seq,
        goal_id=checks.text(message.goal_id, 'goal_id'), seen=read('seen', dim),
        goal=read('goal', dim if len(message.goal) else 0), plan=read('plan', steps, dim),
        costs=read('costs', count), fan=read('fan', count, steps, dim))
    return Shown(imagined, session=message.session, epoch=message.epoch,
                 model_id=checks.text(message.model_id, 'model_id'), block_s=message.block_s)
