"""Impossible events happen exactly as described, and nothing else changes."""

from dataclasses import replace
from pathlib import Path

from lewm_model.errors import SimulationError
from lewm_sim.perturb import perturbed_trajectories, PerturbedWorld, TaskSimulator
from lewm_sim.tasks import load_task
from lewm_sim.world import World
import numpy as np
import pytest

pytestmark = pytest.mark.sim
MIDDLE = 2


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
    world, rng = World(task, 64), np.random.default_rng([3, 1])
    start, elsewhere = task.sample_qpos(rng), task.sample_qpos(rng)
    for version, first, qpos in (('unperturbed', 0, start), ('teleport', MIDDLE, elsewhere)):
        world.reset(qpos=qpos)
        for frame in range(first, 5):
            np.testing.assert_array_equal(made.frames[version][1, frame], world.render())
            for action in made.actions[1, frame * 5:(frame + 1) * 5]:
                world.apply(action)
                world.advance(task.control_dt_s)
    world.close()


def test_the_tip_is_where_geometry_puts_it():
    """Two links of 0.12 m; the height never changes and is left out."""
    poses = np.array([[0, 0], [np.pi / 2, 0], [0, np.pi / 2], [np.pi, 0]])
    found = TaskSimulator(load_task('reacher'), 64, 5).positions(poses)
    np.testing.assert_allclose(found['tip position'],
                               [[0.24, 0], [0, 0.24], [0.12, 0.12], [-0.24, 0]], atol=1e-9)


def test_a_scene_without_colours_or_tip_is_handled(tmp_path):
    """No tip: nothing to probe; no material on what moves: a clear error."""
    task = load_task('reacher')
    bare = tmp_path / 'bare.xml'
    text = Path(task.mjcf).read_text()
    for name in ('upper', 'lower', 'tip'):
        text = text.replace(f' material="{name}"/>', '/>')
    bare.write_text(text.replace('geom name="tip"', 'geom name="end"'))
    plain = replace(task, mjcf=bare)
    assert PerturbedWorld(plain, 64).positions(np.zeros((2, 2))) == {}
    with pytest.raises(SimulationError, match="no moving geom of task 'reacher' has a material"):
        perturbed_trajectories(plain, 64, count=1, blocks=2, frameskip=5, seed=0)
