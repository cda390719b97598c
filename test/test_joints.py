from types import SimpleNamespace

from lewm_model.errors import ShapeError
from lewm_model.recordings.conflict import find_conflict, PublisherConflict, RETURNS
from lewm_model.recordings.joints import JoinedJoints, JointReader, named_values
import numpy as np
import pytest


def state(names, position, velocity=(), frame_id=''):
    return SimpleNamespace(name=list(names), position=np.array(position, float),
                           velocity=np.array(velocity, float), effort=np.empty(0))


@pytest.mark.parametrize(('names', 'values', 'message'), [
    (['a', 'b'], [1], '2 names and 1 values of position'),
    (['a'], [1, 2], '1 names and 2 values of position'),
    ([], [1], '0 names and 1 values'),
    (['a', 'a'], [1, 2], 'names a more than once')])
def test_values_that_fit_no_joint_are_refused(names, values, message):
    """An array of another size than the names says nothing about any joint, not even the first."""
    with pytest.raises(ShapeError, match=message):
        named_values(names, values)


def test_an_array_may_be_left_out():
    """The message definition allows an empty array; it gives no joint a value."""
    assert named_values(['a', 'b'], []) == {}
    assert named_values(['a', 'b'], [1, 2]) == {'a': 1, 'b': 2}


def test_what_is_left_out_is_counted():
    """Other joints, no positions, broken positions and broken velocities are told apart."""
    reader = JointReader(['a', 'b'])

    assert reader.read(state('x', [1])) is None
    assert reader.read(state('ab', [])) is None
    assert reader.read(state('abc', [1, 2])) is None
    reading = reader.read(state('ba', [1, 2], [3]))

    assert (reader.skipped, reader.malformed, reader.bad_velocities) == (2, 1, 1)
    assert '3 names and 2 values' in reader.reason
    assert reading.positions.tolist() == [2, 1] and np.isnan(reading.velocities).all()


def test_random_arrays_are_read_only_where_sizes_agree():
    """Whatever a message holds, a joint gets its own value or none."""
    rng = np.random.default_rng(3)
    reader = JointReader(['j0', 'j2', 'j4'])
    for _ in range(500):
        names = [f'j{index}' for index in rng.permutation(6)[:rng.integers(0, 7)]]
        sizes = [rng.choice([0, len(names), rng.integers(0, 8)]) for _ in range(2)]
        position, velocity = (np.array([10 * k + int(name[1:]) for name in names][:size]
                                       + [99.0] * (size - len(names)))
                              for k, size in enumerate(sizes))
        reading = reader.read(state(names, position, velocity))
        if reading is None:
            assert sizes[0] != len(names) or not set(names) & set(reader.names)
            continue
        for place, name in enumerate(reader.names):
            assert reading.given[place] == (name in names)
            if name in names:
                assert reading.positions[place] == int(name[1:])
            assert np.isnan(reading.velocities[place]) or (
                sizes[1] == len(names) and reading.velocities[place] == 10 + int(name[1:]))


def test_parts_are_joined_and_old_ones_are_missing():
    """The joined state is as old as its oldest part; a part that is too old is missing."""
    joined = JoinedJoints(['a', 'b', 'grip'], max_age_s=0.2)

    assert joined.add(state('ab', [1, 2]), 1.0) and joined.newest(1.0) is None
    assert joined.missing(1.0) == ['grip']
    assert joined.add(state(['grip'], [3]), 1.1) and not joined.add(state('x', [9]), 1.15)
    positions, oldest_s = joined.newest(1.15)
    assert (positions.tolist(), oldest_s) == ([1, 2, 3], 1.0)
    joined.add(state(['grip'], [4]), 1.25)
    assert joined.newest(1.25) is None and joined.missing(1.25) == ['a', 'b']
    joined.add(state(['grip', 'b', 'a'], [5, 6, 7]), 1.3)
    assert joined.newest(1.3)[0].tolist() == [7, 6, 5]


def smooth(count, rng=None, dt_s=0.02):
    """Return positions (count, 2) of an arm that swings."""
    times = dt_s * np.arange(count)
    clean = np.stack([0.5 + 0.4 * np.sin(3 * times), 1.5 * np.sin(times)], axis=1)
    return clean + (0 if rng is None else rng.normal(0, 0.002, clean.shape))


