"""The base of lifecycle nodes: every way down releases what every way up has made.

rclpy swallows an exception of a transition without a line of log, and says nothing about who
destroys what. Here a subclass fills in four hooks, and this class keeps the promises: a fault is
logged with its traceback, leaves nothing of the state behind, and the node can be configured
again.
"""

from __future__ import annotations

from collections.abc import Callable
import traceback

from lewm_model.errors import LewmError
from lewm_ros.node.entities import Entities
from lewm_ros.node.guard import Guard
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

_SUCCESS = TransitionCallbackReturn.SUCCESS
_FAILURE = TransitionCallbackReturn.FAILURE
_ERROR = TransitionCallbackReturn.ERROR


class ManagedNode(LifecycleNode):
    """A lifecycle node made of four hooks: configure, activate, stop_acting, release.

    A LewmError from `configure` or `activate` refuses the transition: it is logged, and the node
    stays in the state it was in. Anything else is an error: it is logged with its traceback, and
    the node ends unconfigured.

    Attributes:
        always: Entities of the whole life of the node.
        configured: Entities from configure to cleanup; publishers belong here.
        active: Entities from activate to deactivate; what listens and ticks belongs here.
        guard: Catches what callbacks raise; `guard.fault` belongs into diagnostics.
    """

    def __init__(self, name: str, **options) -> None:
        super().__init__(name, **options)
        self._leaving = False
        self.guard = Guard(self.get_logger(), self.callback_failed)
        self.always = Entities(self, self.guard)
        self.configured = Entities(self, self.guard)
        self.active = Entities(self, self.guard)

    @property
    def state_label(self) -> str:
        """The lifecycle state, such as 'inactive'."""
        return self._state_machine.current_state[1]

    # Hooks -----------------------------------------------------------------------------------

    def configure(self) -> None:
        """Read settings, load, offer topics; raise LewmError to refuse."""

    def activate(self) -> None:
        """Begin to act, then to listen; publishers are enabled. Raise LewmError to refuse."""

    def stop_acting(self) -> None:
        """Say the last word. Nothing is heard any more, but publishers are still enabled.

        Called on every way out of the active state, also when `activate` failed half-way, and
        perhaps when the node never was active.
        """

    def release(self) -> None:
        """Let go of what `configure` has made; called on every way to unconfigured."""

    def callback_failed(self, reason: str) -> None:
        """React to a bug in a callback, which was logged; a node that moves something stops it."""

    # For subclasses and for `run_node` --------------------------------------------------------

    def shut_down(self) -> None:
        """Stop listening and acting, in any state; the last thing that a process does."""
        self._attempt(self._deactivate, 'shut down')

    def leave(self, reason: str, still: Callable[[], bool] = lambda: True) -> None:
        """Go to unconfigured by itself, from any thread, as soon as the executor is free.

        Args:
            reason: For the log.
            still: Whether the reason still holds; asked when the executor is free.
        """
        if self._leaving:
            return
        self._leaving = True
        self.get_logger().fatal(f'leaving the active state: {reason}')

        def go_down() -> None:
            self._leaving = False
            if not still():
                return
            if self.state_label == 'active':
                self.trigger_deactivate()
            if self.state_label == 'inactive':
                self.trigger_cleanup()

        self.executor.create_task(go_down)

    # Transitions -----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: D102
        return self._go_up(self.configure, 'configure', self._unconfigure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: D102
        def activate() -> None:
            LifecycleNode.on_activate(self, state)  # publishers first: `activate` may speak
            self.activate()
        return self._go_up(activate, 'activate', self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: D102
        return _SUCCESS if self._attempt(self._deactivate, 'deactivate') else _ERROR

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: D102
        return _SUCCESS if self._attempt(self._unconfigure, 'clean up') else _ERROR

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: D102
        self._go_down('shut down')
        return _SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: D102
        self._go_down('recover from the error')
        return _SUCCESS

    def _go_up(self, hook: Callable[[], None], what: str, undo: Callable[[], None]
               ) -> TransitionCallbackReturn:
        try:
            hook()
        except LewmError as error:
            self.get_logger().error(f'cannot {what}: {error}')
            return _FAILURE if self._attempt(undo, f'undo {what}') else _ERROR
        except Exception as error:
            self._log(what, error)
            return _ERROR   # `on_error` takes everything down
        return _SUCCESS

    def _go_down(self, what: str) -> None:
        self._attempt(self._deactivate, what)
        self._attempt(self._unconfigure, what)

    def _deactivate(self) -> None:
        self.active.withdraw()
        try:
            self.stop_acting()
        finally:
            for entity in self._managed_entities:   # publishers fall silent, whatever happened
                entity.on_deactivate(None)

    def _unconfigure(self) -> None:
        try:
            self.release()
        finally:
            self.configured.withdraw()

    def _attempt(self, action: Callable[[], None], what: str) -> bool:
        try:
            action()
        except Exception as error:
            self._log(what, error)
            return False
        return True

    def _log(self, what: str, error: Exception) -> None:
        expected = isinstance(error, LewmError)
        self.get_logger().error(f'cannot {what}: ' + (
            str(error) if expected else f'{type(error).__name__}: {error}\n'
            + ''.join(traceback.format_exception(error))))
