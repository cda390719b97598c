"""A lifecycle node for tests of who supervises it: it can be slow, refuse, and leave by itself."""

import sys
import time

from lewm_model.errors import ConfigError
from lewm_ros.node.managed import ManagedNode
from lewm_ros.node.run_node import run_node
from std_srvs.srv import Trigger


class FakeManagedNode(ManagedNode):
    """Parameters: configure_s, how long it takes; refuse, a reason not to be configured."""

    def __init__(self, **options) -> None:
        super().__init__('fake', **options)
        self.declare_parameter('configure_s', 0.0)
        self.declare_parameter('refuse', '')
        self.create_service(Trigger, '~/leave', self._on_leave)

    def configure(self) -> None:
        """Take the time, then refuse or not."""
        time.sleep(self.get_parameter('configure_s').value)
        if reason := self.get_parameter('refuse').value:
            raise ConfigError(reason)

    def _on_leave(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.leave('asked to')
        response.success = True
        return response


if __name__ == '__main__':
    sys.exit(run_node(FakeManagedNode, None, last_act=FakeManagedNode.shut_down))
