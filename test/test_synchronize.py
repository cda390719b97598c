from bag_factory import DT_NS, START_NS
from lewm_model.config import DataConfig
from lewm_model.data import synchronize as module
from lewm_model.data.streams import Streams
from lewm_model.data.synchronize import synchronize
from lewm_model.errors import BagError
import numpy as np
import pytest

CONFIG = DataConfig(min_rows=2)
EVER = np.iinfo(np.int64).min


def streams(frames, *, joints=None, commands=None, marks=(), active=()) -> Streams:
    """Build streams from times in control steps; position = time, action = number of command."""
    def stamps(times):
        return START_NS + np.round(np.asarray(times, float) * DT_NS).astype(np.int64)

    frames = np.asarray(frames, float)
    joints = np.arange(frames.min() - 1, frames.max() + 2) if joints is None else np.array(joints)
    commands = np.floor(frames[:-1]) if commands is None else np.asarray(commands)
    return Streams(
        name='bag', image_topic='/image', image_type='sensor_msgs/msg/Image',
        frame_index=np.arange(len(frames)), frame_stamps_ns=stamps(frames),
        joint_stamps_ns=stamps(joints), positions=np.stack([joints, -joints], axis=1),
        velocities=np.ones((len(joints), 2)), action_stamps_ns=stamps(commands),
        actions=np.stack([np.arange(len(commands))] * 2, axis=1).astype(float),
        mark_stamps_ns=np.concatenate([[EVER], stamps(marks)]).astype(np.int64),
        mark_active=np.array([not len(marks), *active]), tasks=())


def check_sum(result):
    """Every frame is a row or has a reason."""
    assert result.rows + sum(result.dropped.values()) == result.frames


def test_action_of_a_row_leaves_its_frame():
    """Frame t goes with the command of [t, t + dt); the last row has none."""
    result = synchronize(streams(range(5)), CONFIG)

    [episode] = result.episodes
    np.testing.assert_array_equal(episode.frame_index, range(5))
    np.testing.assert_array_equal(episode.actions[:, 0], [0, 1, 2, 3, np.nan])
    assert result.dropped == {}


@pytest.mark.parametrize('delay', [-0.3, 0.0, 0.05, 0.45])
def test_pairing_survives_jitter_of_the_command(delay):
    """A command sent a little before or after its frame is still that frame's."""
    result = synchronize(streams(range(6), commands=np.arange(5) + delay), CONFIG)

    np.testing.assert_array_equal(result.episodes[0].actions[:, 0], [0, 1, 2, 3, 4, np.nan])


def test_a_command_from_the_next_step_is_never_used():
    """Commands in the second half of each step belong to the following frame."""
    result = synchronize(streams(range(4), commands=[0.6, 1.6, 2.6]), CONFIG)

    [episode] = result.episodes
    np.testing.assert_array_equal(episode.frame_index, [1, 2, 3])
    np.testing.assert_array_equal(episode.actions[:, 0], [0, 1, np.nan])
    assert result.dropped == {module.NO_ACTION: 1}
    check_sum(result)


def test_joint_state_is_interpolated_at_the_frame():
    """Joint states at another rate are read between their stamps, exact at wall-clock size."""
    result = synchronize(streams([0, 1, 2], joints=[-0.4, 0.4, 1.2, 2.0]), CONFIG)

    np.testing.assert_allclose(result.episodes[0].positions,
                               [[0, 0], [1, -1], [2, -2]], atol=1e-9)


def test_frames_without_near_joint_states_are_dropped():
    """Nothing is extrapolated, and nothing interpolated over a gap."""
    result = synchronize(streams(range(10), joints=[1, 2, 3, 6, 7, 8]), CONFIG)

    assert [list(episode.frame_index) for episode in result.episodes] == [[1, 2, 3], [6, 7, 8]]
    assert result.dropped == {module.NO_JOINTS: 4}
    check_sum(result)


def test_gaps_split_and_never_pad():
    """A frame that was lost ends an episode, a frame a little late does not."""
    result = synchronize(streams([0, 1, 2.4, 3, 5, 6, 7], commands=range(8)), CONFIG)

    assert [list(episode.frame_index) for episode in result.episodes] == [[0, 1, 2, 3], [4, 5, 6]]
    for episode in result.episodes:  # what followed the last row was not seen
        assert np.isnan(episode.actions[-1]).all()
        assert np.isfinite(episode.actions[:-1]).all()


