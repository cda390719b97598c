"""Requests and answers of the planner's services `plan_once` and `encode_image`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lewm_model.types import ActionChunk
from lewm_ros.msg import LatentState
from lewm_ros.srv import EncodeImage, PlanOnce
from lewm_ros.wire import checks
from lewm_ros.wire.motion import chunk_to_msg
from lewm_ros.wire.stamps import header, header_stamp_ns
import numpy as np
from sensor_msgs.msg import Image


def picture_of(request: PlanOnce.Request | EncodeImage.Request) -> Image | None:
    """Return the picture of a request; None: it means the newest camera frame."""
    image = request.image
    return image if image.width or image.height or len(image.data) else None


def latent_to_msg(latent: np.ndarray, *, stamp_ns: int, model_id: str,
                  frame_id: str = '') -> LatentState:
    """Build the message of the latent (D,) of a picture."""
    message = LatentState(header=header(stamp_ns, frame_id), model_id=model_id)
    # the setter copies number by number unless it is given an array.array
    message.latent.frombytes(np.ascontiguousarray(latent, np.float32).tobytes())
    return message


def latent_of_picture_to_msg(latent: np.ndarray, image: Image, *, model_id: str) -> LatentState:
    """Build the message of the latent of a picture that was sent, with its stamp and frame.

    Raises:
        MessageError: If its stamp or the name of its frame cannot be.
    """
    return latent_to_msg(latent, stamp_ns=header_stamp_ns(image), model_id=model_id,
                         frame_id=checks.text(image.header.frame_id, 'header.frame_id'))


def encoded(latent: LatentState) -> EncodeImage.Response:
    """Build the answer with a latent."""
    return EncodeImage.Response(success=True, latent=latent)


def planned(chunk: ActionChunk, *, names: Sequence[str], interface: int, start_cost: float,
            final_cost: float, note: str = '', **facts: Any) -> PlanOnce.Response:
    """Build the answer with a plan; `facts` are those of `chunk_to_msg`."""
    return PlanOnce.Response(
        success=True, start_cost=float(start_cost), final_cost=float(final_cost), message=note,
        chunk=chunk_to_msg(chunk, names=names, interface=interface, cost=final_cost, **facts))