@pytest.mark.parametrize('every', [1, 2, 5, 9])
def test_a_second_publisher_with_zeros_is_found(every):
    """Zeros among the truth, after each message of the driver or only after some."""
    watch = PublisherConflict()
    for index, positions in enumerate(smooth(120)):
        watch.add('ab', positions)
        if index % every == 0:
            watch.add('ab', (0.0, 0.0))

    assert 'jumps between two values and back' in watch.reason


def test_frame_ids_tell_two_publishers_apart_though_they_agree():
    """The same joint under two frame_ids is two sources; other joints under another are not."""
    fine, watch = PublisherConflict(), PublisherConflict()
    for positions in smooth(50):
        assert not fine.add('ab', positions, 'arm') and not fine.add('c', [0.1], 'gripper')
        watch.add('ab', positions, 'arm')
        watch.add('b', positions[1:], 'other')

    assert watch.reason.startswith("b is published with the frame_ids 'arm' (")


@pytest.mark.parametrize('seed', range(20))
def test_one_robot_is_never_two_publishers(seed):
    """Swings, noise, steps of a gripper, lost messages and a few glitches of one driver."""
    rng = np.random.default_rng(seed)
    watch = PublisherConflict()
    dt_s = rng.choice([0.002, 0.01, 0.05])
    arm = smooth(2000, rng, dt_s)
    arm += np.cumsum(rng.normal(0, 0.3 * dt_s, arm.shape), axis=0)
    grip = 0.04 * (np.sin(3 * dt_s * np.arange(2000)) > 0)
    for index in np.flatnonzero(rng.random(2000) > 0.05):
        values = np.array([*arm[index], grip[index]])
        if index % (2000 // (RETURNS - 2)) == 7:
            values[:] = 0     # a glitch, but not again and again
        assert not watch.add('abg', values), (watch.reason, dt_s)


@pytest.mark.parametrize('dt_s', [0.02, 0.05, 0.1])
@pytest.mark.parametrize('seed', range(20))
def test_a_joint_that_is_shaken_is_one_publisher(seed, dt_s):
    """Random speeds in each control step, between two ends: back and forth, again and again."""
    rng = np.random.default_rng(seed)
    limit = rng.uniform(0.2, 1.0)
    positions, at = [], 0.0
    for speed in rng.uniform(-2.0, 2.0, 2000):
        at = float(np.clip(at + speed * dt_s, -limit, limit))
        positions.append(at)
    assert find_conflict('a', np.array(positions)[:, None], [''] * 2000) == ''


@pytest.mark.parametrize('seed', range(20))
def test_a_shaken_joint_beside_a_second_publisher_is_two(seed):
    """Who says zero, or something else that stays, is found though the joint moves."""
    rng = np.random.default_rng(seed)
    moving = 0.6 + 0.3 * np.sin(0.1 * np.arange(1000)) + rng.normal(0, 0.01, 1000)
    watch = PublisherConflict()
    for value in moving:
        watch.add('a', [value])
        watch.add('a', [0.0 if seed % 2 else -0.2])
    assert 'jumps between two values and back' in watch.reason


def test_an_angle_at_the_end_of_its_range_is_one_publisher():
    """A continuous joint near pi is reported as 3.14 and -3.14 in turn."""
    rng = np.random.default_rng(0)
    angles = np.pi + rng.normal(0, 0.03, 400)
    wrapped = (angles + np.pi) % (2 * np.pi) - np.pi
    assert (np.abs(np.diff(wrapped)) > 6).sum() > 50
    assert find_conflict('a', wrapped[:, None], [''] * 400) == ''


@pytest.mark.parametrize('seed', range(30))
def test_many_messages_at_once_give_the_reason_of_one_after_the_other(seed):
    """Property: offline and live find the same conflict, or none, whatever parts messages have."""
    rng = np.random.default_rng(seed)
    values = smooth(300, rng, 0.01)
    values[rng.random(values.shape) < 0.1] = np.nan
    sources = [''] * 300
    if seed % 3 == 1:
        values[rng.random(300) < 0.3] = 0
    if seed % 3 == 2:
        sources = list(rng.choice(['', 'arm'], 300))
    one_by_one = []
    for column, name in enumerate('ab'):
        watch = PublisherConflict()
        for row, source in zip(values, sources, strict=True):
            watch.add(name, row[[column]], source)
        one_by_one.append(watch.reason)

    assert find_conflict('ab', values, sources) == next(filter(None, one_by_one), '')
    assert bool(find_conflict('ab', values, sources)) == (seed % 3 > 0)
