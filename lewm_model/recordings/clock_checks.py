"""Stamps that cannot be: a message is not captured after it was received.

A camera whose clock is ahead pairs its pictures with states that came later, and nothing else
shows it. If all headers are ahead of the recorder's clock together (a replay, another clock for
all), nothing is paired wrongly; so a stamp is compared with those of the other topics that were
recorded beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from lewm_model.robots.robot import RobotDescription
import numpy as np

AHEAD_NS = 100_000_000   # what clocks of two machines, or a /clock of 10 Hz, may differ by


def later_than_receipt(tables: Mapping[str, np.ndarray], clocks: Mapping[str, str]
                       ) -> dict[str, np.ndarray]:
    """Return where a header stamp is later than its receipt, bool (N,) for each role.

    Commands may be stamped with the time at which they shall begin, so they are not judged.

    Args:
        tables: Places in the recording, stamps and receipts of each role, int64 (3, N).
        clocks: 'header' or 'receive' of each role.
    """
    delays = {role: receipts - stamps for role, (_, stamps, receipts) in tables.items()
              if clocks[role] == 'header' and len(stamps)}
    found = {}
    for role, (places, stamps, _) in tables.items():
        if role not in delays or role.startswith('command'):
            found[role] = np.zeros(len(stamps), dtype=bool)
            continue
        others = [_beside(places, tables[other][0], delays[other])
                  for other in delays if other != role]
        if 'receive' in clocks.values() or not others:
            others.append(np.zeros(len(stamps)))
        found[role] = delays[role] < np.minimum(np.max(others, axis=0), 0) - AHEAD_NS
    return found


def _beside(places: np.ndarray, other_places: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Return the delay of another topic's message that was recorded last before each place."""
    last = np.searchsorted(other_places, places) - 1
    return delays[np.clip(last, 0, None)]


def check_receipts(bag: Bag, robot: RobotDescription, topics: Mapping[str, str],
                   tables: Mapping[str, np.ndarray], zero: Mapping[str, np.ndarray],
                   clocks: Mapping[str, str], max_bad_share: float) -> dict[str, np.ndarray]:
    """Return where a header stamp is later than its receipt, bool (N,) for each role.

    Args:
        bag: The recording.
        robot: Whose topics they are.
        topics: Name of each role's topic.
        tables: Places, stamps and receipts of each role, int64 (3, N).
        zero: Where a stamp is missing, bool (N,); not looked at.
        clocks: 'header' or 'receive' of each role.
        max_bad_share: How many stamps may be later, as a share.

    Raises:
        BagError: If there are more; says how to correct the clocks.
    """
    stamped = {role: table[:, ~zero[role]] for role, table in tables.items()}
    found = {}
    for role, ahead in later_than_receipt(stamped, clocks).items():
        _, stamps, received = stamped[role]
        if ahead.sum() > max_bad_share * len(ahead):
            lead_ns = int((stamps - received)[ahead].max())
            raise BagError(
                f'{bag.path}: {int(ahead.sum())} of {len(ahead)} header stamps on {topics[role]} '
                f'are later than the receipt of their message, by up to {lead_ns / 1e9:.3f} s: '
                f'its clock is ahead of the others. Synchronise the clocks (chrony, PTP) and '
                f'record again, or set clocks: {{{role.split()[0]}: receive}} for robot '
                f'{robot.robot!r} to take the time of recording')
        found[role] = np.zeros(len(zero[role]), dtype=bool)
        found[role][np.flatnonzero(~zero[role])[ahead]] = True
    return found
