"""What the shipped viewer layouts show: every class exists, every topic is there and fits."""

import json
from pathlib import Path
import sys

import pytest
import yaml

pytest.importorskip('rclpy')
pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

from lewm_ros import msg as interfaces  # noqa: E402
from topic_docs import Endpoint, PAGE, read, ROLES  # noqa: E402

FILE = yaml.safe_load((ROOT / 'config' / 'rviz' / 'plan.rviz').read_text())
RVIZ = FILE['Visualization Manager']
FOXGLOVE = json.loads((ROOT / 'config' / 'foxglove' / 'plan.json').read_text())
PUBLISHED, HEARD = ROLES[:2]
# Displays of rviz_default_plugins (Jazzy to Lyrical, plugins_description.xml) that have a topic,
# with its property and message type; '': transforms, from /tf.
DISPLAYS = {
    'AccelStamped': 'geometry_msgs/msg/AccelStamped', 'Camera': 'sensor_msgs/msg/Image',
    'DepthCloud': 'sensor_msgs/msg/Image', 'Effort': 'sensor_msgs/msg/JointState',
    'FluidPressure': 'sensor_msgs/msg/FluidPressure', 'GridCells': 'nav_msgs/msg/GridCells',
    'Illuminance': 'sensor_msgs/msg/Illuminance', 'Image': 'sensor_msgs/msg/Image',
    'InteractiveMarkers': 'visualization_msgs/msg/InteractiveMarkerUpdate',
    'LaserScan': 'sensor_msgs/msg/LaserScan', 'Map': 'nav_msgs/msg/OccupancyGrid',
    'Marker': 'visualization_msgs/msg/Marker', 'MarkerArray': 'visualization_msgs/msg/MarkerArray',
    'Odometry': 'nav_msgs/msg/Odometry', 'Path': 'nav_msgs/msg/Path',
    'PointCloud': 'sensor_msgs/msg/PointCloud', 'PointCloud2': 'sensor_msgs/msg/PointCloud2',
    'PointStamped': 'geometry_msgs/msg/PointStamped',
    'Polygon': 'geometry_msgs/msg/PolygonStamped',
    'Pose': 'geometry_msgs/msg/PoseStamped', 'PoseArray': 'geometry_msgs/msg/PoseArray',
    'PoseWithCovariance': 'geometry_msgs/msg/PoseWithCovarianceStamped',
    'Range': 'sensor_msgs/msg/Range', 'RelativeHumidity': 'sensor_msgs/msg/RelativeHumidity',
    'RobotModel': 'std_msgs/msg/String', 'Temperature': 'sensor_msgs/msg/Temperature',
    'TwistStamped': 'geometry_msgs/msg/TwistStamped', 'Wrench': 'geometry_msgs/msg/WrenchStamped',
    'Axes': '', 'Grid': '', 'TF': ''}
TOOLS = {'SetGoal': 'geometry_msgs/msg/PoseStamped',
         'PublishPoint': 'geometry_msgs/msg/PointStamped',
         'SetInitialPose': 'geometry_msgs/msg/PoseWithCovarianceStamped', 'Interact': '',
         'MoveCamera': '', 'FocusCamera': '', 'Measure': '', 'Select': ''}
VIEWS = ('FPS', 'FrameAligned', 'Orbit', 'ThirdPersonFollower', 'TopDownOrtho', 'XYOrbit')
PANELS = ('Displays', 'Help', 'Selection', 'Time', 'Tool Properties', 'Transformation', 'Views')
POLICIES = {'Durability Policy': ('Volatile', 'Transient Local'),
            'Reliability Policy': ('Reliable', 'Best Effort'),
            'History Policy': ('Keep Last', 'Keep All')}
TOPIC_KEYS = {'Depth', 'Value', 'Filter size', *POLICIES}


def plain(entry, package='rviz_default_plugins'):
    """Return the class of a display, tool or view without its package, which must be this one."""
    found, _, name = entry['Class'].partition('/')
    assert found == package, entry['Class']
    return name


def topic_of(display):
    return display['Description Topic' if plain(display) == 'RobotModel' else 'Topic']


