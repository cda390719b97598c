"""Suggest a robot description from what a recording holds, with everything unsure said in it."""

from __future__ import annotations

from dataclasses import dataclass, field
import json
import re
from typing import Any

from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from lewm_model.recordings.commands import EXECUTED_TYPE
from lewm_model.recordings.observed_commands import observe_commands, ObservedCommands
from lewm_model.recordings.survey import Survey, survey_bag, TopicSurvey
from lewm_model.robot import (
    COMMAND_TYPES,
    IMAGE,
    IMAGE_TYPES,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    ODOMETRY,
    ODOMETRY_NAMES,
    RobotDescription,
)
import numpy as np
import yaml

_CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
_COMMANDS = tuple(dict.fromkeys(kind for kinds in COMMAND_TYPES.values() for kind in kinds))
_COMMANDED = re.compile(r'command|cmd|target|desired|goal|reference|controller', re.IGNORECASE)
_NO_PICTURE = re.compile(r'depth|disparity|16UC1|32FC1|mask', re.IGNORECASE)
_OTHER_CLOCK_NS = 10 * 10 ** 9   # header and receive times this far apart: not the same clock


@dataclass
class _Draft:
    """Keys of the file in order, each with its comments."""

    lines: list[str] = field(default_factory=list)

    def add(self, key: str, value: Any, comment: str = '', *more: str) -> None:
        text = f'{key}: {_yaml(value)}'
        self.lines.append(f'{text:38} # {_one_line(comment)}' if comment else text)
        self.lines += [f'# {_one_line(line)}' for line in more if line]


def suggest_robot(bag: Bag, name: str) -> str:
    """Write the description, YAML text, that reads this recording.

    Args:
        bag: The recording.
        name: Of the robot.

    Raises:
        BagError: If the bag has no image, state or command topic; the message lists what it has.
        ConfigError: If what was recorded describes no robot.
    """
    return suggest_from(survey_bag(bag), bag, name)


def suggest_from(survey: Survey, bag: Bag, name: str) -> str:
    """Like `suggest_robot`, for a bag that was surveyed before."""
    images = _images(survey)
    commands = _commands(survey)
    if not images or not commands:
        missing = 'camera images' if not images else f'commands ({EXECUTED_TYPE} or ' + ', '.join(
            _COMMANDS) + ')'
        raise BagError(f'{bag.path} has no {missing}, so no robot file can be suggested; it has: '
                       f'{bag.describe_topics()}')
    image, action = images[0], commands[0]
    states = _states(survey, action)
    if not states:
        raise BagError(f'{bag.path} has no state ({JOINT_STATE} or {ODOMETRY}), so no robot file '
                       f'can be suggested; it has: {bag.describe_topics()}')
    seen = observe_commands(bag, action, [names for topic in states for names in topic.joints])
    state = _state_for(states, seen)
    draft = _Draft([f'# Suggested from the recording {_one_line(bag.name)}. Check every line:',
                    '# limits are what was seen in the recording, not what the robot may do.'])
    draft.add('robot', name)
    step_s = round(float(np.median(image.steps_ns)) / 1e9, 4) if len(image.steps_ns) else 0.1
    draft.add('control_dt_s', step_s, f'one action per step [s]; the camera has '
                                      f'{image.rate_hz:.2f} Hz')
    _add_image(draft, survey, images)
    _add_state(draft, state, states, seen)
    _add_commands(draft, action, commands, seen)
    _add_limits(draft, seen, step_s)
    _add_clocks(draft, image, state, action)
    text = '\n'.join(draft.lines) + '\n'
    RobotDescription(**yaml.safe_load(text))   # a suggestion that does not load would be none
    return text


def _images(survey: Survey) -> list[TopicSurvey]:
    """Return camera topics, the likeliest first: colour, many frames, raw."""
    def depth(topic: TopicSurvey) -> bool:
        return bool(_NO_PICTURE.search(topic.name) or any(
            _NO_PICTURE.search(encoding) for encoding, *_ in topic.looks))
    return sorted((topic for topic in survey.of_types(*IMAGE_TYPES) if not depth(topic)),
                  key=lambda topic: (-topic.count, topic.type != IMAGE, topic.name))


def _commands(survey: Survey) -> list[TopicSurvey]:
    """Return what may be the action, the likeliest first: executed, named as one, frequent."""
    found = [topic for topic in survey.of_types(EXECUTED_TYPE, *_COMMANDS)
             if topic.type != JOINT_STATE or _COMMANDED.search(topic.name)]
    return sorted(found, key=lambda topic: (
        topic.type != EXECUTED_TYPE, not _COMMANDED.search(topic.name), -topic.count, topic.name))


def _states(survey: Survey, action: TopicSurvey) -> list[TopicSurvey]:
    found = [topic for topic in survey.of_types(JOINT_STATE, ODOMETRY) if topic is not action
             and not (topic.type == JOINT_STATE and _COMMANDED.search(topic.name))]
    return sorted(found, key=lambda topic: (-topic.count, topic.name))


def _state_for(states: list[TopicSurvey], seen: ObservedCommands) -> TopicSurvey:
    """Prefer a topic with all commanded joints; for a twist, odometry."""
    def fits(topic: TopicSurvey) -> bool:
        if seen.interface == 'twist':
            return topic.type == ODOMETRY
        return any(set(seen.names) <= set(names) for names in topic.joints)
    return min(states, key=lambda topic: not fits(topic))   # the first of equals


