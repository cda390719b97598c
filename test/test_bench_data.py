"""The data benchmark compares equal work."""

from argparse import Namespace

import h5py
from lewm_model.errors import DatasetError
import numpy as np
import pytest
import torch

from bench import data as bench
from bench.side_by_side import Variant


def test_layouts_and_sizes_are_compared_on_the_same_clips(tmp_path):
    """Every variant reads the frames of the others, and epochs of 1, 4 and 16 parts."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(21, 30, 32)
    with h5py.File(tmp_path / 'set.h5', 'w') as file:
        file['pixels'] = rng.integers(0, 256, (lengths.sum(), 8, 8, 3)).astype(np.uint8)
        file['action'] = rng.normal(size=(lengths.sum(), 2))
        file['ep_len'] = lengths
    report = bench.run(Namespace(data=str(tmp_path / 'set.h5'), size=12, rows=200, batch_size=4,
                                 rounds=3, workdir=tmp_path))

    layouts, sizes = report.groups
    assert len(layouts.measured) == 5
    assert {item.units for item in layouts.measured} == {4}
    clips = [sum(max(0, length - 19) for length in lengths[:count]) for count in (2, 8, 32)]
    assert [item.name for item in sizes.measured] == [
        f'{factor} x: {count} clips' for factor, count in zip((1, 4, 16), clips, strict=True)]
    assert [path.name for path in tmp_path.iterdir()] == ['set.h5']   # cleaned up


def test_unequal_work_is_not_compared():
    """A variant that reads other frames stops the benchmark."""
    right, wrong = torch.zeros(2, 4), torch.eye(2, 4)
    with pytest.raises(DatasetError, match='different frames'):
        bench._require_equal({'a': Variant(lambda: right), 'b': Variant(lambda: wrong)}, 2)
