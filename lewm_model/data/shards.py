"""Several data set files as one: for sets larger than a disk, or recorded on several machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
import glob
import logging
from pathlib import Path
from typing import Any

from lewm_model.base.rates import same_rate
from lewm_model.data.columns import INDEX_COLUMNS, LazyColumns
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.measured_states import measured_states, measured_truth, STATES, TRUTH
from lewm_model.data.rows import ChunkedRows, JoinedRows, Rows
from lewm_model.errors import DatasetError
import numpy as np

_log = logging.getLogger(__name__)
# What a model trained on the set is told once, so that it has to hold for every file of it.
MUST_AGREE = ('robot', 'interface', 'control_dt_s', 'action_names', 'joint_names', 'action_min',
              'action_max')
_TEXTS_SHOWN = 3   # of an attribute that differs from file to file, such as the task


def open_data(paths: str | Path | Sequence[str | Path]) -> EpisodeFile:
    """Open one data set, whether it is one file or many; say so if reading it is slow.

    Args:
        paths: Files, folders of `.h5` files, or patterns such as 'a/*.h5'; sorted by name within
            a folder or pattern, so that every process and machine sees the same order.

    Raises:
        DatasetError: If a file is missing or contradicts itself, the files do not fit together,
            or an episode is in two of them.
    """
    asked = [paths] if isinstance(paths, (str, Path)) else list(paths)
    files = find_shards(asked)
    parts = [EpisodeFile.open(path) for path in files]
    slow = [part.path for part in parts if isinstance(part.pixels, ChunkedRows)]
    if slow:
        _log.warning('the pixels of %s%s are chunked or compressed, so that every clip is read '
                     'through HDF5; training is several times faster after: lewm convert-data %s '
                     'OUT --storage mapped', slow[0],
                     f' and {len(slow) - 1} more' * (len(slow) > 1), slow[0])
    if len(parts) == 1:
        return parts[0]
    return join(parts, Path(' '.join(str(path) for path in asked)))


def find_shards(paths: Sequence[str | Path]) -> list[Path]:
    """Expand folders and patterns to files.

    Raises:
        DatasetError: If a pattern or folder holds no file, or one is named twice.
    """
    found: list[Path] = []
    for path in paths:
        if Path(path).is_dir():
            files = sorted(Path(path).glob('[!.]*.h5'))
        elif glob.has_magic(str(path)) and not Path(path).exists():
            files = sorted(map(Path, glob.glob(str(path))))
        else:
            files = [Path(path)]
        if not files:
            raise DatasetError(f'no data set file (.h5) matches {path}; make one with '
                               f'"lewm ingest"')
        found += files
    real = [path.resolve() for path in found]
    twice = [str(path) for index, path in enumerate(found) if real[index] in real[:index]]
    if twice:
        raise DatasetError(f'{", ".join(twice)} is given twice; name every file once')
    if not found:
        raise DatasetError('no data set was given; name at least one file')
    return found


def join(parts: Sequence[EpisodeFile], path: Path) -> EpisodeFile:
    """Present data sets as one; rows and episodes are numbered through.

    Memory: the actions of all files and a few numbers per episode; pixels stay mapped. Columns
    that not all files have are left out.

    Args:
        parts: In their final order.
        path: What to call the whole in messages.

    Raises:
        DatasetError: If the files do not fit together, or an episode is in two of them.
    """
    for part in parts[1:]:
        _require_fit(parts[0], part)
    _require_distinct(parts)
    first_rows, first_episodes = (np.cumsum(counts) - counts for counts in (
        np.array([len(part) for part in parts]), np.array([part.num_episodes for part in parts])))
    return EpisodeFile(
        path=path, pixels=JoinedRows([part.pixels for part in parts]),
        action=np.concatenate([part.action for part in parts]),
        ep_len=np.concatenate([part.ep_len for part in parts]),
        ep_offset=np.concatenate([part.ep_offset + first for part, first
                                  in zip(parts, first_rows, strict=True)]),
        ep_id=tuple(name for part in parts for name in part.ep_id),
        columns=_join_columns(parts, first_episodes, path),
        attributes=_join_attributes(parts),
        ep_recording=tuple(name for part in parts for name in part.ep_recording),
        shards=tuple(shard for part in parts for shard in part.shards or (part.path,)),
        ep_name=_names(parts))


def _names(parts: Sequence[EpisodeFile]) -> tuple[str, ...]:
    """Return a name for every episode that no other has: recordings are named by number."""
    stems = Counter(part.path.stem for part in parts)
    counts = Counter(name for part in parts for name in set(part.ep_name))
    return tuple(
        name if counts[name] == 1 else
        f'{part.path.stem}{f"-{number}" * (stems[part.path.stem] > 1)}:{name}'
        for number, part in enumerate(parts, 1) for name in part.ep_name)


def _require_fit(one: EpisodeFile, other: EpisodeFile) -> None:
    facts = [('number of action dimensions', one.action.shape[1], other.action.shape[1]),
             ('frame size', *('x'.join(map(str, part.pixels.shape[2:0:-1])) + ' px'
                              for part in (one, other)))]
    facts += [(name, *(_comparable(part.attributes.get(name)) for part in (one, other)))
              for name in MUST_AGREE]
    for title, of in (('kind of measured states', measured_states),
                      ('kind of recorded truth', measured_truth)):
        states = [of(part)[0] for part in (one, other)]
        if all(states):
            facts.append((title, *(', '.join(map(str, these)) for these in states)))
    if one.view and other.view and one.view.difference(other.view):
        facts.append(('view', one.view, other.view))
    for name, first, second in facts:
        if first != second and not (name == 'control_dt_s' and None not in (first, second)
                                    and same_rate(first, second)):
            first, second = ('not given' if value is None else value for value in (first, second))
            raise DatasetError(
                f'{one.path} and {other.path} cannot be one data set: the {name} is {first} in '
                f'the first and {second} in the second; train on them apart, or make them equal '
                f'with "lewm ingest" or "lewm convert-data"')


def _require_distinct(parts: Sequence[EpisodeFile]) -> None:
    """Refuse an episode in two files: it would count twice, and could be on both sides."""
    seen: dict[str, EpisodeFile] = {}
    for part in parts:
        for name, recording in zip(part.ep_id, part.ep_recording or part.ep_id, strict=True):
            other = seen.get(recording)
            if other is not None and other is not part:
                raise DatasetError(f'episode {name!r} is in {other.path} and in {part.path}; '
                                   f'leave one of the files out, or make one of them again '
                                   f'without this episode')
            seen[recording] = part


def _join_columns(parts: Sequence[EpisodeFile], first_episodes: np.ndarray, path: Path
                  ) -> LazyColumns:
    names = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
    everything = {name for part in parts for name in part.columns}
    loaders = {}
    for name in names:
        shapes = [_shape(part, name) for part in parts]
        if len({shape[1:] for shape in shapes}) == 1:
            loaders[name] = ((sum(shape[0] for shape in shapes), *shapes[0][1:]),
                             lambda name=name: _joined(parts, name, first_episodes))
    left_out = sorted(everything - set(loaders))
    if left_out:
        _log.warning('%s: left out columns that not all files have, or not in one shape: %s',
                     path, ', '.join(left_out))
    return LazyColumns(loaders)


def _shape(part: EpisodeFile, name: str) -> tuple[int, ...]:
    columns = part.columns
    return columns.shape_of(name) if isinstance(columns, LazyColumns) else columns[name].shape


def _joined(parts: Sequence[EpisodeFile], name: str, first_episodes: np.ndarray) -> Any:
    columns = [part.columns[name] for part in parts]
    if name in INDEX_COLUMNS:   # every file counts from 0, the set counts through
        return np.concatenate([np.repeat(np.arange(part.num_episodes), part.ep_len) + first
                               for part, first in zip(parts, first_episodes, strict=True)])
    if columns[0].ndim == 4 or any(isinstance(column, Rows) for column in columns):
        return JoinedRows(columns)
    return np.concatenate(columns)


def _join_attributes(parts: Sequence[EpisodeFile]) -> dict[str, Any]:
    """Keep what all say alike, every command, and the first few of other texts that differ."""
    joined = {}
    for name in dict.fromkeys(name for part in parts for name in part.attributes):
        values = [part.attributes[name] for part in parts if name in part.attributes]
        if name in ('view', STATES, TRUTH):   # compared by `_require_fit`; what not all files say
            #                                   is not known of the whole
            joined |= {name: values[0]} if len(values) == len(parts) else {}
        elif len(values) == len(parts) and all(_comparable(value) == _comparable(values[0])
                                             for value in values):
            joined[name] = values[0]
        elif all(isinstance(value, str) for value in values):
            texts = list(dict.fromkeys(filter(None, values)))
            shown = len(texts) if name.endswith('_command') else _TEXTS_SHOWN
            more = len(texts) - shown
            joined[name] = '; '.join(texts[:shown] + [f'and {more} more'] * (more > 0))
    return joined


def _comparable(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
