"""What the camera bench found out: kinds of cameras, two goals, a table and a JSON file. No rclpy.

Goals: at least 99 % of the frames are answered, and at least 99 % of the frames that were planned
on change a command within one control period and one plan (see `camera_ear.in_time`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import json
import os
from pathlib import Path
from typing import Any

from lewm_ros.trials import report

GOAL_SHARE = 0.99


@dataclass(frozen=True)
class Case:
    """One kind of camera."""

    name: str
    width: int
    height: int
    rate_hz: float
    jpeg: bool
    offer: str               # reliable or best_effort
    profile: bool = False    # the camera is started with the Fast DDS profile, as our nodes are
    expected: bool = True    # whether it can meet the goals at all, see docs/cameras.md


CASES = (
    Case('vga_reliable', 640, 480, 30, False, 'reliable'),
    Case('vga_best_effort', 640, 480, 30, False, 'best_effort', expected=False),
    Case('vga_best_effort_profile', 640, 480, 30, False, 'best_effort', profile=True),
    Case('hd_jpeg_reliable', 1280, 720, 30, True, 'reliable'),
    Case('hd_jpeg_best_effort', 1280, 720, 30, True, 'best_effort'),
    Case('full_hd_reliable', 1920, 1080, 15, False, 'reliable'),
    Case('full_hd_reliable_profile', 1920, 1080, 15, False, 'reliable', profile=True),
    Case('full_hd_best_effort', 1920, 1080, 15, False, 'best_effort', expected=False),
    Case('full_hd_best_effort_profile', 1920, 1080, 15, False, 'best_effort', profile=True),
)


def missed(row: dict[str, Any]) -> list[str]:
    """Name the goals that a case missed; none of one that cannot meet them."""
    if not row['expected']:
        return []
    in_time = row['within_limit'] / max(row['plans'], 1)
    found = {'frames answered': row['share'],
             'plans within one control period and one plan': in_time}
    return [f'{row["name"]}: {share:.1%} of the {what}, at least {GOAL_SHARE:.0%} are wanted'
            for what, share in found.items() if not share >= GOAL_SHARE]


def write(rows: Sequence[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """Write the JSON file; cases that were not run now are kept. Return all, in order."""
    order = [case.name for case in CASES]
    known = {}
    if file.is_file():
        known = {row['name']: row for row in json.loads(file.read_text(encoding='utf-8'))['cases']}
    known.update({row['name']: row for row in rows})
    everything = [known[name] for name in order if name in known]
    report.write({'cases': everything, 'cores': os.cpu_count(), 'versions': report.versions()},
                 file)
    return everything


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table for people; a case that cannot meet the goals says so.

    A dash is a row from before the time from a frame to its chunk was noted.
    """
    lines = ['| camera | offer | frames answered | camera to command p50, p99 | within one '
             'control period and one plan | frame to chunk p50, p95 | load |',
             '|---|---|---|---|---|---|---|']
    for row in rows:
        kind = 'JPEG' if row['jpeg'] else 'rgb8'
        offer = row['offer'].replace('_', ' ') + ', with the profile' * row['profile']
        offer += '' if row['expected'] else ', default: not enough'
        lag, chunk = row['camera_to_command_ms'], row.get('chunk_ms')
        in_time = f'{row["within_limit"]} of {row["plans"]}' if chunk else '-'
        to_chunk = f'{chunk["p50"]}, {chunk["p95"]} ms' if chunk else '-'
        lines.append(
            f'| {row["width"]}x{row["height"]} {kind} {row["rate_hz"]:g} Hz | {offer} '
            f'| {row["answered"]} of {row["sent"]} ({row["share"]:.1%}) '
            f'| {lag["p50"]}, {lag["p99"]} ms | {in_time} | {to_chunk} '
            f'| {row["load_average"][0]} |')
    return '\n'.join(lines)
