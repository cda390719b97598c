from dataclasses import replace
import weakref

from lewm_model.base import resources
from lewm_model.errors import BundleError, ConfigError
from lewm_model.robots.robot import RobotDescription
from lewm_model.types import Observation
from lewm_ros.planner.fit import fit_bundle
from lewm_ros.planner.parameters import check_change, PlannerParameters
from lewm_ros.planner.setup import (
    check_stuck_limit,
    fallback,
    free_memory,
    loop_settings,
    plan_config,
    prepare,
)
from nano import PLAN, tiny_bundle
import numpy as np
import pytest
import torch

ARM = RobotDescription.from_yaml('sim_reacher')   # commands in [-2, 2], 20 Hz


def fitted(robot=ARM, support=None, **changes):
    """Return limits and notes of a bundle on a robot."""
    if support is not None:
        changes['provenance'] = {'action_support': {'low': [-support] * 2, 'high': [support] * 2}}
    bundle, notes = fit_bundle(tiny_bundle(**changes), robot)
    return bundle.action_min.tolist(), bundle.action_max.tolist(), notes


def test_a_bundle_fits_the_robot_it_was_made_for():
    """The shipped robot and a bundle with its facts are taken without a word."""
    assert fitted() == ([-2, -2], [2, 2], [])


@pytest.mark.parametrize(('change', 'words'), [
    ({'action_names': ('wrist', 'shoulder')}, 'action names'),
    ({'control_dt_s': 0.1}, 'control_dt_s'),
    ({'action_min': np.array([3, -2], np.float32), 'action_max': np.array([4, 2], np.float32)},
     r'commands of shoulder in \[3.0, 4.0\]'),
])
def test_a_bundle_made_for_another_robot_is_refused(change, words):
    """Order and rate must agree, limits must overlap; the message names what does not."""
    with pytest.raises(BundleError, match=f'{words}.*sim_reacher'):
        fitted(**change)


def test_lower_limits_than_those_of_training_are_kept():
    """The plan stays within them, and people are told."""
    slow = replace(ARM, min_command=[-1, -2], max_command=[1, 2])
    low, high, notes = fitted(slow)
    assert (low, high) == ([-1, -2], [1, 2])
    assert notes == ['shoulder: trained with commands in [-2, 2], this robot allows [-1, 1], '
                     'planned is within [-1, 1]']


@pytest.mark.parametrize(('support', 'limit'), [(None, 2), (2.5, 2.5), (9.0, 3)])
def test_higher_limits_count_as_far_as_the_data_goes(support, limit):
    """Beyond it the model only guesses; without statistics the limits of training stand."""
    fast = replace(ARM, min_command=[-3, -3], max_command=[3, 3])
    low, high, notes = fitted(fast, support)
    assert (low, high) == ([-limit] * 2, [limit] * 2)
    assert len(notes) == 2
    assert ('beyond that there was no data' in notes[0]) == (limit < 3)


def test_a_rate_that_differs_by_rounding_is_that_of_the_robot():
    """0.0333 in a file and a thirtieth of a second in the data are one rate."""
    robot = replace(ARM, control_dt_s=0.0333)
    bundle, notes = fit_bundle(tiny_bundle(control_dt_s=1 / 30), robot)
    assert bundle.control_dt_s == 0.0333
    assert notes == []


def test_plans_stay_within_lower_limits(tmp_path):
    """What is planned for a robot that may move less is less."""
    tiny_bundle().save(tmp_path / 'tiny')
    text = resources.find_named('config/robots', 'sim_reacher', '.yaml').read_text()
    slow = tmp_path / 'slow.yaml'
    slow.write_text(text.replace('[-2.0, -2.0]', '[-0.05, -0.05]').replace(
        '[2.0, 2.0]', '[0.05, 0.05]'))
    frame = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    largest = {}
    for robot in ('sim_reacher', str(slow)):
        policy = prepare(PlannerParameters(bundle=str(tmp_path / 'tiny'), robot=robot)).policy
        policy.set_goal_image(frame)
        policy.observe(Observation(stamp_ns=1, rgb=frame))
        largest[robot] = np.abs(policy.plan(1).actions).max()
    assert largest['sim_reacher'] > 0.05 >= largest[str(slow)] > 0


def test_the_fall_back_is_eager_torch_on_the_cpu_and_no_fall_back_for_itself(tmp_path):
    """It reads the bundle again and is warm."""
    tiny_bundle().save(tmp_path / 'tiny')
    settings = PlannerParameters(bundle=str(tmp_path / 'tiny'))
    policy, latency_s = fallback(settings, prepare(settings).policy)()
    assert policy.backend.startswith('torch:fp32 on cpu')
    assert latency_s > 0
    assert fallback(settings, policy) is None
    assert fallback(replace(settings, fallback=False), prepare(settings).policy) is None


