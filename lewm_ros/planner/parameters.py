"""The planner node's parameters. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_model.errors import ConfigError
from lewm_model.images.goal_correction import CORRECTIONS
from lewm_ros.node.parameters import parameter
from lewm_ros.planner.surprise.surprise_guard import ACTIONS, VIEW_ACTIONS
from lewm_ros.wire.decoders import DECODERS


@dataclass(frozen=True)
class PlannerParameters:
    """Settings of the planner node; zero means "as the bundle recommends"."""

    bundle: str = parameter(
        'reacher-nano', 'model bundle: a shipped name or a folder', when='unconfigured', path=True)
    robot: str = parameter(
        '', 'robot description: a shipped name or a file; empty: the one the bundle names',
        when='unconfigured', path=True)
    backend: str = parameter(
        'torch-tuned:fp32', 'engine that runs the model, as in docs/engines.md; auto: the fastest '
        'here, measured at the first start', when='unconfigured')
    plan: str = parameter(
        '', 'planner settings: a name of `config/plan`, such as prior, or a file; empty: as the '
        'bundle recommends', when='unconfigured', path=True)
    image_decoder: str = parameter(
        'ours', 'what decodes pictures: ours, as for training data, or cv_bridge where it is '
        'installed', choices=DECODERS, when='unconfigured')
    device: str = parameter('cpu', 'where the model runs: cpu, cuda, cuda:1, mps, xpu',
                            when='unconfigured')
    num_threads: int = parameter(
        1, 'threads of torch on the CPU; small models gain nothing from more', low=1, high=256,
        when='unconfigured')
    horizon: int = parameter(0, 'blocks imagined; 0: as the bundle', low=0, high=64,
                             when='unconfigured')
    receding_horizon: int = parameter(0, 'blocks executed before replanning; 0: as the bundle',
                                      low=0, high=64, when='unconfigured')
    num_candidates: int = parameter(0, 'sequences per iteration; 0: as the bundle',
                                    low=0, high=65536, when='unconfigured')
    num_elites: int = parameter(0, 'kept for the refit; 0: as the bundle', low=0, high=65536,
                                when='unconfigured')
    iterations: int = parameter(0, 'of the solver; 0: as the bundle', low=0, high=1000,
                                when='unconfigured')
    budget_ms: float = parameter(0.0, 'stop iterating after this time; 0.0: as the bundle [ms]',
                                 low=0.0, high=10000.0)
    replan_steps: int = parameter(
        0, 'control steps between two plans; 0: as the bundle, or receding_horizon blocks', low=0,
        high=1000)
    goal_tolerance: float = parameter(
        0.0, 'squared latent distance that counts as reached, for pictures without their own; '
        '0.0: as the bundle', low=0.0, high=1e6)
    readout_tolerance: float = parameter(
        2.0, 'goals of quantities without tolerances of their own are reached when each is within '
        'so many times the held-out error of its readout', low=0.1, high=1000.0)
    goal_dwell_s: float = parameter(
        0.25, 'the goal must stay met this long to be reached [s]', low=0.0, high=60.0)
    stall_s: float = parameter(
        5.0, 'no progress for this long, while plans are executed, is a stall; 0.0: never [s]',
        low=0.0, high=600.0)
    obs_max_age_s: float = parameter(
        0.0, 'older camera frames are not planned on [s]; 0.0: two control steps + 0.05, at least '
        '0.25', low=0.0, high=5.0)
    obs_max_future_s: float = parameter(
        0.05, 'camera frames stamped further ahead are not planned on [s]', low=0.0, high=1.0)
    state_max_age_s: float = parameter(
        0.0, 'older joint positions are no place to plan from, for robots commanded by position; '
        '0.0: 2.5 control steps, at least 0.2 s [s]', low=0.0, high=5.0, when='inactive')
    latency_margin_s: float = parameter(
        0.02, 'added to the measured latency, for the way to the robot [s]', low=0.0, high=1.0)
    stuck_limit_s: float = parameter(
        0.0, 'a frame that takes longer means a stuck planner: plans are withdrawn; 0.0: four '
        'times the usual latency, at most one plan to the next, at least 0.25 s; and four times '
        'the usual time for one answer of the model, at least 0.15 s [s]',
        low=0.0, high=60.0)
    engine_retries: int = parameter(
        3, 'frames on which an engine that failed is tried again before it is given up',
        low=0, high=100)
    fallback: bool = parameter(
        True, 'an engine that keeps failing is replaced by eager torch on the CPU; false: the '
        'node leaves the active state', when='inactive')
    frozen_frames: int = parameter(
        3, 'so many equal pictures in a row, after the robot was told to move by a quarter of '
        'what it may in one control step, are a frozen camera; 0: never', low=0, high=10000,
        when='inactive')
    frozen_stops: bool = parameter(
        True, 'a frozen camera stops the robot; false: it is only a warning')
    surprise_action: str = parameter(
        'slow', 'what to do when the camera shows something else than was predicted: off, warn, '
        'slow (commands are slowed down), stop (until a goal is sent or motion is enabled anew)',
        choices=ACTIONS)
    surprise_frames: int = parameter(
        4, 'so many judged frames in a row above the limit are a surprise', low=1, high=1000)
    surprise_limit: float = parameter(
        0.0, 'surprise above it is wrong, 1 is ordinary; 0.0: as measured on this robot '
        '(surprise_file), or as the bundle says', low=0.0, high=1e9)
    surprise_gain: float = parameter(
        0.1, 'less than this share of the expected motion of a joint, over 2 s, is a surprise: '
        'it is stuck; 0.0: never', low=0.0, high=0.99)
    surprise_calm_s: float = parameter(
        1.0, 'so long below half the limit ends a warning or slowness [s]', low=0.0, high=60.0)
    surprise_scale: float = parameter(
        0.3, 'speed_scale while surprised, of surprise_action slow', low=0.01, high=1.0)
    surprise_file: str = parameter(
        '', 'YAML file of what is ordinary on this robot, written by ~/calibrate_surprise; empty: '
        'as the bundle says', read_only=True)
    calibrate_s: float = parameter(
        60.0, 'how long ~/calibrate_surprise watches the robot drive [s]', low=10.0, high=3600.0)
    view_action: str = parameter(
        'warn', 'what to do when the camera shows nothing like what the model was trained on, '
        'looked at on activation, on enabling and with a new goal: off, warn, refuse (no plan). '
        'Goals like nothing in training are a warning', choices=VIEW_ACTIONS)
    goal_correction: str = parameter(
        'exposure', 'what is corrected of goal pictures that were taken otherwise than the camera '
        'sees now: off; exposure, which is also white balance; all, also a camera that was moved '
        'by up to 4 px of the frame, only for cameras that stand still', choices=CORRECTIONS)
    dry_run: bool = parameter(
        False, 'plan and report, but send no action chunks; while active it can only be set')


def check_change(old: PlannerParameters, new: PlannerParameters, *, active: bool) -> None:
    """Refuse what is not safe while the node is active; raises ConfigError."""
    if active and old.dry_run and not new.dry_run:
        raise ConfigError('parameter dry_run cannot be cleared while the node is active, since '
                          'the robot would begin to move; deactivate first')
