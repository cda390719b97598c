from dataclasses import replace

from lewm_model.errors import BundleError, ConfigError
from lewm_model.robot import RobotDescription
from lewm_ros.planner.setup import check_fit, plan_config, PlannerParameters, prepare
from nano import PLAN, tiny_bundle
import numpy as np
import pytest


def test_a_bundle_fits_the_robot_it_was_made_for():
    """The shipped robot and a bundle with its facts are accepted."""
    check_fit(tiny_bundle(), RobotDescription.from_yaml('sim_reacher'))


@pytest.mark.parametrize(('change', 'words'), [
    ({'action_names': ('wrist', 'shoulder')}, 'action names'),
    ({'control_dt_s': 0.1}, 'control_dt_s'),
    ({'action_max': np.array([2, 3], np.float32)}, 'largest actions'),
    ({'action_min': np.array([-1, -2], np.float32)}, 'smallest actions'),
])
def test_a_bundle_made_for_another_robot_is_refused(change, words):
    """Order, rate and limits must agree, and the message names what does not."""
    with pytest.raises(BundleError, match=f'{words}.*sim_reacher'):
        check_fit(tiny_bundle(**change), RobotDescription.from_yaml('sim_reacher'))


def test_parameters_override_the_bundle_and_zero_does_not():
    """Only what is not zero replaces the recommendation."""
    settings = PlannerParameters(num_candidates=8, budget_ms=12.5)
    assert plan_config(tiny_bundle(), settings) == replace(
        PLAN, num_candidates=8, budget_ms=12.5)


def test_a_prepared_policy_is_warm_and_has_no_memory_of_the_warm_up(tmp_path):
    """Preparing measures a latency, and leaves neither goal nor frames behind."""
    tiny_bundle().save(tmp_path / 'tiny')
    prepared = prepare(PlannerParameters(bundle=str(tmp_path / 'tiny')))
    assert prepared.first_latency_s > 0
    assert prepared.policy.goal is None
    assert prepared.policy.goal_distance is None
    assert prepared.replan_steps == PLAN.receding_horizon * 5
    assert prepared.max_committed_steps == 10
    assert prepared.robot.robot == 'sim_reacher'


def test_planner_settings_can_be_named():
    """`plan` takes the place of the bundle's settings; single parameters still win."""
    settings = PlannerParameters(plan='icem', iterations=2)
    config = plan_config(tiny_bundle(), settings)
    assert (config.noise, config.keep_elites, config.iterations) == ('coloured', 5, 2)
    with pytest.raises(ConfigError, match='shipped config/plan: cem, cem_prior'):
        plan_config(tiny_bundle(), PlannerParameters(plan='magic'))
