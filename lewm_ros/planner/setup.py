"""From parameters to a policy that is loaded, fits the robot and is warmed up. No rclpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import gc
import math
from pathlib import Path
import time

from lewm_model.assemble import make_policy
from lewm_model.base import resources
from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import ConfigError
from lewm_model.ordinary import Ordinary
from lewm_model.planning.policy import Policy
from lewm_model.robots.robot import RobotDescription
from lewm_model.types import Observation
from lewm_ros.planner.fit import fit_bundle
from lewm_ros.planner.loop.loop_settings import LoopSettings
from lewm_ros.planner.parameters import PlannerParameters
from lewm_ros.planner.surprise.doubts import DoubtSettings
from lewm_ros.planner.surprise.robot_calibration import RobotCalibration
from lewm_ros.planner.surprise.surprise_guard import SurpriseSettings
from lewm_ros.wire.decoders import decoder_named
from lewm_ros.wire.sight import Sight
import numpy as np
import torch

_WARM_UP_PLANS = 4
# Parameters that override the bundle's recommended planner settings when they are not zero.
_OVERRIDES = ('horizon', 'receding_horizon', 'num_candidates', 'num_elites', 'iterations',
              'budget_ms')
_FALLBACK_BACKEND = 'torch'   # eager fp32: the reference that all others are compared with


@dataclass(frozen=True)
class Prepared:
    """A policy ready to run and what was learnt on the way."""

    policy: Policy
    robot: RobotDescription
    sight: Sight              # from camera messages to what the model sees
    recommended: PlanConfig   # planner settings before parameters override them
    first_latency_s: float    # measured: encode one frame and plan once
    notes: tuple[str, ...]    # what differs from training, for people
    of_robot: RobotCalibration | None = None   # what is ordinary here, if that was measured

    @property
    def max_committed_steps(self) -> int:
        """Most rows that may be committed: two blocks, and at least one is left to decide."""
        blocks = min(2, self.policy.config.horizon - 1)
        return max(blocks * self.policy.bundle.model_config.frameskip, 1)


def prepare(settings: PlannerParameters) -> Prepared:
    """Load the bundle, check it against the robot, build the policy and warm it up.

    Raises:
        LewmError: If anything is missing or does not fit; the message says what and why.
    """
    torch.set_num_threads(settings.num_threads)
    bundle = Bundle.load(resources.find_named('models', settings.bundle), device=settings.device)
    robot = RobotDescription.from_yaml(settings.robot or bundle.robot)
    bundle, notes = fit_bundle(bundle, robot)
    of_robot = None
    if settings.surprise_file and not Path(settings.surprise_file).expanduser().is_file():
        notes = [*notes, f'there is no {settings.surprise_file} yet: what is ordinary is what the '
                         f'bundle says until ~/calibrate_surprise has written it and the planner '
                         f'is configured again']
    elif settings.surprise_file:
        of_robot = RobotCalibration.load(settings.surprise_file, bundle.model_id)
        notes = [*notes, *of_robot.compared_with(bundle)]
    elif bundle.ordinary is None and settings.surprise_action != 'off':
        notes = [*notes, 'the bundle does not say what is ordinary, so nothing surprises it and '
                         'views are not compared; run `lewm calibrate`']
    sight = Sight(robot, bundle.frame_px, bundle.view, decoder_named(settings.image_decoder))
    policy = make_policy(bundle, plan_config(bundle, settings), backend=settings.backend)
    first_latency_s = warm_up(policy)
    check_stuck_limit(settings.stuck_limit_s, first_latency_s)
    return Prepared(policy=policy, robot=robot, sight=sight,
                    recommended=recommended(bundle, settings),
                    first_latency_s=first_latency_s, notes=tuple(notes), of_robot=of_robot)


def fallback(settings: PlannerParameters, policy: Policy
             ) -> Callable[[], tuple[Policy, float]] | None:
    """Return what makes the policy that takes over when this one's engine keeps failing.

    It reads the bundle again: what a broken device holds cannot be copied. None if it would be
    the same engine.
    """
    if not settings.fallback or policy.backend.startswith('torch:fp32 on cpu'):
        return None

    def make() -> tuple[Policy, float]:
        other = prepare(replace(settings, backend=_FALLBACK_BACKEND, device='cpu'))
        return other.policy, other.first_latency_s

    return make


def loop_settings(settings: PlannerParameters, prepared: Prepared) -> LoopSettings:
    """Return the parameters as the plan loop takes them, with what the bundle recommends."""
    policy = prepared.policy
    return LoopSettings(
        replan_steps=settings.replan_steps or policy.steps_per_plan,
        goal_tolerance=settings.goal_tolerance or policy.bundle.goal_tolerance,
        budget_ms=settings.budget_ms or prepared.recommended.budget_ms,
        obs_max_age_s=settings.obs_max_age_s or frame_max_age_s(prepared.robot.control_dt_s),
        **{name: getattr(settings, name) for name in (
            'readout_tolerance', 'goal_correction', 'goal_dwell_s', 'stall_s',
            'obs_max_future_s', 'latency_margin_s', 'engine_retries', 'frozen_stops', 'dry_run')},
        doubts=doubt_settings(settings, policy.bundle.ordinary, prepared.of_robot))


def doubt_settings(settings: PlannerParameters, of_data: Ordinary | None,
                   of_robot: RobotCalibration | None = None) -> DoubtSettings:
    """Return what is wrong to see: by parameter, as measured on this robot, or in the data."""
    scale = limit = math.nan
    if of_robot is not None:
        scale, limit = of_robot.mean_error, of_robot.limit
    elif of_data is not None:
        scale, limit = 1.0, of_data.config.surprise_limit
    return DoubtSettings(
        SurpriseSettings(
            action=settings.surprise_action, limit=settings.surprise_limit or limit,
            frames=settings.surprise_frames, least_gain=settings.surprise_gain,
            calm_s=settings.surprise_calm_s, slow_scale=settings.surprise_scale),
        scale=scale, view_action=settings.view_action)


def frame_max_age_s(control_dt_s: float) -> float:
    """Return how old a frame may be when nobody says it [s].

    A camera has at least the control rate. The frame that waits for the end of a plan is up to
    one step old, two if the next one was lost; 0.05 s are its way.
    """
    return max(0.25, 2 * control_dt_s + 0.05)


def recommended(bundle: Bundle, settings: PlannerParameters) -> PlanConfig:
    """Return the planner settings that are named, or the bundle's."""
    if not settings.plan:
        return bundle.plan_config
    return PlanConfig.from_yaml(resources.find_named('config/plan', settings.plan, '.yaml'))


