"""Receipts by the system clock meet headers in simulated time where /clock was recorded."""

from __future__ import annotations

from bag_factory import DT_NS, START_NS
from lewm_model.bags.bag import Bag
from lewm_model.recordings.simulated_time import clock_ns, SimulatedTime
from lewm_model.recordings.streams import read_streams
from lewm_model.recordings.suggest_robot import suggest_robot
import numpy as np
import pytest
from stream_factory import diff_drive, StreamFactory
import yaml

SIM_NS = 1_000 * 10 ** 9     # where the simulation begins
SLOW = 2                     # system seconds per simulated one
STEPS = 30


def at(sim_ns: int) -> int:
    """Return when the system clock shows this time of the simulation."""
    return START_NS + SLOW * (sim_ns - SIM_NS)


def drive(*, clock: bool, offset_ns: int = 0) -> StreamFactory:
    """Frame, pose and, 1 ms later, a Twist without a stamp at each step; /clock at 100 Hz."""
    factory = StreamFactory()
    for index in range(STEPS):
        sim_ns = SIM_NS + index * DT_NS
        factory.image(sim_ns + offset_ns, index)
        topic, kind, _, message = factory.messages.pop()
        factory.messages.append((topic, kind, at(sim_ns), message))
        factory.odometry(sim_ns + offset_ns, index, 0, 0, 1.0, 0.5, received_ns=at(sim_ns))
        factory.twist(at(sim_ns + 1_000_000), index / 100, 0)
    for tick in range(STEPS * DT_NS // 10_000_000 if clock else 0):
        sim_ns = SIM_NS + tick * 10_000_000
        factory.put('/clock', 'rosgraph_msgs/msg/Clock', at(sim_ns),
                    clock=factory.header(sim_ns).stamp)
    factory.messages.sort(key=lambda message: message[2])
    return factory


def test_a_command_without_a_stamp_is_in_force_when_the_robot_got_it(tmp_path):
    """At half of real time, 1 ms of the simulation after its frame; not a nanosecond off."""
    with Bag(drive(clock=True).write(tmp_path / 'bag')) as bag:
        streams = read_streams(bag, diff_drive())
    frames = SIM_NS + DT_NS * np.arange(STEPS)
    np.testing.assert_array_equal(streams.frame_stamps_ns, frames)
    np.testing.assert_array_equal(streams.action_stamps_ns, frames + 1_000_000)
    np.testing.assert_allclose(streams.actions[:, 0], np.arange(STEPS) / 100)


@pytest.mark.parametrize(('clock', 'chosen'), [(True, 'header'), (False, 'receive')])
def test_the_suggestion_keeps_header_stamps_where_the_clock_was_recorded(tmp_path, clock, chosen):
    """Without /clock only the times of recording are common to all."""
    with Bag(drive(clock=clock).write(tmp_path / 'bag')) as bag:
        clocks = yaml.safe_load(suggest_robot(bag, 'base'))['clocks']
    assert clocks == {'image': chosen, 'state': chosen, 'command': 'receive'}


def test_a_clock_that_nobody_follows_changes_nothing(tmp_path):
    """Headers by the system clock beside somebody's /clock: receipts stay what they are."""
    factory = drive(clock=True, offset_ns=START_NS - SIM_NS)
    with Bag(factory.write(tmp_path / 'bag')) as bag:
        streams = read_streams(bag, diff_drive())
    assert streams.action_stamps_ns[0] == at(SIM_NS + 1_000_000)


def test_time_stands_still_until_a_jump_back():
    """Readings at 0, 1 and 2 s of 10, 11 and 3 s; outside, time passes as for the system."""
    time = SimulatedTime()
    for received_s, told_s in ((0, 10), (1, 11), (2, 3)):
        time.add(received_s * 10 ** 9, b'\x00\x01\x00\x00' + told_s.to_bytes(4, 'little')
                 + bytes(4))
    asked = np.array([-0.5, 0.25, 1.5, 2.0, 3.5]) * 1e9
    np.testing.assert_array_equal(time.at(asked.astype(np.int64)) / 1e9,
                                  [9.5, 10.25, 11.0, 3.0, 4.5])
    assert clock_ns(b'\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x05') == 7_000_000_005
