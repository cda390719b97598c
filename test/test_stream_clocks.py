"""Stamps that are missing, forgotten, repeated, or jump: docs/bags.md lists the behaviour."""

from bag_factory import BagFactory, DT_NS, robot, START_NS
from lewm_model.errors import BagError
from lewm_model.recordings.timeline import clock_runs, runs_of_marks, zero_among_others
import numpy as np
import pytest
from stream_factory import diff_drive, StreamFactory
from stream_reading import at, read, rows


def test_unstamped_topics_name_the_setting(tmp_path):
    """All zero: the error says which clock to choose, and that choice works."""
    factory = BagFactory().steps(6)
    factory.messages = [message for message in factory.messages if message[0] != '/joint_states']
    for index in range(6):
        factory.joints(0, (index, -index))
        factory.messages[-1] = (*factory.messages[-1][:2], at(index), factory.messages[-1][3])
    with pytest.raises(BagError, match=r'stamps on /joint_states are all zero; set clocks: '
                                       r"\{state: receive\} in the description of robot 'arm'"):
        read(factory, tmp_path)

    result = rows(factory, tmp_path / 'again', robot(clocks={'state': 'receive'}))
    np.testing.assert_array_equal(result.episodes[0].positions[:, 0], range(6))


def test_forgotten_stamps_are_left_out_and_counted(tmp_path):
    """A zero among real stamps is no time; the receive time is never taken for it."""
    factory = BagFactory().steps(12)
    stampless = factory.header(0)
    for index in (12, 13):   # a frame and the joints of step 4
        topic, kind, received, message = factory.messages[index]
        message.header = stampless
        factory.messages[index] = (topic, kind, received, message)
    assert {factory.messages[index][0] for index in (12, 13)} == {'/image', '/joint_states'}
    result = rows(factory, tmp_path)

    assert result.dropped == {'header stamp zero among others': 1}
    assert [list(episode.frame_index) for episode in result.episodes] == [
        [0, 1, 2, 3], [5, 6, 7, 8, 9, 10, 11]]
    assert len(result.notes) == 2


@pytest.mark.parametrize(('stamps', 'forgotten'), [
    ([0, 5, 10], []),                            # a simulator starts at 0
    ([0, 900, 910], [0]), ([900, 0, 910], [1]), ([900, 910, 0], [2]), ([900, 0, 0, 910], [1, 2]),
    ([90, 0, 5, 10], [])])                       # and starts again at 0
def test_a_clock_that_starts_at_zero_is_told_from_a_forgotten_stamp(stamps, forgotten):
    """In tenths of a second; what counts is whether time goes on from 0."""
    found = zero_among_others(np.array(stamps) * 10 ** 8)
    assert np.flatnonzero(found).tolist() == forgotten


def test_a_clock_that_jumps_back_starts_a_new_episode(tmp_path):
    """A looped replay or a reset simulator: same times again, never paired across the jump."""
    factory = BagFactory().steps(30).steps(30)
    for index, message in enumerate(factory.messages):   # recorded in one go
        factory.messages[index] = (*message[:2], START_NS + index, message[3])
    second = [index for index, message in enumerate(factory.messages)
              if message[0] == '/executed_command'][29:]
    for index in second:
        factory.messages[index][3].executed += 1000
    result = rows(factory, tmp_path)

    assert [list(episode.frame_index) for episode in result.episodes] == [
        list(range(30)), list(range(30, 60))]
    first, again = result.episodes
    np.testing.assert_array_equal(first.stamps_ns, again.stamps_ns)
    np.testing.assert_array_equal(again.actions[:-1], first.actions[:-1] + 1000)
    assert result.notes[0] == 'the clock jumped back 1 times; each part is read on its own'


def test_marks_stay_with_their_part_of_a_looped_recording(tmp_path):
    """The episode mark of the second pass begins at an old time, and counts there only."""
    factory = BagFactory()
    for number, phase in ((1, 1), (2, 5)):   # the second one was discarded
        factory.episode(START_NS, f'episode {number}', 1)
        factory.steps(30)
        factory.episode(at(29.5), f'episode {number}', 3 if phase == 1 else 5)
    for index, message in enumerate(factory.messages):
        factory.messages[index] = (*message[:2], START_NS + index, message[3])
    result = rows(factory, tmp_path)

    assert [list(episode.frame_index) for episode in result.episodes] == [list(range(30))]
    assert result.dropped == {'outside a recorded episode (episode_info)': 30}


def test_runs_follow_the_topic_that_jumps_first():
    """A sparse topic needs no jump of its own; a message still under way stays in its run."""
    second = 10 ** 9
    camera = np.array([10, 11, 12, 0, 1, 2]) * second
    sparse = np.array([10.5, 11.9, 1.5]) * second        # 11.9 arrives after the jump
    runs = clock_runs([np.array([0, 2, 4, 6, 9, 12]), np.array([1, 7, 11])], [camera, sparse])

    assert runs[0].tolist() == [0, 0, 0, 1, 1, 1]
    assert runs[1].tolist() == [0, 0, 1]


def test_a_latched_mark_with_an_old_time_opens_no_run():
    """A mark published before recording began is repeated at its start."""
    data = np.arange(5)
    assert runs_of_marks([2], [-10 ** 12], data, data * 10 ** 8, np.zeros(5, int)) == [0]


def test_clocks_that_differ_are_an_error_with_both_times(tmp_path):
    """Frames in simulated time and commands received in wall time never meet."""
    factory = StreamFactory()
    for index in range(5):
        factory.image(index * DT_NS, index)
        factory.odometry(index * DT_NS, index, 0, 0)
        factory.twist(at(index), 1, 1)
    with pytest.raises(BagError, match=r'/cmd_vel from 1700000000.000 .* no time is shared. .*'
                                       r'now header for images, receive for this topic'):
        read(factory, tmp_path, diff_drive())


def test_repeated_and_late_messages_are_counted(tmp_path):
    """Numbers, not silence: sorted by stamp within the topic."""
    factory = BagFactory().steps(30)
    factory.image(at(29), 7)                   # same stamp again
    factory.joints(at(20.5), (20.5, -20.5))    # half a second late
    factory.messages[-1] = (*factory.messages[-1][:2], at(29), factory.messages[-1][3])
    result = rows(factory, tmp_path)

    assert result.rows == 30
    assert result.notes == ('/image: 1 messages with the stamp of another one',
                            '/joint_states: 1 messages out of order, sorted by stamp')
