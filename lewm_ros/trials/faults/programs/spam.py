"""Call services 100 times a second that make no sense, or no sense so often; for trials only.

    python -m lewm_ros.trials.faults.programs.spam KIND NAMES GOALS

KIND is goals, services or parameters; NAMES are the nodes by their executables, in JSON; GOALS is
a folder of goal pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
import itertools
import json
from pathlib import Path
import sys
from typing import Any

from lewm_ros.msg import GoalSpec
from lewm_ros.node.interrupt import Interrupt, NO_HANDLERS
from lewm_ros.srv import ResetSim, SetGoal
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
import rclpy
from std_srvs.srv import SetBool, Trigger

_PERIOD_S = 0.01
Call = tuple[type, str, Any]     # kind of service, its name, a request


def goals(names: dict[str, str], folder: Path) -> list[Call]:
    """Return calls for one goal after the other."""
    return [(SetGoal, f'{names["goal_node"]}/set_goal',
             SetGoal.Request(spec=GoalSpec(source=GoalSpec.FILE, uri=str(picture))))
            for picture in sorted(folder.glob('*.png'))]


def services(names: dict[str, str], folder: Path) -> list[Call]:
    """Return calls that make no sense now, or never."""
    command, planner = names['command_node'], names['planner_node']
    return [
        (ChangeState, f'{planner}/change_state',
         ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE))),
        (ChangeState, f'{command}/change_state',
         ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))),
        (ChangeState, f'{command}/change_state',
         ChangeState.Request(transition=Transition(id=250))),
        (SetBool, f'{command}/enable', SetBool.Request(data=True)),
        (Trigger, f'{command}/clear_fault', Trigger.Request()),
        (SetGoal, 'goal_node/set_goal',
         SetGoal.Request(spec=GoalSpec(source=200, uri='\x00../../etc/passwd'))),
        (SetGoal, 'goal_node/set_goal', SetGoal.Request(spec=GoalSpec(uri='x' * 100_000))),
        (ResetSim, 'sim_node/reset', ResetSim.Request(state=[float('nan')] * 3))]


def parameters(names: dict[str, str], folder: Path) -> list[Call]:
    """Return calls for settings of the wrong type, name, range and size, to every node."""
    double, text = ParameterType.PARAMETER_DOUBLE, ParameterType.PARAMETER_STRING
    values = [
        ('planner_timeout_s', ParameterValue(type=double, double_value=float('nan'))),
        ('planner_timeout_s', ParameterValue(type=double, double_value=1e300)),
        ('planner_timeout_s', ParameterValue(type=text, string_value='x' * 100_000)),
        ('robot', ParameterValue(type=text, string_value='another')),
        ('nothing_that_exists', ParameterValue(type=double, double_value=1.0)),
        ('obs_max_age_s', ParameterValue(type=200)),
        ('use_sim_time', ParameterValue(type=text, string_value='yes')),
        ('', ParameterValue())]
    return [(SetParameters, f'{node}/set_parameters',
             SetParameters.Request(parameters=[Parameter(name=name, value=value)]))
            for name, value in values for node in names.values()]


def _ask(node, clients: dict[str, Any], calls: Iterator[Call]) -> None:
    kind, name, request = next(calls)
    if name not in clients:
        clients[name] = node.create_client(kind, name)
    client = clients[name]
    if client.service_is_ready():
        client.call_async(request).add_done_callback(client.remove_pending_request)


def main() -> int:
    """Call until the end."""
    kind, names, folder = sys.argv[1:]
    made = {'goals': goals, 'services': services, 'parameters': parameters}[kind]
    calls = itertools.cycle(made(json.loads(names), Path(folder)))
    rclpy.init(signal_handler_options=NO_HANDLERS)
    end = Interrupt()
    node, clients = rclpy.create_node(f'spam_{kind}'), {}
    node.create_timer(_PERIOD_S, lambda: _ask(node, clients, calls))
    while not end.is_set():
        rclpy.spin_once(node, timeout_sec=0.1)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
