"""Who may do what where SROS2 is on: known answers, and the files that sros2 reads."""

from fnmatch import fnmatch
from pathlib import Path
import shutil
import subprocess
from xml.etree import ElementTree

from lewm_model.errors import ConfigError
from lewm_model.robots.robot import RobotDescription
from lewm_ros.startup.options import SystemOptions
from lewm_ros.startup.policies import main, PEOPLE, policies, RIGHTS, Rights, to_xml
from lewm_ros.startup.system import NODES
import pytest

ROOT = Path(__file__).parents[1]
SIM = SystemOptions(sim=True, record=True)
COMMAND = '/joint_velocity_controller/commands'


def who_may(found: dict[str, Rights], kind: str, name: str) -> set[str]:
    return {path for path, rights in found.items()
            if any(fnmatch(name, pattern) for pattern in getattr(rights, kind))}


def read(text: str) -> dict[str, Rights]:
    """Return what a policy file says, the other way round of `to_xml`."""
    root = ElementTree.fromstring(text)
    assert (root.tag, root.attrib) == ('policy', {'version': '0.2.0'})
    found = {}
    for enclave in root.findall('enclaves/enclave'):
        rights = found[enclave.get('path')] = Rights()
        for listed in enclave.find('profiles/profile'):
            (kind, rule), = listed.attrib.items()
            assert rule == 'ALLOW'
            rights.add({kind: [one.text for one in listed]})
    return found


def test_only_two_nodes_command_the_robot():
    """The command node, and the guard that stops it; the drive listens."""
    found = policies(SIM)
    assert who_may(found, 'publish', COMMAND) == {'/command_node', '/guard_node'}
    assert who_may(found, 'subscribe', COMMAND) >= {'/sim_node', '/robot'}


def test_only_an_operator_enables_motion_and_says_where_to_go():
    """Neither planner nor recorder nor a watcher can call these, or stand in for who answers."""
    found = policies(SIM)
    for service in ('/command_node/enable', '/command_node/clear_fault', '/goal_node/set_goal'):
        assert who_may(found, 'request', service) == {'/operator'}
        assert who_may(found, 'reply', service) == {service.rpartition('/')[0]}
    # tools and drivers have parameters under names that are not known here
    assert who_may(found, 'request', '/command_node/set_parameters') == {'/operator'}
    assert who_may(found, 'reply', '/command_node/set_parameters') == {
        '/command_node', '/operator', '/robot'}
    assert who_may(found, 'publish', '/goal') == {'/goal_node'}
    assert who_may(found, 'publish', '/action_chunk') == {'/planner_node'}
    assert who_may(found, 'publish', '/e_stop') == {'/operator'}


def test_lifecycle_belongs_to_the_supervisor_and_to_people():
    """And only of the nodes that have one."""
    found = policies(SIM)
    assert who_may(found, 'request', '/planner_node/change_state') == {'/supervisor', '/operator'}
    assert not who_may(found, 'reply', '/goal_node/change_state')


def test_nothing_that_drives_hears_the_truth():
    """The state of the simulation is for judges and recordings."""
    found = policies(SIM)
    assert who_may(found, 'subscribe', '/truth/state') == {'/recorder_node', '/operator'}


def test_a_watcher_changes_nothing():
    """It publishes only what every node must, and asks for states."""
    watcher = policies(SIM)['/watcher']
    assert watcher.publish == {'/parameter_events'}
    assert watcher.request == {'/command_node/get_state', '/planner_node/get_state'}
    assert not watcher.reply
    assert '/plan_status' in watcher.subscribe and '/image' not in watcher.subscribe


def test_every_node_has_an_enclave_of_its_own():
    """With the name of the node, and so have people, watchers and drivers."""
    found = policies(SIM)
    assert set(found) == {'/command_node', '/guard_node', '/planner_node', '/goal_node',
                          '/recorder_node', '/sim_node', '/supervisor',
                          *(f'/{name}' for name in PEOPLE)}
    everybody = set(found)
    for source in ('teleop', 'explore'):
        everybody |= set(policies(SystemOptions(sim=True, record=True, source=source)))
    everybody |= set(policies(SystemOptions(sim=True, rviz=True)))   # RViz is the operator's
    assert {path.strip('/') for path in everybody} == {*NODES, *PEOPLE}


def test_names_are_those_of_the_robot_file_and_namespace():
    """A base in a namespace, with a button for a whole fleet and a camera elsewhere."""
    found = policies(SystemOptions(robot='diff_drive', namespace='left', bundle='reacher-nano',
                                   remap='e_stop:=/e_stop image:=/eye'))
    assert who_may(found, 'publish', '/left/cmd_vel') | who_may(found, 'publish', '/cmd_vel') == {
        '/left/command_node', '/left/guard_node'}
    assert '/e_stop' in found['/left/command_node'].subscribe
    assert '/left/e_stop' not in found['/left/command_node'].subscribe
    assert '/left/command_node/enable' in found['/left/command_node'].reply
    assert '/diagnostics' in found['/left/command_node'].publish
    assert '/clock' in found['/left/command_node'].subscribe
    simulated = policies(SystemOptions(sim=True, namespace='left'))
    assert who_may(simulated, 'publish', '/left/clock') == {'/left/sim_node'}
    assert '/left/clock' in simulated['/left/planner_node'].subscribe


def test_a_robot_of_several_topics_gets_all_of_them():
    """Arm and gripper with controllers of their own."""
    robot = ROOT / 'config/robots/zoo/two_topic_arm.yaml'
    found = policies(SystemOptions(robot=str(robot), bundle='reacher-nano', source='teleop'))
    commands = {f'/{one.topic.strip("/")}'
                for one in RobotDescription.from_yaml(robot).command_topics}
    assert len(commands) == 2
    for node in ('/command_node', '/guard_node'):
        assert commands <= found[node].publish
    assert len({name for name in found['/teleop_node'].subscribe
                if name.startswith('/teleop_command/')}) == len(commands)


def test_the_file_says_what_was_decided():
    """Written and read again it is the same; everything not in it is forbidden by sros2."""
    found = policies(SIM)
    assert read(to_xml(found)) == found
    assert all(name.startswith('/') for rights in found.values() for kind in RIGHTS
               for name in getattr(rights, kind))


def test_the_program_prints_it_and_refuses_nonsense(capsys):
    """What is wrong is said in one line, with status 1."""
    assert main(['--sim', '--namespace', 'left', '--imagination']) == 0
    assert {'/left/planner_node', '/left/imagination_node'} <= set(read(capsys.readouterr().out))
    assert main(['--robot', 'nobody']) == 1
    assert 'nobody' in capsys.readouterr().err
    with pytest.raises(ConfigError, match='no nodes'):
        policies(SystemOptions(robot='sim_reacher', source='none'))


def test_the_script_names_what_it_needs(tmp_path):
    """Without `ros2 security` no half keystore is left behind."""
    if shutil.which('ros2'):
        pytest.skip('ros2 is installed here')
    done = subprocess.run(['bash', str(ROOT / 'tools/make_keys.sh'), str(tmp_path / 'keys'),
                           '--sim'], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'sros2' in done.stderr
    assert not list(tmp_path.iterdir())
