"""A program for tests: live steps of a walk of the zoo with an untrained model.

    python zoo_live.py two_topic_arm FOLDER stop kill_command

Prints the rows; exit status 1 if a check failed in a step in which the machine was not too busy
to judge it; otherwise the steps are taken again. The walk itself trains a model first.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import sys

from lewm_model.images.view import CameraView, View
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.robots.robot import RobotDescription
from lewm_model.world_model import LeWorldModel
from lewm_ros.startup.bringup import handle_signals, isolate
from lewm_ros.trials.zoo.results.rows import Rows
from lewm_ros.trials.zoo.robots.description import ZooRobot
from lewm_ros.trials.zoo.robots.robot_file import shipped_file
from lewm_ros.trials.zoo.robots.table import zoo_robot
from lewm_ros.trials.zoo.steps.lengths import SHORT
from lewm_ros.trials.zoo.steps.live import Live
from lewm_ros.trials.zoo.steps.processes import driven, Nodes, Processes
from lewm_ros.trials.zoo.walk import disturbed, take
from nano import PLAN, SIZES, tiny_bundle
import numpy as np

TRIES = 3


def untrained(robot: ZooRobot, folder: Path) -> Path:
    """Write a bundle for a robot whose weights are those of the beginning; return its folder."""
    described = RobotDescription.from_yaml(shipped_file(robot))
    low, high = described.min_command, described.max_command
    camera = robot.cameras[0]
    return tiny_bundle(
        model=LeWorldModel(replace(SIZES, action_dim=described.action_dim)).eval(),
        frame_transform=FrameTransform(SIZES.image_size),
        action_normalizer=ActionNormalizer(np.zeros_like(low, np.float32),
                                           (0.3 * (high - low)).astype(np.float32)),
        action_names=described.joint_names, action_min=low.astype(np.float32),
        action_max=high.astype(np.float32), control_dt_s=described.control_dt_s,
        robot=described.robot, task='', plan_config=replace(PLAN, iterations=1),
        view=View(64, (CameraView(camera.width, camera.height),))).save(folder)


def drive(robot: ZooRobot, folder: Path, bundle: Path, rows: Rows, steps: list[str]) -> None:
    """Start the robot and our nodes, and take the steps."""
    goal = folder / 'goals' / 'goal.png'
    goal.parent.mkdir(parents=True)
    with Processes(folder / 'log') as processes, driven(processes, robot, '') as ears:
        ears.take_picture(goal)
        nodes = Nodes(processes, robot, ears, {
            'robot': str(shipped_file(robot)), 'bundle': str(bundle),
            'goal_root': str(goal.parent)}, robot.parameters)
        live = Live(robot, ears, nodes, rows, goal, SHORT)
        if steps[0] != 'shadow':    # which starts them itself
            live.go()
        for step in steps:
            if not take(step, lambda step=step: live.take(step), rows, live.driver_pause_s):
                break
        nodes.end()


def main() -> int:
    """Take the steps until the machine was not too busy; return the exit status."""
    robot, folder, steps = zoo_robot(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3:]
    handle_signals()
    isolate()
    rows = Rows(robot.name, folder / 'rows.json')
    bundle = untrained(robot, folder / 'bundle')
    for attempt in range(TRIES):
        rows.forget(steps)
        drive(robot, folder / str(attempt), bundle, rows, steps)
        if not any(disturbed(rows, step) for step in steps):
            break
    return int(not all(map(rows.finished, steps)))


if __name__ == '__main__':
    sys.exit(main())
