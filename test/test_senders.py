"""Who sent a message: what is known late is found then, what nobody tells is not guessed."""

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

from lewm_ros.node.senders import Senders  # noqa: E402


class Graph:
    """A node in /left that sees the publishers it is given, as (gid, namespace, node)."""

    def __init__(self, *publishers):
        self.publishers, self.looks = list(publishers), 0

    def get_namespace(self):
        return '/left'

    def get_publishers_info_by_topic(self, topic):
        assert topic == '/diagnostics'
        self.looks += 1
        return [SimpleNamespace(endpoint_gid=list(gid), node_namespace=namespace, node_name=node)
                for gid, namespace, node in self.publishers]


def info(gid):
    return {'publisher_gid': {'data': gid, 'implementation_identifier': 'rmw'}}


def test_a_publisher_is_looked_up_once():
    """Its node, and whether it is in our namespace."""
    graph = Graph((b'1', '/left', 'planner_node'), (b'2', '/right', 'planner_node'))
    senders = Senders(graph, '/diagnostics')
    for _ in range(5):
        assert senders.of(info(b'1')) == ('/left', 'planner_node')
        assert senders.is_ours(info(b'1')) and not senders.is_ours(info(b'2'))
    assert graph.looks == 1


def test_a_node_that_becomes_known_later_is_found_then():
    """A publisher may be there before the graph has its node; until then it is not ours."""
    graph = Graph((b'1', '_NODE_NAMESPACE_UNKNOWN_', '_NODE_NAME_UNKNOWN_'))
    senders = Senders(graph, '/diagnostics')
    for gid in (b'1', b'3'):
        assert senders.of(info(gid)) == ('', '') and not senders.is_ours(info(gid))
    graph.publishers = [(b'1', '/left', 'goal_node'), (b'3', '/right', 'goal_node')]
    assert senders.is_ours(info(b'1')) and senders.of(info(b'3')) == ('/right', 'goal_node')


@pytest.mark.parametrize('silent', [{}, {'publisher_gid': None}, {'source_timestamp': 3}])
def test_a_middleware_that_does_not_tell_refuses_nothing(silent):
    """Then every message counts, as before there were identifiers."""
    senders = Senders(Graph((b'1', '/right', 'goal_node')), '/diagnostics')
    assert senders.of(silent) == ('', '') and senders.is_ours(silent)
