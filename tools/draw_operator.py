"""Draw what an operator sees, from the topics of a running simulated system, for docs/images.

    python tools/draw_operator.py push_t docs/images/operator_push_t.png
    python tools/draw_operator.py two_room out/click.png --click 0.5 -0.4 --film out/click.mp4

Starts the system with imagination, gives it goal pictures, or a click as RViz publishes it (of two
numbers a point, of three a pose), reads the topics that config/rviz/plan.rviz shows, with the
quality of service that it asks for, and lays one moment out on a sheet, or all of them in a film.
Paths and markers are drawn over the camera's picture: `clicks.pixels` of the robot file says where
on the plane its corners are. Needs the built package.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

import cv2
from geometry_msgs.msg import Point, PointStamped, PoseStamped
from lewm_model.base import resources
from lewm_model.errors import ConfigError
from lewm_model.images.decode import write_image
from lewm_model.robots.clicks import Clicks
from lewm_model.robots.robot import RobotDescription
from lewm_ros.startup.bringup import Bringup, isolate
from lewm_ros.startup.options import SystemOptions
from lewm_ros.startup.system import system
from lewm_ros.trials.client import connected, DemoClient
from lewm_ros.trials.goal_set import GoalSet
from lewm_ros.wire import giving, qos
from lewm_ros.wire.pictures import image_to_rgb
from lewm_ros.wire.stamps import header
from lewm_sim.bundle_of import bundle_of
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
_BEFORE_S, _BETWEEN_S = 4.0, 4.0     # simulated, before the first goal and between two
_SETTLE_S = 0.5        # simulated
_LONGEST_S = 120.0     # for one goal, however slow the machine is
_FILM_HZ = 10          # of simulated time
_FIRST = {'Camera', 'Surprise'}
_ALL = {'Goal', 'Imagination', 'Candidates', 'Plan and goal', 'Path'}
_PAPER, _INK, _GREY = (250, 250, 248), (34, 36, 40), (120, 124, 130)
_LEGEND = ('blue: where the plan leads, a dot for each block; green disk: where the goal wants it',
           'short line at either: which way it looks, as the arrow of a click',
           'thin: what else the search tried, from green (cheapest) over yellow to red')


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

    def lacks(self, names: set[str]) -> str:
        """Say which of these displays have nothing to show yet."""
        return ', '.join(sorted(names - set(self.newest)))

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
            _label(drawn, marker.text, fixed[0, 0], colour)
        picture = cv2.addWeighted(drawn, marker.color.a, picture, 1 - marker.color.a, 0)
    return picture


def _label(picture: np.ndarray, text: str, at: np.ndarray, colour: tuple[int, ...]) -> None:
    """Write beside a point: to the right of it, or to the left where there is no room."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    x, y = at + [10, -10]
    if x + width > _SPACE:
        x = at[0] - 10 - width
    cv2.putText(picture, text, (int(max(x, 0)), int(max(y, height))), cv2.FONT_HERSHEY_SIMPLEX,
                0.5, colour, 1, cv2.LINE_AA)


def sheet(viewer: Viewer, clicks: Clicks) -> np.ndarray:
    """Lay out one moment: space left, the pictures right."""
    camera = viewer.picture('Camera')
    space = over_the_camera(camera, clicks, [viewer.newest['Candidates'],
                                             viewer.newest['Plan and goal']])
    imagination, curve = viewer.picture('Imagination'), viewer.picture('Surprise')
    right = max(imagination.shape[1], 2 * _SMALL + _GAP + curve.shape[1] + _GAP)
    height = _HEAD + max(_SPACE + 3 * _HEAD, _SMALL + _HEAD + imagination.shape[0] + _GAP) + _GAP
    width = 3 * _GAP + _SPACE + right
    page = np.full((height + height % 2, width + width % 2, 3), _PAPER, np.uint8)   # films: even

    def write(text: str, left: int, base: int, size: float, colour: tuple[int, ...]) -> None:
        cv2.putText(page, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1,
                    cv2.LINE_AA)

    def put(picture: np.ndarray, left: int, top: int, title: str) -> None:
        write(title, left, top - 8, 0.5, _INK)
        page[top:top + picture.shape[0], left:left + picture.shape[1]] = picture

    put(space, _GAP, _HEAD, 'candidates, imagined_markers (over the camera)')
    for line, text in enumerate(_LEGEND, 1):
        write(text, _GAP, _HEAD + _SPACE + line * 20, 0.38, _GREY)
    left = 2 * _GAP + _SPACE
    for place, (name, title) in enumerate((('Camera', 'camera'), ('Goal', 'goal_picture'))):
        small = cv2.resize(viewer.picture(name), (_SMALL, _SMALL), interpolation=cv2.INTER_CUBIC)
        put(small, left + place * (_SMALL + _GAP), _HEAD, title)
    put(curve, left + 2 * (_SMALL + _GAP), _HEAD, 'surprise_curve')
    put(imagination, left, 2 * _HEAD + _SMALL, 'imagination')
    return page


