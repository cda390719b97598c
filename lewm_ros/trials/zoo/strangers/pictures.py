"""What the cameras of fake robots see: an arm from the side, a floor from above. No rclpy."""

from __future__ import annotations

import cv2
from lewm_ros.trials.zoo.robots.description import Body
import numpy as np

_WALL, _FLOOR, _MARKS = (52, 58, 66), (70, 76, 82), ((200, 90, 60), (70, 160, 90), (210, 180, 60))
_LINKS = ((235, 120, 60), (70, 150, 235), (240, 220, 90), (120, 220, 140), (230, 110, 190),
          (170, 170, 240))
_SUB = 4   # fractional bits of cv2 coordinates: a picture changes with 1/16 px


def draw_chain(pose: np.ndarray, facts: Body, width: int, height: int) -> np.ndarray:
    """Draw a chain of links whose angles add up, and its gripper; uint8 (height, width, 3)."""
    picture = np.full((height, width, 3), _WALL, np.uint8)
    grip = [index for index, name in enumerate(facts.axes) if _is_gripper(name)]
    angles = np.cumsum(np.delete(pose, grip)) + np.pi / 2
    length = 0.8 * min(width, height) / max(len(angles), 2) * 0.6
    points = np.array([[width / 2, 0.55 * height]])
    for angle in angles:
        step = length * np.array([np.cos(angle), -np.sin(angle)])
        points = np.vstack([points, points[-1] + step])
    thick = max(2, round(height / 40))
    for index, (begin, end) in enumerate(zip(points, points[1:], strict=False)):
        cv2.line(picture, _at(begin), _at(end), _LINKS[index % len(_LINKS)], thick, cv2.LINE_AA,
                 _SUB)
    cv2.circle(picture, _at(points[0]), thick * 2 << _SUB, (230, 230, 230), -1, cv2.LINE_AA, _SUB)
    for index in grip:
        share = (pose[index] - facts.low[index]) / (facts.high[index] - facts.low[index])
        across = np.array([-np.sin(angles[-1]), -np.cos(angles[-1])]) * length * 0.5
        along = np.array([np.cos(angles[-1]), -np.sin(angles[-1])]) * length * 0.5
        for side in (-1, 1):
            root = points[-1] + side * across * (0.15 + share)
            cv2.line(picture, _at(root), _at(root + along), (250, 250, 250), thick, cv2.LINE_AA,
                     _SUB)
    return picture


def draw_floor(pose: np.ndarray, facts: Body, width: int, height: int) -> np.ndarray:
    """Draw the vehicle on a marked floor from above; one that flies grows with its height."""
    picture = np.full((height, width, 3), _FLOOR, np.uint8)
    scale = 0.45 * min(width, height) / max(abs(facts.low[0]), abs(facts.high[0]))
    centre = np.array([width / 2, height / 2])
    for colour, (x, y) in zip(_MARKS, ((0.7, 0.6), (-0.6, 0.7), (-0.7, -0.6)), strict=True):
        at = centre + scale * facts.high[0] * np.array([x, -y])
        cv2.circle(picture, _at(at), round(0.06 * height) << _SUB, colour, -1, cv2.LINE_AA, _SUB)
    values = dict(zip(facts.pose, pose, strict=True))
    size = 0.09 * height * (1 + 0.6 * values.get('z', 0.0))
    nose = values['yaw'] + np.array([0.0, 2.5, -2.5])
    shape = size * np.stack([np.cos(nose), -np.sin(nose)], axis=1)
    at = centre + scale * np.array([values['x'], -values['y']])
    cv2.fillPoly(picture, [_fixed(at + shape)], (240, 200, 60), cv2.LINE_AA, _SUB)
    cv2.circle(picture, _at(at + shape[0]), round(size / 3) << _SUB, (60, 90, 240), -1,
               cv2.LINE_AA, _SUB)
    return picture


def enlarge(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale a picture to the size of the camera."""
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Return the picture as JPEG of quality 90, as cameras send it."""
    return cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def _is_gripper(name: str) -> bool:
    return 'grip' in name or 'finger' in name


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(points * (1 << _SUB)).astype(np.int32)


def _at(point: np.ndarray) -> tuple[int, int]:
    return tuple(int(value) for value in _fixed(point))