def test_commands_that_ran_out_end_the_episode():
    """A stopped executor leaves unknown actions; they are not held for ever."""
    result = synchronize(streams(range(9), commands=[0, 1, 2, 6, 7]), CONFIG)

    assert [list(episode.frame_index) for episode in result.episodes] == [[0, 1, 2, 3], [6, 7, 8]]
    assert result.dropped == {module.NO_ACTION: 2}
    check_sum(result)


def test_a_command_that_is_not_a_number_is_unknown():
    """NaN in the record of what was executed ends the episode like a missing command."""
    recorded = streams(range(5))
    recorded.actions[1] = np.nan
    result = synchronize(recorded, CONFIG)

    assert [list(episode.frame_index) for episode in result.episodes] == [[0, 1], [2, 3, 4]]


@pytest.mark.parametrize('rate', [1.5, 2, 3])
def test_a_faster_camera_is_thinned_to_the_control_rate(rate):
    """Frames nearest to the control grid stay, the others are counted."""
    times = np.arange(0, 10 + 1e-9, 1 / rate)
    result = synchronize(streams(times, commands=range(10)), CONFIG)

    [episode] = result.episodes
    assert len(episode.stamps_ns) == 11
    offset = (episode.stamps_ns - START_NS) / DT_NS - np.arange(11)
    assert np.abs(offset).max() <= 0.5 / rate + 1e-6
    assert result.dropped == {module.TOO_FAST: len(times) - 11}


def test_a_burst_after_a_hiccup_is_thinned():
    """Frames queued in a driver arrive together; two of one step are one row."""
    result = synchronize(streams([0, 1, 2, 2.1, 3, 4], commands=range(5)), CONFIG)

    assert list(result.episodes[0].frame_index) == [0, 1, 2, 4, 5]
    assert result.dropped == {module.TOO_FAST: 1}


def test_a_slow_camera_is_an_error():
    """Rows further apart than the control step would be another control problem."""
    with pytest.raises(BagError, match=r'come at 10.00 Hz, slower than the control rate of 20'):
        synchronize(streams(range(0, 20, 2)), CONFIG)


def test_duplicate_stamps_are_counted():
    """A frame published twice is one row."""
    result = synchronize(streams([0, 1, 1, 2, 3], commands=range(4)), CONFIG)

    assert list(result.episodes[0].frame_index) == [0, 1, 3, 4]
    assert result.dropped == {module.DUPLICATE: 1}


def test_episode_marks_split_and_select():
    """Rows come from recorded episodes only; nothing is carried over a reset."""
    result = synchronize(streams(range(12), marks=[2, 5, 8], active=[True, True, False]), CONFIG)

    assert [list(episode.frame_index) for episode in result.episodes] == [[2, 3, 4], [5, 6, 7]]
    assert np.isnan(result.episodes[0].actions[-1]).all()
    assert result.dropped == {module.INACTIVE: 6}
    check_sum(result)


def test_nothing_is_held_or_interpolated_across_a_mark():
    """After a reset the joints' old state and the last command mean nothing."""
    recorded = streams(np.arange(8) + 0.25, joints=np.arange(0, 9), commands=np.arange(8) - 0.2,
                       marks=[-1, 4], active=[True, True])
    result = synchronize(recorded, CONFIG)

    # frame 3 (t = 3.25) has its second joint state, frame 4 (t = 4.25) its command, at the wrong
    # side of the mark at 4
    assert [list(episode.frame_index) for episode in result.episodes] == [[0, 1, 2], [5, 6, 7]]
    assert result.dropped == {module.NO_ACTION: 1, module.NO_JOINTS: 1}


def test_short_episodes_are_dropped_with_the_reason():
    """An episode that holds no clip is left out and counted."""
    result = synchronize(streams([0, 1, 2, 10, 11, 12, 13, 14], commands=range(15)),
                         DataConfig(min_rows=4))

    assert [len(episode.stamps_ns) for episode in result.episodes] == [5]
    assert result.dropped == {module.TOO_SHORT: 3}
