"""A program for tests: the live half of a walk of the zoo with an untrained model, the stops only.

    python zoo_stops.py two_topic_arm FOLDER

Prints the rows; exit status 1 if a check failed in a step in which the machine was not too busy
to judge it; such a step is taken again. The walk itself trains a model first and takes all steps.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
import sys

from lewm_model.images.view import CameraView, View
from lewm_model.preprocess import ActionNormalizer, FrameTransform
from lewm_model.robot import RobotDescription
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

STEPS = ('stop', 'kill_command')
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


def main() -> int:
    """Drive and stop; return the exit status."""
    robot, folder = zoo_robot(sys.argv[1]), Path(sys.argv[2]).resolve()
    handle_signals()
    isolate()
    rows, goal = Rows(robot.name, folder / 'rows.json'), folder / 'goals' / 'goal.png'
    goal.parent.mkdir(parents=True)
    bundle = untrained(robot, folder / 'bundle')
    with Processes(folder / 'log') as processes, driven(processes, robot, '') as ears:
        ears.take_picture(goal)
        nodes = Nodes(processes, robot, ears, {
            'robot': str(shipped_file(robot)), 'bundle': str(bundle),
            'goal_root': str(goal.parent)}, robot.parameters)
        live = Live(robot, ears, nodes, rows, goal, SHORT)
        live.go()
        for step in STEPS:
            for _ in range(TRIES):
                take(step, lambda step=step: live.take(step), rows, live.driver_pause_s)
                if not disturbed(rows, step):
                    break
        nodes.end()
    return int(not all(map(rows.finished, STEPS)))


if __name__ == '__main__':
    sys.exit(main())