def misfits(topic, kind, endpoints):
    """Say why a reader with these settings of RViz would get nothing."""
    offers = [one for one in endpoints if one.name == topic['Value'] and one.role == PUBLISHED]
    if not offers:
        return f'nobody publishes {topic["Value"]}'
    for one in offers:
        words = one.qos.split(', ')
        if one.type != kind:
            return f'{one.name} is {one.type}, the display reads {kind}'
        if topic['Reliability Policy'] == 'Reliable' and words[0] != 'reliable':
            return f'{one.name} is best effort, the display asks for reliable'
        if topic['Durability Policy'] == 'Transient Local' and 'latched' not in words:
            return f'{one.name} is not latched, the display asks for it'
        if topic['Durability Policy'] == 'Volatile' and 'latched' in words:
            return f'{one.name} is latched, a display that comes late would miss it'
    return ''


def test_every_class_is_one_of_rviz():
    """Displays, tools, views and panels by the names of their plugins, spelled right."""
    assert {plain(one) for one in RVIZ['Displays']} <= set(DISPLAYS)
    assert {plain(one) for one in RVIZ['Tools']} <= set(TOOLS)
    assert plain(RVIZ['Views']['Current']) in VIEWS
    assert {plain(one, 'rviz_common') for one in FILE['Panels']} <= set(PANELS)
    names = [one['Name'] for one in RVIZ['Displays']]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize('display', [one for one in RVIZ['Displays'] if DISPLAYS[plain(one)]],
                         ids=lambda one: one['Name'])
def test_every_display_gets_what_it_asks_for(display):
    """Its topic is published by a node of the system, with its type and with a QoS that fits."""
    topic = topic_of(display)
    assert set(topic) <= TOPIC_KEYS
    for key, allowed in POLICIES.items():
        assert topic[key] in allowed, key
    assert not topic['Value'].startswith('/'), 'it would not follow the namespace'
    assert not misfits(topic, DISPLAYS[plain(display)], read(PAGE.read_text()))


def test_what_is_drawn_on_the_ground_is_seen_through_the_robot():
    """The description has floors and bodies that would cover plans and goals, from above too."""
    robot, = (one for one in RVIZ['Displays'] if plain(one) == 'RobotModel')
    path, = (one for one in RVIZ['Displays'] if plain(one) == 'Path')
    assert 0 < robot['Alpha'] < 1 and path['Offset']['Z'] > 0


@pytest.mark.parametrize('tool', [one for one in RVIZ['Tools'] if TOOLS[plain(one)]],
                         ids=lambda one: plain(one))
def test_every_click_is_heard(tool):
    """RViz writes reliable and volatile: a reader that asks for latched would hear nothing."""
    topic, kind = tool['Topic'], TOOLS[plain(tool)]
    assert (topic['Reliability Policy'], topic['Durability Policy']) == ('Reliable', 'Volatile')
    readers = [one for one in read(PAGE.read_text())
               if one.name == topic['Value'] and one.role == HEARD]
    assert readers and all(one.type == kind and 'latched' not in one.qos for one in readers)


@pytest.mark.parametrize(('change', 'words'), [
    ({'Value': 'imaginations'}, 'nobody publishes imaginations'),
    ({'Reliability Policy': 'Reliable'}, 'is best effort, the display asks for reliable'),
    ({'Durability Policy': 'Transient Local'}, 'is not latched'),
    ({'Value': 'goal_picture'}, 'is latched, a display that comes late'),
    ({'Value': 'imagined_path'}, 'is nav_msgs/msg/Path')])
def test_the_check_of_displays_can_fail(change, words):
    """Each way in which a display stays empty is seen."""
    known = {Endpoint('imagination', DISPLAYS['Image'], PUBLISHED, 'n', 'best effort'),
             Endpoint('imagined_path', DISPLAYS['Path'], PUBLISHED, 'n', 'reliable'),
             Endpoint('goal_picture', DISPLAYS['Image'], PUBLISHED, 'n', 'reliable, latched')}
    topic = {'Value': 'imagination', 'Reliability Policy': 'Best Effort',
             'Durability Policy': 'Volatile'}
    assert not misfits(topic, DISPLAYS['Image'], known)
    assert words in misfits({**topic, **change}, DISPLAYS['Image'], known)


