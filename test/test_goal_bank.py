"""Goal banks: which frames are chosen, what is written, and what is refused."""

from dataclasses import replace
from pathlib import Path

from episode_sets import episode, write_set
from lewm_model.data.make_goal_bank import farthest_points, make_goal_bank
from lewm_model.errors import ConfigError, DatasetError, ImageError
from lewm_model.goal_bank import BANK_FILE, GALLERY_FILE, read_bank, to_yaml
from lewm_model.images.decode import read_image
from lewm_model.images.gallery import draw_gallery
from lewm_model.images.view import CameraView, View
from lewm_sim.cli import main
import numpy as np
import pytest
import yaml


@pytest.fixture
def data(tmp_path):
    return write_set(tmp_path / 'set.h5', [episode(number) for number in range(3)])


@pytest.fixture
def bank(data, tmp_path) -> Path:
    make_goal_bank(data, tmp_path / 'bank', count=6)
    return tmp_path / 'bank'


def change(folder: Path, edit) -> None:
    content = yaml.safe_load((folder / BANK_FILE).read_text())
    edit(content)
    (folder / BANK_FILE).write_text(yaml.safe_dump(content))


def test_farthest_points_are_the_corners():
    """On a grid the first is the middle, the next four the corners; copies are not chosen."""
    grid = np.array([[x, y] for x in range(-2, 3) for y in range(-2, 3)], float)
    chosen = grid[farthest_points(grid, 5)].tolist()
    assert chosen[0] == [0, 0]
    assert sorted(chosen[1:]) == [[-2, -2], [-2, 2], [2, -2], [2, 2]]
    assert len(farthest_points(np.repeat(grid, 3, axis=0), 60)) == len(grid)


def test_an_entry_is_the_frame_it_says(data, bank):
    """Picture, measured values and stamp are those of the row of the episode."""
    for one in read_bank(bank).entries:
        row = data.ep_offset[data.ep_id.index(one.episode)] + one.row
        np.testing.assert_array_equal(read_image(bank / one.file), data.pixels[row])
        np.testing.assert_allclose(one.values, data.columns['qpos'][row], atol=1e-6)
        assert one.stamp_ns == data.columns['stamp_ns'][row]


def test_what_is_written_is_read(data, bank):
    """Robot, task, quantities with kinds and units, and what the entries are spread over."""
    found = read_bank(bank)
    assert (found.robot, found.task, len(found.entries)) == ('sim_reacher', 'reacher', 6)
    assert [str(one) for one in found.quantities] == ['shoulder (angle [rad])',
                                                      'wrist (angle [rad])']
    assert found.spread == ('shoulder', 'wrist')
    assert to_yaml(found) == (bank / BANK_FILE).read_text()
    assert found.text(found.entries[0]).startswith('shoulder ')
    assert (bank / GALLERY_FILE).is_file()


def test_angles_are_spread_around_the_turn(tmp_path):
    """Pi and -pi are one pose: no two entries are the same but for a turn."""
    turned = episode(0)
    turned.qpos[:, 0] = np.where(np.arange(len(turned.qpos)) % 2, np.pi, -np.pi)
    turned.qpos[:, 1] = 0.0
    turned.qpos[5, 0] = 0.0
    found = make_goal_bank(write_set(tmp_path / 'a.h5', [turned]), tmp_path / 'b', count=9)
    assert len(found.entries) == 2


def test_the_truth_of_a_base_and_several_cameras(tmp_path):
    """Odometry gives x, y and yaw; a picture of two cameras stays the square of training."""
    view = View(64, (CameraView(64, 48), CameraView(64, 48)))
    base = [replace(episode(number), qpos=np.random.default_rng(number).normal(size=(30, 3)),
                    qvel=np.zeros((30, 3))) for number in range(2)]
    data = write_set(tmp_path / 'a.h5', base, robot='diff_drive', view=view.to_json())
    found = make_goal_bank(data, tmp_path / 'b', count=5, by=['x', 'y'])
    assert found.spread == ('x', 'y')
    assert [one.name for one in found.quantities] == ['x', 'y', 'yaw']
    again = read_bank(tmp_path / 'b')
    assert again.view == view
    assert 'cameras' in again.misfit('diff_drive', 1)
    assert 'diff_drive' in again.misfit('sim_reacher', 2)
    assert again.misfit('diff_drive', 2) == ''


