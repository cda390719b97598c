"""Measured states from messages: joints by name, or the pose of a base from odometry."""

from __future__ import annotations

from array import array
from typing import Any

from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from lewm_model.recordings.conflict import find_conflict
from lewm_model.recordings.joints import JointReader
from lewm_model.robots.robot import ODOMETRY, RobotDescription
import numpy as np


class StateReader:
    """Collects the states of one topic.

    Joints may be spread over several messages (an arm and its gripper); each message is a row that
    has the joints it names.

    Attributes:
        reader: Counts what was left out of joint states.
    """

    def __init__(self, robot: RobotDescription) -> None:
        self.reader = JointReader(robot.state_names)
        self._robot = robot
        self._first: Any = None
        # plain numbers: an object for each of 500 messages a second would fill the memory
        self._positions, self._velocities, self._kinds = array('d'), array('d'), array('H')
        # which joints a message has and its frame_id, numbered
        self._seen: dict[tuple[bytes, str], int] = {}

    def add(self, message: Any) -> bool:
        """Take one message; return False if it is left out."""
        if self._first is None:
            self._first = message
        if self._robot.state_type == ODOMETRY:
            positions, velocities = _base(message)
            given, frame = np.ones(len(positions), dtype=bool), ''
        else:
            reading = self.reader.read(message)
            if reading is None:
                return False
            positions, velocities = reading.positions, reading.velocities
            given, frame = reading.given, message.header.frame_id
        self._kinds.append(self._seen.setdefault((given.tobytes(), frame), len(self._seen)))
        self._positions.extend(positions)
        self._velocities.extend(velocities)
        return True

    def check(self, bag: Bag, topic: str, max_bad_share: float) -> None:
        """Refuse a topic that two publishers share, or without states of all the joints.

        Raises:
            BagError: Names both sources, the joints that are missing, or what was broken.
        """
        robot, reader = self._robot, self.reader
        total = len(self._kinds) + reader.malformed
        if reader.malformed > max_bad_share * total:
            raise BagError(
                f'{bag.path}: {reader.malformed} of {total} messages on {topic} cannot be used '
                f'(the first: {reader.reason}); correct the driver, or allow more with '
                f'--max-bad-share (now {max_bad_share:g})')
        positions, _, _ = self.arrays()
        present = self._masks().any(axis=0)
        missing = [name for name, there in zip(robot.state_names, present, strict=True)
                   if not there]
        if missing:
            names = getattr(self._first, 'name', None)
            raise BagError(
                f'{bag.path}: no message on {topic} has a position for {", ".join(missing)}; '
                f'the first one names {", ".join(names or ()) or "no joints"}; correct '
                f'joint_names (or state_joint_names) of robot {robot.robot!r}')
        frames = [frame for _, frame in self._seen]
        # a yaw jumps at +-pi; frame_ids of odometry are compared for the whole topic
        last = 2 if robot.state_type == ODOMETRY else None
        conflict = '' if 'state' in robot.shared_topics else find_conflict(
            robot.state_names[:last], positions[:, :last], [frames[kind] for kind in self._kinds])
        if conflict:
            known = bag.publishers(topic)
            count = f' (metadata.yaml lists {known})' if known > 1 else ''
            raise BagError(
                f'{bag.path}: two publishers share {topic}{count}: {conflict}. '
                f'Stop one of them (a joint_state_publisher beside the driver?) and record again, '
                f'or set shared_topics: [state] for robot {robot.robot!r} if this is meant')

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return positions and velocities, float64 (J, P), as added, and which were given.

        The last is bool (J, P), or None if every message has all joints.
        """
        shape = (-1, len(self._robot.state_names))
        masks = self._masks()
        positions, velocities = (np.array(values).reshape(shape)
                                 for values in (self._positions, self._velocities))
        return (positions, velocities,
                None if masks.all() else masks[np.array(self._kinds, dtype=np.int64)])

    def _masks(self) -> np.ndarray:
        """Return which joints each kind of message has, bool (K, P)."""
        return np.array([np.frombuffer(given, dtype=bool) for given, _ in self._seen],
                        dtype=bool).reshape(-1, len(self._robot.state_names))

    def unwrap(self, positions: np.ndarray, runs: np.ndarray) -> None:
        """Take the jumps at +-pi out of a yaw, in place, run by run; states sorted by time."""
        if self._robot.state_type != ODOMETRY:
            return
        finite = np.isfinite(positions[:, 2])
        for run in np.unique(runs):
            rows = np.flatnonzero((runs == run) & finite)
            positions[rows, 2] = np.unwrap(positions[rows, 2])


def _base(message: Any) -> tuple[np.ndarray, np.ndarray]:
    place, turn = message.pose.pose.position, message.pose.pose.orientation
    x, y, z, w = quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
    with np.errstate(over='ignore', invalid='ignore'):
        norm = quaternion @ quaternion
    # Zeros (a driver that has no heading yet), or garbage, have no yaw: NaN, never 0.
    yaw = (np.arctan2(2 * (w * z + x * y), norm - 2 * (y ** 2 + z ** 2))
           if 0.5 < norm < 2 else np.nan)
    speed = message.twist.twist
    return (np.array([place.x, place.y, yaw]),
            np.array([speed.linear.x, speed.linear.y, speed.angular.z]))
