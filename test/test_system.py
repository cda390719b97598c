from dataclasses import fields, replace
from pathlib import Path

from lewm_model.errors import ConfigError
from lewm_ros.startup.options import default_text, SystemOptions
from lewm_ros.startup.system import NodeSpec, supervisor, system
from lewm_sim.tasks import load_task
import pytest


def by_name(options: SystemOptions) -> dict[str, NodeSpec]:
    return {node.executable: node for node in system(options)}


def test_the_simulated_robot_comes_with_its_clock():
    """With sim there is a fifth node, it makes the time, and everybody else follows it."""
    nodes = by_name(SystemOptions(sim=True))
    assert list(nodes) == ['command_node', 'guard_node', 'planner_node', 'goal_node', 'sim_node']
    assert 'use_sim_time' not in nodes.pop('sim_node').parameters
    assert all(node.parameters['use_sim_time'] is True for node in nodes.values())


def test_the_picture_has_the_usual_size_of_the_task(monkeypatch):
    """Unless a person chooses another; a task of a user's folder brings its robot, too."""
    monkeypatch.setenv('LEWM_TASKS', str(Path(__file__).parent / 'own_tasks'))
    for task, size, robot in (('reacher', 64, 'sim_reacher'), ('pusher', 32, 'robot.yaml')):
        nodes = by_name(SystemOptions(sim=True, task=task))
        assert nodes['sim_node'].parameters['image_size'] == size
        assert Path(nodes['planner_node'].parameters['robot']).name == robot


def test_a_real_robot_waits_for_a_person():
    """Without sim there is no simulator, real time, and motion has to be enabled."""
    nodes = by_name(SystemOptions(robot='sim_reacher'))
    assert list(nodes) == ['command_node', 'guard_node', 'planner_node', 'goal_node']
    assert nodes['command_node'].parameters['require_enable'] is True
    assert not any(node.parameters['use_sim_time'] for node in nodes.values())
    assert by_name(SystemOptions(sim=True))['command_node'].parameters['require_enable'] is False


def test_a_recorder_comes_on_request():
    """To whatever drives; alone where somebody else does, with an absolute root."""
    nodes = by_name(SystemOptions(sim=True, record=True, root='some/where'))
    assert list(nodes) == ['command_node', 'guard_node', 'planner_node', 'goal_node',
                           'recorder_node', 'sim_node']
    assert nodes['recorder_node'].parameters['root'] == str(Path('some/where').absolute())
    assert nodes['recorder_node'].parameters['use_sim_time'] is True
    assert list(by_name(SystemOptions(robot='sim_reacher', source='none', record=True))) == [
        'recorder_node']
    assert list(by_name(SystemOptions(robot='sim_reacher', source='teleop', record=True))) == [
        'command_node', 'guard_node', 'teleop_node', 'recorder_node']


def test_imagination_and_rviz_come_on_request():
    """RViz brings imagination where there is a planner; both may end, a closed window for good."""
    assert 'imagination_node' not in by_name(SystemOptions(sim=True))
    nodes = by_name(SystemOptions(sim=True, task='push_t', rviz=True, use_respawn=True))
    assert list(nodes)[-3:] == ['imagination_node', 'rviz2', 'sim_node']
    imagination, rviz = nodes['imagination_node'], nodes['rviz2']
    assert imagination.parameters['bundle'] == nodes['planner_node'].parameters['bundle']
    assert imagination.respawn and not imagination.essential and not imagination.lifecycle
    assert (rviz.package, rviz.parameters) == ('rviz2', {'use_sim_time': True})
    assert rviz.arguments[0] == '-d' and Path(rviz.arguments[1]).name == 'plan.rviz'
    assert Path(rviz.arguments[1]).is_file() and not rviz.respawn and not rviz.essential
    own = by_name(SystemOptions(source='teleop', robot='sim_reacher', rviz=True,
                                rviz_config='my.rviz'))
    assert 'imagination_node' not in own and own['rviz2'].arguments == ('-d', 'my.rviz')
    with pytest.raises(ConfigError, match='imagination shows what the planner imagines'):
        SystemOptions(source='teleop', imagination=True)


