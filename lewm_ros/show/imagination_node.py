"""Shows what the planner imagines; a process of its own, whose end stops nothing but pictures.

It listens to `imagined` and to diagnostics only while somebody looks at what it makes of them, and
the planner imagines only while it listens; so without a viewer neither costs anything.
"""

from __future__ import annotations

from dataclasses import dataclass
import os
import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lewm_model.errors import ConfigError
from lewm_model.robots.robot import RobotDescription
from lewm_ros.msg import Goal, Imagined, PlanStatus
from lewm_ros.node.camera_input import CameraInput, Frame
from lewm_ros.node.entities import Entities
from lewm_ros.node.parameters import NodeParameters, parameter
from lewm_ros.node.plain import Health, PlainNode
from lewm_ros.node.run_node import run_node
from lewm_ros.node.senders import Senders
from lewm_ros.show import strip
from lewm_ros.show.board import Board
from lewm_ros.show.curve import SurpriseCurve
from lewm_ros.show.mind import Mind
from lewm_ros.show.past import Past
from lewm_ros.show.scene import fan_shapes, plan_shapes
from lewm_ros.wire import qos
from lewm_ros.wire.goals import msg_to_goal
from lewm_ros.wire.imagined import msg_to_imagined, Shown
from lewm_ros.wire.pictures import rgb_to_image
from lewm_ros.wire.reasons import Code
from lewm_ros.wire.reports import GoalRequest, PlanState
from lewm_ros.wire.shapes import markers_to_msg, path_to_msg
from lewm_ros.wire.sight import Sight
from lewm_ros.wire.status import msg_to_health, msg_to_plan_report
from nav_msgs.msg import Path
import numpy as np
from sensor_msgs.msg import Image
import torch
from visualization_msgs.msg import MarkerArray

_NICE = 10              # pictures for people wait for everything else
_LOOK_S = 0.5           # between two looks at who is looking
_NO_GOAL = np.full((64, 64, 3), 225, np.uint8)
_NS = 1_000_000_000


@dataclass(frozen=True)
class ImaginationParameters:
    """Settings of the imagination node."""

    robot: str = parameter(
        'sim_reacher', 'robot description, for its cameras: a shipped name or a YAML file',
        read_only=True)
    bundle: str = parameter(
        'reacher-nano', 'model bundle, name or folder; the one that plans', read_only=True)
    frame: str = parameter(
        '', 'frame_id of paths and markers; empty: that of `clicks` in the robot file, else world',
        read_only=True)
    path_of: str = parameter(
        '', 'of what `imagined_path` is, such as block; empty: the first thing that is read',
        read_only=True)
    rate_hz: float = parameter(5.0, 'plans shown per second, at most [Hz]', low=0.1, high=50.0)
    shown_s: float = parameter(
        2.0, 'viewers remove markers that are older [s]', low=0.1, high=60.0)


