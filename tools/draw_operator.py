"""Draw what an operator sees, from the topics of a running simulated system, for docs/images.

    python tools/draw_operator.py push_t docs/images/operator_push_t.png

Starts the system with imagination, gives it a goal picture, reads the topics that
config/rviz/plan.rviz shows, with the quality of service that it asks for, and lays one moment out
on a sheet. Paths and markers are drawn over the camera's picture: `clicks.pixels` of the robot
file says where on the plane its corners are. Needs the built package.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

import cv2
from lewm_model import resources
from lewm_model.clicks import Clicks
from lewm_model.errors import ConfigError
from lewm_model.images.decode import write_image
from lewm_model.robot import RobotDescription
from lewm_ros.startup.bringup import Bringup, isolate
from lewm_ros.startup.options import SystemOptions
from lewm_ros.startup.system import system
from lewm_ros.trials.client import connected, DemoClient
from lewm_ros.trials.demo import bundle_of
from lewm_ros.trials.goal_set import GoalSet
from lewm_ros.wire.pictures import image_to_rgb
from lewm_sim.tasks import load_task
from nav_msgs.msg import Path as PathMessage
import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray
import yaml

_KINDS = {'Image': Image, 'MarkerArray': MarkerArray, 'Path': PathMessage}
_SPACE, _SMALL, _GAP, _HEAD = 560, 240, 16, 26      # [px]
_BEFORE_S = 4.0
_PAPER, _INK = (250, 250, 248), (34, 36, 40)


class Viewer:
    """Reads the displays of an RViz configuration, as RViz would.

    Attributes:
        newest: The newest message of each display, by its name.
    """

    def __init__(self, node: Node, file: Path) -> None:
        self.newest: dict[str, Any] = {}
        displays = yaml.safe_load(file.read_text())['Visualization Manager']['Displays']
        self._subscriptions = [self._read(node, one) for one in displays
                               if one['Enabled'] and one['Class'].rpartition('/')[2] in _KINDS]

    def _read(self, node: Node, display: dict[str, Any]) -> Any:
        topic, name = display['Topic'], display['Name']
        reliable = topic['Reliability Policy'] == 'Reliable'
        latched = topic['Durability Policy'] == 'Transient Local'
        profile = QoSProfile(
            depth=topic['Depth'],
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched
                        else DurabilityPolicy.VOLATILE))
        return node.create_subscription(
            _KINDS[display['Class'].rpartition('/')[2]], topic['Value'],
            lambda message: self.newest.update({name: message}), profile)

    def picture(self, name: str) -> np.ndarray:
        """Return the newest picture of a display, uint8 (H, W, 3)."""
        return image_to_rgb(self.newest[name])


def over_the_camera(rgb: np.ndarray, clicks: Clicks, arrays: list[MarkerArray]) -> np.ndarray:
    """Draw markers over the camera's picture, enlarged."""
    picture = cv2.resize(rgb, (_SPACE, _SPACE), interpolation=cv2.INTER_CUBIC)
    pixels = np.array(clicks.pixels, np.float64)
    to_picture, _ = cv2.findHomography(pixels[:, 2:], pixels[:, :2] * _SPACE)
    per_m = _SPACE / np.ptp(pixels[:, 2])
    for marker in (one for array in arrays for one in array.markers):
        drawn = picture.copy()
        colour = tuple(round(255 * value) for value in (
            marker.color.r, marker.color.g, marker.color.b))
        at = marker.points or [marker.pose.position]
        points = cv2.perspectiveTransform(
            np.array([[[point.x, point.y]] for point in at], np.float64), to_picture)
        fixed = points.round().astype(np.int32)
        width = max(1, round(marker.scale.x * per_m))
        if marker.type == Marker.LINE_STRIP:
            cv2.polylines(drawn, [fixed], False, colour, width, cv2.LINE_AA)
        elif marker.type == Marker.SPHERE_LIST:
            for point in fixed[:, 0].tolist():
                cv2.circle(drawn, point, max(2, width // 2), colour, -1, cv2.LINE_AA)
        elif marker.type == Marker.TEXT_VIEW_FACING:
            cv2.putText(drawn, marker.text, fixed[0, 0] + [8, -8], cv2.FONT_HERSHEY_SIMPLEX, 0.5,
                        colour, 1, cv2.LINE_AA)
        picture = cv2.addWeighted(drawn, marker.color.a, picture, 1 - marker.color.a, 0)
    return picture


def sheet(viewer: Viewer, clicks: Clicks) -> np.ndarray:
    """Lay out one moment: space left, the pictures right."""
    camera = viewer.picture('Camera')
    space = over_the_camera(camera, clicks, [viewer.newest['Candidates'],
                                             viewer.newest['Plan and goal']])
    imagination, curve = viewer.picture('Imagination'), viewer.picture('Surprise')
    right = max(imagination.shape[1], 2 * _SMALL + _GAP + curve.shape[1] + _GAP)
    height = _HEAD + max(_SPACE, _SMALL + _HEAD + imagination.shape[0] + _GAP) + _GAP
    page = np.full((height, 3 * _GAP + _SPACE + right, 3), _PAPER, np.uint8)

    def put(picture: np.ndarray, left: int, top: int, title: str) -> None:
        cv2.putText(page, title, (left, top - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1,
                    cv2.LINE_AA)
        page[top:top + picture.shape[0], left:left + picture.shape[1]] = picture

    put(space, _GAP, _HEAD, 'candidates, imagined_markers (over the camera)')
    left = 2 * _GAP + _SPACE
    for place, (name, title) in enumerate((('Camera', 'camera'), ('Goal', 'goal_picture'))):
        small = cv2.resize(viewer.picture(name), (_SMALL, _SMALL), interpolation=cv2.INTER_CUBIC)
        put(small, left + place * (_SMALL + _GAP), _HEAD, title)
    put(curve, left + 2 * (_SMALL + _GAP), _HEAD, 'surprise_curve')
    put(imagination, left, 2 * _HEAD + _SMALL, 'imagination')
    return page


def watch(client: DemoClient, viewer: Viewer, goal: Path, after_s: float) -> None:
    """Look on for a while, give a goal, and wait until everything has been shown."""
    deadline_s = time.monotonic() + 120.0

    def wait(seconds: float, wanted: set[str]) -> None:
        started_ns = client.truth_stamp_ns
        while client.truth_stamp_ns - started_ns < seconds * 1e9 or wanted - set(viewer.newest):
            client.spin()
            if time.monotonic() > deadline_s:
                raise ConfigError(f'nothing was shown of '
                                  f'{", ".join(sorted(wanted - set(viewer.newest)))} in 120 s')

    wait(_BEFORE_S, {'Camera', 'Surprise'})    # the node that shows films from here on
    client.set_goal(goal)
    wait(after_s, {'Goal', 'Imagination', 'Candidates', 'Plan and goal', 'Path'})


def main() -> int:
    """Draw the sheet of one task."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument('task')
    parser.add_argument('out', type=Path, help='PNG file')
    parser.add_argument('--bundle', default='', help='name or folder (that of the task)')
    parser.add_argument('--goal', type=int, default=1, help='number of the goal picture (1)')
    parser.add_argument('--after', type=float, default=2.0,
                        help='simulated seconds after the goal was given (2)')
    options = parser.parse_args()
    task = load_task(options.task)
    bundle = bundle_of(task, options.bundle)
    clicks = RobotDescription.from_yaml(task.robot_file).clicks
    if clicks is None or not clicks.pixels:
        raise ConfigError(f'{task.robot_file} has no clicks.pixels: nobody knows where its '
                          f'camera shows the plane')
    goals = GoalSet.load(bundle / 'goals', task)
    isolate()
    nodes = system(SystemOptions(sim=True, task=task.name, bundle=str(bundle.resolve()),
                                 goal_root=str((bundle / 'goals').resolve()), imagination=True))
    with (tempfile.TemporaryDirectory() as folder, Bringup(nodes, Path(folder)) as running,
          connected(running, 'draw_operator', task, goals.start) as client):
        viewer = Viewer(client.node, resources.find_named('config/rviz', 'plan', '.rviz'))
        watch(client, viewer, goals.goals[options.goal - 1].file, options.after)
        write_image(options.out, sheet(viewer, clicks))
    print(f'wrote {options.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
