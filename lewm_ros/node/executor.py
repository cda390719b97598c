"""An executor that goes on when a callback raises.

Our own callbacks are guarded (`node.guard`). What is left are those that rclpy makes: one
`set_parameters` request with a type that does not exist raises ValueError inside rclpy's parameter
service, and would end the node of whoever was sent it.
"""

from __future__ import annotations

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

_MOST_IN_A_ROW = 1000   # callbacks that raise, with none between that does not: give up


class SurvivingExecutor(SingleThreadedExecutor):
    """Runs a node's callbacks one at a time; what one raises is logged, and the next one runs.

    Args:
        node: Whose callbacks. Faults go to its `guard` if it has one, so that diagnostics show
            them, and to its log otherwise.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(context=node.context)
        self._node = node
        self._raised = 0
        self.add_node(node)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for one callback and run it.

        Raises:
            Exception: What a callback raised, if a thousand in a row did.
        """
        try:
            super().spin_once(timeout_sec)
        except ExternalShutdownException:
            raise
        except Exception as error:
            self._raised += 1
            if self._raised >= _MOST_IN_A_ROW or not self.context.ok():
                raise
            self._tell(error)
        else:
            self._raised = 0

    def _tell(self, error: Exception) -> None:
        guard = getattr(self._node, 'guard', None)
        if guard is not None:
            guard.note('a request or message that rclpy did not expect', error)
            return
        self._node.get_logger().error(f'a callback raised {type(error).__name__}: {error}',
                                      throttle_duration_sec=1.0)
