"""The original Push-T behind our protocol: same rule, same picture, a state that is whole.

Runs where stable-worldmodel, pygame, pymunk and shapely are installed (the extra `reference`).
"""

from pathlib import Path

from lewm_sim.tasks import load_task
import numpy as np
import pytest

for package in ('stable_worldmodel', 'pygame', 'pymunk', 'shapely'):
    pytest.importorskip(package)
ORIGINALS = Path(__file__).parent.parent / 'originals'


@pytest.fixture
def task(monkeypatch):
    monkeypatch.setenv('LEWM_TASKS', str(ORIGINALS))
    return load_task('push_t_original')


def wander(task, world, steps, seed=0):
    """Let the wandering policy act; return the truths, (steps, q)."""
    act, truths = task.policy('exploratory', np.random.default_rng(seed)), []
    for _ in range(steps):
        world.apply(act(world.truth()))
        world.advance(task.control_dt_s)
        truths.append(world.truth())
    return np.array(truths)


def repeat(task, world, actions):
    """Execute actions; return the truths, (steps, q)."""
    truths = []
    for action in actions:
        world.apply(action)
        world.advance(task.control_dt_s)
        truths.append(world.truth())
    return np.array(truths)


def test_a_state_is_whole(task):
    """Going back to it gives the same picture, and the same future within the contact solver."""
    world = task.make_world(64)
    world.start(np.random.default_rng(1))
    wander(task, world, 20)
    state, picture = world.state(), world.render()
    actions = np.random.default_rng(2).uniform(-0.5, 0.5, (10, 2))
    future = repeat(task, world, actions)
    world.start(np.random.default_rng(3))
    world.reset(state)
    np.testing.assert_array_equal(world.state(), state)
    # It draws in whole px of 512, and a position is turned back and forth on its way.
    assert np.abs(world.render().astype(int) - picture).mean() < 0.2
    # The solver starts from the impulses of the step before, which no state of the original holds.
    again = repeat(task, world, actions)
    np.testing.assert_allclose(again[:, :2], future[:, :2], atol=1e-6)
    np.testing.assert_allclose(again[:, 2:4], future[:, 2:4], atol=5)


def test_our_rule_of_success_is_that_of_the_environment(task):
    """On states near a goal, reached and not, angles on both sides of the turn."""
    world = task.make_world(64)
    own, rng, found = task.facts.tolerance(), np.random.default_rng(0), set()
    goal = np.array([200.0, 210.0, 250.0, 260.0, 0.05, 0.0, 0.0])
    for _ in range(200):
        here = goal + np.array([*rng.normal(size=4) * 9, rng.normal() * 0.3, 0.0, 0.0])
        truths = []
        for state in (here, goal):
            world.reset(state)
            truths.append(world.truth())
        turned = [np.array([*state[:4], state[4] % (2 * np.pi), 0.0, 0.0])
                  for state in (here, goal)]
        theirs = bool(world._env.eval_state(turned[1], turned[0])[0])
        assert task.outcome(*truths).solved(own) == theirs
        found.add(theirs)
    assert found == {True, False}


def test_wandering_pushes_the_block(task):
    """In most of 10 episodes of 80 steps it moves."""
    world = task.make_world(64)
    moved = 0
    for seed in range(10):
        world.start(np.random.default_rng(seed))
        before = world.truth()
        after = wander(task, world, 80, seed)[-1]
        moved += np.linalg.norm(after[2:4] - before[2:4]) > 20
    assert moved >= 7
