"""What every registered task must do, and how tasks are found."""

import os

import every_task
from lewm_model.config import DataConfig
from lewm_model.data.episodes import EpisodeFile
from lewm_model.errors import ConfigError, SimulationError
from lewm_model.ingest.ingest import ingest
from lewm_model.quantities import from_json, places
from lewm_sim.collect import collect, CollectConfig
from lewm_sim.tasks import load_task, task_names
import numpy as np
import pytest

pytest.importorskip('mujoco')
pytestmark = pytest.mark.sim
SIZE = every_task.SIZE
task, world = every_task.task, every_task.world


def act_for(task, world, steps, seed=3, policy='random'):
    """Let a policy act; return the truths on the way, (steps + 1, q)."""
    act, truths = task.policy(policy, np.random.default_rng(seed)), [world.truth()]
    for _ in range(steps):
        world.apply(act(truths[-1]))
        world.advance(task.control_dt_s)
        truths.append(world.truth())
    return np.array(truths)


def test_every_policy_keeps_the_world_finite_and_the_robot_in_its_limits(task, world):
    """Ten seconds from a random start: finite, within limits, and something moves."""
    steps = round(10 / task.control_dt_s)
    for policy in task.policies:
        assert policy.isidentifier(), 'tasks call their policies alike: noisy_expert'
        world.start(np.random.default_rng(1))
        act, truth = task.policy(policy, np.random.default_rng(0)), world.truth()
        for _ in range(steps):
            action = act(world.truth())
            if action is None:      # it has arrived
                break
            assert action.shape == (len(task.action_names),)
            assert (action >= task.robot.min_command).all()
            assert (action <= task.robot.max_command).all()
            world.apply(action)
            world.advance(task.control_dt_s)
        assert np.isfinite(world.state()).all() and np.isfinite(world.truth()).all()
        assert np.abs(world.truth() - truth).max() > 1e-3, f'{policy} moved nothing'


def test_the_same_start_and_actions_give_the_same_run(task):
    """Physics and pixels are deterministic, also in a world that did other things before."""
    runs = []
    for seed in (None, 8):
        world = task.make_world(SIZE)
        if seed is not None:
            act_for(task, world, 5, seed)
        world.start(np.random.default_rng(5))
        runs.append((act_for(task, world, 10), world.render()))
        world.close()
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


def test_a_state_is_whole(task, world):
    """Getting, going elsewhere and setting it gives the same state, truth and future."""
    world.start(np.random.default_rng(2))
    act_for(task, world, 7)
    state, truth, sensed = world.state(), world.truth(), world.sensed()
    future = act_for(task, world, 10, seed=4)
    world.start(np.random.default_rng(9))
    now_s = world.time_s
    world.reset(state)
    assert world.time_s == pytest.approx(now_s)
    np.testing.assert_array_equal(world.state(), state)
    np.testing.assert_allclose(world.truth(), truth, atol=1e-9)
    np.testing.assert_allclose(world.sensed().positions, sensed.positions, atol=1e-9)
    np.testing.assert_allclose(world.sensed().velocities, sensed.velocities, atol=1e-9)
    np.testing.assert_allclose(act_for(task, world, 10, seed=4), future, atol=1e-5)


def test_nonsense_is_refused_and_changes_nothing(task, world):
    """States and actions of a wrong length, or with NaN."""
    state, actions = world.state(), len(task.action_names)
    for call in (lambda: world.reset(state[:-1]), lambda: world.reset(state * np.nan),
                 lambda: world.apply(np.zeros(actions + 1)),
                 lambda: world.apply(np.full(actions, np.nan))):
        with pytest.raises(SimulationError):
            call()
    np.testing.assert_array_equal(world.state(), state)


