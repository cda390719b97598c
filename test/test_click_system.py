"""A click in a running system: simulator, planner and goal node, over real DDS."""

import pytest

pytest.importorskip('rclpy')
pytestmark = [pytest.mark.ros, pytest.mark.sim]

from geometry_msgs.msg import PointStamped, PoseStamped  # noqa: E402
from lewm_model.robots.robot import RobotDescription  # noqa: E402
from lewm_ros.msg import Goal, PlanStatus, SimState  # noqa: E402
from lewm_ros.startup.options import SystemOptions  # noqa: E402
from lewm_ros.startup.system import system  # noqa: E402
from lewm_ros.wire import qos  # noqa: E402
from lewm_ros.wire.goals import msg_to_goal  # noqa: E402
from lewm_ros.wire.reports import GoalKind, GoalSource, PlanState  # noqa: E402
from lewm_ros.wire.stamps import header  # noqa: E402
from lewm_ros.wire.truth import msg_to_truth, TRUTH_TOPIC  # noqa: E402
from lewm_sim.tasks import load_task  # noqa: E402
import numpy as np  # noqa: E402
from ros_helpers import Graph  # noqa: E402
from system_specs import start  # noqa: E402

# How near is there [m], by what each task asks for, and two places; those of two_room are in the
# room of the robot.
THERE = {'two_room': (0.16, ((0.5, -0.4), (0.4, 0.5))),
         'reacher': (0.02, ((0.1, 0.12), (-0.12, 0.08)))}


@pytest.mark.parametrize(('task', 'way', 'kind'), [
    ('two_room', 'quantities', GoalKind.PROBE), ('two_room', 'render', GoalKind.PICTURE),
    ('reacher', 'quantities', GoalKind.PROBE)])
def test_a_click_moves_the_robot_there(task, way, kind, tmp_path):
    """The planner takes the goal of the pose, the robot goes there, and stays for the next one."""
    clicks = RobotDescription.from_yaml(load_task(task).robot_file).clicks
    near_m, targets = THERE[task]
    specs = system(SystemOptions(sim=True, task=task, clicks=way, root=str(tmp_path)))
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

        def here():
            truth = msg_to_truth(truths[-1][1])
            known = dict(zip((one.name for one in truth.quantities), truth.values, strict=True))
            return np.array([known[clicks.x], known[clicks.y]])

        def apart(target):
            return np.hypot(*(here() - target))

        room = np.sign(here()[0]) if task == 'two_room' else 1.0
        kinds = zip((PoseStamped, PointStamped), targets, strict=True)
        for kind_of_message, (x, y) in list(kinds) if way == 'quantities' else list(kinds)[1:]:
            target = (x * room, y)
            message = kind_of_message(header=header(0, clicks.frame))
            where = (message.pose.position if kind_of_message is PoseStamped else message.point)
            where.x, where.y = map(float, target)
            known = len(goals)
            graph.send_until(lambda message=message: (
                publishers[type(message)].publish(message), graph.spin(1.0)),
                lambda known=known: len(goals) > known, 'the goal')
            goal = msg_to_goal(goals[-1][1])
            assert (goal.kind, goal.source) == (kind, GoalSource.POSE)
            graph.wait_for(lambda: plans[-1][1].goal_id == goals[-1][1].goal_id,
                           'the planner to take the goal')
            graph.wait_for(lambda target=target: apart(target) < near_m, 'to be there')
            if kind is GoalKind.PROBE:   # by the robot file's own measure of near enough
                graph.wait_for(lambda: plans[-1][1].state == PlanState.REACHED, 'REACHED')
                assert list(plans[-1][1].goal_errors) == pytest.approx([0, 0], abs=clicks.enough)
                assert apart(target) < near_m