def test_what_cannot_be_a_bank_is_refused(data, bank, tmp_path):
    """A bank is never overwritten; unknown quantities are named with those that are there."""
    with pytest.raises(DatasetError, match='holds a goal bank already'):
        make_goal_bank(data, bank)
    with pytest.raises(DatasetError, match='no block x that every frame has; it has shoulder'):
        make_goal_bank(data, tmp_path / 'c', by=['block x'])
    with pytest.raises(DatasetError, match='count must be in'):
        make_goal_bank(data, tmp_path / 'c', count=0)
    with pytest.raises(DatasetError, match='does not say robot'):
        make_goal_bank(replace(data, attributes={}), tmp_path / 'c')
    with pytest.raises(ConfigError, match='lewm goal-bank'):
        read_bank(tmp_path)


@pytest.mark.parametrize('edit, says', [
    (lambda c: c['entries'][0].update(name='../../etc/passwd'), 'the name of entry 0'),
    (lambda c: c['entries'][0].update(name='a/b'), 'the name of entry 0'),
    (lambda c: c['entries'][0].update(name=7), 'the name of entry 0'),
    (lambda c: c['entries'][1].update(name='goal_000'), 'different names'),
    (lambda c: c['entries'][0].update(file='/etc/passwd'), 'must have the keys'),
    (lambda c: c['entries'][0].update(row=-1), 'whole number'),
    (lambda c: c['entries'][0].update(stamp_ns=True), 'whole number'),
    (lambda c: c['entries'][0]['values'].update(shoulder=float('nan')), 'finite'),
    (lambda c: c['entries'][0]['values'].update(shoulder='1'), 'finite'),
    (lambda c: c['entries'][0]['values'].update(shoulder=[1, 2]), 'finite'),
    (lambda c: c['entries'][0]['values'].update(shoulder=10 ** 400), 'finite'),
    (lambda c: c['entries'][0].update(values=[]), 'must have the keys'),
    (lambda c: c.update(entries=[]), 'entries must be a list'),
    (lambda c: c.update(entries=list(range(257))), 'list of 1 to 256'),
    (lambda c: c.update(format_version=2), 'format_version 2 is not known'),
    (lambda c: c.update(format='other'), 'format must be'),
    (lambda c: c.update(view={'frame_px': 10 ** 6, 'cameras': [
        {'width': 4, 'height': 3, 'crop': []}]}), 'at most 1024 px'),
    (lambda c: c.update(spread=['nothing']), 'spread must be among'),
    (lambda c: c['quantities'][0].update(kind='colour'), 'kind'),
    (lambda c: c.update(robot=['sim_reacher']), 'robot must be a text'),
])
def test_hostile_banks_are_refused(bank, edit, says):
    """Whatever was written into bank.yaml, the error names the file and the field."""
    change(bank, edit)
    with pytest.raises(ConfigError, match=says) as caught:
        read_bank(bank)
    assert BANK_FILE in str(caught.value)


def test_a_click_on_the_gallery_finds_its_picture():
    """The centre of each cell is its picture; beside the last one is none."""
    pictures = [np.full((64, 64, 3), number, np.uint8) for number in range(11)]
    gallery = draw_gallery(pictures, [['a', 'b']] * 11)
    for number in range(11):
        x, y = gallery.centre(number)
        assert gallery.at(x, y) == number
        np.testing.assert_array_equal(gallery.rgb[int(y) - 10, int(x)], [number] * 3)
    x, y = gallery.centre(11)
    for point in ((x, y), (-1, 5), (5, 1e9), (float('nan'), 5)):
        with pytest.raises(ImageError, match='no picture'):
            gallery.at(*point)


def test_the_command_writes_a_bank(data, tmp_path, capsys):
    """`lewm goal-bank` says what it is spread over and where the gallery is."""
    assert main(['goal-bank', str(data.path), '--out', str(tmp_path / 'b'), '--count', '4']) == 0
    assert 'spread over shoulder, wrist' in capsys.readouterr().out
    assert len(read_bank(tmp_path / 'b').entries) == 4
    assert main(['goal-bank', str(tmp_path), '--out', str(tmp_path / 'c')]) == 0   # a folder of h5
