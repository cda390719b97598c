"""Robot files of the zoo: where they are, what a person changes in one, whether two agree."""

from __future__ import annotations

from dataclasses import fields
import json
from pathlib import Path
import re
from typing import Any

from lewm_model.base import resources
from lewm_model.robots.robot import RobotDescription
from lewm_ros.trials.zoo.robots.description import ZooRobot
import numpy as np
import yaml

# What a recording cannot know (exactly): limits, which are what was seen, names, and what people
# mean when they click.
JUDGEMENT = ('robot', 'command_hold_s', 'min_command', 'max_command', 'max_rate', 'stop_rate',
             'clicks')


def shipped_file(robot: ZooRobot) -> Path:
    """Return the robot's file, which a person writes before the first recording."""
    if robot.ours:
        return resources.find(f'config/robots/{robot.name}.yaml')
    return resources.find(f'config/robots/zoo/{robot.name}.yaml')


def edit_file(file: Path, edits: dict[str, Any]) -> list[str]:
    """Write values into a robot file, line by line; return the keys that changed."""
    text = file.read_text(encoding='utf-8')
    known = yaml.safe_load(text)
    changed = []
    for key, value in edits.items():
        if known.get(key) == value:
            continue
        changed.append(key)
        line = f'{key}: {json.dumps(value)}'
        text, count = re.subn(rf'(?m)^{re.escape(key)}:.*$', lambda _, line=line: line, text,
                              count=1)
        text += '' if count else line + '\n'
    file.write_text(text, encoding='utf-8')
    return changed


def differences(found: RobotDescription, expected: RobotDescription) -> list[str]:
    """Name the facts in which two descriptions differ, apart from `JUDGEMENT`."""
    different = []
    for item in fields(RobotDescription):
        ours, theirs = getattr(found, item.name), getattr(expected, item.name)
        same = (np.array_equal(ours, theirs) if isinstance(theirs, np.ndarray)
                else ours == theirs)
        if item.name not in JUDGEMENT and not same:
            different.append(f'{item.name} {ours!r} instead of {theirs!r}')
    return different
