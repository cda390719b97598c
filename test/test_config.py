"""Settings refuse nonsense when they are built."""

import dataclasses

from lewm_model.config import DataConfig, load_yaml, ModelConfig, PlanConfig, TrainConfig
from lewm_model.errors import ConfigError
import pytest


def test_defaults_are_the_papers():
    """The default sizes and budgets are those of the reference."""
    model, plan, train = ModelConfig(action_dim=2), PlanConfig(), TrainConfig()
    assert (model.encoder_dim, model.encoder_depth, model.predictor_heads) == (192, 12, 16)
    assert (plan.num_candidates, plan.iterations, plan.num_elites) == (300, 30, 30)
    assert (plan.horizon, plan.receding_horizon, plan.history) == (5, 5, 1)
    assert (train.learning_rate, train.sigreg_weight, train.batch_size) == (5e-5, 0.09, 128)


def test_a_plan_is_executed_by_blocks_or_by_control_steps():
    """R blocks of K steps, unless a number of steps is asked for."""
    blocks = PlanConfig(horizon=5, receding_horizon=2)
    assert blocks.steps_per_plan(5) == 10
    assert dataclasses.replace(blocks, replan_steps=1).steps_per_plan(5) == 1
    assert dataclasses.replace(blocks, replan_steps=25).steps_per_plan(5) == 25


@pytest.mark.parametrize(('build', 'message'), [
    (lambda: PlanConfig(horizon=5, receding_horizon=6), r'in \[1, horizon=5\], got 6'),
    (lambda: PlanConfig(replan_steps=0), r'replan_steps must be at least 1, got 0'),
    (lambda: PlanConfig(horizon=2, receding_horizon=1, replan_steps=11).steps_per_plan(5),
     r'replan_steps must be at most 10 control steps, which horizon=2 blocks of 5 are, got 11'),
    (lambda: PlanConfig(num_elites=1), r'num_elites must be in \[2, num_candidates=300\], got 1'),
    (lambda: PlanConfig(noise='pink'),
     "noise must be one of independent, held, coloured, knots, got 'pink'"),
    (lambda: ModelConfig(action_dim=2, image_size=65), 'divisor of image_size=65, got 14'),
    (lambda: ModelConfig(action_dim=2, encoder_heads=5), 'divisor of encoder_dim=192, got 5'),
    (lambda: ModelConfig(action_dim=0), 'action_dim must be at least 1, got 0'),
    (lambda: TrainConfig(warmup=1.0), r'warmup must be in \[0, 1\), got 1.0'),
    (lambda: TrainConfig(precision='fp8'), "precision must be 'bf16', 'fp32' or 'auto'"),
    (lambda: DataConfig(control_dt_s=0.0), 'control_dt_s must be positive, got 0.0'),
])
def test_nonsense_is_refused_with_the_allowed_range(build, message):
    """The message names the setting, what is allowed and what was given."""
    with pytest.raises(ConfigError, match=message):
        build()


@pytest.mark.parametrize(('values', 'message'), [
    ({'horizn': 3}, 'no setting horizn; known: .*horizon'),
    ({'horizon': '5'}, "horizon must be of type int, got '5'"),
    ({'horizon': True}, 'horizon must be of type int, got True'),
    ({'warm_start': 1}, 'warm_start must be of type bool, got 1'),
    ({'solver': None}, 'solver must be of type str, got None'),
])
def test_a_mapping_with_unknown_keys_or_wrong_types_is_refused(values, message):
    """A typo in a YAML file is an error, not a default."""
    with pytest.raises(ConfigError, match=message):
        PlanConfig.from_dict(values)


def test_numbers_as_yaml_writes_them_are_accepted():
    """YAML 1.1 reads 1e-3 as text and 1 as int; both are fine where a float is wanted."""
    config = TrainConfig.from_dict({'learning_rate': '1e-3', 'grad_clip': 1, 'steps': None})
    assert (config.learning_rate, config.grad_clip, config.steps) == (1e-3, 1.0, None)


def test_settings_survive_a_round_trip():
    """What is written to a bundle comes back equal."""
    config = PlanConfig(horizon=3, receding_horizon=2, noise='held', budget_ms=20.0)
    assert PlanConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(('text', 'message'), [
    ('a: [1', 'not valid YAML'), ('- 1\n', 'must hold a mapping'),
    ('a: !!python/object/apply:os.system [echo]', 'not valid YAML'),
])
def test_broken_or_dangerous_yaml_is_refused(tmp_path, text, message):
    """YAML that would build Python objects is as invalid as a syntax error."""
    path = tmp_path / 'settings.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_yaml(path)


def test_a_missing_file_is_named(tmp_path):
    """The path is in the message."""
    with pytest.raises(ConfigError, match='none.yaml'):
        load_yaml(tmp_path / 'none.yaml')
