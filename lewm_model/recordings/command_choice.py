"""Which topics of a recording command the robot: one, or several that share its joints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import re

from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from lewm_model.recordings.commands import EXECUTED_TYPE
from lewm_model.recordings.observed_commands import observe_commands, ObservedCommands
from lewm_model.recordings.survey import Survey, TopicSurvey
from lewm_model.robots.robot import COMMAND_TYPES, JOINT_STATE

ALL_TYPES = tuple(dict.fromkeys(kind for kinds in COMMAND_TYPES.values() for kind in kinds))
COMMANDED = re.compile(r'command|cmd|target|desired|goal|reference|controller', re.IGNORECASE)

Commanded = tuple[TopicSurvey, ObservedCommands]


def command_topics(survey: Survey) -> list[TopicSurvey]:
    """Return what may be the action, the likeliest first: executed, named as one, frequent."""
    found = [topic for topic in survey.of_types(EXECUTED_TYPE, *ALL_TYPES)
             if topic.type != JOINT_STATE or COMMANDED.search(topic.name)]
    return sorted(found, key=lambda topic: (
        topic.type != EXECUTED_TYPE, not COMMANDED.search(topic.name), -topic.count, topic.name))


def choose_commands(bag: Bag, topics: Sequence[TopicSurvey], states: Sequence[TopicSurvey]
                    ) -> list[Commanded]:
    """Return the topics that command the robot together, each with what was sent.

    That is the likeliest one, and those of the same interface for joints of their own: an arm and
    its gripper. Twists and executed commands are complete alone.

    Args:
        bag: The recording.
        topics: Of commands, the likeliest first.
        states: Of measured states.

    Raises:
        BagError: If the messages of the likeliest topic contradict each other or hold no command.
    """
    reported = [names for topic in states for names in (*topic.joints, topic.joint_names)]
    first = observe_commands(bag, topics[0], reported)
    if first.interface == 'twist' or topics[0].type == EXECUTED_TYPE:
        return [(topics[0], first)]
    found = [(topics[0], first)]
    for topic in topics[1:]:
        try:
            seen = observe_commands(bag, topic, reported)
        except BagError:   # it was no candidate of its own
            continue
        if seen.interface == first.interface:
            found.append((topic, seen))
    return _with_names(found, reported)


def _with_names(found: list[Commanded], reported: Sequence[tuple[str, ...]]) -> list[Commanded]:
    """Keep topics for joints of their own; give unnamed values the names that are left over."""
    chosen: dict[str, ObservedCommands] = {}
    taken: set[str] = set()
    several = len(found) > 1
    for topic, seen in sorted(found, key=lambda one: not one[1].named):   # by name first
        if not seen.named and several:
            left = [rest for names in reported
                    if len(rest := tuple(name for name in names if name not in taken))
                    == len(seen.names)]
            if left:
                seen = replace(seen, names=left[0], doubts=(
                    seen.doubts[0], 'A GUESS: the messages name no joints; these are left over'))
        if not taken & set(seen.names):
            chosen[topic.name] = seen
            taken |= set(seen.names)
    kept = [(topic, chosen[topic.name]) for topic, _ in found if topic.name in chosen]
    measured = {name for names in reported for name in names}
    if len(kept) > 1 and not taken <= measured:   # made-up names tell no joints apart
        kept = [one for one in kept if set(one[1].names) <= measured] or kept[:1]
    return kept
