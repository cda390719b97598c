"""A click in a running system: simulator, planner and goal node, over real DDS."""

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from geometry_msgs.msg import PointStamped, PoseStamped  # noqa: E402
from lewm_ros.msg import Goal, PlanStatus, SimState  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.system import system  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.goals import msg_to_goal  # noqa: E402
from lewm_ros.wire.reports import GoalKind, GoalSource, PlanState  # noqa: E402
from lewm_ros.wire.stamps import header  # noqa: E402
from lewm_ros.wire.truth import msg_to_truth, TRUTH_TOPIC  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from system_specs import start  # noqa: E402


@pytest.mark.parametrize(('way', 'kind'), [('quantities', GoalKind.PROBE),
                                           ('render', GoalKind.PICTURE)])
def test_a_click_moves_the_robot_there(way, kind, tmp_path):
    """The planner takes the goal of the pose, the robot goes there, and stays for the next one."""
    specs = system(SystemOptions(sim=True, task='two_room', clicks=way, root=str(tmp_path)))
    with Graph(use_sim_time=True) as graph:
        goals = graph.collect(Goal, 'goal', qos.LATCHED)
        plans = graph.collect(PlanStatus, 'plan_status', qos.RECORD)
        truths = graph.collect(SimState, TRUTH_TOPIC, qos.RECORD)
        start(graph, specs, tmp_path)
        graph.wait_for(lambda: truths and plans, 'the system')
        publishers = {
            PoseStamped: graph.node.create_publisher(PoseStamped, 'goal_pose', qos.LATEST),
            PointStamped: graph.node.create_publisher(PointStamped, 'clicked_point', qos.LATEST)}
        for one in publishers.values():
            graph.wait_for(one.get_subscription_count, 'the reader of clicks')

        def apart(target):
            return np.hypot(*(msg_to_truth(truths[-1][1]).values[:2] - target))

        here = msg_to_truth(truths[-1][1]).values
        room = np.sign(here[0])
        clicks = ((PoseStamped, (0.5 * room, -0.4)), (PointStamped, (0.4 * room, 0.5)))
        for kind_of_message, target in clicks if way == 'quantities' else clicks[1:]:
            message = kind_of_message(header=header(0, 'world'))
            where = (message.pose.position if kind_of_message is PoseStamped else message.point)
            where.x, where.y = float(target[0]), float(target[1])
            known = len(goals)
            graph.send_until(lambda message=message: (
                publishers[type(message)].publish(message), graph.spin(1.0)),
                lambda known=known: len(goals) > known, 'the goal')
            goal = msg_to_goal(goals[-1][1])
            assert (goal.kind, goal.source) == (kind, GoalSource.POSE)
            graph.wait_for(lambda: plans[-1][1].goal_id == goals[-1][1].goal_id,
                           'the planner to take the goal')
            graph.wait_for(lambda target=target: apart(target) < 0.16, 'to be there')
            if kind is GoalKind.PROBE:   # by the robot file's own measure of near enough
                graph.wait_for(lambda: plans[-1][1].state == PlanState.REACHED, 'REACHED')
                assert list(plans[-1][1].goal_errors) == pytest.approx([0, 0], abs=0.08)
                assert apart(target) < 0.16
