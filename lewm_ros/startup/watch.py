"""What to do about a lifecycle node that is no longer active. Pure: states and times in."""

from __future__ import annotations

from dataclasses import dataclass

ATTEMPTS = 3       # in a row; more would hide a fault that does not go away
PAUSE_S = 5.0      # between two attempts
STEADY_S = 60.0    # active for this long: the next fault is a new one
SILENT_S = 5.0     # without an answer for this long, a node is reported
# Of somebody who is moving the node right now, perhaps of the node itself.
_IN_TRANSITION = ('configuring', 'activating', 'deactivating', 'cleaningup', 'shuttingdown',
                  'errorprocessing')


@dataclass(frozen=True)
class Verdict:
    """What a look at the node led to."""

    report: str = ''           # for people; empty: nothing new
    bring_back: bool = False   # configure and activate it now


class Watch:
    """Follows one node that was active.

    A node that is unconfigured left the active state by itself, or its process is a new one:
    it is brought back. A node that is inactive was deactivated by somebody, who may be about to
    change its settings: it is left alone until it is active again.

    Args:
        name: Of the node, for the reports.
        brings_back: Whether to bring it back, or only to report.
    """

    def __init__(self, name: str, brings_back: bool) -> None:
        self._name = name
        self._brings_back = brings_back
        self._seen = 'active'
        self._in_hand = False          # somebody deactivated it
        self._attempts = 0
        self._active_since_s: float | None = None
        self._heard_s: float | None = None
        self._next_attempt_s = 0.0

    def see(self, state: str, now_s: float) -> Verdict:
        """Take a state such as 'active', or '' when the node did not answer."""
        if self._heard_s is None or state:
            self._heard_s = now_s
        if not state:
            if now_s - self._heard_s < SILENT_S:
                return Verdict()
            self._in_hand = False
            return self._changed('silent', f'{self._name} does not answer'
                                 + ('; it is brought back when it does' if self._brings_back
                                    else ''))
        if state in _IN_TRANSITION:
            return Verdict()
        if state == 'active':
            return self._active(now_s)
        self._active_since_s = None
        if state == 'unconfigured':
            return self._unconfigured(now_s)
        self._in_hand = True
        return self._changed(state, f'{self._name} is {state}: somebody took it out of the '
                             f'active state, so it is left alone')

    def failed(self, now_s: float) -> None:
        """Note that an attempt to bring it back did not work."""
        self._next_attempt_s = now_s + PAUSE_S

    def _active(self, now_s: float) -> Verdict:
        self._in_hand = False
        if self._active_since_s is None:
            self._active_since_s = now_s
        if now_s - self._active_since_s >= STEADY_S:
            self._attempts = 0
        return self._changed('active', f'{self._name} is active again')

    def _unconfigured(self, now_s: float) -> Verdict:
        if self._in_hand or not self._brings_back:
            return self._changed('unconfigured', f'{self._name} is unconfigured and is left alone')
        if self._attempts >= ATTEMPTS:
            return self._changed('given up', f'{self._name} did not stay active after {ATTEMPTS} '
                                 f'attempts and is left unconfigured')
        if now_s < self._next_attempt_s:
            return Verdict()
        self._attempts += 1
        self._seen = 'unconfigured'
        return Verdict(f'{self._name} has died or left the active state: bringing it back, '
                       f'attempt {self._attempts} of {ATTEMPTS}', bring_back=True)

    def _changed(self, seen: str, report: str) -> Verdict:
        if seen == self._seen:
            return Verdict()
        self._seen = seen
        return Verdict(report)
