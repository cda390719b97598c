"""Say in words what a recording holds."""

from __future__ import annotations

import json
from pathlib import Path

from lewm_model.bags.bag import Bag
from lewm_model.recordings.episode_marks import PHASES
from lewm_model.recordings.survey import GAP, Survey, survey_bag, TopicSurvey
from lewm_model.recordings.synchronize import RESAMPLED
from lewm_model.recordings.timeline import JUMP_NS
import numpy as np


def describe_bag(path: str | Path) -> str:
    """List topics with types, counts, rates, gaps, stamps and pictures, episodes, and damage.

    Raises:
        BagError: If the bag cannot be read.
    """
    with Bag(path) as bag:
        return describe_survey(survey_bag(bag))


def describe_survey(survey: Survey) -> str:
    """Put a survey into words."""
    received = [topic.received_ns for topic in survey.topics if topic.count]
    if not received:
        listed = ', '.join(f'{topic.name} ({topic.type})' for topic in survey.topics)
        return '\n'.join([f'{survey.path}: no messages; topics: {listed or "none"}',
                          *(f'  note: {note}' for note in survey.notes)])
    times = np.concatenate(received)
    lines = [f'{survey.path}: {len(times)} messages in '
             f'{(times.max() - times.min()) / 1e9:.2f} s, '
             f'received from {times.min()} to {times.max()} ns']
    width = max(len(topic.name) for topic in survey.topics)
    for topic in survey.topics:
        rate = f'{topic.rate_hz:8.2f} Hz' if topic.rate_hz else ' ' * 11
        lines.append(f'  {topic.name:{width}} {topic.count:7d} {rate}  {topic.type}')
        lines += ['      ' + '; '.join(details) for details in (_details(topic),) if details]
    for mark in survey.marks:
        phase = PHASES[mark.phase] if mark.phase < len(PHASES) else f'phase {mark.phase}'
        lines.append(f'  episode {mark.episode_id!r} (index {mark.index}), task '
                     f'{mark.task!r}, {phase}: {_compact(mark.metadata_json)}')
    if not survey.marks:
        lines.append('  no episode marks: what is recorded without a gap is one episode')
    return '\n'.join(lines + [f'  note: {note}' for note in survey.notes])


def _details(topic: TopicSurvey) -> list[str]:
    """Say what is particular to a topic; of latched and rare ones nothing."""
    texts = []
    if topic.looks:
        texts.append(' and '.join(
            f'{width}x{height} {encoding}' + f' ({count} times)' * (len(topic.looks) > 1)
            for (encoding, width, height), count in topic.looks.most_common(6)))
    if topic.joints:
        texts.append('joints ' + ' and '.join(
            ', '.join(names) for names, _ in topic.joints.most_common(4)))
    if topic.conflict:
        texts.append(f'! two publishers: {topic.conflict}')
    if len(topic.steps_ns) > 1:
        texts.append(f'largest gap {topic.steps_ns.max() / 1e9:.3f} s, {topic.gaps} above {GAP} '
                     f'periods')
    if topic.looks and topic.rate_hz:
        step_s = 1 / topic.rate_hz
        texts.append(f'fits a control_dt_s of {step_s:.4g} (every frame), or of '
                     f'{step_s / RESAMPLED:.4g} and more (the nearest frames)')
    texts += _stamps(topic)
    return texts


def _stamps(topic: TopicSurvey) -> list[str]:
    if topic.stamps_ns is None:
        return ['no header, only the time of recording'] if topic.first is not None else []
    texts = []
    if topic.zero_stamps:
        texts.append(f'{topic.zero_stamps} of {topic.count} header stamps are zero')
    if len(topic.delays_ns) and topic.count > 1:
        low, middle, high = np.percentile(topic.delays_ns, (0, 50, 100)) / 1e6
        texts.append(f'received {middle:.1f} ms after its stamp '
                     f'({low:.1f} to {high:.1f} ms)' if abs(middle) < 1e5 else
                     f'the header clock is another one than that of recording '
                     f'({middle / 1e3:.0f} s apart)')
    times = topic.times_ns
    jumps = int((np.diff(times) < -JUMP_NS).sum())
    if jumps:
        texts.append(f'the clock jumps back {jumps} times')
    return texts


def _compact(text: str) -> str:
    try:
        return ', '.join(f'{key} {value}' for key, value in json.loads(text).items())
    except (ValueError, AttributeError):
        return text
