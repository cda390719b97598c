"""Which latent distance counts as reached: known distances in, a known limit out."""

from dataclasses import replace
import shutil
from types import SimpleNamespace

from lewm_model.base.resources import find_named
from lewm_model.bundles.bundle import Bundle
from lewm_model.errors import DatasetError
from lewm_sim import cli
from lewm_sim.evaluate.near_enough import measure_near_enough, near_enough
from lewm_sim.tasks import load_task
import numpy as np
import pytest
import torch

EVEN = np.linspace(0, 4, 8001)     # errors, as multiples of the tolerance


def test_a_latent_that_is_the_error_is_reached_within_half_the_tolerance():
    """95 % of the errors up to 0.5 are below 0.475, and none just outside the tolerance is."""
    found = near_enough(EVEN ** 2, EVEN)
    assert found.tolerance == pytest.approx(0.475 ** 2, rel=1e-3)
    assert (found.inside, found.outside, found.false) == (1001, 2000, 0.0)
    assert found.found == pytest.approx(0.95, abs=1e-3)


def test_a_latent_with_noise_is_reached_later_and_says_how_many_it_misses():
    """Few that are not there count as reached, so many that are do not."""
    squared = (EVEN + np.random.default_rng(0).normal(size=len(EVEN)) * 0.6) ** 2
    found = near_enough(squared, EVEN)
    assert found.tolerance == pytest.approx(np.quantile(squared[2000:4000], 0.05), rel=0.01)
    assert found.false == pytest.approx(0.05, abs=2e-3)
    assert 0.3 < found.found < 0.9


@pytest.mark.parametrize(('squared', 'errors', 'words'), [
    (EVEN[4000:] ** 2, EVEN[4000:], '0 are within half the tolerance and 0 between one and two'),
    (EVEN[:1000] ** 2, EVEN[:1000], '0 between one and two of it, at least 100'),
    (0 * EVEN, EVEN, 'does the model see what the task is judged by')])
def test_data_that_cannot_tell_is_refused(squared, errors, words):
    """Too few pairs near the tolerance, and a model that sees no difference."""
    with pytest.raises(DatasetError, match=words):
        near_enough(squared, errors)


@pytest.fixture
def base():
    """Episodes of a base that wanders in one room; its latents are where it is."""
    rng, lengths = np.random.default_rng(1), np.array([60, 2, 1, 80])
    phase = np.cumsum(rng.normal(size=(lengths.sum(), 2)) * 0.1, axis=0)
    truth = [0.5, 0.0] + [0.3, 0.8] * np.sin(phase)
    data = SimpleNamespace(path='base.h5', columns={'truth': truth}, ep_len=lengths,
                           ep_offset=np.cumsum(lengths) - lengths)
    return SimpleNamespace(data=data, held_out=np.arange(4), encode_rows=lambda rows: (
        torch.from_numpy(truth[rows])))


def test_pairs_of_frames_are_judged_by_the_task(base):
    """In one room the way is the distance: 95 % of the pairs within 0.08 m are below it."""
    task = load_task('two_room')
    found = measure_near_enough(base, task, task.facts.tolerance())
    assert 0.06 < np.sqrt(found.tolerance) < 0.08
    assert found.found == pytest.approx(0.95, abs=0.03)     # a pair may be drawn twice
    again = measure_near_enough(base, task, task.facts.tolerance())
    assert again == found


def test_data_without_truth_or_frames_is_refused(base):
    """The message says what is missing."""
    task = load_task('two_room')
    base.held_out = np.array([2])
    with pytest.raises(DatasetError, match='no held-out episode has two frames'):
        measure_near_enough(base, task, task.facts.tolerance())
    base.data.columns.clear()
    with pytest.raises(DatasetError, match='base.h5 has no column truth'):
        measure_near_enough(base, task, task.facts.tolerance())


def test_the_command_changes_the_tolerance_of_a_bundle_and_nothing_else(tmp_path, capsys):
    """Collected, ingested and measured as a person would; a dry run writes nothing."""
    bags, data, folder = tmp_path / 'bags', tmp_path / 'set.h5', tmp_path / 'two_room'
    shutil.copytree(find_named('models', 'two_room-nano'), folder)
    before = replace(Bundle.load(folder), goal_tolerance=0.5)
    before.save(folder)
    robot = load_task('two_room').folder / 'robot.yaml'
    assert cli.main(['collect', '--task', 'two_room', '--policy', 'explorer', '--episodes', '25',
                     '--steps', '60', '--out', str(bags)]) == 0
    assert cli.main(['ingest', str(bags), '--robot', str(robot), '--out', str(data)]) == 0
    asked = ['tolerance', str(folder), '--data', str(data), '--new-data']
    assert cli.main([*asked, '--dry-run']) == 0
    assert Bundle.load(folder).goal_tolerance == before.goal_tolerance
    assert cli.main(asked) == 0
    after = Bundle.load(folder)
    assert 5.0 < after.goal_tolerance < 50.0
    assert after.model_id == before.model_id and after.ordinary.config == before.ordinary.config
    assert f'distance of {after.goal_tolerance:.4g} (so far' in capsys.readouterr().out
    assert 'lewm tolerance' in (folder / 'README.md').read_text()
    assert cli.main([*asked, '--of', 'nothing']) == cli.USAGE_ERROR
    assert 'task.yaml has' in capsys.readouterr().err
