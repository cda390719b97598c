"""What speaks against acting on a frame, though it is a good picture: what it shows.

Surprise: the frame is not what was predicted. View: nothing like it was in training. Both are
judged by what `lewm calibrate` put into the bundle. Lives in the planner thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import math

from lewm_model.errors import ConfigError
from lewm_model.ordinary import Likeness, Ordinary
from lewm_model.planning.gain import Gain, WINDOW_S
from lewm_model.planning.policy import Policy
from lewm_model.types import Observation
from lewm_ros.planner.surprise.robot_calibration import CalibrationWatch
from lewm_ros.planner.surprise.surprise_guard import (
    SurpriseGuard,
    SurpriseSettings,
    Verdict,
    VIEW_ACTIONS,
)
from lewm_ros.planner.surprise.surprise_watch import SurpriseWatch
from lewm_ros.wire.reasons import Code, Reason
import numpy as np

_FINE, _NAN = Reason(), math.nan
_SHOWN_EVERY_NS = 10 ** 9      # the picture of an unfamiliar view

# title, the picture, the nearest training picture or None, how like they are
Show = Callable[[str, np.ndarray, np.ndarray | None, Likeness], None]


@dataclass(frozen=True)
class DoubtSettings:
    """Parameters; may change between frames."""

    surprise: SurpriseSettings = field(default_factory=SurpriseSettings)
    scale: float = _NAN          # what counts as surprise 1 here, of what the bundle calls 1; NaN:
    #                              nobody knows
    view_action: str = 'off'     # one of VIEW_ACTIONS

    def __post_init__(self) -> None:
        if self.view_action not in VIEW_ACTIONS:
            raise ConfigError(f'view_action must be one of {", ".join(VIEW_ACTIONS)}, got '
                              f'{self.view_action!r}')


@dataclass(frozen=True)
class Doubt:
    """What follows for a frame.

    Attributes:
        reason: What is wrong with it; false if nothing is.
        numbers: The fields of `PlanReport` that say so.
        stops: Whether it must not be acted on.
    """

    reason: Reason
    numbers: dict[str, float]
    stops: bool


class Doubts:
    """Judges frames and goals.

    Args:
        settings: See `DoubtSettings`.
        show: Is given pictures beside the nearest ones of training, for people.
        say: Logs a text under a key; once a second for each key.

    Attributes:
        watch: Watches the robot to learn what is ordinary for it.
        goal_reason: Why the goal is like nothing in training, or what differs in its picture from
            what the camera shows; false if nothing does, or it is not known.
    """

    def __init__(self, settings: DoubtSettings, *,
                 show: Show = lambda *what: None,
                 say: Callable[..., None] = lambda *what: None,
                 watch: CalibrationWatch | None = None) -> None:
        self._settings, self._show, self._say = settings, show, say
        self.watch = watch
        self._guard = SurpriseGuard(settings.surprise)
        self._surprises = SurpriseWatch()
        self.goal_reason = _FINE
        self.forgive()

    def configure(self, settings: DoubtSettings) -> None:
        """Change the settings between two frames."""
        self._settings = settings
        self._guard.configure(settings.surprise)

    def forgive(self, *, looked: bool = True) -> None:
        """Begin anew: a goal was sent, or somebody `looked`: motion was enabled, or a reset."""
        self._surprises.forgive(looked=looked, raised=self._guard.raised)
        self._guard.forgive()
        self._view_due, self._view_reason = True, _FINE
        self._shown_ns: int | None = None
        self._surprise = _NAN

    def look(self, policy: Policy, observation: Observation) -> Doubt:
        """Judge the newest frame of a policy.

        Raises:
            EngineFailure: If the model cannot be asked.
        """
        verdict = self._surprise_at(policy, observation)
        view = self._view_of(policy, observation)
        refused = bool(view) and self._settings.view_action == 'refuse'
        return Doubt(verdict.reason or view,
                     {'surprise': self._surprise, 'speed_scale': verdict.speed_scale,
                      'surprise_limit': self._settings.surprise.limit},
                     verdict.stops or refused)

    def new_goal(self, policy: Policy, seen: str = '') -> None:
        """Judge the policy's goal: is it within what training had?

        Args:
            policy: Has the goal.
            seen: What there is to say about its picture beside the newest frame; '': nothing.
        """
        goal = policy.goal
        note = getattr(getattr(goal, 'target', None), 'note', '')
        text = '; '.join(filter(None, (note, seen, '' if note else self._unlike(policy))))
        self.goal_reason = _FINE if not text else Reason(
            Code.GOAL_UNFAMILIAR, f'goal {goal.goal_id!r}: {text}')
        if text:
            self._say('goal_view', self.goal_reason.text)

    def _unlike(self, policy: Policy) -> str:
        """Show a goal beside the nearest training picture; say so if it is like none."""
        goal, ordinary = policy.goal, self._known(policy)
        latent = getattr(goal, 'latent', None)
        if ordinary is None or latent is None:
            return ''
        like = ordinary.likeness(latent)
        if goal.image is not None:
            self._show('goal', goal.image, _thumbnail(ordinary, like), like)
        return '' if like.familiar else (
            f'it is like nothing that the model was trained on: {like.distance:.3g} times as far '
            f'from the nearest training picture as is usual, {like.limit:.3g} is allowed; was it '
            f'taken with this camera, of this scene?')

    def _surprise_at(self, policy: Policy, observation: Observation) -> Verdict:
        settings, stamp_ns = self._settings, observation.stamp_ns
        watching = self.watch is not None and self.watch.running
        wanted = watching or (settings.surprise.action != 'off'
                              and not math.isnan(settings.scale))
        evidence = self._surprises.look(policy, observation) if wanted else None
        if evidence is None:          # a fast camera: what was said stays
            return self._guard.update(stamp_ns, _NAN)
        if self.watch is not None:
            self.watch.add(stamp_ns, evidence.surprise)
        self._surprise = evidence.surprise / settings.scale
        verdict = self._guard.update(stamp_ns, self._surprise, self._still(evidence.still),
                                     recoloured=evidence.recoloured)
        if verdict.reason:
            self._say('surprise', verdict.reason.text)
        return verdict

    def _still(self, gain: Gain | None) -> str:
        """Say that something does not move; nothing if it does, enough."""
        if gain is None or gain.share >= self._settings.surprise.least_gain:
            return ''
        return (f'{gain.name} does not move as it was told: about {gain.expected:.3g} {gain.unit} '
                f'were expected in each block, {100 * max(gain.share, 0):.0f} % of the motion was '
                f'seen over {WINDOW_S:g} s')

    def _view_of(self, policy: Policy, observation: Observation) -> Reason:
        ordinary = self._known(policy)
        if ordinary is None:
            return _FINE
        if not self._view_due:
            return self._view_reason
        like = ordinary.likeness(policy.newest_latent)
        self._view_due = not like.familiar     # looked at until it is familiar, then believed
        self._view_reason = _FINE if like.familiar else Reason(
            Code.VIEW_UNFAMILIAR, f'the camera shows nothing like what the model was trained on: '
            f'{like.distance:.3g} times as far from the nearest training picture as is usual, '
            f'{like.limit:.3g} is allowed; see topic view_check. Is it the right camera, in its '
            f'place, uncovered, in usual light?')
        stamp_ns = observation.stamp_ns
        if like.familiar or self._shown_ns is None or (
                stamp_ns - self._shown_ns >= _SHOWN_EVERY_NS):
            self._shown_ns = stamp_ns
            self._show('camera', observation.rgb, _thumbnail(ordinary, like), like)
            if self._view_reason:
                self._say('view', self._view_reason.text)
        return self._view_reason

    def _known(self, policy: Policy) -> Ordinary | None:
        if self._settings.view_action == 'off':
            return None
        return policy.bundle.ordinary


def _thumbnail(ordinary: Ordinary, like: Likeness) -> np.ndarray:
    return ordinary.thumbnails[like.index].cpu().numpy()
