"""The originals behind our protocol: what every task must do, their own rules, whole states.

Runs where the extra `reference` is installed.
"""

from pathlib import Path

import every_task
from lewm_model.config import DataConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import SimulationError
from lewm_model.ingest.ingest import ingest
from lewm_sim.collect import collect, CollectConfig
from lewm_sim.evaluate.protocols import protocol
from lewm_sim.tasks import load_task
import numpy as np
import pytest
from test_tasks import (  # noqa: F401 - claims about every task, made here about the originals
    act_for,
    test_every_policy_keeps_the_world_finite_and_the_robot_in_its_limits,
    test_impossible_events_show,
    test_nonsense_is_refused_and_changes_nothing,
    test_outcomes_know_their_own_goal_and_their_units,
    test_quantities_are_finite_and_in_their_kinds,
    test_the_same_start_and_actions_give_the_same_run,
    test_time_runs_on_and_pictures_are_square,
)

for package in ('stable_worldmodel', 'pygame', 'pymunk', 'shapely', 'dm_control', 'ogbench'):
    pytest.importorskip(package)
pytestmark = pytest.mark.sim

ORIGINALS = Path(__file__).parent.parent / 'originals'
NAMES = ('push_t_original', 'two_room_original', 'reacher_original', 'cube_original')
# By how much a future may differ after going back to a state, other than 1e-6: the impulses of
# Push-T's contacts, and how far Cube's gripper went in 2 ms, are in no state.
SLACK = {'push_t_original': {'block x': 5, 'block y': 5, 'block angle': 0.5},
         'cube_original': {'gripper x': 2e-3, 'gripper y': 2e-3, 'gripper z': 2e-3,
                           'gripper yaw': 0.02, 'closed': 0.02}}
# A state (where None is: any start), and the spread of states around it for success and failure.
NEAR = {'push_t_original': ([200, 210, 250, 260, 0.05, 0, 0], {0: 9, 1: 9, 2: 9, 3: 9, 4: 0.3}),
        'two_room_original': ([60, 112], {0: 8, 1: 8}),
        'reacher_original': (None, {0: 0.04, 1: 0.04}),
        'cube_original': (None, {14: 0.02, 15: 0.02, 16: 0.02})}
WIDTHS = {'push_t_original': (7,), 'two_room_original': (2,), 'reacher_original': (2, 2),
          'cube_original': (21, 20)}


