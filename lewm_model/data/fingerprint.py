"""What a data set is by its content: digests that no renaming of bags, files or episodes changes.

An episode has one or two marks: of its content (all actions and stamps, first, middle and last
frame), and, from a bag, of the bag's bytes and the episode's number in it. The second
stays when the same bag is ingested at another size of the frames. A set that shares a mark with
what a model was trained on holds an episode that the model has seen, whatever it is called now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import hashlib
import json
from typing import Any

from lewm_model.base.marks import mark_of
from lewm_model.data.episodes import EpisodeFile
import numpy as np

STAMPS = 'stamp_ns'
ROBOT_FACTS = ('robot', 'interface', 'control_dt_s', 'action_names', 'state_names')


@dataclass(frozen=True)
class Fingerprint:
    """Digests of a data set, of its robot and of each of its episodes."""

    data: str                               # 16 hex digits: episodes in their order, frame size
    robot: str                              # 16 hex digits: `ROBOT_FACTS`
    episodes: tuple[str, ...]               # of the content of each, E
    marks: tuple[frozenset[int], ...]       # by which each is known again, E

    @classmethod
    def of(cls, data: EpisodeFile) -> Fingerprint:
        """Read what is needed of a data set: its actions and three frames per episode."""
        episodes = tuple(episode_digest(data, number) for number in range(len(data.ep_len)))
        recordings = getattr(data, 'ep_recording', ()) or ('',) * len(episodes)
        whole = hashlib.sha256(repr(tuple(data.pixels.shape[1:])).encode())
        for digest in episodes:
            whole.update(digest.encode())
        return cls(
            data=whole.hexdigest()[:16], robot=robot_digest(data.attributes), episodes=episodes,
            marks=tuple(frozenset({mark_of(content), *(
                [mark_of(recording)] if recording != name and recording else [])})
                for content, recording, name in zip(episodes, recordings, data.ep_id,
                                                    strict=True)))

    def marks_of(self, episodes: Iterable[int]) -> frozenset[int]:
        """Return the marks of some episodes, by their numbers."""
        return frozenset().union(*(self.marks[number] for number in episodes))

    def identity(self) -> dict[str, str]:
        """Return what a run, a bundle and a prior say about their data."""
        return {'data_digest': self.data, 'robot_digest': self.robot}


def robot_digest(facts: dict[str, Any]) -> str:
    """Return 16 hex digits of the robot's name, interface, rate, actions and states.

    Not of its limits: these may be narrowed after training.
    """
    known = {name: np.asarray(facts[name]).tolist() for name in ROBOT_FACTS
             if facts.get(name) is not None}
    if 'control_dt_s' in known:
        known['control_dt_s'] = float(f'{known["control_dt_s"]:.6g}')   # 1/30 and 0.0333333
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def episode_digest(data: EpisodeFile, number: int) -> str:
    """Return 20 hex digits of the content of one episode."""
    first, length = int(data.ep_offset[number]), int(data.ep_len[number])
    actions = np.array(data.action[first:first + length], dtype='<f4')
    actions[np.isnan(actions)] = np.nan     # one of the many bit patterns
    digest = hashlib.sha256(actions.tobytes())
    columns = getattr(data, 'columns', {})
    if STAMPS in columns:
        digest.update(np.asarray(columns[STAMPS][first:first + length], '<i8').tobytes())
    for row in sorted({0, length // 2, length - 1}):
        digest.update(np.ascontiguousarray(data.pixels[first + row]))
    return digest.hexdigest()[:20]
