"""From parameters to a policy that is loaded, fits the robot and is warmed up. No rclpy."""

from __future__ import annotations

from dataclasses import dataclass, replace
import time

from lewm_model import resources
from lewm_model.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.errors import BundleError
from lewm_model.planning.policy import Policy
from lewm_model.rates import same_rate
from lewm_model.robot import RobotDescription
from lewm_model.types import Observation
from lewm_ros.node.parameters import parameter
from lewm_ros.wire.decoders import decoder_named, DECODERS
from lewm_ros.wire.sight import Sight
import numpy as np
import torch

_WARM_UP_PLANS = 4
# Parameters that override the bundle's recommended planner settings when they are not zero.
_OVERRIDES = ('horizon', 'receding_horizon', 'num_candidates', 'num_elites', 'iterations',
              'budget_ms')


@dataclass(frozen=True)
class PlannerParameters:
    """Settings of the planner node; zero means "as the bundle recommends"."""

    bundle: str = parameter(
        'reacher-nano', 'model bundle: a shipped name or a folder', read_only=True)
    robot: str = parameter(
        '', 'robot description: a shipped name or a file; empty: the one the bundle names',
        read_only=True)
    backend: str = parameter(
        'torch-tuned:fp32', 'engine that runs the model, as in docs/engines.md; auto: the fastest '
        'here, measured at the first start', read_only=True)
    plan: str = parameter(
        '', 'planner settings: a name of `config/plan`, such as prior, or a file; empty: as the '
        'bundle recommends', read_only=True)
    image_decoder: str = parameter(
        'ours', 'what decodes pictures: ours, as for training data, or cv_bridge where it is '
        'installed', choices=DECODERS, read_only=True)
    device: str = parameter('cpu', 'where the model runs: cpu, cuda, cuda:1', read_only=True)
    num_threads: int = parameter(
        1, 'threads of torch on the CPU; small models gain nothing from more', low=1, high=256,
        read_only=True)
    horizon: int = parameter(0, 'blocks imagined; 0: as the bundle', low=0, high=64,
                             read_only=True)
    receding_horizon: int = parameter(0, 'blocks executed before replanning; 0: as the bundle',
                                      low=0, high=64, read_only=True)
    num_candidates: int = parameter(0, 'sequences per iteration; 0: as the bundle',
                                    low=0, high=65536, read_only=True)
    num_elites: int = parameter(0, 'kept for the refit; 0: as the bundle', low=0, high=65536,
                                read_only=True)
    iterations: int = parameter(0, 'of the solver; 0: as the bundle', low=0, high=1000,
                                read_only=True)
    budget_ms: float = parameter(0.0, 'stop iterating after this time; 0.0: as the bundle [ms]',
                                 low=0.0, high=10000.0, read_only=True)
    replan_steps: int = parameter(
        0, 'control steps between two plans; 0: receding_horizon blocks', low=0, high=1000,
        read_only=True)
    goal_tolerance: float = parameter(
        0.0, 'squared latent distance that counts as reached; 0.0: as the bundle',
        low=0.0, high=1e6, read_only=True)
    goal_dwell_s: float = parameter(
        0.25, 'the goal must stay met this long to be reached [s]', low=0.0, high=60.0,
        read_only=True)
    stall_s: float = parameter(
        5.0, 'no progress for this long is a stall; 0.0: never [s]', low=0.0, high=600.0,
        read_only=True)
    obs_max_age_s: float = parameter(
        0.25, 'older camera frames are not planned on [s]', low=0.01, high=5.0, read_only=True)
    obs_max_future_s: float = parameter(
        0.05, 'camera frames stamped further ahead are not planned on [s]', low=0.0, high=1.0,
        read_only=True)
    latency_margin_s: float = parameter(
        0.02, 'added to the measured latency, for the way to the robot [s]', low=0.0, high=1.0,
        read_only=True)
    stuck_limit_s: float = parameter(
        1.0, 'a frame that takes longer means a stuck planner: heartbeats stop [s]',
        low=0.1, high=60.0, read_only=True)
    dry_run: bool = parameter(
        False, 'plan and report, but send no action chunks', read_only=True)


@dataclass(frozen=True)
class Prepared:
    """A policy ready to run and what was learnt on the way."""

    policy: Policy
    robot: RobotDescription
    sight: Sight              # from camera messages to what the model sees
    replan_steps: int
    goal_tolerance: float
    first_latency_s: float    # measured: encode one frame and plan once
    max_committed_steps: int  # at most two blocks, and at least one is left to decide


def prepare(settings: PlannerParameters) -> Prepared:
    """Load the bundle, check it against the robot, build the policy and warm it up.

    Raises:
        LewmError: If anything is missing or does not fit; the message says what and why.
    """
    torch.set_num_threads(settings.num_threads)
    bundle = Bundle.load(resources.find_named('models', settings.bundle), device=settings.device)
    robot = RobotDescription.from_yaml(settings.robot or bundle.robot)
    check_fit(bundle, robot)
    sight = Sight(robot, bundle.frame_px, bundle.view, decoder_named(settings.image_decoder))
    policy = Policy(bundle, plan_config(bundle, settings), backend=settings.backend)
    steps_per_block = bundle.model_config.frameskip
    most = min(2, policy.config.horizon - 1) * steps_per_block
    return Prepared(policy=policy, robot=robot, sight=sight, first_latency_s=warm_up(policy),
                    max_committed_steps=max(most, 1),
                    replan_steps=settings.replan_steps or policy.steps_per_plan,
                    goal_tolerance=settings.goal_tolerance or bundle.goal_tolerance)


def plan_config(bundle: Bundle, settings: PlannerParameters) -> PlanConfig:
    """Return the planner settings that are named, or the bundle's, with the overrides."""
    base = bundle.plan_config
    if settings.plan:
        base = PlanConfig.from_yaml(resources.find_named('config/plan', settings.plan, '.yaml'))
    given = {name: getattr(settings, name) for name in _OVERRIDES if getattr(settings, name)}
    return replace(base, **given)


def check_fit(bundle: Bundle, robot: RobotDescription) -> None:
    """Refuse a model that was made for another robot.

    Raises:
        BundleError: The message names both sides.
    """
    numbers = {
        'smallest actions': (bundle.action_min.tolist(), robot.min_command.tolist()),
        'largest actions': (bundle.action_max.tolist(), robot.max_command.tolist()),
    }
    misfits = {'action names': (list(bundle.action_names), list(robot.joint_names))}
    if bundle.action_names == robot.joint_names:
        misfits = {name: pair for name, pair in numbers.items()
                   if not np.allclose(*pair, rtol=1e-5, atol=1e-9)}
        if not same_rate(bundle.control_dt_s, robot.control_dt_s):
            misfits['control_dt_s'] = (bundle.control_dt_s, robot.control_dt_s)
    for name, (model, machine) in misfits.items():
        raise BundleError(f'the bundle (made for robot {bundle.robot!r}) has {name} {model}, '
                          f'robot {robot.robot!r} has {machine}; choose a bundle trained for '
                          f'this robot')


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
