"""Impossible events happen exactly as described, and nothing else changes."""

import shutil

import every_task
from lewm_model.errors import ConfigError, SimulationError
from lewm_sim.perturb import perturbed_trajectories, state_grid, TaskSimulator
from lewm_sim.tasks import load_task
import numpy as np
import pytest

mujoco = pytest.importorskip('mujoco')
pytestmark = pytest.mark.sim
MIDDLE = 2
task = every_task.task


@pytest.fixture(scope='module')
def made():
    return perturbed_trajectories(load_task('reacher'), 64, count=2, blocks=4, frameskip=5, seed=3)


def test_versions_are_equal_before_the_event_and_differ_from_it_on(made):
    """Bit for bit the same frames up to the middle."""
    assert made.perturbed_frame == MIDDLE and made.actions.shape == (2, 20, 2)
    truth = made.frames['unperturbed']
    for version in ('colour', 'teleport'):
        other = made.frames[version]
        np.testing.assert_array_equal(other[:, :MIDDLE], truth[:, :MIDDLE])
        assert all((other[number, frame] != truth[number, frame]).any()
                   for number in range(2) for frame in range(MIDDLE, 5))


def test_a_colour_change_keeps_pose_and_brightness(made):
    """The hue is turned: channels change strongly, their sum stays, so nothing moved."""
    truth, other = (made.frames[name][:, MIDDLE:].astype(int) for name in ('unperturbed',
                                                                           'colour'))
    assert np.abs(other - truth).max() > 60
    assert np.abs(other.sum(axis=-1) - truth.sum(axis=-1)).max() <= 4
    changed = (np.abs(other - truth).max(axis=-1) > 8).mean()
    assert 0.01 < changed < 0.2      # one link, not the scene


def test_unperturbed_is_what_the_world_does(made):
    """Start and actions, played in a fresh world, give the same pictures."""
    task = load_task('reacher')
    world, rng = task.make_world(64), np.random.default_rng([3, 1])
    states = []
    for _ in range(2):
        world.start(rng)
        states.append(world.state())
    for version, first, state in zip(('unperturbed', 'teleport'), (0, MIDDLE), states,
                                     strict=True):
        world.reset(state)
        for frame in range(first, 5):
            np.testing.assert_array_equal(made.frames[version][1, frame], world.render())
            for action in made.actions[1, frame * 5:(frame + 1) * 5]:
                world.apply(action)
                world.advance(task.control_dt_s)
    world.close()


def test_the_tip_is_where_geometry_puts_it():
    """Two links of 0.12 m; what only has joint positions gets its truth from the scene."""
    poses = np.array([[0, 0], [np.pi / 2, 0], [0, np.pi / 2], [np.pi, 0]])
    found = TaskSimulator(load_task('reacher'), 64, 5).positions(poses)
    np.testing.assert_allclose(found['tip position'],
                               [[0.24, 0], [0, 0.24], [0.12, 0.12], [-0.24, 0]], atol=1e-9)


def test_what_has_no_material_changes_its_own_colour(tmp_path, monkeypatch):
    """Grey links become orange for as long as the event lasts; where nothing moves it is said."""
    shipped = load_task('reacher')
    text = (shipped.folder / 'scene.xml').read_text()
    for name in ('upper', 'lower', 'tip'):
        text = text.replace(f' material="{name}"/>', '/>')
    folder = tmp_path / 'bare'
    shutil.copytree(shipped.folder, folder)
    (folder / 'scene.xml').write_text(text)
    monkeypatch.setenv('LEWM_TASKS', str(tmp_path))
    task = load_task('bare')
    world = task.make_world(64)
    grey = world.render().astype(int)
    undo = task.impossible()['colour'].happen(world, world.state())
    changed = np.abs(world.render() - grey).max(axis=-1) > 8
    assert 0.005 < changed.mean() < 0.2      # one link
    undo()
    np.testing.assert_array_equal(world.render(), grey)
    world.close()
    world.model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
    with pytest.raises(SimulationError, match="nothing in the scene of task 'bare' moves"):
        task.impossible()['colour'].happen(world, None)


def test_a_grid_of_two_rooms_leaves_out_the_wall_but_not_the_door():
    """9 x 9 places: of the column in the wall only the one in the door stays; pictures show all.

    A picture of 64 px shows 2.24 m.
    """
    grid = state_grid(load_task('two_room'), 64, {'x': (-0.91, 0.91), 'y': (-0.91, 0.91)}, 9)
    assert grid.left_out == 8 and len(grid.frames) == len(grid.places) == 73
    in_wall = grid.places[np.abs(grid.places[:, 0]) < 0.1]
    np.testing.assert_allclose(in_wall, [[0, 0.6825]], atol=1e-9)
    for frame, (x, y) in zip(grid.frames, grid.places, strict=True):
        rows, columns = np.nonzero((frame[..., 0] > 150) & (frame[..., 1] < 110))
        seen = (columns.mean() + 0.5) / 64 * 2.24 - 1.12, 1.12 - (rows.mean() + 0.5) / 64 * 2.24
        np.testing.assert_allclose(seen, (x, y), atol=0.035)


def test_a_grid_goes_once_around_a_turn():
    """The last shoulder angle is not the first again; the wrist, which has stops, reaches both."""
    grid, = TaskSimulator(load_task('reacher'), 64, 5).grids(6, lambda done, total: None)
    shoulder, wrist = (np.unique(axis.values) for axis in grid.axes)
    np.testing.assert_allclose(shoulder, -np.pi + np.arange(6) * np.pi / 3, atol=1e-4)
    np.testing.assert_allclose(wrist[[0, -1]], [-2.7925, 2.7925])
    assert grid.left_out == 0


def test_every_grid_that_a_task_names_can_be_set_for_the_most_part(task):
    """And the progress of several grids is one."""
    told = []
    grids = TaskSimulator(task, 64, 5).grids(4, lambda done, total: told.append((done, total)))
    assert len(grids) == len(task.facts.grids)
    for grid, ranges in zip(grids, task.facts.grids, strict=True):
        assert [axis.quantity.name for axis in grid.axes] == list(ranges)
        assert len(grid.frames) >= 10
    total = 16 * len(grids)
    assert told == [(done + 1, total) for done in range(total)]


def test_a_grid_that_cannot_be_is_refused():
    """Unknown quantities with those there are; places outside with what the scene says."""
    two_room = load_task('two_room')
    with pytest.raises(ConfigError, match=r'are over x, z, .* its quantities \(x, y\)'):
        state_grid(two_room, 64, {'x': (0, 1), 'z': (0, 1)}, 4)
    with pytest.raises(SimulationError, match='only 0 of 16 states over x and y can be set'):
        state_grid(two_room, 64, {'x': (5, 6), 'y': (0, 1)}, 4)