def test_rviz_shows_our_displays_in_the_frame_of_the_robot_file(tmp_path):
    """Paths are in the frame of clicks; the display file that ships is of no robot."""
    shipped = Path(load_task('two_room').robot_file)
    robot = tmp_path / 'robot.yaml'
    robot.write_text(shipped.read_text().replace('frame: world', 'frame: odom'))
    for given, frame in ((shipped, 'world'), (robot, 'odom'), ('diff_drive', 'world')):
        nodes = by_name(SystemOptions(robot=str(given), bundle='reacher-nano', rviz=True))
        assert nodes['rviz2'].arguments[2:] == ('-f', frame)


def test_exploring_takes_the_planners_place_and_comes_to_an_end():
    """No planner, no goal; the system ends with the exploration, whose numbers are passed on."""
    nodes = by_name(SystemOptions(sim=True, record=True, source='explore', episodes=7, steps=9,
                                  first=3, seed=5, real_time_factor=2.0, image_size=96))
    assert list(nodes) == ['command_node', 'guard_node', 'explore_node', 'recorder_node',
                           'sim_node']
    explore, sim = nodes['explore_node'], nodes['sim_node']
    assert explore.finishes
    assert explore.essential
    assert {name: explore.parameters[name] for name in ('episodes', 'steps', 'first', 'seed')} == {
        'episodes': 7, 'steps': 9, 'first': 3, 'seed': 5}
    assert (sim.parameters['real_time_factor'], sim.parameters['image_size']) == (2.0, 96)


def test_the_command_node_outlives_the_planner():
    """It comes first and the system ends with it, not with the planner."""
    nodes = system(SystemOptions(sim=True))
    assert nodes[0].executable == 'command_node'
    assert nodes[0].essential
    assert not by_name(SystemOptions())['planner_node'].essential


def test_options_reach_the_nodes():
    """Robot, bundle, dry run, goals and namespace end where they belong."""
    nodes = by_name(SystemOptions(sim=True, bundle='b', robot='r', dry_run=True,
                                  namespace='cell_1', goal_root='/g', log_level='warn'))
    assert nodes['planner_node'].parameters['bundle'] == 'b'
    assert nodes['planner_node'].parameters['dry_run'] is True
    assert nodes['goal_node'].parameters['goal_root'] == '/g'
    assert {node.parameters['robot'] for node in nodes.values()} == {'r'}
    assert {node.path for node in nodes.values()} == {f'/cell_1/{name}' for name in nodes}
    assert {node.log_level for node in nodes.values()} == {'warn'}


@pytest.mark.parametrize(('options', 'expected'), [
    ({}, False), ({'sim': True}, True), ({'use_sim_time': True}, True),
    ({'sim': True, 'use_sim_time': False}, False)])
def test_simulated_time_does_not_need_our_simulator(options, expected):
    """It follows sim unless a person says otherwise: other simulators and bags have a clock."""
    nodes = by_name(SystemOptions(robot='sim_reacher', **options))
    nodes.pop('sim_node', None)
    assert {node.parameters['use_sim_time'] for node in nodes.values()} == {expected}


def test_a_simulated_robot_in_a_namespace_has_its_own_clock():
    """Rules of a person come first, so one clock for several robots stays possible."""
    def rules(**options):
        return {node.remappings for node in system(SystemOptions(**options))}

    assert rules(sim=True) == {()}
    own = ('/clock:=clock', '/tf:=tf', '/tf_static:=tf_static')
    assert rules(sim=True, namespace='a') == {own}
    assert rules(robot='sim_reacher', use_sim_time=True, namespace='a') == {()}
    assert rules(sim=True, namespace='a', remap='/clock:=/clock e_stop:=/e_stop') == {
        ('/clock:=/clock', 'e_stop:=/e_stop', *own)}


def test_respawn_is_for_what_the_system_can_do_without():
    """The command node's and the simulator's end stay the end of the system."""
    nodes = by_name(SystemOptions(sim=True, record=True, use_respawn=True))
    assert {name for name, node in nodes.items() if not node.respawn} == {
        name for name, node in nodes.items() if node.essential}
    assert nodes['planner_node'].respawn
    assert not any(node.respawn for node in system(SystemOptions(sim=True, record=True)))