def _add_image(draft: _Draft, survey: Survey, images: list[TopicSurvey]) -> None:
    image = images[0]
    (encoding, width, height), _ = image.looks.most_common(1)[0]
    draft.add('image_topic', image.name.strip('/'), f'{image.type}, {width}x{height} {encoding}',
              *_alternatives([topic for topic in images[1:] if topic.name != image.name]))
    if any(topic.name == image.name for topic in images[1:]):
        draft.add('image_type', image.type, 'this topic was recorded with both types')
    colourless = sorted({look[0] for look in image.looks if look[0] in ('8UC3', '8UC4')})
    if colourless:
        draft.add('assume_encoding', 'bgr8' if colourless == ['8UC3'] else 'bgra8',
                  f'{colourless[0]} does not say its colours; look at a picture and choose')
    parent = image.name.strip('/').rpartition('/')[0]
    infos = [topic.name.strip('/') for topic in survey.of_types(_CAMERA_INFO)]
    beside = [name for name in infos if image.name.strip('/').startswith(name.rpartition('/')[0])]
    best = min(beside, key=lambda name: name.rpartition('/')[0] != parent, default='')
    draft.add('camera_info_topic', best, '' if best else 'not recorded')


def _add_state(draft: _Draft, state: TopicSurvey, states: list[TopicSurvey],
               seen: ObservedCommands) -> None:
    draft.add('joint_state_topic', state.name.strip('/'), 'the measured state',
              *_alternatives([topic for topic in states if topic is not state]))
    draft.add('state_type', state.type,
              ', '.join(ODOMETRY_NAMES) if state.type == ODOMETRY else '')
    if state.type == JOINT_STATE:
        listed = max(state.joints, key=len, default=())
        if not any(set(seen.names) <= set(names) for names in state.joints):
            draft.add('state_joint_names', list(listed), 'other names than those commanded')
        elif set(listed) - set(seen.names):
            draft.lines.append('# to let the model see all that is measured:')
            draft.lines.append(f'# state_joint_names: {_one_line(_yaml(list(listed)))}')


def _add_commands(draft: _Draft, action: TopicSurvey, commands: list[TopicSurvey],
                  seen: ObservedCommands) -> None:
    others = [topic for topic in commands if topic is not action]
    if action.type == EXECUTED_TYPE:
        listened = [topic for topic in others if topic.type in COMMAND_TYPES[seen.interface]]
        draft.add('command_topic', listened[0].name.strip('/') if listened else 'commands',
                  'where the robot listens' if listened else
                  'NOT RECORDED: set the topic that the robot listens to')
        draft.add('command_type', listened[0].type if listened
                  else COMMAND_TYPES[seen.interface][0],
                  '' if listened else 'and its type: ' + ', '.join(COMMAND_TYPES[seen.interface]))
        draft.add('executed_topic', action.name.strip('/'), 'the training action')
    else:
        draft.add('command_topic', action.name.strip('/'), 'what was sent, the training action',
                  *_alternatives(others))
        draft.add('command_type', action.type)
        draft.add('executed_topic', '', 'none was recorded')
        pause_s = float(action.steps_ns.max()) / 1e9 if len(action.steps_ns) else 0.0
        draft.add('command_hold_s', 0.5, 'how long the robot obeys one command [s]; the longest '
                                         f'pause was {pause_s:.2f} s')
    draft.add('interface', seen.interface, *seen.doubts[:1])
    draft.add('joint_names', list(seen.names), 'order of the action vector', *seen.doubts[1:])


def _add_limits(draft: _Draft, seen: ObservedCommands, step_s: float) -> None:
    low, high, rate = seen.limits(step_s)
    draft.add('min_command', low, 'smallest observed')
    draft.add('max_command', high, 'largest observed')
    if seen.constant:
        names = _one_line(', '.join(seen.constant))
        draft.lines.append(f'# {names} never changed: its limits are made up')
    draft.add('max_rate', rate, 'fastest observed change [unit/s]')
    draft.add('stop_rate', rate, 'likewise; set what the robot can do in an emergency')


def _add_clocks(draft: _Draft, image: TopicSurvey, state: TopicSurvey, action: TopicSurvey
                ) -> None:
    """Choose header stamps, except where there are none or they are not the common clock."""
    roles = {'image': image, 'state': state, 'command': action}
    receive = {role for role, topic in roles.items() if not topic.stamped
               or (topic.type == JOINT_TRAJECTORY and topic.zero_stamps)}
    why = [f'{roles[role].name} has no stamps' for role in roles if role in receive]
    if receive:
        for role, topic in roles.items():
            if role not in receive and abs(np.median(topic.delays_ns)) > _OTHER_CLOCK_NS:
                receive.add(role)
                why.append(f'{topic.name} is stamped by another clock')
    draft.add('clocks', {role: 'receive' if role in receive else 'header' for role in roles},
              '', *why)


def _alternatives(topics: list[TopicSurvey]) -> list[str]:
    return [f'  or {topic.name.strip("/")} ({topic.type}, {topic.count} messages)'
            for topic in topics[:6]]


def _yaml(value: Any) -> str:
    """Write a value on one line; JSON texts, numbers and lists are YAML."""
    if isinstance(value, str) and re.fullmatch(r'[A-Za-z_][\w./-]*', value) and (
            yaml.safe_load(value) == value):   # a joint may be called "no"
        return value
    if isinstance(value, dict):
        return '{' + ', '.join(f'{key}: {_yaml(one)}' for key, one in value.items()) + '}'
    if isinstance(value, (list, tuple, np.ndarray)):
        return '[' + ', '.join(_yaml(one) for one in value) + ']'
    return json.dumps(value.item() if isinstance(value, np.generic) else value)


def _one_line(text: str) -> str:
    """Keep a comment a comment, whatever names a recording has."""
    return ''.join(letter if letter.isprintable() else '?' for letter in text)
