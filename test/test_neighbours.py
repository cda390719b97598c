"""Who is around the command node, as the graph becomes known piece by piece."""

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.command.neighbours import Neighbours  # noqa: E402


def publisher(name: str, namespace: str) -> SimpleNamespace:
    return SimpleNamespace(endpoint_gid=b'a', node_name=name, node_namespace=namespace)


def test_a_source_that_is_seen_before_its_node_has_its_name_later():
    """Until then it has none: what the middleware says instead would stay for ever."""
    publishers = [publisher('_NODE_NAME_UNKNOWN_', '_NODE_NAMESPACE_UNKNOWN_')]
    node = SimpleNamespace(get_fully_qualified_name=lambda: '/command_node',
                           get_publishers_info_by_topic=lambda topic: publishers)
    made = Neighbours(node, [], 'joint_states', shared_state=False)
    assert str(made.source(b'a')) == ''
    publishers[:] = [publisher('driver', '/')]
    made.look(moving=False)
    assert str(made.source(b'a')) == '/driver'