def test_the_supervisor_knows_the_order_and_who_comes_back():
    """It lives in the namespace; without lifecycle nodes, or by hand, there is none."""
    options = SystemOptions(sim=True, use_respawn=True, namespace='cell', configure_timeout=33.0)
    spec = supervisor(options, system(options))
    assert spec.path == '/cell/supervisor'
    assert spec.parameters == {'nodes': '/cell/command_node /cell/planner_node',
                               'respawned': '/cell/planner_node', 'configure_timeout_s': 33.0}
    assert supervisor(replace(options, autostart=False), system(options)) is None
    alone = SystemOptions(sim=True, source='none')
    assert supervisor(alone, system(alone)) is None


def test_arguments_that_a_person_gave_are_marked():
    """Only they win over a params file."""
    nodes = {node.executable: node for node in system(
        SystemOptions(sim=True, bundle='b', params_file='p.yaml'), {'sim', 'bundle'})}
    assert nodes['planner_node'].chosen == {'bundle'}
    assert nodes['command_node'].chosen == set()
    assert {node.params_file for node in nodes.values()} == {'p.yaml'}


def test_the_device_reaches_the_planner():
    """And nobody else, for nobody else has one."""
    nodes = by_name(SystemOptions(device='cuda:1'))
    assert nodes['planner_node'].parameters['device'] == 'cuda:1'
    assert not any('device' in node.parameters for name, node in nodes.items()
                   if name != 'planner_node')


def test_every_option_has_a_text_form_that_gives_it_back():
    """Launch writes defaults as texts and reads them again."""
    texts = {item.name: default_text(item.name) for item in fields(SystemOptions)}
    assert SystemOptions.from_text(texts) == SystemOptions()
    assert texts['use_sim_time'] == ''


def test_parameters_on_a_command_line_keep_their_type():
    """A text that looks like a number or a switch stays a text, quotes are doubled."""
    node = NodeSpec('room', 'x', '/', {'a': '007', 'b': True, 'c': 1.0, 'd': "it's", 'e': ''})
    arguments = node.ros_arguments()
    assert [arguments[k + 1] for k, part in enumerate(arguments) if part == '-p'] == [
        "a:='007'", 'b:=true', 'c:=1.0', "d:='it''s'", "e:=''"]
    assert '__ns:=/' in arguments
    assert arguments[arguments.index('--enclave') + 1] == '/x' == node.enclave


def test_texts_become_options():
    """Launch arguments are texts; switches are spelled in the usual ways."""
    assert SystemOptions.from_text({'sim': 'True', 'dry_run': '0', 'task': 'reacher'}) == replace(
        SystemOptions(), sim=True, dry_run=False, task='reacher')
    assert SystemOptions.from_text({'episodes': '20', 'real_time_factor': '2'}) == replace(
        SystemOptions(), episodes=20, real_time_factor=2.0)


@pytest.mark.parametrize(('values', 'words'), [
    ({'sim': 'maybe'}, "sim must be true or false, got 'maybe'"),
    ({'episodes': 'many'}, "episodes must be of type int, got 'many'"),
    ({'source': 'me'}, "source must be one of planner, explore, teleop, none, got 'me'"),
    ({'source': 'explore', 'sim': 'true'}, 'add sim and record'),
    ({'log_level': 'loud'}, "log_level must be one of debug, .* got 'loud'"),
    ({'namespace': '9 cells'}, "namespace must be names .* got '9 cells'"),
    ({'use_sim_time': 'perhaps'}, "use_sim_time must be true or false, got 'perhaps'"),
    ({'remap': 'image=camera'}, "remap must be rules .* got 'image=camera'"),
    ({'configure_timeout': '0'}, 'configure_timeout must be at least 1 s, got 0.0'),
    ({'respawn_delay': 'nan'}, 'respawn_delay must be at least 0 s, got nan'),
])
def test_nonsense_is_refused_with_what_is_allowed(values, words):
    """The message names the option, the allowed values and the given one."""
    with pytest.raises(ConfigError, match=words):
        SystemOptions.from_text(values)


def test_each_task_brings_its_own_model():
    """`task:=two_room` alone plans with two_room-nano; a given bundle wins."""
    def bundles(options):
        return {spec.parameters['bundle'] for spec in system(options)
                if 'bundle' in spec.parameters}

    assert bundles(SystemOptions(sim=True)) == {'reacher-nano'}
    assert bundles(SystemOptions(sim=True, task='two_room')) == {'two_room-nano'}
    assert bundles(SystemOptions(sim=True, task='two_room', bundle='mine')) == {'mine'}
