"""The search follows its stated rule, remembers what it has run, and works on a real tiny run."""

import dataclasses
import json
import math

from lewm_model.config import PlanConfig, TrainConfig
from lewm_model.data.fingerprint import Fingerprint
from lewm_model.errors import TrainingError
from lewm_model.held_out import part_of
from lewm_model.training import lambda_search
from lewm_model.training.divide import divide_episodes
from lewm_model.training.lambda_search import (
    bisect,
    PICTURE,
    search_lambda,
    sigreg_limit,
    TABLE,
    Trial,
)
from lewm_model.training.run import Recipe
from nano import SIZES
import pytest
from test_training import Rows

LIMIT = 2.0


class FakeTraining:
    """SIGReg passes from `optimum` upwards, where the prediction is best; counts its runs."""

    def __init__(self, optimum, probe=lambda weight: 0.9):
        self.optimum, self.probe, self.weights = optimum, probe, []

    def __call__(self, weight):
        self.weights.append(weight)
        sigreg = 1.2 if weight >= self.optimum else 9.0
        return Trial(weight, 0.05 * math.sqrt(weight), sigreg, self.probe(weight), 1.0)


@pytest.mark.parametrize('optimum', [0.0015, 0.007, 0.02, 0.09, 0.3, 0.6])
def test_a_known_optimum_is_found_in_four_runs(optimum):
    """The answer passes and is at most a resolution (a factor of 1.8) above the optimum."""
    training = FakeTraining(optimum)
    best = bisect(training, [], LIMIT)
    assert optimum <= best.sigreg_weight <= optimum * 10 ** 0.25
    assert len(training.weights) == 4


def test_a_run_that_lost_a_factor_cannot_win():
    """Below 0.05 the probe is lost although SIGReg passes: the best of the others is taken."""
    training = FakeTraining(0.001, probe=lambda weight: 0.1 if weight < 0.03 else 0.8)
    best = bisect(training, [], LIMIT)
    assert best.sigreg_weight == pytest.approx(0.0316)
    assert min(training.weights) < best.sigreg_weight   # smaller ones were tried


def test_nothing_to_probe_is_no_failure():
    """Data without recorded joints: SIGReg alone decides."""
    assert bisect(FakeTraining(0.02, probe=lambda weight: math.nan), [], LIMIT).worst_probe != 0


def test_no_weight_passes():
    """The message has the table and says what to try."""
    with pytest.raises(TrainingError, match='0.0316: not Gaussian.*SIGReg 9.00.*more steps'):
        bisect(FakeTraining(2.0), [], LIMIT)


def test_a_diverged_run_counts_as_failed():
    """NaN is not below the limit."""
    assert Trial(0.1, math.nan, math.nan, 0.9, 1).verdict(LIMIT) == 'not Gaussian'


def test_known_trials_are_not_run_again():
    """Stopped after two runs, the search needs two more and gives the same answer."""
    whole = FakeTraining(0.09)
    expected = bisect(whole, [], LIMIT)
    first, trials = FakeTraining(0.09), []

    def stop(done):
        if len(done) == 2:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        bisect(first, trials, LIMIT, record=stop)
    second = FakeTraining(0.09)
    assert bisect(second, trials, LIMIT) == expected
    assert first.weights + second.weights == whole.weights


def test_the_limit_grows_with_the_batch():
    """What exceeds the floor of 1.05 is proportional to the batch size."""
    assert sigreg_limit(64) == pytest.approx(2.05)
    assert sigreg_limit(128) - 1.05 == pytest.approx(2 * (sigreg_limit(64) - 1.05))


class Data(Rows):
    """Random frames as a whole data set."""

    def __init__(self):
        super().__init__(episodes=10, length=30)
        import numpy as np
        self.ep_id = [f'episode {index}' for index in range(10)]
        rng = np.random.default_rng(1)
        self.columns = {'qpos': rng.normal(size=(300, 2))}
        self.attributes = {'joint_names': ['shoulder', 'wrist']}

    def __len__(self):
        return len(self.pixels)


def recipe(**changes):
    model = {key: value for key, value in SIZES.to_dict().items() if key != 'action_dim'}
    train = TrainConfig(batch_size=8, steps=3, learning_rate=1e-3, sigreg_projections=16,
                        precision='fp32')
    return Recipe(model, dataclasses.replace(train, **changes), PlanConfig())


def test_a_real_search_trains_writes_its_table_and_goes_on(tmp_path, monkeypatch):
    """Stopped in its second run, it repeats none; rows are finite, the picture is drawn."""
    monkeypatch.setattr(lambda_search, 'WORST_PROBE', -math.inf)    # noise has nothing to read
    monkeypatch.setattr(lambda_search, 'sigreg_limit', lambda batch: math.inf)
    steps = []

    def stop(progress):
        steps.append(progress.step)
        if len(steps) == 5:
            raise KeyboardInterrupt
    options = {'run_folder': tmp_path, 'report': stop}
    with pytest.raises(KeyboardInterrupt):
        search_lambda(Data(), recipe(), **options)
    assert len(json.loads((tmp_path / TABLE).read_text())['trials']) == 1
    best = search_lambda(Data(), recipe(), **options)
    table = json.loads((tmp_path / TABLE).read_text())
    assert steps == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]
    assert [row['sigreg_weight'] for row in table['trials']] == [0.0316, 0.00562, 0.00237, 0.00154]
    assert all(math.isfinite(value) for row in table['trials']
               for key, value in row.items() if key != 'verdict')
    assert best.prediction == min(row['prediction'] for row in table['trials'])
    assert (tmp_path / PICTURE).stat().st_size > 5000
    assert sorted(path.name for path in tmp_path.iterdir()) == [TABLE, PICTURE]
    with pytest.raises(TrainingError, match='other data or settings'):
        search_lambda(Data(), recipe(seed=5), **options)
    other = Data()                       # of the same name and length
    other.action = other.action + 1
    with pytest.raises(TrainingError, match='other data or settings'):
        search_lambda(other, recipe(), **options)


def test_what_is_reported_on_has_no_say_in_the_choice(tmp_path, monkeypatch):
    """Frames of the half that results come from may be black: every run ends as it did."""
    monkeypatch.setattr(lambda_search, 'WORST_PROBE', -math.inf)
    monkeypatch.setattr(lambda_search, 'sigreg_limit', lambda batch: math.inf)
    settings, tables = recipe(validation_split=0.5), []
    for name in ('as they are', 'black'):
        data = Data()
        _, held_out = divide_episodes(data, Fingerprint.of(data), settings.train)
        report = part_of(data, held_out, 'report')
        assert 0 < len(report) < len(held_out)
        for first in data.ep_offset[report] if name == 'black' else ():
            data.pixels[first + 1:first + 15] = 0     # none of the frames that tell its half
        search_lambda(data, settings, run_folder=tmp_path / name, report=lambda progress: None)
        tables.append([{key: value for key, value in row.items() if key != 'seconds'} for row in
                       json.loads((tmp_path / name / TABLE).read_text())['trials']])
    assert tables[0] == tables[1]
