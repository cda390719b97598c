"""Recordings that were made in a namespace, read with the robot file that runs in it."""

from __future__ import annotations

from bag_factory import BagFactory, DT_NS, robot, START_NS
from lewm_model.bags.bag import Bag
from lewm_model.errors import BagError
from lewm_model.recordings.streams import read_streams
import pytest

DISCARDED, RECORDING = 5, 1


def spaced(factory: BagFactory, namespace: str) -> list:
    """Return the factory's messages as recorded in a namespace."""
    return [(f'/{namespace}{topic}', *rest) for topic, *rest in factory.messages]


def test_a_recording_in_a_namespace_is_that_of_the_robot_file(tmp_path):
    """Topics `image`, `joint_states`, `executed_command` are found below /cell/left."""
    bag = BagFactory().steps(6)
    bag.messages = spaced(bag, 'cell/left')
    with Bag(bag.write(tmp_path / 'bag')) as opened:
        streams = read_streams(opened, robot())
    assert streams.image_topic == '/cell/left/image'
    assert len(streams.frame_index) == 6 and len(streams.actions) == 5


def test_two_namespaces_are_a_question_and_an_exact_name_is_an_answer(tmp_path):
    """Both are named; a file that says `left/image` gets that one."""
    bag = BagFactory().steps(6)
    bag.messages = spaced(bag, 'left') + spaced(bag, 'right')
    with Bag(bag.write(tmp_path / 'bag')) as opened:
        with pytest.raises(BagError, match='several namespaces: /left/image, /right/image'):
            read_streams(opened, robot())
        streams = read_streams(opened, robot(
            image_topic='left/image', joint_state_topic='left/joint_states',
            executed_topic='left/executed_command'))
    assert streams.image_topic == '/left/image'


def test_marks_of_the_same_namespace_count_and_no_others(tmp_path):
    """An episode that was discarded in /left is left out; a mark of /right says nothing."""
    left, right = BagFactory().steps(6), BagFactory()
    left.episode(START_NS - 1, 'episode_0', RECORDING)
    left.episode(START_NS + 6 * DT_NS, 'episode_0', DISCARDED)
    right.episode(START_NS, 'episode_7', RECORDING)
    left.messages = spaced(left, 'left') + spaced(right, 'right')
    with Bag(left.write(tmp_path / 'bag')) as opened:
        streams = read_streams(opened, robot())
    assert not streams.mark_active[1:].any()