def plan_config(bundle: Bundle, settings: PlannerParameters) -> PlanConfig:
    """Return the recommended planner settings with what the parameters override."""
    given = {name: getattr(settings, name) for name in _OVERRIDES if getattr(settings, name)}
    if 'receding_horizon' in given:      # what was asked for, not the finer one of the bundle
        given['replan_steps'] = None
    return replace(recommended(bundle, settings), **given)


def warm_up(policy: Policy) -> float:
    """Run the policy on made-up frames until it is at speed; return seconds per answer."""
    bundle = policy.bundle
    size = bundle.frame_px
    frame = np.zeros((size, size, 3), np.uint8)
    step_ns = round(bundle.control_dt_s * 1e9)
    policy.set_goal_image(frame, 'warm-up')
    seconds = []
    for k in range(1, _WARM_UP_PLANS + 1):
        started_s = time.perf_counter()
        policy.observe(Observation(stamp_ns=k * step_ns, rgb=frame))
        policy.plan(k * step_ns)
        seconds.append(time.perf_counter() - started_s)
    policy.reset()
    return float(np.median(seconds[1:]))


def check_stuck_limit(limit_s: float, latency_s: float) -> None:
    """Refuse a limit (0: none was set) below what an answer takes here [s]; raises ConfigError."""
    if 0 < limit_s < latency_s:
        raise ConfigError(f'parameter stuck_limit_s is {limit_s} s, but a frame and a plan took '
                          f'{latency_s:.3f} s: every plan would be withdrawn, and the robot never '
                          f'move; set a few times that, or 0.0 for a limit that follows it')


def free_memory() -> None:
    """Give back what a policy held that is not referred to any more, on a GPU too."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
