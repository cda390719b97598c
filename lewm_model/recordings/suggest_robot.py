"""Suggest a robot description from what a recording holds, with everything unsure said in it."""

from __future__ import annotations

from dataclasses import dataclass, field
import json
import re
from typing import Any

from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from lewm_model.images.tiles import MAX_CAMERAS
from lewm_model.recordings.command_choice import (
    ALL_TYPES,
    choose_commands,
    command_topics,
    COMMANDED,
    Commanded,
)
from lewm_model.recordings.commands import EXECUTED_TYPE
from lewm_model.recordings.observed_commands import ObservedCommands, rounded
from lewm_model.recordings.simulated_time import CLOCK_TOPIC, CLOCK_TYPE, OTHER_CLOCK_NS
from lewm_model.recordings.survey import Survey, survey_bag, TopicSurvey
from lewm_model.robots.cameras import Camera
from lewm_model.robots.robot import (
    COMMAND_TYPES,
    IMAGE,
    IMAGE_TYPES,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    ODOMETRY,
    ODOMETRY_NAMES,
    RobotDescription,
    SPEEDS,
)
import numpy as np
import yaml

_CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
_NO_PICTURE = re.compile(r'depth|disparity|16UC1|32FC1|mask', re.IGNORECASE)


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
    commands = command_topics(survey)
    if not images or not commands:
        missing = 'camera images' if not images else f'commands ({EXECUTED_TYPE} or ' + ', '.join(
            ALL_TYPES) + ')'
        raise BagError(f'{bag.path} has no {missing}, so no robot file can be suggested; it has: '
                       f'{bag.describe_topics()}')
    image = images[0]
    states = _states(survey, commands[0])
    if not states:
        raise BagError(f'{bag.path} has no state ({JOINT_STATE} or {ODOMETRY}), so no robot file '
                       f'can be suggested; it has: {bag.describe_topics()}')
    chosen = choose_commands(bag, commands, states)
    state = _state_for(states, chosen)
    draft = _Draft([f'# Suggested from the recording {_one_line(bag.name)}. Check every line:',
                    '# limits are what was seen in the recording, not what the robot may do.'])
    draft.add('robot', name)
    step_s = round(float(np.median(image.steps_ns)) / 1e9, 6) if len(image.steps_ns) else 0.1
    draft.add('control_dt_s', step_s, 'one action per step [s]; ' + ', '.join(
        f'{topic.name.strip("/")} has {topic.rate_hz:.2f} Hz'
        for topic in (image, *(topic for topic, _ in chosen))))
    _add_image(draft, survey, images)
    _add_state(draft, state, states, chosen)
    if chosen[0][0].type == EXECUTED_TYPE:
        _add_executed(draft, chosen[0], commands)
    else:
        _add_sent(draft, chosen, commands)
    seen = [one for _, one in chosen]
    draft.add('interface', seen[0].interface, *seen[0].doubts[:1])
    draft.add('joint_names', [name for one in seen for name in one.names],
              'order of the action vector', *(one.doubts[1] for one in seen))
    _add_limits(draft, seen, step_s, state)
    _add_clocks(draft, survey, image, state, [topic for topic, _ in chosen])
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


def _states(survey: Survey, action: TopicSurvey) -> list[TopicSurvey]:
    found = [topic for topic in survey.of_types(JOINT_STATE, ODOMETRY) if topic is not action
             and not (topic.type == JOINT_STATE and COMMANDED.search(topic.name))]
    return sorted(found, key=lambda topic: (-topic.count, topic.name))


def _state_for(states: list[TopicSurvey], chosen: list[Commanded]) -> TopicSurvey:
    """Prefer a topic with all commanded joints; for a twist, odometry."""
    names = {name for _, seen in chosen for name in seen.names}

    def fits(topic: TopicSurvey) -> bool:
        if chosen[0][1].interface == 'twist':
            return topic.type == ODOMETRY
        return names <= set(topic.joint_names)
    return min(states, key=lambda topic: not fits(topic))   # the first of equals


def _add_image(draft: _Draft, survey: Survey, images: list[TopicSurvey]) -> None:
    image = images[0]
    (encoding, width, height), _ = image.looks.most_common(1)[0]
    draft.add('image_topic', image.name.strip('/'), f'{image.type}, {width}x{height} {encoding}',
              *_alternatives([topic for topic in images[1:] if topic.name != image.name]))
    if any(topic.name == image.name for topic in images[1:]):
        draft.add('image_type', image.type, 'this topic was recorded with both types')
    elif Camera(image.name).live_type != image.type:
        draft.add('image_type', image.type, 'the name of the topic does not say it')
    colourless = sorted({look[0] for look in image.looks if look[0] in ('8UC3', '8UC4')})
    if colourless:
        draft.add('assume_encoding', 'bgr8' if colourless == ['8UC3'] else 'bgra8',
                  f'{colourless[0]} does not say its colours; look at a picture and choose')
    parent = image.name.strip('/').rpartition('/')[0]
    infos = [topic.name.strip('/') for topic in survey.of_types(_CAMERA_INFO)]
    beside = [name for name in infos if image.name.strip('/').startswith(name.rpartition('/')[0])]
    best = min(beside, key=lambda name: name.rpartition('/')[0] != parent, default='')
    draft.add('camera_info_topic', best, '' if best else 'not recorded')
    kinds = {topic.name.strip('/'): topic.type for topic in reversed(images[:MAX_CAMERAS])}
    if len(kinds) > 1:
        listed = _yaml([_camera(name, kinds[name]) for name in reversed(kinds)])
        draft.lines += ['# to see with all of them, instead of image_topic, image_type and '
                        'camera_info_topic:', f'# cameras: {_one_line(listed)}']


