"""Say in words how a robot file is read, before anything is recorded or moves."""

from __future__ import annotations

from lewm_model.images.tiles import WHOLE
from lewm_model.quantities import Quantity
from lewm_model.robots.clicks import Clicks
from lewm_model.robots.robot import (
    FLOAT_ARRAY,
    JOINT_TRAJECTORY,
    ODOMETRY,
    RobotDescription,
    SPEEDS,
    TWIST,
)
import numpy as np

_REST = {'joint_position': 'where it is measured', 'joint_velocity': 'speed 0', 'twist': 'speed 0',
         'joint_effort': 'not known: the command node refuses efforts'}


def describe_robot(robot: RobotDescription) -> str:
    """List what is seen, what is measured, what is sent where, with which limits and clocks."""
    lines = [f'robot {robot.robot!r}: {robot.action_dim} actions ({robot.interface}) every '
             f'{robot.control_dt_s:g} s ({1 / robot.control_dt_s:.4g} Hz)']
    for place, camera in enumerate(robot.all_cameras):
        kind = camera.type or f'{"compressed" if camera.compressed else "raw"}, by its name'
        part = '' if camera.crop == WHOLE else f', of it {list(camera.crop)}'
        lines.append(f'  camera   {camera.topic} ({kind}){part}; time: '
                     f'{_clock(robot.camera_clock(place))}')
    lines.append(f'  state    {robot.joint_state_topic} ({robot.state_type}): '
                 f'{", ".join(map(_with_unit, robot.state_quantities))}; time: '
                 f'{_clock(robot.clocks.state)}'
                 + ('' if robot.state_type == ODOMETRY else '; may be spread over messages'))
    for command in robot.command_topics:
        lines.append(f'  command  {command.topic} ({command.type}): {", ".join(command.joints)}'
                     f'{_order(command.type)}')
    if robot.executed_topic:
        lines.append(f'  training actions from {robot.executed_topic} (what was executed)')
    else:
        lines.append(f'  training actions are what was sent, in force until the next and at most '
                     f'{robot.command_hold_s:g} s; time: {_clock(robot.clocks.command)}')
    lines.append(f'  at rest  {_REST[robot.interface]}')
    width = max(map(len, robot.joint_names))
    step = robot.control_dt_s
    for name, low, high, rate, stop in zip(robot.joint_names, robot.min_command,
                                           robot.max_command, robot.max_rate, robot.stop_rate,
                                           strict=True):
        lines.append(f'  {name:{width}}  from {low:g} to {high:g}, at most {rate * step:.4g} a '
                     f'step, {stop * step:.4g} in a stop')
    for name, least, most, dead in zip(robot.joint_names, robot.position_min,
                                       robot.position_max, robot.deadband, strict=True):
        if np.isfinite([least, most]).any():
            lines.append(f'  {name:{width}}  kept between the positions {least:g} and {most:g}')
        if dead:
            lines.append(f'  {name:{width}}  speeds below {dead:g} are 0')
    if robot.clicks is not None:
        lines.append(f'  clicks   {_clicks(robot.clicks)}')
    return '\n'.join(lines + [f'  note: {note}' for note in _notes(robot)])


def _clicks(clicks: Clicks) -> str:
    names = ', '.join(filter(None, (clicks.x, clicks.y, clicks.yaw)))
    if clicks.yaw_ahead:
        names += f' ({clicks.yaw_ahead:.4g} rad where the arrow points along x)'
    way = {'bank': 'the nearest entry of a goal bank by', 'render': 'a rendered picture with',
           'quantities': 'values, without a picture, of'}[clicks.become]
    return (f'in frame {clicks.frame} become {way} {names}; of the picture '
            + (f'by {len(clicks.pixels)} points' if clicks.pixels else 'not taken'))


def _with_unit(state: Quantity) -> str:
    return f'{state.name} [{state.unit}]' if state.unit else state.name


def _clock(clock: str) -> str:
    return 'of the header' if clock == 'header' else 'of receipt'


def _order(kind: str) -> str:
    """Say what the type leaves open."""
    if kind == FLOAT_ARRAY:
        return '; without names, so in the order of the controller'
    if kind == TWIST:
        return '; other axes stay 0'
    return '; one point, a control step ahead' if kind == JOINT_TRAJECTORY else ''


def _notes(robot: RobotDescription) -> list[str]:
    """Say what is allowed and yet seldom meant."""
    notes = []
    wide = robot.max_command - robot.min_command
    for key, rates in (('max_rate', robot.max_rate), ('stop_rate', robot.stop_rate)):
        slow = [name for name, there in zip(
            robot.joint_names, wide > 20 * rates if robot.interface in SPEEDS
            else np.zeros(robot.action_dim, dtype=bool), strict=True) if there]
        if slow:
            notes.append(f'{key} of {", ".join(slow)} takes more than 20 s from one limit to the '
                         f'other')
    lazy = [name for name, max_rate, stop_rate in zip(
        robot.joint_names, robot.max_rate, robot.stop_rate, strict=True) if stop_rate < max_rate]
    if lazy:
        notes.append(f'stop_rate of {", ".join(lazy)} is below max_rate: it stops more slowly '
                     f'than it starts')
    if not robot.executed_topic:
        notes.append('executed_topic is empty: record with the command node and name it, then '
                     'actions have the stamps of their control steps')
    return notes
