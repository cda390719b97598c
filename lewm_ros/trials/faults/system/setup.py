"""The two robots of the trials, and the systems that drive them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
import shutil
from typing import Any

from lewm_model.base import resources
from lewm_model.config import load_yaml
from lewm_model.robots.robot import RobotDescription
from lewm_ros.startup.system import NodeSpec, system, SystemOptions
import yaml

ARMS = ('velocity', 'position')
START = [0.0, 0.2, 0.8, 0.0, 0.0]   # state of the scene: time, joint positions, speeds
_BUNDLE = 'reacher-nano'
# Slower than the shipped description, whose limits let a command go from end to end in one step:
# a jump must be seen.
_VELOCITY_LIMITS = {'max_rate': [15.0, 15.0], 'stop_rate': [20.0, 20.0]}   # [rad/s^2]


@dataclass(frozen=True)
class Arm:
    """One robot under trial."""

    name: str
    robot_file: Path
    bundle: Path
    description: RobotDescription
    modules: dict[str, str] = field(default_factory=lambda: {
        'sim_node': 'lewm_ros.trials.faults.programs.faulty_sim',
        'planner_node': 'lewm_ros.trials.faults.programs.faulty_planner'})

    @property
    def goals(self) -> Path:
        """Folder of goal pictures."""
        return self.bundle / 'goals'


def prepare(name: str, out: Path) -> Arm:
    """Write robot file and bundle of an arm into a folder.

    The position arm is planned for by the weights of the velocity arm under another name: the
    plans mean nothing, but they are chunks of positions from the real planner at its real pace,
    and they keep the arm moving.
    """
    shipped = 'sim_reacher' if name == 'velocity' else 'sim_reacher_position'
    values = load_yaml(resources.find_named('config/robots', shipped, '.yaml'))
    if name == 'velocity':
        values |= _VELOCITY_LIMITS
    out.mkdir(parents=True, exist_ok=True)
    robot_file = (out / f'{shipped}.yaml').resolve()
    _write(robot_file, values)
    bundle = (out / 'bundle').resolve()
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(resources.find_named('models', _BUNDLE), bundle)
    facts = load_yaml(bundle / 'bundle.yaml')
    facts['robot'] = shipped
    facts['actions'] |= {'min': values['min_command'], 'max': values['max_command']}
    _write(bundle / 'bundle.yaml', facts)
    return Arm(name, robot_file, bundle, RobotDescription.from_yaml(robot_file))


def system_of(arm: Arm, out: Path) -> tuple[NodeSpec, ...]:
    """Return the nodes: those of the demo, and the recorder for a full disk.

    The drive repeats the last command for ever, and joint states come at 100 Hz. The simulator
    stands for hardware, so no process of ours may keep it waiting.
    """
    options = SystemOptions(sim=True, robot=str(arm.robot_file), bundle=str(arm.bundle),
                            goal_root=str(arm.goals), record=True,
                            root=str(out / 'recordings'))
    changes: dict[str, dict[str, Any]] = {
        'sim_node': {'command_timeout_s': 0.0, 'joint_rate_hz': 100.0}}
    return tuple(replace(node, stops_robot=node.stops_robot or node.executable == 'sim_node',
                         parameters={**node.parameters, **changes.get(node.executable, {})})
                 for node in system(options))


def _write(path: Path, values: dict) -> None:
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding='utf-8')