def _camera(topic: str, kind: str) -> dict[str, str]:
    """Return an entry of `cameras`, with the type where the name does not say it."""
    return {'topic': topic, **({} if Camera(topic).live_type == kind else {'type': kind})}


def _add_state(draft: _Draft, state: TopicSurvey, states: list[TopicSurvey],
               chosen: list[Commanded]) -> None:
    draft.add('joint_state_topic', state.name.strip('/'), 'the measured state',
              *_alternatives([topic for topic in states if topic is not state]),
              f'TWO PUBLISHERS: {state.conflict}' if state.conflict else '')
    draft.add('state_type', state.type,
              ', '.join(ODOMETRY_NAMES) if state.type == ODOMETRY else '')
    if state.type == JOINT_STATE:
        listed = state.joint_names
        names = {name for _, seen in chosen for name in seen.names}
        if not names <= set(listed):
            draft.add('state_joint_names', list(listed), 'other names than those commanded')
        elif set(listed) - names:
            draft.lines.append('# to let the model see all that is measured:')
            draft.lines.append(f'# state_joint_names: {_one_line(_yaml(list(listed)))}')


def _add_executed(draft: _Draft, one: Commanded, commands: list[TopicSurvey]) -> None:
    action, seen = one
    listened = [topic for topic in commands if topic is not action
                and topic.type in COMMAND_TYPES[seen.interface]]
    draft.add('command_topic', listened[0].name.strip('/') if listened else 'commands',
              'where the robot listens' if listened else
              'NOT RECORDED: set the topic that the robot listens to')
    draft.add('command_type', listened[0].type if listened else COMMAND_TYPES[seen.interface][0],
              '' if listened else 'and its type: ' + ', '.join(COMMAND_TYPES[seen.interface]))
    draft.add('executed_topic', action.name.strip('/'), 'the training action')


def _add_sent(draft: _Draft, chosen: list[Commanded], commands: list[TopicSurvey]) -> None:
    used = [topic for topic, _ in chosen]
    left = [topic for topic in commands if topic not in used]
    others = _alternatives(left)
    if any(topic.type in COMMAND_TYPES[chosen[0][1].interface] for topic in left):
        others.append('one for other joints, such as those of a gripper, is added with commands: '
                      'a list of {topic, type, joints}')
    if len(chosen) == 1:
        draft.add('command_topic', used[0].name.strip('/'), 'what was sent, the training action',
                  *others)
        draft.add('command_type', used[0].type)
    else:
        draft.lines += [
            'commands:   # what was sent, the training action; each joint holds its last command',
            *(f'  - {_yaml(_entry(*one))}' for one in chosen), *(f'# {line}' for line in others)]
    draft.add('executed_topic', '', 'none was recorded')
    pause_s = min(float(topic.steps_ns.max(initial=0)) for topic in used) / 1e9
    draft.add('command_hold_s', 0.5, 'how long the robot obeys one command [s]; the longest '
                                     f'pause was {pause_s:.2f} s')


def _entry(topic: TopicSurvey, seen: ObservedCommands) -> dict[str, Any]:
    return {'topic': topic.name.strip('/'), 'type': topic.type, 'joints': list(seen.names)}


def _add_limits(draft: _Draft, seen: list[ObservedCommands], step_s: float, state: TopicSurvey
                ) -> None:
    low, high, rate = ([value for values in column for value in values]
                       for column in zip(*(one.limits(step_s) for one in seen), strict=True))
    rest = ', and 0, standing still' if seen[0].interface in SPEEDS else ''
    if seen[0].interface == 'joint_position':   # to stand still is to stay where it is measured
        rest = ', commanded or measured'
        names = [name for one in seen for name in one.names]
        for place, name in enumerate(names):
            least, most = state.ranges.get(name, (low[place], high[place]))
            low[place] = min(low[place], rounded(least, -1))
            high[place] = max(high[place], rounded(most, 1))
    draft.add('min_command', low, f'smallest observed{rest}')
    draft.add('max_command', high, f'largest observed{rest}')
    constant = [name for one in seen for name in one.constant]
    if constant:
        names = _one_line(', '.join(constant))
        draft.lines.append(f'# {names} never changed: its limits are made up')
    draft.add('max_rate', rate, 'fastest observed change [unit/s]')
    draft.add('stop_rate', rate, 'likewise; set what the robot can do in an emergency')


def _add_clocks(draft: _Draft, survey: Survey, image: TopicSurvey, state: TopicSurvey,
                actions: list[TopicSurvey]) -> None:
    """Choose header stamps, except where there are none or they are not the common clock.

    With `/clock` recorded, receipts are brought to the time of the headers, see `simulated_time`.
    """
    roles = {'image': [image], 'state': [state], 'command': actions}
    bare = {role: [topic for topic in topics if not topic.stamped
                   or (topic.type == JOINT_TRAJECTORY and topic.zero_stamps)]
            for role, topics in roles.items()}
    receive = {role for role, topics in bare.items() if topics}
    why = [f'{topics[0].name} has no stamps' for topics in bare.values() if topics]
    if receive and not any(topic.name == CLOCK_TOPIC for topic in survey.of_types(CLOCK_TYPE)):
        for role, topics in roles.items():
            if role not in receive and abs(np.median(topics[0].delays_ns)) > OTHER_CLOCK_NS:
                receive.add(role)
                why.append(f'{topics[0].name} is stamped by another clock')
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
