"""Joystick buttons as words: once per press, not once per message. No rclpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Buttons:
    """Follows the buttons of a joystick.

    Args:
        numbers: Button of each word; -1 for none.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = {word: number for word, number in numbers.items() if number >= 0}
        self._down: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def pressed(self, buttons: Sequence[int]) -> list[str]:
        """Return the words whose button went down since the last call."""
        down = {word for word, number in self._numbers.items()
                if number < len(buttons) and buttons[number]}
        new = [word for word in self._numbers if word in down - self._down]
        self._down = down
        return new
