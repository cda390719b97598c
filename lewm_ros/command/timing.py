"""The time-outs of the command node; those that nobody set follow from the control step."""

from __future__ import annotations

from dataclasses import dataclass, fields

from lewm_model.errors import ConfigError
from lewm_ros.command.parameters import CommandParameters
from lewm_ros.limits.measured import usual_max_age_s

# One heartbeat comes per camera frame, and a camera is at least as fast as the control step.
# Two frames lost in a row and a late third are a gap of three steps and the jitter.
_JITTER_S = 0.05
_LEAST = {   # of a time-out that is set [control steps], and what happens below it
    'planner_timeout_s': (1.5, 'every late frame would stop the robot'),
    'obs_max_age_s': (1.5, 'every late frame would stop the robot'),
    'chunk_timeout_s': (2.0, 'plans would end before their second action'),
}


@dataclass(frozen=True)
class Timing:
    """When the command node acts [s]; see `CommandParameters` for the meaning."""

    planner_timeout_s: float
    obs_max_age_s: float
    chunk_timeout_s: float
    hold_s: float
    max_future_s: float
    state_max_age_s: float
    pause_s: float      # a longer gap between two of the node's own ticks is a pause


def check_change(before: CommandParameters, after: CommandParameters, control_dt_s: float, *,
                 following: bool) -> None:
    """Refuse settings that cannot work, and time-outs that grow while the robot moves.

    Raises:
        ConfigError: The message names the parameter and what to do.
    """
    old, new = timing_of(before, control_dt_s), timing_of(after, control_dt_s)
    grown = [one.name for one in fields(Timing)
             if getattr(new, one.name) > getattr(old, one.name)]
    if following and grown:
        raise ConfigError(f'parameter {", ".join(grown)} cannot be raised while a plan is '
                          f'followed; call ~/stop first')


def timing_of(settings: CommandParameters, control_dt_s: float) -> Timing:
    """Return the time-outs for a robot with this control step.

    Raises:
        ConfigError: If a time-out that was set cannot work with it.
    """
    step = control_dt_s
    derived = {
        'planner_timeout_s': max(0.2, 3 * step + _JITTER_S),
        'obs_max_age_s': max(0.3, 3 * step + 3 * _JITTER_S),   # and the way of the frame
        'chunk_timeout_s': min(max(2.0, 40 * step), 10.0),
        'hold_s': max(0.1, step),
        'max_future_s': max(0.1, step),
        'state_max_age_s': usual_max_age_s(step)}
    for name, (steps, otherwise) in _LEAST.items():
        value = getattr(settings, name)
        if 0 < value < steps * step:
            raise ConfigError(f'parameter {name} is {value} s, but the robot has a control step '
                              f'of {step} s: {otherwise}; set at least {steps * step:.3g}, or '
                              f'0.0 for {derived[name]:.3g}')
    return Timing(pause_s=max(0.3, 3 * step), **{
        name: getattr(settings, name) or round(value, 6) for name, value in derived.items()})