def leaves(layout):
    """Return the panels that a Foxglove layout places."""
    return [layout] if isinstance(layout, str) else leaves(layout['first']) + leaves(
        layout['second'])


def foxglove_faults(layout, endpoints):
    """Say what of a Foxglove layout shows nothing, or what a click in it tells nobody."""
    published = {f'/{one.name}': one.type for one in endpoints if one.role == PUBLISHED}
    heard = {f'/{one.name}': one.type for one in endpoints if one.role == HEARD}
    panels, faults = layout['configById'], []

    def need(topic, kinds, known, what):
        if known.get(topic) not in kinds:
            faults.append(f'{what} {topic}: {known.get(topic, "nobody")}, not '
                          f'{" or ".join(kinds)}')

    if sorted(leaves(layout['layout'])) != sorted(panels):
        faults.append('the panels that are placed are not those that have settings')
    for name, panel in panels.items():
        kind = name.partition('!')[0]
        if kind == 'Image':
            need(panel['imageMode']['imageTopic'], ['sensor_msgs/msg/Image'], published, name)
        elif kind == 'Plot':
            for path in panel['paths']:
                topic, _, field = path['value'].partition('.')
                of = getattr(interfaces, published.get(topic, '').rpartition('/')[2], None)
                if of is None or field not in of.get_fields_and_field_types():
                    faults.append(f'{name} {topic} has no field {field}')
        elif kind == '3D':
            for topic in panel['topics']:
                need(topic, SPACE, published, name)
            for key, wanted in CLICKED.items():
                need(panel['publish'][key], [wanted], heard, key)
        elif kind == 'DiagnosticSummary':
            need(panel['topicToRender'], ['diagnostic_msgs/msg/DiagnosticArray'], published, name)
        else:
            faults.append(f'{name} is of a kind that is not checked here')
    return faults


# Of the 3D panel: what is drawn, and which of its settings says where a click is published, as
# what. An estimate of the pose is for localisation: nobody here hears it.
SPACE = ['nav_msgs/msg/Path', 'visualization_msgs/msg/MarkerArray', 'std_msgs/msg/String']
CLICKED = {'poseTopic': TOOLS['SetGoal'], 'pointTopic': TOOLS['PublishPoint']}


def test_foxglove_shows_and_tells_what_exists():
    """Each panel is placed once and gets what it reads; plots name fields; clicks are heard."""
    assert foxglove_faults(FOXGLOVE, read(PAGE.read_text())) == []
    assert {panel['imageMode']['imageTopic'] for name, panel in FOXGLOVE['configById'].items()
            if name.startswith('Image!')} == {'/image', '/goal_picture', '/imagination'}


@pytest.mark.parametrize(('panel', 'path', 'value', 'words'), [
    ('DiagnosticSummary!all', ['topicToRender'], '/diagnostic', 'nobody, not diagnostic_msgs'),
    ('DiagnosticSummary!all', ['topicToRender'], '/image', 'sensor_msgs/msg/Image, not diag'),
    ('3D!space', ['publish', 'poseTopic'], '/clicked_point', 'poseTopic /clicked_point: geom'),
    ('3D!space', ['publish', 'pointTopic'], '/point', 'pointTopic /point: nobody'),
    ('3D!space', ['topics'], {'/image': {}}, '3D!space /image: sensor_msgs/msg/Image, not nav'),
    ('Image!goal', ['imageMode', 'imageTopic'], '/goal', 'Image!goal /goal: lewm_ros/msg/Goal'),
    ('Plot!surprise', ['paths'], [{'value': '/plan_status.surprises'}], 'no field surprises'),
    ('Plot!surprise', ['paths'], [{'value': '/plan_state.surprise'}], 'no field surprise'),
    ('Sheet!new', [], {}, 'Sheet!new is of a kind that is not checked here')])
def test_the_check_of_foxglove_can_fail(panel, path, value, words):
    """Each way in which a panel stays empty, or a click unheard, is seen."""
    changed = json.loads(json.dumps(FOXGLOVE))
    *parents, last = [panel, *path]
    place = changed['configById']
    for one in parents:
        place = place[one]
    place[last] = value
    faults = foxglove_faults(changed, read(PAGE.read_text()))
    assert any(words in fault for fault in faults), faults
