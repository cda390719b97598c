"""Pictures of the simulated scene, asked of the simulator."""

from __future__ import annotations

from collections.abc import Mapping

from lewm_ros.node.plain import PlainNode
from lewm_ros.srv import RenderScene
from lewm_ros.wire.pictures import image_to_rgb
from lewm_ros.wire.reasons import Code, ReasonedError
from lewm_ros.wire.refusals import code_of
import numpy as np
from rclpy.task import Future

SERVICE = 'sim_node/render'
_TIMEOUT_S = 5.0


class Renderer:
    """Calls the simulator.

    Args:
        node: Owner of the client.
    """

    def __init__(self, node: PlainNode) -> None:
        self._node = node
        self._client = node.always.own(node.create_client(RenderScene, SERVICE),
                                       node.destroy_client)

    async def __call__(self, wanted: Mapping[str, float]) -> np.ndarray:
        """Return the picture in which quantities have these values, uint8 (H, W, 3).

        Raises:
            ReasonedError: NO_ANSWER of the simulator, GOAL_REFUSED: there is no such scene, or
                INTERNAL: it has a fault.
            ImageError: If its picture cannot be read.
        """
        if not self._client.service_is_ready():
            raise ReasonedError(Code.NO_ANSWER, (
                f'clicks become rendered pictures, and nobody answers {SERVICE!r}; that needs the '
                f'simulation, choose another way for clicks'))
        done = Future(executor=self._node.executor)
        call = self._client.call_async(RenderScene.Request(
            names=list(wanted), values=[float(value) for value in wanted.values()]))
        call.add_done_callback(lambda answer: done.done() or done.set_result(answer.result()))
        timer = self._node.create_timer(
            _TIMEOUT_S, lambda: done.done() or done.set_result(None), clock=self._node.steady)
        answer = await done
        self._node.destroy_timer(timer)
        if answer is None:
            self._client.remove_pending_request(call)
            raise ReasonedError(Code.NO_ANSWER,
                                f'{SERVICE!r} did not answer within {_TIMEOUT_S:g} s')
        if not answer.success:
            impossible = code_of(answer) is Code.BAD_ARGUMENT
            raise ReasonedError(Code.GOAL_REFUSED if impossible else Code.INTERNAL,
                                f'the scene was not rendered: {answer.message[:300]}')
        return image_to_rgb(answer.image)
