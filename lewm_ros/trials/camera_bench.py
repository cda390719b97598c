"""Ordinary cameras before the running planner: how many frames are answered, and how soon.

    python -m lewm_ros.trials.camera_bench --seconds 60

For each case a camera in a process of its own, the planner and the command node. The camera has
the middleware's default settings, or the profile where the case says so. A frame is answered if
`plan_status` carries its stamp. Writes cameras.json and prints the table of docs/cameras.md.
Exit status 0: every case that can meet the goals (see `camera_report`) does. Needs the built
package.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
import json
import os
from pathlib import Path
import sys
import time

from lewm_model.base import resources
from lewm_model.errors import LewmError
from lewm_model.images.decode import write_image
from lewm_model.robots.robot import RobotDescription
from lewm_ros.startup.bringup import Bringup, isolate, own_node
from lewm_ros.startup.processes import Child, stop
from lewm_ros.startup.system import NodeSpec, system, SystemOptions
from lewm_ros.startup.transport import transport_environment, VARIABLES
from lewm_ros.trials.camera_ear import CameraEar
from lewm_ros.trials.camera_report import Case, CASES, missed, table, write
from lewm_ros.trials.other_view import with_view
from lewm_ros.trials.program import run_program
import numpy as np
from rclpy.utilities import get_rmw_implementation_identifier


def nodes_for(case: Case, folder: Path) -> list[NodeSpec]:
    """Write robot, bundle and goal of a case; return the nodes that plan and command."""
    bundle = with_view(resources.find_named('models', 'reacher-nano'), case.width, case.height,
                       folder / 'bundle')
    robot = resources.find_named('config/robots', 'sim_reacher', '.yaml')
    text = robot.read_text(encoding='utf-8')
    if case.jpeg:
        text += 'image_type: sensor_msgs/msg/CompressedImage\n'
    (folder / 'robot.yaml').write_text(text, encoding='utf-8')
    goal = np.full((case.height, case.width, 3), 128, np.uint8)
    write_image(folder / 'goal.png', goal)
    options = SystemOptions(robot=str(folder / 'robot.yaml'), bundle=str(bundle),
                            goal_image=str(folder / 'goal.png'))
    own = {'command_node': {'require_enable': False}}
    return [replace(node, parameters={**node.parameters, **own.get(node.executable, {})})
            for node in system(options)]


def measure(case: Case, seconds: float, out: Path) -> dict:
    """Run one case; return its facts."""
    folder = out / case.name
    folder.mkdir(parents=True, exist_ok=True)
    nodes, sent = nodes_for(case, folder), folder / 'sent.json'
    sent.unlink(missing_ok=True)
    robot = RobotDescription.from_yaml(folder / 'robot.yaml')
    command = [sys.executable, '-m', 'lewm_ros.trials.bench_camera', '--topic', robot.image_topic,
               '--size', f'{case.width}x{case.height}', '--rate', str(case.rate_hz), '--offer',
               case.offer, '--seconds', str(seconds), '--out', str(sent)]
    with Bringup(nodes, folder / 'log') as running:
        camera = Child('camera', command + ['--jpeg'] * case.jpeg, folder / 'log' / 'camera.log',
                       _environment(case))
        try:
            with own_node('camera_bench') as (node, executor):
                ear = CameraEar(node, robot)
                running.activate(node, executor)
                deadline_s = time.monotonic() + 2 * seconds + 60
                while not sent.exists() and time.monotonic() < deadline_s:
                    executor.spin_once(timeout_sec=0.05)
                    running.check()
        finally:
            stop([camera])
    if not sent.exists():
        raise LewmError(f'{case.name}: the camera did not finish; {camera.last_lines()}')
    stamps = json.loads(sent.read_text(encoding='utf-8'))
    facts = ear.facts(stamps, robot.control_dt_s)
    (folder / 'plans.json').write_text(json.dumps(facts.pop('raw_ms')), encoding='utf-8')
    return {**asdict(case), **facts, 'seconds': seconds,
            'load_average': [round(load, 1) for load in os.getloadavg()]}


def _environment(case: Case) -> dict[str, str]:
    """Return the camera's, with the profile that launch sets for our nodes, or without."""
    plain = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    rmw = get_rmw_implementation_identifier()
    return {**plain, **transport_environment('auto' if case.profile else 'none', plain,
                                             Path.cwd(), rmw)}


def main(args: list[str] | None = None) -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=60.0, help='per case')
    parser.add_argument('--cases', nargs='+', choices=[case.name for case in CASES],
                        default=[case.name for case in CASES])
    parser.add_argument('--out', type=Path, default=Path('out/cameras'))
    parser.add_argument('--results', type=Path, help='folder of cameras.json (that of --out)')
    options = parser.parse_args(args)
    return run_program('camera_bench', lambda: _measure(options))


def _measure(options: argparse.Namespace) -> int:
    isolate()
    rows = []
    for case in CASES:
        if case.name in options.cases:
            rows.append(measure(case, options.seconds, options.out.resolve()))
            print(table(rows).splitlines()[-1], flush=True)
    print(table(write(rows, (options.results or options.out) / 'cameras.json')))
    faults = [fault for row in rows for fault in missed(row)]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
