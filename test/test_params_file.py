"""Params files: what is refused before anything starts, and who wins over whom."""

from pathlib import Path

from lewm_model.errors import ConfigError
import lewm_ros.startup
from lewm_ros.startup import params_file
from lewm_ros.startup.system import NODES, NodeSpec
import pytest

GOOD = [
    ('/', 'planner_node:\n  ros__parameters:\n    stall_s: 4.0\n'),
    ('/', '/**:\n  ros__parameters: {use_sim_time: true}\nfriend:\n  ros__parameters: {}\n'),
    ('/cell', '/cell/planner_node:\n  ros__parameters: {}\n'),
    ('/cell', 'cell:\n  planner_node:\n    ros__parameters: {stall_s: 4.0}\n'),
    ('/', '/**/planner_node:\n  ros__parameters: {stall_s: 4.0}\n'),
    ('/a/b', '/**/planner_node:\n  ros__parameters: {stall_s: 4.0}\n'),
    ('/cell', '/*/planner_node:\n  ros__parameters: {stall_s: 4.0}\n'),
    ('/', 'recorder_node:\n  ros__parameters: {task: a}\n'),    # of another launch of ours
    ('/', 'camera:\n  ros__parameters: {}\nplanner_node:\n  ros__parameters: {stall_s: 4.0}\n'),
]


@pytest.mark.parametrize(('namespace', 'text'), GOOD)
def test_the_usual_forms_are_taken(tmp_path, namespace, text):
    """Plain, with a wildcard, and with namespaces; beside nodes of other people."""
    (tmp_path / 'a.yaml').write_text(text)
    params_file.check(str(tmp_path / 'a.yaml'), namespace=namespace)


@pytest.mark.parametrize(('namespace', 'section', 'words'), [
    ('/', 'planner_nod', "section '/planner_nod'.* did you mean planner_node"),
    ('/', '/**/comand_node', 'did you mean command_node'),
    ('/', 'planner', 'sections for /planner, and none .* of this system: /command_node, '),
    ('/cell', 'planner_node', 'none .* /cell/command_node, .*write "/\\*\\*/planner_node:"'),
    ('/', '/cell/planner_node', 'sections for /cell/planner_node'),
    ('/', '/*/planner_node', 'none of them')])
def test_a_file_that_says_nothing_to_any_node_is_refused(tmp_path, namespace, section, words):
    """A slip in a name, or another namespace: the defaults would be in force without a word."""
    (tmp_path / 'a.yaml').write_text(f'{section}:\n  ros__parameters: {{stall_s: 4.0}}\n')
    with pytest.raises(ConfigError, match=words):
        params_file.check(str(tmp_path / 'a.yaml'), namespace=namespace)


def test_the_names_of_nodes_are_all_that_a_system_has():
    """So that no section for one of them is taken for a slip."""
    rooms = Path(lewm_ros.startup.__file__).parents[1]
    programs = {path.stem for path in rooms.glob('*/*_node.py')} - {'run_node'}
    assert {*NODES} == {*programs, 'supervisor'}


@pytest.mark.parametrize(('text', 'words'), [
    ('planner_node: [', 'is not YAML'),
    ('stall_s: 4.0\n', 'must have sections such as "planner_node:"'),
    ('planner_node:\n  stall_s: 4.0\n', 'ros__parameters'),
    ('', 'must have sections'),
    ('a:\n  ros__parameters: {bundle: $(find-pkg-share x)}\n', r'only ros2 launch can replace'),
])
def test_what_no_node_could_read_is_refused(tmp_path, text, words):
    """The message names the file and what belongs there."""
    (tmp_path / 'a.yaml').write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        params_file.check(str(tmp_path / 'a.yaml'))
    assert 'a.yaml' in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    """With the reason of the system."""
    with pytest.raises(ConfigError, match=r'missing\.yaml.*No such file'):
        params_file.check(str(tmp_path / 'missing.yaml'))


def test_launch_may_substitute(tmp_path):
    """The same text is fine where somebody replaces it."""
    (tmp_path / 'a.yaml').write_text('planner_node:\n  ros__parameters: {bundle: $(var x)}\n')
    params_file.check(str(tmp_path / 'a.yaml'), substitutions=True)
    (tmp_path / 'a.yaml').write_text('$(var ns)/planner_node:\n  ros__parameters: {a: 4.0}\n')
    params_file.check(str(tmp_path / 'a.yaml'), namespace='/cell', substitutions=True)


def test_only_what_a_person_gave_stands_above_the_file(tmp_path):
    """Nothing is written where there is no file to win over."""
    given = frozenset({'robot'})
    with_file = NodeSpec('r', 'x', '/', {'robot': 'a', 'task': 'b'}, params_file='f', chosen=given)
    without = NodeSpec('r', 'y', '/', {'robot': 'a'}, chosen=given)
    files = params_file.write_chosen([with_file, without], tmp_path)
    assert list(files) == ['x']
    text = files['x'].read_text()
    assert 'robot: a' in text
    assert 'task' not in text


SECTIONS = {
    'wildcard': '/**:\n  ros__parameters: {stall_s: 3.0, %s}\n',
    'plain': 'planner_node:\n  ros__parameters: {stall_s: 3.0, %s}\n',
    'full': '/cell/planner_node:\n  ros__parameters: {stall_s: 3.0, %s}\n',
    'nested': 'cell:\n  planner_node:\n    ros__parameters: {stall_s: 3.0, %s}\n',
    'any namespace': '/**/planner_node:\n  ros__parameters: {stall_s: 3.0, %s}\n',
    'full, then wildcard': '/cell/planner_node:\n  ros__parameters: {%s}\n'
                           '/**:\n  ros__parameters: {stall_s: 3.0}\n',
    'wildcard, then plain': '/**:\n  ros__parameters: {stall_s: 3.0, %s}\n'
                            '/cell/planner_node:\n  ros__parameters: {}\n',
}


@pytest.mark.ros
@pytest.mark.parametrize('form', SECTIONS)
@pytest.mark.parametrize('place', ['bringup', 'launch'])
def test_argument_over_file_over_default(tmp_path, form, place):
    """Whatever form the section has, and for the command lines of bringup and of launch.

    `bundle` is given by the file and by a person, `plan` by the file alone, `backend` by nobody.
    """
    rclpy = pytest.importorskip('rclpy')
    file = tmp_path / 'a.yaml'
    namespace = '/' if form == 'plain' else '/cell'
    file.write_text(SECTIONS[form] % 'bundle: of_the_file, plan: of_the_file')
    spec = NodeSpec('planner', 'planner_node', namespace, {
        'bundle': 'given', 'plan': 'default', 'backend': 'default'},
        params_file=str(file), chosen=frozenset({'bundle'}))
    chosen = params_file.write_chosen([spec], tmp_path)['planner_node']
    arguments = spec.ros_arguments(file, chosen)
    if place == 'launch':   # its own parameters and rules come after the arguments
        arguments = ['--ros-args', *spec.own_arguments(), '--ros-args', '-r',
                     '__node:=planner_node', '-r', f'__ns:={spec.namespace}',
                     '--params-file', str(file), '--params-file', str(chosen)]
    context = rclpy.Context()
    rclpy.init(args=arguments, context=context, domain_id=101)
    try:
        node = rclpy.create_node('any', context=context)
        found = {name: each.value for name, each in node._parameter_overrides.items()}
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    assert found == {'bundle': 'given', 'plan': 'of_the_file', 'backend': 'default',
                     'stall_s': 3.0}
