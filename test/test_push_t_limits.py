"""tools/push_t_limits.py: what it says of trials, and the expert that it lets push."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('mujoco')
from lewm_sim.tasks import load_task  # noqa: E402
from lewm_sim.tasks.push_t.task import place  # noqa: E402

PATH = Path(__file__).parents[1] / 'tools' / 'push_t_limits.py'
SPEC = importlib.util.spec_from_file_location('push_t_limits', PATH)
limits = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(limits)

pytestmark = pytest.mark.sim
TASK = load_task('push_t')
WITHIN = {'block': 0.02, 'angle': 0.35}


def trial(block, angle, disk):
    """Return a trial as JSON has it."""
    position = [float(np.hypot(one, other)) for one, other in zip(block, disk, strict=True)]
    return {'errors': {'position': position, 'block': block, 'angle': angle}}


def test_a_trial_that_reaches_and_goes_on_is_lost_again():
    """From 2 tolerances to 0.5 and out again, on the T's way; the disk came within 1 cm."""
    found = limits.look_at(trial([0.04, 0.01, 0.05], [0.1, 0.1, 0.1], [0.1, 0.01, 0.02]), WITHIN)
    assert found == {
        'reached': True, 'final': False, 'moved': True, 'nearer': False, 'farther': True,
        'lost': True, 'start': pytest.approx(2.0), 'nearest': pytest.approx(0.5),
        'disk_m': pytest.approx(0.01)}


def test_a_t_that_is_never_touched_is_not_moved():
    """It is as far as at the start, whatever the disk does; the angle counts as well."""
    found = limits.look_at(trial([0.01] * 3, [0.7] * 3, [0.3, 0.2, 0.1]), WITHIN)
    assert not any(found[name] for name in ('moved', 'reached', 'nearer', 'farther', 'lost'))
    assert found['start'] == found['nearest'] == pytest.approx(2.0)
    assert limits.look_at(trial([0.01] * 2, [0.7, 0.6], [0.3] * 2), WITHIN)['moved']


@pytest.fixture
def world():
    made = TASK.make_world(64)
    yield made
    made.close()


def test_the_expert_pushes_by_what_it_is_told(world):
    """By the truth it brings the T 5 cm to the right; told of a T at its goal it does nothing."""
    world.start(np.random.default_rng(0))
    place(world.data, np.array([-0.15, 0.0]), np.array([-0.03, 0.0, 0.0]))
    goal = np.array([0.0, 0.0, 0.02, 0.0, 0.0])
    pair = SimpleNamespace(start=world.state(), goal=goal)
    tolerance = TASK.facts.tolerance('strict')
    found = limits.drive(TASK, world, pair, 100, goal)
    assert not found[0].solved(tolerance) and found[-1].solved(tolerance)
    blind = limits.drive(TASK, world, pair, 20, goal, lambda frame: goal)
    assert blind[-1].errors['block'] == pytest.approx(0.05, abs=1e-3)


def test_frames_and_errors_are_those_after_whole_blocks(world):
    """Standing still for ten steps of blocks of five: two frames, and the T where it was."""
    world.start(np.random.default_rng(0))
    place(world.data, np.array([-0.2, -0.2]), np.array([0.0, 0.0, 0.0]))
    pair = SimpleNamespace(start=world.state(), goal=np.array([0.0, 0.0, 0.03, 0.04, 0.5]))
    frames, errors = limits.execute(TASK, world, pair, np.zeros((10, 2)), 5)
    assert frames.shape == (2, 64, 64, 3)
    assert errors['block'] == pytest.approx(0.05) and errors['angle'] == pytest.approx(0.5)


def test_costs_are_those_of_the_planner():
    """Squared distances summed over the latent; mean of the steps, or the last alone."""
    torch = pytest.importorskip('torch')
    from lewm_model.planning.objectives import all_steps_distance, last_step_distance
    from lewm_model.types import Goal
    latents, goal = torch.arange(12.0).reshape(1, 3, 4), torch.tensor([1.0, 0.0, 2.0, 5.0])
    found = limits.costs(latents, goal)
    assert found['all'] == all_steps_distance(latents, Goal(latent=goal)).numpy()
    assert found['last'] == last_step_distance(latents, Goal(latent=goal)).numpy()
