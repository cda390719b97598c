"""What the bags of a data set are called in it.

Usually like their folder. `lewm collect` and most recorders number their episodes anew in each
folder, so bags of several folders with one name get as much of their path as tells them apart:
`monday/episode_0`. A set is known to hold a bag by its name; where folders are part of names, by
its content, because the same folder given alone has shorter names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
import contextlib
from pathlib import Path

from lewm_model.errors import LewmError
from lewm_model.ingest.convert_bag import hash_bag
from lewm_model.ingest.report import BagReport


def bag_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each bag, all different; `paths` are."""
    parts = [path.absolute().parts for path in paths]
    lengths = [1] * len(paths)
    while True:
        names = ['/'.join(one[-length:]) for one, length in zip(parts, lengths, strict=True)]
        counts = Counter(names)
        if len(counts) == len(names):
            return names
        lengths = [length + (counts[name] > 1)
                   for name, length in zip(names, lengths, strict=True)]


def named_bags(paths: Sequence[Path], present: Mapping[str, BagReport]) -> dict[str, Path]:
    """Return the bags by name; those that a set holds under another name get that one.

    Args:
        paths: All different.
        present: The bags of the set, by name.
    """
    held = {report.sha256: name for name, report in present.items()
            if report.sha256 and report.rows}
    folders = any('/' in name for name in present)
    named: dict[str, Path] = {}
    for name, path in zip(bag_names(paths), paths, strict=True):
        if held and (folders or '/' in name):
            with contextlib.suppress(LewmError):   # one that cannot be read says so in its report
                name = held.get(hash_bag(path), name)
        named.setdefault(name, path)
    return named
