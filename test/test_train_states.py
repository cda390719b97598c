"""Training probes what was measured, whatever the robot is; N states need not be N actions."""

from dataclasses import replace
import logging

import h5py
from lewm_model.config import PlanConfig, TrainConfig
from lewm_model.data.clips import split_episodes
from lewm_model.data.episodes import EpisodeFile
from lewm_model.ingest.episode_writer import Episode, write_episodes
from lewm_model.quantities import Quantity, to_json
from lewm_model.robots.robot import RobotDescription
from lewm_model.training.run import Recipe, train_bundle
from nano import SIZES
import numpy as np
import pytest

AXES = ('linear.x', 'linear.y', 'linear.z', 'angular.z')
RECIPE = Recipe(
    model={key: value for key, value in SIZES.to_dict().items() if key != 'action_dim'},
    train=TrainConfig(batch_size=8, steps=2, learning_rate=1e-3, sigreg_projections=16,
                      precision='fp32', log_every=1, validate_every=2, validation_split=0.4),
    plan=PlanConfig())


@pytest.fixture
def path(tmp_path):
    """Episodes of a drone: four commanded axes, odometry of x, y, yaw; y never changes."""
    drone = replace(RobotDescription.from_yaml('diff_drive'), joint_names=AXES,
                    **{name: [value] * 4 for name, value in (
                        ('min_command', -1), ('max_command', 1), ('max_rate', 1),
                        ('stop_rate', 1), ('deadband', 0))}, position_min=(), position_max=())
    rng = np.random.default_rng(0)

    def episode(index, rows=30):
        pose = np.cumsum(rng.normal(size=(rows, 3)), axis=0) * [5, 0, 1]
        return Episode(f'e{index}', 'none', '0' * 64,
                       rng.integers(0, 255, (rows, 64, 64, 3)).astype(np.uint8),
                       rng.uniform(-1, 1, (rows, 4)), pose, np.zeros((rows, 3)),
                       np.arange(rows) * 100_000_000)
    write_episodes(tmp_path / 'drone.h5', [episode(index) for index in range(8)], 8 * [30], drone,
                   64, {'task': 'fly'})
    return tmp_path / 'drone.h5'


def trained(path, folder):
    return train_bundle(EpisodeFile.open(path), RECIPE, run_folder=folder / 'run',
                        bundle_folder=folder / 'bundle', commands=[],
                        report=lambda progress: None)


def probes(path, folder):
    return trained(path, folder).metrics['training']['probes']


def test_a_robot_with_more_actions_than_states_is_trained_and_probed_by_state(
        path, tmp_path, caplog):
    """Probes are called x and yaw; y, which never moved, is left out and named."""
    with caplog.at_level(logging.WARNING):
        found = probes(path, tmp_path)
    assert list(found) == ['x', 'yaw'] and min(found.values()) > -100
    assert 'no probe during training for y (never moves)' in caplog.text


def test_the_state_term_reads_what_the_robot_measured(path, tmp_path):
    """The run says so, and so do card and provenance; y, which never moved, is not asked for."""
    recipe = replace(RECIPE, train=replace(RECIPE.train, state_weight=0.1, rollout_weight=0.5,
                                           rollout_steps=2))
    logged = []
    made = train_bundle(EpisodeFile.open(path), recipe, run_folder=tmp_path / 'run',
                        bundle_folder=tmp_path / 'bundle', commands=[],
                        report=lambda progress: logged.append(progress.terms))
    assert {'states', 'rollout'} == set(logged[-1])
    said = {name: made.provenance[name] for name in
            ('state_weight', 'rollout_weight', 'rollout_steps')}
    assert said == {'state_weight': 0.1, 'rollout_weight': 0.5, 'rollout_steps': 2}
    assert '| state weight | 0.1 |' in (tmp_path / 'bundle' / 'README.md').read_text()


def test_what_only_a_simulator_knows_is_probed_during_training(path, tmp_path):
    """Columns of `truth` come after the states; what is in both counts once."""
    with h5py.File(path, 'a') as file:
        rows = len(file['action'])
        file['truth'] = np.random.default_rng(1).normal(size=(rows, 6))
        file.attrs['truth_quantities'] = to_json([
            Quantity('block x', 'position'), Quantity('yaw', 'angle'),
            Quantity('block turn', 'quaternion')])
    assert list(probes(path, tmp_path)) == ['x', 'block x', 'yaw', 'block turn']


def test_the_planner_is_told_what_training_has_shown_not_what_was_held_out(path, tmp_path):
    """An action of 9 in every held-out episode is no support for plans."""
    data = EpisodeFile.open(path)
    _, held_out = split_episodes(data.ep_id, RECIPE.train.validation_split)
    with h5py.File(path, 'a') as file:
        actions = file['action'][()]
        actions[data.ep_offset[held_out]] = 9
        file['action'][...] = actions
    support = trained(path, tmp_path).provenance['action_support']
    assert len(held_out) and max(support['high']) < 1 and min(support['low']) > -1