class ImaginationNode(PlainNode):
    """Turns latents into pictures and paths, while somebody looks."""

    def __init__(self, **kwargs) -> None:
        super().__init__('imagination_node', **kwargs)
        self._given = NodeParameters(self, ImaginationParameters)
        settings = self._given.values
        torch.set_num_threads(1)
        self._robot = RobotDescription.from_yaml(settings.robot)
        self._mind = Mind(settings.bundle, self._robot.clicks)
        for note in self._mind.notes:
            self.get_logger().warning(note)
        self._frame = settings.frame or self._robot.drawn_frame
        self._path_of = self._chosen(settings.path_of)
        bundle = self._mind.bundle
        self._sight = Sight(self._robot, bundle.frame_px, bundle.view)
        self._past, self._curve = Past(self._robot.control_dt_ns), SurpriseCurve()
        self._goal: GoalRequest | None = None
        self._goal_rgb: np.ndarray | None = None
        self._shown_s = self._drawn_s = -np.inf     # steady clock
        self._state: PlanState | None = None
        self._count = 0
        self._camera: CameraInput | None = None
        offer = self.always.publisher
        self._strip_pub = offer(Image, 'imagination', qos.IMAGE)
        self._path_pub = offer(Path, 'imagined_path', qos.LATEST)
        self._markers_pub = offer(MarkerArray, 'imagined_markers', qos.LATEST)
        self._fan_pub = offer(MarkerArray, 'candidates', qos.LATEST)
        self._curve_pub = offer(Image, 'surprise_curve', qos.IMAGE)
        self._goal_pub = offer(Image, 'goal_picture', qos.LATCHED)
        self._board_pub = offer(Image, 'diagnostics_board', qos.IMAGE)
        self._board: Board | None = None
        self._senders = Senders(self, '/diagnostics')
        self.always.subscription(Goal, 'goal', self._on_goal, qos.LATCHED)
        self.always.subscription(PlanStatus, 'plan_status', self._on_status, qos.RECORD)
        self._watching, self._filming, self._reading = (
            Entities(self, self.guard) for _ in range(3))
        self._watches = False
        self.always.timer(_LOOK_S, self._look, clock=self.steady)
        os.nice(_NICE)     # only now: until a node is there, others wait for it

    @property
    def hardware_id(self) -> str:
        """Name of the robot."""
        return self._robot.robot

    def health(self) -> Health:
        """Say whether anybody looks, and what cannot be shown."""
        level = DiagnosticStatus.WARN if self._mind.notes else DiagnosticStatus.OK
        return Health(level, 'somebody looks' if self._watches else 'nobody looks', {
            'plans_shown': self._count, 'things': ', '.join(
                thing.name for thing in self._mind.things),
            **{f'missing_{number}': note for number, note in enumerate(self._mind.notes, 1)}})

    def _chosen(self, name: str):
        things = self._mind.things
        if not name:
            return things[0] if things else None
        for thing in things:
            if thing.name == name:
                return thing
        raise ConfigError(f'parameter path_of must be one of '
                          f'{", ".join(one.name for one in things) or "nothing that is read"}, '
                          f'got {name!r}')

    def _look(self) -> None:
        """Listen to what is needed for what people look at, and to nothing else."""
        films = self._strip_pub.get_subscription_count() > 0
        watches = films or any(publisher.get_subscription_count() for publisher in (
            self._path_pub, self._markers_pub, self._fan_pub))
        if watches and not self._watches:
            self._watching.subscription(Imagined, 'imagined', self._on_imagined, qos.IMAGE)
        elif self._watches and not watches:
            self._watching.withdraw()
        self._watches = watches
        if films and self._camera is None:
            self._camera = CameraInput(self, self._filming, self._robot, self._on_frames)
        elif self._camera is not None and not films:
            self._filming.withdraw()
            self._camera = None
            self._past.forget()
        self._show_board()

    def _show_board(self) -> None:
        """Draw what nodes say of themselves, and hear it, while somebody looks."""
        looks = self._board_pub.get_subscription_count() > 0
        if looks and self._board is None:
            self._board = Board()
            self._reading.subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics,
                                       qos.RECORD)
        elif self._board is not None and not looks:
            self._reading.withdraw()
            self._board = None
        if self._board is not None:
            self._board_pub.publish(rgb_to_image(self._board.draw(time.monotonic()),
                                                 self.get_clock().now().nanoseconds))

    # What arrives ------------------------------------------------------------------------------

    def _on_goal(self, message: Goal) -> None:
        goal = msg_to_goal(message)
        self._goal, self._goal_rgb = goal, None
        try:
            self._goal_rgb = self._mind.goal_picture(goal)
        finally:
            rgb = _NO_GOAL if self._goal_rgb is None else self._goal_rgb
            self._goal_pub.publish(rgb_to_image(rgb, goal.stamp_ns))

    def _on_status(self, message: PlanStatus) -> None:
        report = msg_to_plan_report(message)
        self._curve.add(report.stamp_ns, report.surprise, report.surprise_limit,
                        report.reason.code is Code.SURPRISED)
        now_s = time.monotonic()
        if (now_s - self._drawn_s >= 1 / self._given.values.rate_hz
                and self._curve_pub.get_subscription_count()):
            self._drawn_s = now_s
            self._curve_pub.publish(rgb_to_image(self._curve.draw(), report.stamp_ns))
        if self._state is PlanState.PLANNING and report.state is not PlanState.PLANNING:
            self._path_pub.publish(path_to_msg(np.empty((0, 4)), (), report.stamp_ns, self._frame))
        self._state = report.state

    def _on_diagnostics(self, message: DiagnosticArray, info: dict[str, Any]) -> None:
        if self._board is not None and self._senders.is_ours(info):   # one topic for all robots
            self._board.add(msg_to_health(message), time.monotonic())

    def _on_frames(self, frames: tuple[Frame, ...]) -> None:
        seen = self._sight.observation(frames)
        self._past.see(seen.stamp_ns, seen.rgb)

    def _on_imagined(self, message: Imagined) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s < 1 / self._given.values.rate_hz:
            return
        self._shown_s = now_s
        shown, bundle = msg_to_imagined(message), self._mind.bundle
        if shown.model_id != bundle.model_id or len(shown.imagined.seen) != (
                bundle.model_config.latent_dim):
            raise ConfigError(f'the planner imagines with model {shown.model_id}, this node has '
                              f'{bundle.model_id}; give both the same bundle')
        self._count += 1
        if self._strip_pub.get_subscription_count():
            self._show_strip(shown)
        if self._mind.things:
            self._show_space(shown)

    # What is shown -----------------------------------------------------------------------------

    def _show_strip(self, shown: Shown) -> None:
        imagined, block_s = shown.imagined, shown.block_s
        block_ns = round(block_s * _NS)
        self._past.plan(imagined, (shown.session, shown.epoch))
        times = [strip.seconds(number, block_s) for number in range(len(imagined.plan) + 1)]
        ahead = self._mind.paint(np.concatenate([imagined.seen[None], imagined.plan]))
        rows = [strip.Row('the plan now, imagined', [*ahead, self._goal_rgb], [*times, 'goal'])]
        past = self._past.come_true(block_ns)
        if past is not None:
            dreamt = self._mind.paint(np.concatenate([past.seen[None], past.plan]))
            real = [self._past.at(past.stamp_ns + number * block_ns)
                    for number in range(len(dreamt))]
            ago_s = (imagined.stamp_ns - past.stamp_ns) / _NS
            rows += [strip.Row(f'imagined {ago_s:.2f} s ago', dreamt, times),
                     strip.Row('what the camera showed then', real, times)]
        else:
            rows += [strip.Row(title, [None] * len(times), times)
                     for title in ('imagined before', 'what the camera showed then')]
        self._strip_pub.publish(rgb_to_image(strip.draw(rows), imagined.stamp_ns))

    def _show_space(self, shown: Shown) -> None:
        imagined, extent = shown.imagined, self._mind.extent
        stamp_ns, lasts_s = imagined.stamp_ns, self._given.values.shown_s
        ways = self._mind.poses(np.concatenate([imagined.seen[None], imagined.plan]))
        if self._path_pub.get_subscription_count():
            way = ways[self._path_of]
            stamps = [stamp_ns + round(number * shown.block_s * _NS) for number in range(len(way))]
            self._path_pub.publish(path_to_msg(way, stamps, stamp_ns, self._frame))
        if self._markers_pub.get_subscription_count():
            goals = self._mind.goal_poses(self._goal, imagined.goal)
            self._markers_pub.publish(markers_to_msg(
                plan_shapes(ways, goals, extent, shown.block_s), stamp_ns, self._frame, lasts_s))
        if self._fan_pub.get_subscription_count():
            fans = {thing: np.concatenate([np.broadcast_to(ways[thing][:1], (len(fan), 1, 4)),
                                           fan], axis=1)
                    for thing, fan in self._mind.poses(imagined.fan).items()}
            self._fan_pub.publish(markers_to_msg(
                fan_shapes(fans, imagined.costs, extent), stamp_ns, self._frame, lasts_s))


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node(ImaginationNode, args)


if __name__ == '__main__':
    sys.exit(main())
