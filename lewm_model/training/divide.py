"""Which episodes are trained on and which are held out, and how a bundle lists the former."""

from __future__ import annotations

from collections.abc import Sequence
import logging
from typing import Any

from lewm_model.base.marks import MOST_MARKS, pack_marks
from lewm_model.bundles.bundle import Bundle
from lewm_model.config import TrainConfig
from lewm_model.data.clips import split_episodes
from lewm_model.data.episodes import EpisodeFile
from lewm_model.data.families import families
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.errors import BundleError, DatasetError
from lewm_model.held_out import HeldOut
import numpy as np

_log = logging.getLogger(__name__)


def divide_episodes(data: EpisodeFile, fingerprint: Fingerprint, config: TrainConfig
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of training and of held-out episodes; with split 'clips' all and none.

    A copy of a training episode under another name is never held out.

    Raises:
        DatasetError: If a side would be empty.
    """
    if config.split == 'clips':
        return np.arange(data.num_episodes), np.empty(0, dtype=np.int64)
    if config.split == 'starts':
        kept, held_out = _by_family(data, config.validation_split)
    else:
        kept, held_out = split_episodes(data.ep_id, config.validation_split)
    known = fingerprint.marks_of(kept)
    copies = np.array([bool(fingerprint.marks[number] & known) for number in held_out])
    if copies.all():
        raise DatasetError(f'{data.path}: every episode that would be held out is a copy of a '
                           f'training episode; leave the copies out, `lewm inspect` names them')
    if copies.any():
        _log.warning('%s: %d episodes are copies of training episodes under other names (the '
                     'first is %s) and are not held out', data.path, copies.sum(),
                     data.ep_id[held_out[int(copies.argmax())]])
    return kept, held_out[~copies]


def _by_family(data: EpisodeFile, validation_split: float) -> tuple[np.ndarray, np.ndarray]:
    """Divide whole families of episodes that begin alike, by the name of their first member."""
    leaders = families(data)
    found = np.unique(leaders)
    if len(found) < 2:
        raise DatasetError(f'all {data.num_episodes} episodes of {data.path} begin alike, so '
                           f'split: starts can hold none of them out; use split: episodes')
    _, held_out = split_episodes([data.ep_id[leader] for leader in found], validation_split)
    away = np.isin(leaders, found[held_out])
    _log.info('%s: %d episodes in %d families of starts, %d held out', data.path, len(leaders),
              len(found), away.sum())
    return np.flatnonzero(~away), np.flatnonzero(away)


def list_trained(fingerprint: Fingerprint, kept: Sequence[int]) -> dict[str, Any]:
    """Return the entry of the provenance that lists what was trained on, if it fits there."""
    marks = fingerprint.marks_of(kept)
    if len(marks) > MOST_MARKS:
        marks = frozenset().union(*({min(fingerprint.marks[number])} for number in kept))
    if len(marks) > MOST_MARKS:
        _log.warning('%d episodes are too many to list in the bundle (%d): which ones were held '
                     'out is later told by their names alone', len(kept), MOST_MARKS)
        return {}
    return {'trained_on': pack_marks(marks)}


def divide_new(bundle: Bundle, data: EpisodeFile) -> HeldOut:
    """Return a set that a bundle has seen nothing of, divided by the bundle's own share.

    For what is trained beside a model that is finished: what it learns from may be recorded
    later. `also_trained` then lists it in the bundle.

    Raises:
        BundleError: If the bundle does not list what it was trained on.
        DatasetError: If it has seen a part of the data, or a side would be empty.
    """
    if bundle.trained_on is None:
        raise BundleError(f'model {bundle.model_id} does not list what it was trained on (made by '
                          f'an older version), so new episodes cannot be added to the list; train '
                          f'it again, or leave --new-data away')
    subject = HeldOut(bundle, data, new_data=True)
    subject.kept, subject.held_out = divide_episodes(
        data, Fingerprint.of(data), TrainConfig(validation_split=bundle.validation_split))
    return subject


def also_trained(bundle: Bundle, subject: HeldOut) -> dict[str, Any]:
    """Return the provenance's list of what was trained on, with what `subject` keeps.

    Raises:
        BundleError: If that is too much to list, so that nobody could tell what is held out.
    """
    marks = bundle.trained_on | Fingerprint.of(subject.data).marks_of(subject.kept)
    if len(marks) > MOST_MARKS:
        raise BundleError(f'{len(subject.kept)} new episodes are too many to list in the bundle: '
                          f'{len(marks)} marks, at most {MOST_MARKS}; use fewer')
    return {'trained_on': pack_marks(marks)}
