"""Bags of one name in several folders: what their episodes are called in a set."""

from pathlib import Path

from bag_factory import BagFactory, robot
from killed_ingest import CONFIG
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import DatasetError
from lewm_model.ingest.ingest import ingest
from lewm_model.ingest.names import bag_names
import pytest


def recorded_twice(tmp_path):
    """Return two folders, each with bags e0 and e1 of different content."""
    for place, folder in enumerate(('x', 'y')):
        for number in range(2):
            BagFactory().steps(6, first=100 * place + 20 * number).write(
                tmp_path / folder / f'e{number}')
    return tmp_path / 'x', tmp_path / 'y'


def test_folders_that_number_their_bags_alike_make_one_set(tmp_path):
    """Bags of one name are told apart by their folder; running it again adds nothing."""
    folders = recorded_twice(tmp_path)
    ingest([*folders], robot(), tmp_path / 'set.h5', CONFIG, workers=2)
    assert EpisodeFile.open(tmp_path / 'set.h5').ep_id == ('x/e0/0', 'x/e1/0', 'y/e0/0', 'y/e1/0')
    before = (tmp_path / 'set.h5').read_bytes()
    for bags in ([*folders], [folders[1]], [folders[0] / 'e0'], [tmp_path]):
        report = ingest(bags, robot(), tmp_path / 'set.h5', CONFIG)
        assert len(report.bags) == 4 and report.rows == 24
    assert (tmp_path / 'set.h5').read_bytes() == before


def test_a_second_folder_of_equal_names_can_be_added(tmp_path):
    """Alone its names are taken, which may be a mistake; named with the first, it is not."""
    first, second = recorded_twice(tmp_path)
    ingest([first], robot(), tmp_path / 'set.h5', CONFIG)
    with pytest.raises(DatasetError, match='name both folders in one command'):
        ingest([second], robot(), tmp_path / 'set.h5', CONFIG)
    report = ingest([first, second], robot(), tmp_path / 'set.h5', CONFIG)
    assert report.before == ('e0', 'e1')
    assert EpisodeFile.open(tmp_path / 'set.h5').ep_id == ('e0/0', 'e1/0', 'y/e0/0', 'y/e1/0')


def test_names_have_as_much_path_as_tells_them_apart():
    """And no more; others stay short."""
    paths = [Path('/r/a/x/e'), Path('/r/b/x/e'), Path('/r/b/e'), Path('/r/f')]
    assert bag_names(paths) == ['a/x/e', 'b/x/e', 'b/e', 'f']
    assert bag_names([]) == []
