"""Which e-stop buttons are pressed. Pure.

Every publisher on the topic is a button of its own: it is released by the one that pressed it
only. A pressed button whose publisher vanishes stays pressed until people clear it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable

_REMEMBERED = 30   # stamps of a button: ten messages may wait in each of three readers


class EStop:
    """The buttons of one topic."""

    def __init__(self) -> None:
        self._pressed: set[Hashable] = set()
        self._heard_ns: dict[Hashable, deque[int]] = {}   # stamps; the last is the one in force
        self._vanished: set[Hashable] = set()

    @property
    def pressed(self) -> bool:
        """Whether any button is."""
        return bool(self._pressed)

    def hear(self, button: Hashable, pressed: bool, sent_ns: int = 0) -> None:
        """Take what a button says.

        Args:
            button: Identity of its publisher.
            pressed: Or released.
            sent_ns: When it was sent, by its own clock; several readers hear one message, and an
                older one that comes later changes nothing. But a press that was not heard before
                counts: the clock may have been set back. 0: not known.
        """
        heard = self._heard_ns.setdefault(button, deque(maxlen=_REMEMBERED))
        is_older = bool(heard) and sent_ns < heard[-1]
        if is_older and (not pressed or sent_ns in heard):
            return
        heard.append(sent_ns)
        self._vanished.discard(button)
        (self._pressed.add if pressed else self._pressed.discard)(button)

    def look(self, alive: Collection[Hashable]) -> None:
        """Take which publishers are on the topic now."""
        self._vanished = {one for one in self._pressed if one not in alive}
        self._heard_ns = {one: heard for one, heard in self._heard_ns.items()
                          if one in alive or one in self._pressed}

    def clear_vanished(self) -> str:
        """Release the buttons that are gone; return why that is not enough, or nothing."""
        if not self._pressed:
            return 'no e-stop is pressed'
        self._pressed -= self._vanished
        self._vanished = set()
        return self.problem()

    def problem(self) -> str:
        """Say why motion is not allowed, and what to do, or nothing."""
        if not self._pressed:
            return ''
        here, gone = len(self._pressed - self._vanished), len(self._vanished)
        return '; '.join(filter(None, (
            here and f'the e-stop is pressed ({here} button{"s" * (here > 1)}); release it first',
            gone and f'the e-stop was pressed by {gone} publisher{"s" * (gone > 1)} that '
            f'{"are" if gone > 1 else "is"} gone; when that is understood, call '
            f'~/clear_e_stop')))
