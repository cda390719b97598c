"""Settings of the command node."""

from __future__ import annotations

from dataclasses import dataclass

from lewm_ros.node.parameters import parameter


@dataclass(frozen=True)
class CommandParameters:
    """Settings of the command node; a time of 0.0 follows from the control step, see `timing`."""

    robot: str = parameter(
        'sim_reacher', 'robot description: a shipped name or a YAML file', when='unconfigured',
        path=True)
    require_enable: bool = parameter(
        True, 'stay still after activation until ~/enable is called', when='unconfigured')
    require_guard: bool = parameter(
        False, 'refuse to enable motion while no guard_node is heard', when='unconfigured')
    allow_other_publishers: bool = parameter(
        False, 'enable motion although others publish on the command topic')
    planner_timeout_s: float = parameter(
        0.0, 'silence of plan_status that stops the robot, steady clock [s]; 0: three control '
        'steps + 0.05, at least 0.2', low=0.0, high=30.0)
    obs_max_age_s: float = parameter(
        0.0, 'age of the newest frame that the planner looked at which stops the robot, beside '
        'the time that a plan takes, node clock [s]; 0: three control steps + 0.15, at least 0.3',
        low=0.0, high=30.0)
    chunk_timeout_s: float = parameter(
        0.0, 'a plan is not followed longer than this after its frame [s]; 0: 40 control steps, '
        'in [2, 10]', low=0.0, high=30.0)
    hold_s: float = parameter(
        0.0, 'repeat the last command this long when the plan has a gap, then stop [s]; 0: one '
        'control step, at least 0.1', low=0.0, high=2.0)
    max_future_s: float = parameter(
        0.0, 'chunks and frames stamped further ahead are refused [s]; 0: one control step, at '
        'least 0.1', low=0.0, high=1.0)
    stop_publish_s: float = parameter(
        1.0, 'publish zeros (or the held positions) this long after a stop, then go silent [s]',
        low=0.0, high=10.0)
    state_max_age_s: float = parameter(
        0.0, 'older joint positions are no place to start from or to stop at, nor to be limited '
        'by, steady clock [s]; 0: two control steps, at least 0.2', low=0.0, high=5.0)