def test_zero_parameters_are_what_the_bundle_recommends(tmp_path):
    """Of the loop, too."""
    tiny_bundle(plan_config=replace(PLAN, budget_ms=9.0)).save(tmp_path / 'tiny')
    settings = PlannerParameters(bundle=str(tmp_path / 'tiny'), budget_ms=4.0)
    prepared = prepare(settings)
    given = loop_settings(settings, prepared)
    assert (given.goal_tolerance, given.replan_steps, given.budget_ms) == (
        1.0, PLAN.receding_horizon * 5, 4.0)
    assert loop_settings(replace(settings, replan_steps=2), prepared).replan_steps == 2
    assert loop_settings(replace(settings, budget_ms=0.0), prepared).budget_ms == 9.0
    assert loop_settings(replace(settings, goal_tolerance=3.0), prepared).goal_tolerance == 3.0


def test_a_bundle_may_plan_every_few_control_steps(tmp_path):
    """Blocks that a person asks for by parameter count instead."""
    tiny_bundle(plan_config=replace(PLAN, replan_steps=2)).save(tmp_path / 'tiny')
    settings = PlannerParameters(bundle=str(tmp_path / 'tiny'))
    assert loop_settings(settings, prepare(settings)).replan_steps == 2
    blocks = replace(settings, receding_horizon=3)
    assert loop_settings(blocks, prepare(blocks)).replan_steps == 15


def test_how_old_a_frame_may_be_follows_from_the_control_step(tmp_path):
    """0.25 s at 20 Hz; at 5 Hz the frame that waits for the end of a plan may be two steps old."""
    tiny_bundle().save(tmp_path / 'tiny')
    settings = PlannerParameters(bundle=str(tmp_path / 'tiny'))
    prepared = prepare(settings)
    slow = replace(prepared, robot=replace(prepared.robot, control_dt_s=0.2))
    assert loop_settings(settings, prepared).obs_max_age_s == 0.25
    assert loop_settings(settings, slow).obs_max_age_s == pytest.approx(0.45)
    assert loop_settings(replace(settings, obs_max_age_s=0.1), slow).obs_max_age_s == 0.1


def test_a_dry_run_can_only_begin_while_active():
    """Its end would move the robot."""
    wet, dry = PlannerParameters(), PlannerParameters(dry_run=True)
    check_change(wet, dry, active=True)
    check_change(dry, wet, active=False)
    with pytest.raises(ConfigError, match='dry_run cannot be cleared while the node is active'):
        check_change(dry, wet, active=True)


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
    assert prepared.max_committed_steps == 10
    assert prepared.robot.robot == 'sim_reacher'


def test_a_limit_below_what_a_plan_takes_is_refused():
    """Every plan would be withdrawn; 0 is no limit of its own."""
    for limit_s in (0.0, 0.1, 9.0):
        check_stuck_limit(limit_s, 0.1)
    with pytest.raises(ConfigError, match='stuck_limit_s is 0.09 s, but .* took 0.100 s: every'):
        check_stuck_limit(0.09, 0.1)


def test_a_planner_that_cannot_keep_its_limit_is_not_configured(tmp_path):
    """The time is the one measured at configuration: no plan takes a microsecond."""
    tiny_bundle().save(tmp_path / 'tiny')
    with pytest.raises(ConfigError, match='stuck_limit_s is 1e-06 s'):
        prepare(PlannerParameters(bundle=str(tmp_path / 'tiny'), stuck_limit_s=1e-6))


def test_planner_settings_can_be_named():
    """`plan` takes the place of the bundle's settings; single parameters still win."""
    settings = PlannerParameters(plan='icem', iterations=2)
    config = plan_config(tiny_bundle(), settings)
    assert (config.noise, config.keep_elites, config.iterations) == ('coloured', 5, 2)
    with pytest.raises(ConfigError, match='shipped config/plan: cem, .*cem_prior, .*icem, '):
        plan_config(tiny_bundle(), PlannerParameters(plan='magic'))


def test_what_a_policy_held_is_given_back(monkeypatch):
    """Objects that refer to each other are collected first, then a GPU's memory is returned."""
    class Held:
        def __init__(self):
            self.itself = self

    calls, alive = [], weakref.ref(Held())
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: calls.append(alive() is None))
    free_memory()
    assert calls == [True]
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: False)
    free_memory()
    assert calls == [True]      # without a GPU in use, none is woken