def test_time_runs_on_and_pictures_are_square(task, world):
    """A start must not send the clock of a running system backwards."""
    before = world.time_s
    world.advance(task.control_dt_s)
    world.start(np.random.default_rng(1))
    assert world.time_s == pytest.approx(before + task.control_dt_s)
    assert world.render().shape == (SIZE, SIZE, 3) and world.render().dtype == np.uint8
    assert 0.01 < world.camera_fovy_rad < np.pi


def test_quantities_are_finite_and_in_their_kinds(task, world):
    """Truth has the width that the quantities say; quaternions are of length 1, angles sane."""
    for seed in range(20):
        world.start(np.random.default_rng(seed))
        truth = world.truth()
        assert truth.shape == (places(task.quantities)[-1].stop,) and np.isfinite(truth).all()
        for one, values in zip(task.quantities, task.named(truth).values(), strict=True):
            if one.kind == 'quaternion':
                assert np.linalg.norm(values) == pytest.approx(1, abs=1e-6)
            if one.kind == 'angle':
                assert np.abs(values).max() < 4 * np.pi
    assert world.sensed().positions.shape == (len(task.robot.state_names),)
    assert len({one.name for one in task.quantities}) == len(task.quantities)


def test_outcomes_know_their_own_goal_and_their_units(task, world):
    """A state is at its own goal by every tolerance; two starts are usually apart."""
    world.start(np.random.default_rng(1))
    here = world.truth()
    world.start(np.random.default_rng(2))
    there = world.truth()
    same, apart = task.outcome(here, here), task.outcome(there, here)
    assert set(same.errors) == set(apart.errors) == set(task.facts.errors)
    assert all(error >= 0 for error in apart.errors.values())
    for tolerance in task.facts.all_tolerances():
        assert same.solved(tolerance) and same.distance(tolerance) < 1
        assert apart.solved(tolerance) == (apart.distance(tolerance) < 1)
    assert not apart.solved(task.facts.tolerance())


def test_impossible_events_show(task, world):
    """Each changes the picture at once; what is undone leaves no trace."""
    world.start(np.random.default_rng(2))
    elsewhere = world.state()
    for name, event in task.impossible().items():
        world.start(np.random.default_rng(1))
        before = world.render()
        undo = event.happen(world, elsewhere)
        assert (world.render() != before).any(), name
        if undo is not None:
            undo()
        world.start(np.random.default_rng(1))
        np.testing.assert_array_equal(world.render(), before, name)