@pytest.fixture(scope='module', params=NAMES)
def task(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('LEWM_TASKS', str(ORIGINALS))
        yield load_task(request.param)


world = every_task.world


@pytest.fixture
def original(monkeypatch):
    """Return a task by its name."""
    monkeypatch.setenv('LEWM_TASKS', str(ORIGINALS))
    return load_task


def repeat(task, world, actions):
    """Execute actions; return the truths, (steps, q)."""
    truths = []
    for action in actions:
        world.apply(action)
        world.advance(task.control_dt_s)
        truths.append(world.truth())
    return np.array(truths)


def theirs(name, env, here, goal):
    """Return the environment's own answer, with `env` in state `here`: is the goal reached?"""
    if name == 'push_t_original':
        here, goal = (np.array([*state[:4], state[4] % (2 * np.pi), 0, 0])
                      for state in (here, goal))
        return bool(env.eval_state(goal, here)[0])
    if name == 'two_room_original':
        env._set_goal_state(goal)
        return bool(env.step(np.zeros(2))[2])
    if name == 'reacher_original':
        env.set_target_qpos(goal[:2])
        solved = bool(env.step(np.zeros(2))[2])
        env.dmc_env.task.target_qpos = None
        return solved
    env.set_target_pos(0, goal[14:17])
    env.post_step()
    return env.compute_reward() == 1.0


def test_a_state_is_whole(task, world):
    """Going back to it gives the same picture, and the same future as far as states tell."""
    world.start(np.random.default_rng(1))
    act_for(task, world, 20, policy=task.facts.acting)
    state, sensed, picture = world.state(), world.sensed(), world.render()
    actions = np.random.default_rng(2).uniform(-0.5, 0.5, (10, len(task.action_names)))
    future = repeat(task, world, actions)
    world.start(np.random.default_rng(3))
    world.reset(state)
    np.testing.assert_array_equal(world.state(), state)
    np.testing.assert_allclose(world.sensed().positions, sensed.positions, atol=1e-9)
    np.testing.assert_allclose(world.sensed().velocities, sensed.velocities, atol=1e-9)
    assert np.abs(world.render().astype(int) - picture).mean() < 0.5   # two starts: over 1
    again = repeat(task, world, actions)
    slack = SLACK.get(task.name, {})
    for row, expected in zip(again, future, strict=True):
        there = task.named(expected)
        for one in task.quantities:
            error = one.error(task.named(row)[one.name], there[one.name])
            assert error <= slack.get(one.name, 1e-6), one.name


def test_our_rule_of_success_is_that_of_the_environment(task, world):
    """On 200 states near a goal, reached and not; protocols held-out and reference judge by it."""
    own, rng, found = task.facts.tolerance(), np.random.default_rng(0), set()
    world.start(rng)
    goal, spread = NEAR[task.name]
    goal = world.state() if goal is None else np.array(goal, float)
    world.reset(goal)
    goal_truth = world.truth()
    for _ in range(200):
        here = goal.copy()
        for place, std in spread.items():
            here[place] += rng.normal() * std
        world.reset(here)
        solved = task.outcome(world.truth(), goal_truth).solved(own)
        assert theirs(task.name, world.env, here, goal) == solved
        found.add(solved)
    assert found == {True, False}
    for name in ('held-out', 'reference'):
        assert protocol(name).tolerances(task.facts) == (own,)


def test_a_row_of_a_published_file_is_a_state(task, world):
    """Its columns side by side; a set of ours has a column of its own; neither is an error."""
    world.start(np.random.default_rng(4))
    state = world.state()
    parts = np.split(state, np.cumsum(WIDTHS[task.name])[:-1])
    columns = {name: np.stack([np.zeros_like(part), part])
               for name, part in zip(task.published, parts, strict=True)}
    np.testing.assert_array_equal(task.recorded_state(world, columns, 1), state)
    world.reset(task.recorded_state(world, columns, 1))
    np.testing.assert_array_equal(world.state(), state)
    both = {**columns, 'sim_state': np.stack([state, 2 * state])}
    np.testing.assert_array_equal(task.recorded_state(world, both, 1), 2 * state)


def test_at_224_px_the_picture_is_that_of_the_environment(task):
    """Smaller ones are averages of it, larger ones are refused."""
    world = task.make_world(224)
    np.testing.assert_array_equal(world.render(), world.env.render())
    with pytest.raises(SimulationError, match=r'image_size must be in \[8, 224\], got 225'):
        task.make_world(225)


def test_two_episodes_make_the_round(task, tmp_path):
    """Collect, ingest, and every recorded state is the world's again."""
    config = CollectConfig(task=task.name, steps=24, policy=task.facts.acting)
    collect(config, 2, tmp_path / 'bags')
    out = tmp_path / 'set.h5'
    ingest([tmp_path / 'bags'], task.robot, out,
           DataConfig(image_size=64, control_dt_s=task.control_dt_s))
    data = EpisodeFile.open(out)
    assert data.ep_len.tolist() == [25, 25] and data.attributes['task'] == task.name
    world = task.make_world(64)
    for row in (0, 12, 49):
        world.reset(task.recorded_state(world, data.columns, row))
        judged = task.outcome(world.truth(), data.columns['truth'][row])
        assert judged.distance(task.facts.tolerance()) < 1e-6


def test_wandering_pushes_the_block(original):
    """In most of 10 episodes of 80 steps of Push-T it moves."""
    task = original('push_t_original')
    world, moved = task.make_world(64), 0
    for seed in range(10):
        world.start(np.random.default_rng(seed))
        truths = act_for(task, world, 80, seed, 'exploratory')
        moved += np.linalg.norm(truths[-1, 2:4] - truths[0, 2:4]) > 20
    assert moved >= 7


def test_the_expert_goes_through_the_door(original):
    """Without noise into the other room within 100 steps, with noise not always."""
    task = original('two_room_original')
    world, arrived = task.make_world(64), {'expert': 0, 'noisy_expert': 0}
    for policy in arrived:
        for seed in range(20):
            world.start(np.random.default_rng(seed))
            before, act = world.truth(), task.policy(policy, np.random.default_rng(seed + 100))
            for _ in range(100):
                action = act(world.truth())
                if action is None:
                    arrived[policy] += 1
                    assert (before[0] < 112) != (world.truth()[0] < 112)
                    break
                world.apply(action)
                world.advance(task.control_dt_s)
    assert arrived['expert'] == 20 and 1 <= arrived['noisy_expert'] < 20


def test_the_oracle_carries_the_cube(original):
    """In the air, and puts it down again, within an episode of 200 steps."""
    task = original('cube_original')
    world = task.make_world(64)
    for policy, seed in (('expert', 0), ('noisy_expert', 1)):
        world.start(np.random.default_rng(seed))
        cube = act_for(task, world, 200, seed + 100, policy)[:, 5:8]
        assert cube[:, 2].max() > 0.1 and cube[-1, 2] == pytest.approx(0.02, abs=5e-3)
        assert np.linalg.norm(cube[-1] - cube[0]) > 0.05


def test_what_draws_from_numpy_draws_from_the_episode(original):
    """Two oracles of one seed act alike, whatever numpy's own generator did; it goes on as was."""
    task = original('cube_original')
    world = task.make_world(64)
    runs = []
    for seed in (1, 2):
        np.random.seed(seed)
        before = np.random.get_state()[1].copy()
        world.start(np.random.default_rng(0))
        runs.append(act_for(task, world, 30, 1, 'noisy_expert'))
        np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.testing.assert_array_equal(*runs)


def test_a_world_goes_on_where_an_episode_ends(original):
    """DM-Control's ends after 20 s, or 500 steps: no step of 520 leads anywhere else."""
    task = original('reacher_original')
    world = task.make_world(64)
    physics = world.env.dmc_env.physics
    assert physics.timestep() * world.env.action_repeat == pytest.approx(task.control_dt_s)
    world.start(np.random.default_rng(0))
    world.apply([0.02, 0.0])
    shoulder = []
    for _ in range(520):
        world.advance(task.control_dt_s)
        shoulder.append(world.state()[0])
    steps = np.diff(shoulder)
    assert steps.min() > 0 and steps.max() < 0.5
