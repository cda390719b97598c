"""Damaged messages cost themselves and nothing else, whatever the damage."""

from bag_factory import BagFactory, robot
from lewm_model.bags.bag import Bag
from lewm_model.errors import LewmError
from lewm_model.recordings.pictures import read_frames
from lewm_model.recordings.streams import read_streams
from lewm_model.recordings.suggest_robot import suggest_robot
from lewm_model.recordings.synchronize import synchronize
import numpy as np
import pytest
from stream_factory import diff_drive, StreamFactory, trajectory_arm
from stream_reading import at, CONFIG


class NoisyBag(Bag):
    """Changes bytes of some messages on the way, the same ones on every reading."""

    seed, share = 0, 0.1

    def raw_messages(self, *topics):
        for topic, time_ns, raw in super().raw_messages(*topics):
            rng = np.random.default_rng([self.seed, time_ns % 2 ** 32, len(raw)])
            if rng.random() < self.share:
                noisy = bytearray(raw)
                for place in rng.integers(0, min(len(raw), 200), rng.integers(1, 4)):
                    noisy[place] = rng.integers(256)
                raw = bytes(noisy[:len(raw) if rng.random() < 0.8 else rng.integers(len(raw))])
            yield topic, time_ns, raw


def test_a_damaged_message_costs_only_itself(tmp_path):
    """A joint state that is cut short is left out and counted; its frame finds no other."""
    factory = BagFactory().steps(30)
    path = factory.write(tmp_path / 'bag')

    class OneCut(Bag):
        def raw_messages(self, *topics):
            for topic, time_ns, raw in super().raw_messages(*topics):
                cut = topic == '/joint_states' and time_ns == at(10)
                yield topic, time_ns, raw[:30] if cut else raw

    with OneCut(path) as bag:
        result = synchronize(read_streams(bag, robot()), CONFIG)
    assert result.rows == 29
    assert result.dropped == {'no joint state close enough before and after': 1}
    assert result.notes == ('/joint_states: 1 damaged messages left out',)


@pytest.mark.parametrize(('factory', 'arm'), [
    (lambda: BagFactory().steps(40), robot()),
    (lambda: StreamFactory().drive(40), diff_drive()),
    (lambda: StreamFactory().reach(40), trajectory_arm())], ids=['executed', 'twist', 'jtc'])
def test_random_damage_gives_numbers_that_add_up_or_a_clear_error(tmp_path, factory, arm):
    """60 recordings each with some bytes changed: no other error, no hang, no lost frame."""
    path, read_at_all = factory().write(tmp_path / 'bag'), 0
    for seed in range(60):
        with NoisyBag(path) as bag:
            bag.seed, bag.share = seed, (0.01, 0.1, 0.5)[seed % 3]
            try:
                streams = read_streams(bag, arm)
                result = synchronize(streams, CONFIG)
                assert result.rows + sum(result.dropped.values()) == result.frames == 40
                read_at_all += 1
                list(read_frames(bag, streams, streams.frame_index, size=8))
            except LewmError as error:
                assert str(error)
            try:
                suggest_robot(bag, 'mine')
            except LewmError as error:
                assert str(error)
    assert read_at_all > 15