def test_three_episodes_make_the_round(task, tmp_path):
    """Collect, ingest, and every recorded state leads through the recorded truth."""
    steps = 24
    collect(CollectConfig(task=task.name, steps=steps, image_size=SIZE), 3, tmp_path / 'bags')
    out = tmp_path / 'set.h5'
    ingest([tmp_path / 'bags'], task.robot, out,
           DataConfig(image_size=SIZE, control_dt_s=task.control_dt_s))
    data = EpisodeFile.open(out)
    assert data.ep_len.tolist() == [steps + 1] * 3 and data.attributes['task'] == task.name
    assert from_json(data.attributes['truth_quantities']) == task.quantities
    world = task.make_world(SIZE)
    for row in (0, steps // 2, steps + 1):
        world.reset(task.recorded_state(world, data.columns, row))
        np.testing.assert_allclose(world.truth(), data.columns['truth'][row], atol=1e-9)
        world.apply(data.action[row])
        world.advance(task.control_dt_s)
        np.testing.assert_allclose(world.truth(), data.columns['truth'][row + 1], atol=1e-3)
    world.close()


# How tasks are found -------------------------------------------------------------------------

FACTS = 'robot: sim_reacher\nerrors: {shoulder: rad}\ntolerances: {own: {shoulder: 0.1}}\n'


def made(folder, name, facts=FACTS, code=''):
    (folder / name).mkdir(parents=True)
    (folder / name / 'task.yaml').write_text(facts)
    if code is not None:
        (folder / name / 'task.py').write_text(code)
    return folder


@pytest.mark.parametrize(('facts', 'words'), [
    ('robot: a\n', 'missing keys: errors, tolerances'),
    (FACTS + 'speed: 3\n', 'unknown keys: speed'),
    (FACTS + 'budget: 0\n', 'budget must be a whole number from 1 on, got 0'),
    (FACTS + 'grids: [{x: [0, 1], y: [2, 2]}]\n', r'grids must be a list of two quantities each'),
    (FACTS + 'grids: [{x: [0, 1]}]\n', r'grids must be a list of two quantities each'),
    (FACTS + 'goal_chain: [3, 2]\n', r'goal_chain must be two numbers, 0 < near < far'),
    (FACTS + 'acting: 3\n', 'acting must be a text, got 3'),
    (FACTS + "recipe: ''\n", 'recipe must be a recipe, and options'),
    (FACTS.replace('own: {shoulder', 'own: {elbow'), 'limits above 0 of shoulder'),
    (FACTS.replace('0.1', '0'), 'limits above 0 of shoulder'),
])
def test_wrong_facts_name_the_file_and_the_key(tmp_path, monkeypatch, facts, words):
    """A typing error in task.yaml is said when the task is loaded."""
    code = ('from lewm_sim.tasks import Task\nclass Mine(Task):\n'
            '    def make_world(self, image_size=64):\n        raise NotImplementedError\n')
    monkeypatch.setenv('LEWM_TASKS', str(made(tmp_path, 'mine', facts, code)))
    with pytest.raises(ConfigError, match=f'mine/task.yaml: .*{words}'):
        load_task('mine')


def test_tasks_outside_are_found_and_wrong_folders_are_named(tmp_path, monkeypatch):
    """LEWM_TASKS lists folders of task folders; what is wrong with one is said."""
    monkeypatch.setenv('LEWM_TASKS', str(made(tmp_path / 'a', 'empty')))
    assert task_names() == (*sorted(set(task_names()) - {'empty'}), 'empty')
    with pytest.raises(ConfigError, match='must define one class derived from .* it defines none'):
        load_task('empty')
    with pytest.raises(ConfigError, match="'walker' does not exist; known tasks: .*, empty; "):
        load_task('walker')
    monkeypatch.setenv('LEWM_TASKS', str(made(tmp_path / 'b', 'bare', code=None)))
    with pytest.raises(ConfigError, match='has a task.yaml but no task.py'):
        load_task('bare')
    monkeypatch.setenv('LEWM_TASKS', str(made(tmp_path / 'c', 'reacher')))
    with pytest.raises(ConfigError, match="two tasks 'reacher'"):
        task_names()
    monkeypatch.setenv('LEWM_TASKS', str(tmp_path / 'nowhere'))
    with pytest.raises(ConfigError, match='LEWM_TASKS names .*nowhere, which is no folder'):
        task_names()


def test_a_task_imports_what_lies_beside_it(tmp_path, monkeypatch):
    """From its own folder and from beside that; two folders of task folders do not mix."""
    code = ('from lewm_sim.tasks import Task\nfrom .own import OWN\nfrom ..shared import SHARED\n'
            'class Mine(Task):\n    found = OWN, SHARED\n'
            '    def make_world(self, image_size=64):\n        raise NotImplementedError\n')
    for place in ('a', 'b'):
        folder = made(tmp_path / place, f'mine_{place}', code=code)
        (folder / 'shared.py').write_text(f'SHARED = {place!r}\n')
        (folder / f'mine_{place}' / 'own.py').write_text(f'OWN = {place!r}\n')
    monkeypatch.setenv('LEWM_TASKS', os.pathsep.join(str(tmp_path / place) for place in 'ab'))
    for place in ('a', 'b'):
        assert load_task(f'mine_{place}').found == (place, place)


def test_an_unknown_policy_is_refused_before_anything_is_recorded():
    """The message lists those that there are."""
    with pytest.raises(ConfigError, match="task 'reacher': there is no policy 'oracle'"):
        CollectConfig(policy='oracle')
