"""Params files: what is refused before anything starts, and who wins over whom."""

from lewm_model.errors import ConfigError
from lewm_ros.startup import params_file
from lewm_ros.startup.system import NodeSpec
import pytest

GOOD = [
    'planner_node:\n  ros__parameters:\n    stall_s: 4.0\n',
    '/**:\n  ros__parameters: {use_sim_time: true}\n/cell/planner_node:\n  ros__parameters: {}\n',
    'cell:\n  planner_node:\n    ros__parameters: {stall_s: 4.0}\n',
]


@pytest.mark.parametrize('text', GOOD)
def test_the_usual_forms_are_taken(tmp_path, text):
    """Plain, with a wildcard, and with namespaces."""
    (tmp_path / 'a.yaml').write_text(text)
    params_file.check(str(tmp_path / 'a.yaml'))


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
    (tmp_path / 'a.yaml').write_text('a:\n  ros__parameters: {bundle: $(var x)}\n')
    params_file.check(str(tmp_path / 'a.yaml'), substitutions=True)


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
