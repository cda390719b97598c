"""What a data set is by its content, and how a bundle lists what it was trained on."""

from dataclasses import replace

from episode_sets import episode, ROWS, write_set
from lewm_model.base.marks import MOST_MARKS, pack_marks, unpack_marks
from lewm_model.config import TrainConfig
from lewm_model.data.families import families
from lewm_model.data.fingerprint import Fingerprint, robot_digest
from lewm_model.errors import BundleError, DatasetError
from lewm_model.training.divide import divide_episodes, list_trained
import numpy as np
import pytest
import yaml

CONFIG = TrainConfig(validation_split=0.3)


def test_a_digest_follows_content_and_not_names(tmp_path):
    """Other names, file and provenance: the same digest; one pixel or action more: another."""
    one = write_set(tmp_path / 'one.h5', [episode(1), episode(2)])
    renamed = write_set(tmp_path / 'two.h5', [episode(1, 'x'), episode(2, 'y')], note='new')
    assert Fingerprint.of(one).data == Fingerprint.of(renamed).data
    assert Fingerprint.of(one).identity() == Fingerprint.of(renamed).identity()

    pixels = episode(2).pixels.copy()
    pixels[0, 0, 0, 0] ^= 1
    action = episode(2).action.copy()
    action[3, 1] += 1e-3
    for change in ({'pixels': pixels}, {'action': action}):
        other = write_set(tmp_path / 'other.h5', [episode(1), replace(episode(2), **change)])
        assert Fingerprint.of(other).data != Fingerprint.of(one).data
        assert Fingerprint.of(other).episodes[0] == Fingerprint.of(one).episodes[0]
    later = replace(episode(2), stamp_ns=episode(2).stamp_ns + 1_000_000_000)    # a repetition
    other = write_set(tmp_path / 'other.h5', [episode(2), later])
    assert len(set(Fingerprint.of(other).episodes)) == 2
    swapped = write_set(tmp_path / 'swapped.h5', [episode(2), episode(1)])
    assert Fingerprint.of(swapped).data != Fingerprint.of(one).data   # other batches


def test_an_episode_is_known_again_by_its_bag_at_another_size(tmp_path):
    """The bytes of the bag and the number in it stay when frames are stored smaller."""
    large = Fingerprint.of(write_set(tmp_path / 'l.h5', [
        episode(1, 'bag/0', sha256='ab' * 32), episode(2, 'bag/1', sha256='ab' * 32)]))
    small = Fingerprint.of(write_set(tmp_path / 's.h5', [
        episode(1, 'other/0', sha256='ab' * 32, px=16)], px=16))
    assert small.episodes[0] != large.episodes[0]
    assert small.marks[0] & large.marks[0] and not small.marks[0] & large.marks[1]


def test_a_robot_is_told_by_what_it_measures_and_does_not_by_its_limits():
    """Limits may be narrowed after training; names, rate and states may not change."""
    facts = {'robot': 'a', 'interface': 'twist', 'control_dt_s': 1 / 30, 'action_names': ['x'],
             'state_names': ['x', 'yaw'], 'action_min': [-1.0]}
    same = [{'action_min': [-0.5]}, {'control_dt_s': 0.03333333}, {'action_names': ('x',)}]
    other = [{'robot': 'b'}, {'control_dt_s': 0.05}, {'state_names': ['x', 'y']}]
    digest = robot_digest(facts)
    assert all(robot_digest({**facts, **change}) == digest for change in same)
    assert len({robot_digest({**facts, **change}) for change in other} | {digest}) == 4


def test_marks_survive_the_settings_file_and_damage_is_named():
    """Thousands of marks fit, wrapped into lines; anything else is not taken for marks."""
    marks = frozenset(range(0, 2 ** 32, 2 ** 32 // MOST_MARKS))
    text = yaml.safe_dump({'trained_on': pack_marks(marks)}, width=99)
    assert max(map(len, text.splitlines())) < 120 and len(text) < 240_000
    assert unpack_marks(yaml.safe_load(text)['trained_on']) == marks
    assert unpack_marks(pack_marks([])) == frozenset()
    for damaged in (7, 'abc', 'not base64!', ['ab']):
        with pytest.raises(BundleError, match='trained_on must be a list of marks'):
            unpack_marks(damaged)


def test_a_copy_of_a_training_episode_is_not_held_out(tmp_path, caplog):
    """Whatever its name: it goes to no side but is said."""
    names = [f'n{number}' for number in range(12)]
    data = write_set(tmp_path / 'set.h5', [episode(number % 6, name)
                                           for number, name in enumerate(names)])
    fingerprint = Fingerprint.of(data)
    kept, held_out = divide_episodes(data, fingerprint, CONFIG)
    assert not fingerprint.marks_of(kept) & fingerprint.marks_of(held_out)
    assert 'copies of training episodes under other names' in caplog.text
    assert unpack_marks(list_trained(fingerprint, kept)['trained_on']) == (
        fingerprint.marks_of(kept))

    copies = write_set(tmp_path / 'copies.h5', [episode(1, name) for name in names])
    with pytest.raises(DatasetError, match='every episode that would be held out is a copy'):
        divide_episodes(copies, Fingerprint.of(copies), CONFIG)


def starting_at(number, place):
    """Make an episode whose first state is near one of a few places."""
    made = episode(number, px=8)
    made.qpos[0] = np.array([place, -place]) + number * 1e-6
    return made


def test_episodes_that_begin_alike_stay_on_one_side(tmp_path):
    """Five starts with eight episodes each: no start is on both sides."""
    data = write_set(tmp_path / 'set.h5', [starting_at(number, number % 5)
                                           for number in range(40)], px=8)
    assert families(data).tolist() == [number % 5 for number in range(40)]
    kept, held_out = divide_episodes(data, Fingerprint.of(data),
                                     TrainConfig(validation_split=0.3, split='starts'))
    assert {*kept % 5} | {*held_out % 5} == set(range(5)) and not {*kept % 5} & {*held_out % 5}
    by_name = divide_episodes(data, Fingerprint.of(data), CONFIG)
    assert {*by_name[0] % 5} & {*by_name[1] % 5}

    alike = write_set(tmp_path / 'alike.h5', [starting_at(number, 1) for number in range(4)], px=8)
    with pytest.raises(DatasetError, match='all 4 episodes .* begin alike'):
        divide_episodes(alike, Fingerprint.of(alike), TrainConfig(split='starts'))


def test_where_nothing_was_measured_the_first_picture_tells_families():
    """Two pictures, six episodes."""
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 255, (2, 12, 12, 3)).astype(np.uint8)
    data = type('Set', (), {'columns': {}, 'ep_offset': np.arange(6) * ROWS,
                            'pixels': {row * ROWS: scenes[row % 2] for row in range(6)}})
    assert families(data).tolist() == [0, 1, 0, 1, 0, 1]
