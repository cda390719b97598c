"""SROS2 policies of a system: what each process may publish, hear, answer and ask. No rclpy.

    python -m lewm_ros.startup.policies --robot my_robot.yaml > policies.xml
    ros2 security generate_artifacts -k keystore -p policies.xml

Made from the table of nodes and from `config/sros2/access.yaml`, which `tools/topic_docs.py` takes
from the graph of a running system; names of the robot stand in braces there and are those of the
robot file here. Everything else is forbidden. An enclave has the full name of its node; see
docs/security.md for the three that are for people, tools and drivers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
import sys
from xml.etree import ElementTree

from lewm_model.base import resources
from lewm_model.config import load_yaml
from lewm_model.errors import ConfigError, LewmError
from lewm_model.robots.clicks import clicked_topic
from lewm_model.robots.robot import RobotDescription
from lewm_ros.startup.options import add_arguments, SystemOptions
from lewm_ros.startup.system import NodeSpec, OWN_PACKAGE, supervisor, system

TABLE = 'config/sros2/access.yaml'
RIGHTS = ('publish', 'subscribe', 'reply', 'request')
PEOPLE = ('operator', 'watcher', 'robot')    # enclaves that are no nodes of ours
OPTIONS = ('sim', 'task', 'robot', 'bundle', 'namespace', 'remap', 'source', 'record',
           'imagination', 'rviz')
_PARAMETERS = ('describe_parameters', 'get_parameter_types', 'get_parameters', 'list_parameters',
               'set_parameters', 'set_parameters_atomically', 'get_type_description')
_LIFECYCLE = ('change_state', 'get_state', 'get_available_states', 'get_available_transitions',
              'get_transition_graph')
# Of every node; `~` is its full name.
_EVERYBODY = {'publish': ['/rosout', '/parameter_events'], 'subscribe': ['/clock'],
              'reply': [f'~/{name}' for name in _PARAMETERS]}
_MANAGED = {'publish': ['~/transition_event'], 'reply': [f'~/{name}' for name in _LIFECYCLE]}
# What some nodes use only with some robots, settings or packages, or for a moment, so that the
# table may lack it.
SOMETIMES = {
    'command_node': {'subscribe': ['{state}', 'robot_description']},
    'guard_node': {'subscribe': ['{state}']},
    'planner_node': {'subscribe': ['{state}']},
    'goal_node': {'subscribe': ['{image}', '{camera_info}', '{click}', 'plan_status',
                                'controller_state', 'goal_node/gallery_mouse_left'],
                  'publish': ['goal_node/gallery', 'goal_node/gallery_markers'],
                  'request': ['sim_node/render']},
    'sim_node': {'publish': ['robot_description', '/tf', '/tf_static']},
    'recorder_node': {'subscribe': ['speed_scale', 'robot_description', '/tf', '/tf_static',
                                    'joy']}}
# What `lewm watch` hears.
_WATCHED = ['plan_status', 'controller_state', 'guard_state', 'goal', 'episode_info',
            '/diagnostics']


@dataclass(frozen=True)
class Rights:
    """What one enclave may do; absolute names."""

    publish: set[str] = field(default_factory=set)
    subscribe: set[str] = field(default_factory=set)
    reply: set[str] = field(default_factory=set)
    request: set[str] = field(default_factory=set)

    def add(self, names: Mapping[str, Iterable[str]]) -> None:
        """Allow more, by kind."""
        for kind, several in names.items():
            getattr(self, kind).update(several)


class _Names:
    """From names of the table to absolute ones.

    Args:
        namespace: Of the system, absolute.
        robot: Whose names stand in braces.
        rules: Remappings, 'from:=to'.
    """

    def __init__(self, namespace: str, robot: RobotDescription, rules: Iterable[str]) -> None:
        self._namespace = namespace.rstrip('/')
        cameras, commands = robot.all_cameras, [one.topic for one in robot.command_topics]
        self._of_robot = {
            'image': [one.topic for one in cameras],
            'camera_info': [one.info_topic for one in cameras],
            'state': [robot.joint_state_topic], 'command': commands,
            'click': [clicked_topic(cameras[0].topic)],
            'executed': [robot.executed_topic or 'executed_command'],
            'teleop': ['teleop_command'] if len(commands) == 1 else [
                f'teleop_command/{topic.strip("/")}' for topic in commands]}
        self._rules = {self._absolute(rule.split(':=')[0]): self._absolute(rule.split(':=')[1])
                       for rule in reversed([*rules])}   # the first that fits counts

    def of(self, name: str, node: str = '') -> list[str]:
        """Return what a name of the table means, which may be several or none."""
        if name.startswith('{'):
            several = self._of_robot[name.strip('{}')]
        else:
            several = [name.replace('~', f'{self._namespace}/{node}', 1)]
        found = [self._absolute(one) for one in several if one]
        return [self._rules.get(one, one) for one in found]

    def all_of(self, table: Mapping[str, Iterable[str]], node: str = '') -> dict[str, list[str]]:
        """Return the same for names by kind."""
        return {kind: [one for name in names for one in self.of(name, node)]
                for kind, names in table.items()}

    def _absolute(self, name: str) -> str:
        return name if name.startswith('/') else f'{self._namespace}/{name}'


def policies(options: SystemOptions) -> dict[str, Rights]:
    """Return what every enclave of a system may do, by its path.

    Raises:
        LewmError: If an option or the robot file cannot be.
    """
    nodes = [node for node in system(options) if node.package == OWN_PACKAGE]
    if not nodes:
        raise ConfigError('this system has no nodes: nobody drives, records or simulates')
    table = load_yaml(resources.find(TABLE))
    if missing := [spec.executable for spec in nodes if spec.executable not in table]:
        raise ConfigError(f'{TABLE} lacks {", ".join(missing)}; run: python tools/topic_docs.py')
    robot = RobotDescription.from_yaml(nodes[0].parameters['robot'])
    namespace = options.root_namespace
    names = _Names(namespace, robot, nodes[0].remappings)
    found = {spec.enclave: _of_node(spec, table[spec.executable], names) for spec in nodes}
    if (watching := supervisor(options, nodes)) is not None:
        found[watching.enclave] = _of_supervisor(watching, nodes, names)
    ours = list(found.values())
    for name in PEOPLE:
        path = f'{namespace.rstrip("/")}/{name}'
        found[path] = {'operator': _of_operator, 'watcher': _of_watcher,
                       'robot': _of_robot}[name](ours, nodes, names)
    return found


def _of_node(spec: NodeSpec, used: Mapping[str, Iterable[str]], names: _Names) -> Rights:
    rights = Rights()
    sometimes = SOMETIMES.get(spec.executable, {})
    for table in (_EVERYBODY, _MANAGED if spec.lifecycle else {}, sometimes, used):
        rights.add(names.all_of(table, spec.executable))
    return rights


def _of_supervisor(spec: NodeSpec, nodes: Iterable[NodeSpec], names: _Names) -> Rights:
    rights = _of_node(spec, {'subscribe': ['/rosout']}, names)
    rights.request.update(f'{node.path}/{verb}' for node in nodes if node.lifecycle
                          for verb in ('change_state', 'get_state'))
    return rights


def _of_operator(ours: list[Rights], nodes: Iterable[NodeSpec], names: _Names) -> Rights:
    """A person: hears all, asks everything, and says what our nodes hear and none of them says.

    Tools have services of parameters under names of their own, which are not known here.
    """
    said = set().union(*(one.publish for one in ours))
    heard = set().union(*(one.subscribe for one in ours))
    of_drivers = {one for name in ('image', 'camera_info', 'state', 'command')
                  for one in names.of(f'{{{name}}}')}
    asked = set().union(*(one.reply for one in ours))
    rights = Rights(publish=heard - said - of_drivers - {'/clock'}, subscribe=said | heard,
                    request=asked)
    rights.add({'publish': _EVERYBODY['publish'],
                'reply': [f'/*/{name}' for name in _PARAMETERS]})
    return rights


def _of_watcher(ours: list[Rights], nodes: Iterable[NodeSpec], names: _Names) -> Rights:
    rights = Rights(request={f'{node.path}/get_state' for node in nodes if node.lifecycle})
    rights.add(names.all_of({'publish': ['/parameter_events'], 'subscribe': _WATCHED}))
    return rights


def _of_robot(ours: list[Rights], nodes: Iterable[NodeSpec], names: _Names) -> Rights:
    """The drivers of a real robot."""
    rights = Rights()
    rights.add(names.all_of({
        'publish': [*_EVERYBODY['publish'], '{image}', '{camera_info}', '{state}',
                    'robot_description', '/diagnostics', '/tf', '/tf_static'],
        'subscribe': ['{command}', '/clock'],
        'reply': [f'/*/{name}' for name in _PARAMETERS]}))
    return rights


def to_xml(found: Mapping[str, Rights]) -> str:
    """Return the policy file of sros2."""
    policy = ElementTree.Element('policy', version='0.2.0')
    enclaves = ElementTree.SubElement(policy, 'enclaves')
    for path, rights in found.items():
        enclave = ElementTree.SubElement(enclaves, 'enclave', path=path)
        namespace, _, node = path.rpartition('/')
        profile = ElementTree.SubElement(ElementTree.SubElement(enclave, 'profiles'), 'profile',
                                         ns=namespace or '/', node=node)
        for kind in RIGHTS:
            what = 'topic' if kind in ('publish', 'subscribe') else 'service'
            if names := sorted(getattr(rights, kind)):
                listed = ElementTree.SubElement(profile, f'{what}s', {kind: 'ALLOW'})
                for name in names:
                    ElementTree.SubElement(listed, what).text = name
    ElementTree.indent(policy)
    return ElementTree.tostring(policy, encoding='unicode') + '\n'


def main(args: list[str] | None = None) -> int:
    """Print the policies of a system."""
    parser = argparse.ArgumentParser(allow_abbrev=False,
                                     prog='policies', description=__doc__.splitlines()[0],
                                     argument_default=argparse.SUPPRESS)
    add_arguments(parser, OPTIONS)
    try:
        print(to_xml(policies(SystemOptions(**vars(parser.parse_args(args))))), end='')
    except LewmError as error:
        print(f'policies: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
