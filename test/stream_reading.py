"""Recordings of a factory, written to disk and read back as streams or as rows."""

from bag_factory import DT_NS, robot, START_NS
from lewm_model.bags.bag import Bag
from lewm_model.config import DataConfig
from lewm_model.recordings.streams import read_streams
from lewm_model.recordings.synchronize import synchronize

CONFIG = DataConfig(min_rows=2)


def read(factory, path, arm=None):
    """Write a recording into a folder; return its streams for a robot."""
    with Bag(factory.write(path / 'bag')) as bag:
        return read_streams(bag, arm or robot())


def rows(factory, path, arm=None):
    """Return its rows; every frame is one or is counted among the dropped."""
    result = synchronize(read(factory, path, arm), CONFIG)
    assert result.rows + sum(result.dropped.values()) == result.frames
    return result


def at(step: float) -> int:
    """Return the stamp [ns] of a step, whole or not."""
    return START_NS + round(step * DT_NS)
