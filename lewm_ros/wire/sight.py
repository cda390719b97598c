"""From the messages of a robot's cameras to what its model sees; goals take the same way."""

from __future__ import annotations

from collections.abc import Sequence

from lewm_model.errors import ImageError
from lewm_model.images.tiles import join, tiles_of
from lewm_model.images.view import CameraView, goal_square, View
from lewm_model.robots.robot import RobotDescription
from lewm_model.types import Observation
from lewm_ros.wire.decoders import decode, Decoder, picture_size
from lewm_ros.wire.reasons import Code, ReasonedError
from lewm_ros.wire.stamps import header_stamp_ns
import numpy as np
from sensor_msgs.msg import CompressedImage, Image


class Sight:
    """Makes the square that training stored: same cameras, crops, tiles and size.

    Args:
        robot: Its cameras; they must be those of the view.
        frame_px: Side of the square.
        view: What the model was trained on; None, of an older bundle: shapes are not checked.
        decoder: See `decoders`.

    Attributes:
        note: What a person should look at; '' if nothing.
        tiles: Places of the cameras in the square.

    Raises:
        ReasonedError: FRAME_MISFIT, if the robot has another number of cameras than the view.
    """

    def __init__(self, robot: RobotDescription, frame_px: int, view: View | None,
                 decoder: Decoder = decode) -> None:
        crops = [camera.crop for camera in robot.all_cameras]
        self._known = view is not None
        self._view = view or View(frame_px, tuple(CameraView(1, 1, crop) for crop in crops))
        if misfit := self._view.misfit(crops):
            raise ReasonedError(Code.FRAME_MISFIT, (
                f'robot {robot.robot!r} has {misfit}, as the model was trained with ({view}); '
                f'correct the robot file, or train with these cameras'))
        others = self._view.other_crops(crops)
        self.note = '' if not others else (
            f'robot {robot.robot!r} has {others}, as the model was trained with: make sure that '
            f'both show the same part of the scene')
        self.tiles = tiles_of(crops, frame_px)
        self._size, self._decode = frame_px, decoder
        self._assume_encoding = robot.assume_encoding

    def observation(self, messages: Sequence[Image | CompressedImage]) -> Observation:
        """Return what the model sees in one message of each camera; the first one's stamp.

        Raises:
            ReasonedError: FRAME_MISFIT or FRAME_UNREADABLE.
        """
        parts = []
        for place, (message, tile) in enumerate(zip(messages, self.tiles, strict=True)):
            try:
                size = picture_size(message)
                if self._known:
                    self._check(place, *size)
                parts.append(tile.fill(self._decode(message, tile.at_least,
                                                    self._assume_encoding)))
            except ImageError as error:
                raise ReasonedError(Code.FRAME_UNREADABLE, str(error)) from error
        return Observation(stamp_ns=header_stamp_ns(messages[0]),
                           rgb=join(parts, self.tiles, self._size))

    def goal(self, rgb: np.ndarray) -> np.ndarray:
        """Return the square of a goal picture; see `goal_square`.

        Raises:
            ReasonedError: FRAME_MISFIT, if the camera of training cannot have taken it.
        """
        try:
            return goal_square(rgb, self._view, self.tiles, checked=self._known)
        except ImageError as error:
            raise ReasonedError(Code.FRAME_MISFIT, f'the goal does not fit: {error}') from error

    def picture(self, message: Image) -> np.ndarray:
        """Return the square of a picture that somebody sent; goals take the same way.

        Raises:
            ReasonedError: FRAME_MISFIT or FRAME_UNREADABLE.
        """
        try:
            rgb = self._decode(message, None, self._assume_encoding)
        except ImageError as error:
            raise ReasonedError(Code.FRAME_UNREADABLE,
                                f'the picture cannot be read: {error}') from error
        try:
            return goal_square(rgb, self._view, self.tiles, checked=self._known)
        except ImageError as error:
            raise ReasonedError(Code.FRAME_MISFIT,
                                f'the picture does not fit: {error}') from error

    def misfits(self, place: int, width: int, height: int) -> str:
        """Say why a picture of this size is not what the model was trained on, or nothing."""
        try:
            if self._known:
                self._view.check(place, width, height, self.tiles[place].crop)
        except ImageError as error:
            return str(error)
        return ''

    def _check(self, place: int, width: int, height: int) -> None:
        if misfit := self.misfits(place, width, height):
            raise ReasonedError(Code.FRAME_MISFIT, misfit)