class Film:
    """Keeps the sheet of every tenth of a simulated second, as soon as there is all to show."""

    def __init__(self, client: DemoClient, viewer: Viewer, clicks: Clicks) -> None:
        self.sheets: list[np.ndarray] = []
        self._client, self._viewer, self._clicks = client, viewer, clicks
        self._next_ns = 0

    def look(self) -> None:
        """Keep a sheet if it is time; call it often."""
        now_ns = self._client.truth_stamp_ns
        if now_ns >= self._next_ns and not self._viewer.lacks(_FIRST | _ALL):
            self._next_ns = now_ns + 10 ** 9 // _FILM_HZ
            self.sheets.append(sheet(self._viewer, self._clicks))


def wait(client: DemoClient, seconds: float, lacks: Callable[[], str] = str,
         look: Callable[[], None] = lambda: None) -> None:
    """Look on for simulated seconds, and until nothing lacks any more."""
    deadline_s, started_ns = time.monotonic() + _LONGEST_S, client.truth_stamp_ns
    while client.truth_stamp_ns - started_ns < seconds * 1e9 or lacks():
        client.spin()
        look()
        if time.monotonic() > deadline_s:
            raise ConfigError(f'waited {_LONGEST_S:g} s in vain for {lacks() or "time to pass"}')


def clicked(place: Sequence[float], frame: str) -> tuple[str, PointStamped | PoseStamped]:
    """Return topic and message of a click in RViz.

    Args:
        place: x, y [m]: Publish Point, of any direction; x, y, yaw [m, rad]: 2D Goal Pose.
        frame: That it is in.
    """
    if len(place) == 3:
        return 'goal_pose', giving.pose(*place, frame=frame).pose
    x, y = place
    return 'clicked_point', PointStamped(header=header(0, frame), point=Point(x=x, y=y))


def click(client: DemoClient, clicks: Clicks, place: Sequence[float]) -> None:
    """Publish what RViz does when somebody clicks, see `clicked`."""
    topic, message = clicked(place, clicks.frame)
    publisher = client.node.create_publisher(type(message), topic, qos.LATEST)
    wait(client, 0.0, lambda: '' if publisher.get_subscription_count() else 'goal_node')
    wait(client, _SETTLE_S)    # a reader that has not found us yet would not hear it
    publisher.publish(message)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    made.add_argument('task')
    made.add_argument('out', type=Path, help='PNG file')
    made.add_argument('--bundle', default='', help='name or folder (that of the task)')
    made.add_argument('--goal', type=int, nargs='+', default=[1], metavar='N',
                      help=f'numbers of goal pictures, one each {_BETWEEN_S:g} s (1)')
    made.add_argument('--click', type=float, nargs='+', metavar=('X Y', 'YAW'),
                      help='a click instead of the last of them: a point [m], or a pose [m, rad]')
    made.add_argument('--after', type=float, default=2.0,
                      help='simulated seconds after the last goal was given (2)')
    made.add_argument('--film', type=Path, help='MP4 file of these seconds')
    return made


def main(args: Sequence[str] | None = None) -> int:
    """Draw the sheet of one task."""
    made = parser()
    options = made.parse_args(args)
    if options.click and len(options.click) not in (2, 3):
        made.error(f'--click takes x, y and perhaps yaw, got {len(options.click)} numbers')
    task = load_task(options.task)
    bundle = bundle_of(task, options.bundle)
    clicks = RobotDescription.from_yaml(task.robot_file).clicks
    if clicks is None or not clicks.pixels:
        raise ConfigError(f'{task.robot_file} has no clicks.pixels: nobody knows where its '
                          f'camera shows the plane')
    goals = GoalSet.load(bundle / 'goals', task)
    files = [goals.goals[number - 1].file for number in options.goal]
    isolate()
    nodes = system(SystemOptions(sim=True, task=task.name, bundle=str(bundle.resolve()),
                                 goal_root=str((bundle / 'goals').resolve()), imagination=True))
    with (tempfile.TemporaryDirectory() as folder, Bringup(nodes, Path(folder)) as running,
          connected(running, 'draw_operator', task, goals.start) as client):
        viewer = Viewer(client.node, resources.find_named('config/rviz', 'plan', '.rviz'))
        film = Film(client, viewer, clicks)
        # from here on the node that shows reads the camera
        wait(client, _BEFORE_S, lambda: viewer.lacks(_FIRST))
        for file in files[:-1]:
            client.set_goal(file)
            wait(client, _BETWEEN_S)
        if options.click:
            click(client, clicks, options.click)
        else:
            client.set_goal(files[-1])
        wait(client, options.after, lambda: viewer.lacks(_ALL),
             film.look if options.film else lambda: None)
        write_image(options.out, sheet(viewer, clicks))
    print(f'wrote {options.out}')
    if options.film:
        from lewm_ros.trials.video import write_film  # slow to import, and not always wanted
        write_film(iter(film.sheets), options.film, _FILM_HZ)
        print(f'wrote {options.film}, {len(film.sheets)} pictures')
    return 0


if __name__ == '__main__':
    sys.exit(main())
