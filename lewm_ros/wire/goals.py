"""The goal message: a picture, a target for probed quantities, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import hashlib
from typing import Any

from lewm_model.errors import ImageError
from lewm_model.images import decode
from lewm_ros import msg as interfaces
from lewm_ros.wire import checks
from lewm_ros.wire.pictures import image_to_rgb, rgb_to_image
from lewm_ros.wire.reports import GoalKind, GoalRequest, GoalSource
from lewm_ros.wire.stamps import header, header_stamp_ns
import numpy as np

MAX_TOLERANCE = 1e6


def picture_hash(rgb: np.ndarray) -> bytes:
    """Return the 32 bytes of SHA-256 over the decoded RGB pixels."""
    return hashlib.sha256(np.ascontiguousarray(rgb).tobytes()).digest()


def picture_goal_to_msg(rgb: np.ndarray, *, stamp_ns: int, goal_id: str = '', task: str = '',
                        source: GoalSource = GoalSource.FILE, tolerance: float = 0.0,
                        names: Sequence[str] = (), weights: Sequence[float] = (),
                        tolerances: Sequence[float] = ()) -> interfaces.Goal:
    """Build the message of a picture; an empty `goal_id` becomes the head of its hash.

    Only the quantities `names` of what it shows count; without names all of it does.

    Raises:
        MessageError: If a text or a number cannot be.
    """
    checks.text(goal_id, 'goal_id')
    checks.text(task, 'task')
    checks.within(tolerance, 0.0, MAX_TOLERANCE, 'tolerance')
    digest = picture_hash(rgb)
    message = interfaces.Goal(
        header=header(stamp_ns), kind=int(GoalKind.PICTURE), source=int(source), task=task,
        goal_id=goal_id or digest.hex()[:12], tolerance=float(tolerance),
        image=rgb_to_image(rgb, stamp_ns), sha256=np.frombuffer(digest, np.uint8),
        names=list(names), weights=[float(one) for one in weights],
        tolerances=[float(one) for one in tolerances])
    _counted(message)
    return message


def probe_goal_to_msg(names: Sequence[str], values: Sequence[float], *, stamp_ns: int,
                      goal_id: str, weights: Sequence[float] = (),
                      tolerances: Sequence[float] = (), tolerance: float = 0.0, task: str = '',
                      source: GoalSource = GoalSource.QUANTITIES) -> interfaces.Goal:
    """Build the message of a goal without a picture: quantities and what they are to be.

    Raises:
        MessageError: If a field cannot be.
    """
    message = interfaces.Goal(
        header=header(stamp_ns), kind=int(GoalKind.PROBE), source=int(source), goal_id=goal_id,
        task=task, tolerance=float(tolerance), names=list(names),
        values=[float(value) for value in values], weights=[float(one) for one in weights],
        tolerances=[float(one) for one in tolerances])
    msg_to_goal(message)
    return message


def no_goal_to_msg(stamp_ns: int) -> interfaces.Goal:
    """Build the message that clears the goal: the robot stops."""
    return interfaces.Goal(header=header(stamp_ns), kind=int(GoalKind.NONE))


def msg_to_goal(message: interfaces.Goal, size: int | None = None) -> GoalRequest:
    """Return what a goal message asks for.

    Args:
        message: Anybody's.
        size: Height and width that the model was trained on [px]; None: as it was sent. The
            hash is of the picture before it is resized.

    Raises:
        MessageError: If a field cannot be.
        ImageError: If the picture cannot be decoded or is not the one that was hashed.
    """
    facts = msg_to_goal_facts(message)
    if facts.kind is GoalKind.NONE:
        return facts
    if facts.kind is GoalKind.PICTURE:
        rgb = image_to_rgb(message.image)
        if picture_hash(rgb) != bytes(message.sha256):
            raise ImageError(f'goal {message.goal_id!r}: the pixels do not match their SHA-256; '
                             f'publish the goal again')
        return replace(facts, rgb=rgb if size is None else decode.resize_square(rgb, size))
    if not message.names:
        raise checks.MessageError('names must have at least one quantity for a PROBE goal')
    return replace(facts, values=checks.finite(message.values, (len(message.names),), 'values'))


def msg_to_goal_facts(message: interfaces.Goal) -> GoalRequest:
    """Return what a goal message says about itself, without its picture or values.

    Raises:
        MessageError: If a field cannot be.
    """
    kind = checks.enum(GoalKind, message.kind, 'kind')
    if kind is GoalKind.NONE:
        return GoalRequest(kind, stamp_ns=header_stamp_ns(message))
    return GoalRequest(
        kind, stamp_ns=header_stamp_ns(message), task=checks.text(message.task, 'task'),
        goal_id=checks.text(message.goal_id, 'goal_id'),
        source=checks.enum(GoalSource, message.source, 'source'),
        tolerance=checks.within(message.tolerance, 0.0, MAX_TOLERANCE, 'tolerance'),
        **_counted(message))


def _counted(message: interfaces.Goal) -> dict[str, Any]:
    """Read which quantities count, how much, and how near is near enough."""
    names = checks.names(message.names, 'names')
    if not names:
        return {}
    size = (len(names),)
    weights = checks.finite(message.weights or np.ones(size), size, 'weights')
    if (weights < 0).any() or not weights.any():
        raise checks.MessageError(f'weights must not be negative, and not all 0, got '
                                  f'{weights.tolist()}')
    if not message.tolerances:
        return {'names': tuple(names), 'weights': weights}
    tolerances = checks.finite(message.tolerances, size, 'tolerances')
    if (tolerances <= 0).any():
        raise checks.MessageError(f'tolerances must be above 0, got {tolerances.tolist()}')
    return {'names': tuple(names), 'weights': weights, 'tolerances': tolerances}
