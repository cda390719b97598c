import re

from bag_factory import DT_NS, START_NS
from lewm_model.config import DataConfig
from lewm_model.errors import BagError
from lewm_model.recordings import synchronize as module
from lewm_model.recordings.streams import Streams, UNSTAMPED
from lewm_model.recordings.synchronize import synchronize
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
    assert result.dropped == {module.RAN_OUT: 2}
    assert 'the longest pause between two was 0.20 s' in result.notes[-1]
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


def random_streams(rng: np.random.Generator) -> Streams:
    """Draw a recording with everything that happens: jitter, losses, bursts, marks, jumps.

    The first joint is the time since START_NS [s] plus 1000 times the number of the segment (of
    run and mark), so that interpolating across a border shows; the action is its own stamp [s].
    """
    parts: dict[str, list] = {name: [] for name in (
        'frames', 'frame_runs', 'joints', 'joint_runs', 'positions', 'commands', 'command_runs',
        'until', 'marks', 'mark_runs', 'active')}
    for run in range(rng.integers(1, 4)):
        length = rng.uniform(0.5, 4.0)
        begin = START_NS + int(rng.integers(0, 10 ** 9)) * (run % 2)

        def times(rate_hz, *, length=length, begin=begin):
            ticks = np.arange(rng.uniform(0, 1 / rate_hz), length, 1 / rate_hz)
            ticks += rng.normal(0, 0.2 / rate_hz, len(ticks)) * rng.integers(0, 2)
            ticks = ticks[rng.random(len(ticks)) > rng.choice([0, 0.02, 0.2])]
            ticks = np.concatenate([ticks, rng.choice(ticks, rng.integers(0, 3))]
                                   if len(ticks) else [ticks])
            return begin + np.sort((ticks * 1e9).astype(np.int64))

        frames, joints = times(rng.choice([20, 21, 30, 60])), times(rng.choice([20, 100]))
        commands = times(rng.choice([10, 20, 50]))
        borders = begin + np.sort(rng.uniform(0, length, rng.integers(0, 3)) * 1e9).astype(int)
        marks = np.concatenate([[EVER], borders]).astype(np.int64)
        segment = np.searchsorted(marks, joints, side='right') + 10 * run
        for name, values in (
                ('frames', frames), ('frame_runs', np.full(len(frames), run)),
                ('joints', joints), ('joint_runs', np.full(len(joints), run)),
                ('positions', (joints - START_NS) / 1e9 + 1000 * segment),
                ('commands', commands), ('command_runs', np.full(len(commands), run)),
                ('until', commands + int(rng.choice([5e7, 2e8]))), ('marks', marks),
                ('mark_runs', np.full(len(marks), run)),
                ('active', rng.random(len(marks)) > 0.2)):
            parts[name].append(values)
    drawn = {name: np.concatenate(values) for name, values in parts.items()}
    return Streams(
        name='bag', image_topic='/image', image_type='sensor_msgs/msg/Image',
        frame_index=rng.permutation(len(drawn['frames'])), frame_stamps_ns=drawn['frames'],
        joint_stamps_ns=drawn['joints'], positions=drawn['positions'][:, None],
        velocities=np.ones((len(drawn['joints']), 1)), action_stamps_ns=drawn['commands'],
        actions=((drawn['commands'] - START_NS) / 1e9)[:, None],
        mark_stamps_ns=drawn['marks'], mark_active=drawn['active'], tasks=(),
        action_until_ns=drawn['until'], frame_runs=drawn['frame_runs'],
        joint_runs=drawn['joint_runs'], action_runs=drawn['command_runs'],
        mark_runs=drawn['mark_runs'], left_out={UNSTAMPED: int(rng.integers(0, 3))})


@pytest.mark.parametrize('seed', range(20))
def test_whatever_is_recorded_rows_keep_their_promises(seed):
    """Numbers add up; actions are the newest of their own segment, never from the future."""
    rng, rows = np.random.default_rng(seed), 0
    for _ in range(20):
        recorded = random_streams(rng)
        if not len(recorded.frame_stamps_ns):
            continue
        try:
            result = synchronize(recorded, CONFIG)
        except BagError as error:   # too many frames were lost, or runs differ in their rate
            assert re.search('(slower than|near, but not at) the control rate', str(error))
            continue
        rows += result.rows
        check_sum(result)
        used = [index for episode in result.episodes for index in episode.frame_index]
        assert len(set(used)) == len(used)
        for episode in result.episodes:
            check_episode(recorded, episode)
    assert rows > 200


def check_episode(recorded: Streams, episode) -> None:
    """One run, one mark, no gap, states of the stamp, actions in force."""
    place = {int(index): row for row, index in enumerate(recorded.frame_index)}
    [run] = {int(recorded.frame_runs[place[int(index)]]) for index in episode.frame_index}
    marks = recorded.mark_stamps_ns[recorded.mark_runs == run]
    [mark] = set(np.searchsorted(marks, episode.stamps_ns, side='right'))
    assert recorded.mark_active[recorded.mark_runs == run][mark - 1]
    steps = np.diff(episode.stamps_ns)
    assert (steps > 0).all() and (steps <= 1.5 * DT_NS).all()
    np.testing.assert_allclose(
        episode.positions[:, 0],
        (episode.stamps_ns - START_NS) / 1e9 + 1000 * (mark + 10 * run), atol=1e-6)
    assert np.isnan(episode.actions[-1]).all()
    mine = recorded.action_runs == run
    stamps, until = recorded.action_stamps_ns[mine], recorded.action_until_ns[mine]
    inside = np.searchsorted(marks, stamps, side='right') == mark
    for stamp, action in zip(episode.stamps_ns[:-1], episode.actions[:-1, 0], strict=True):
        middle = stamp + DT_NS // 2   # the step's own first half, see `_actions_from`
        possible = inside & (stamps <= middle) & (until >= middle)
        assert possible.any()
        np.testing.assert_allclose(action, (stamps[possible].max() - START_NS) / 1e9, atol=1e-9)
