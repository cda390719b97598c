"""Which transport settings nodes get that exchange pictures."""

from pathlib import Path

from lewm_model.base import resources
from lewm_model.errors import ConfigError
from lewm_ros.startup.options import SystemOptions
from lewm_ros.startup.system import system
from lewm_ros.startup.transport import (
    PROFILE,
    transport_environment,
    Transports,
    UDP,
    UDP_LOCALHOST,
    unblocked_environment,
)
import pytest

FAST = 'rmw_fastrtps_cpp'
NAMES = {'FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'}


@pytest.mark.parametrize(('distribution', 'name'), [
    ({}, 'FASTDDS_DEFAULT_PROFILES_FILE'), ({'ROS_DISTRO': 'kilted'},
                                            'FASTDDS_DEFAULT_PROFILES_FILE'),
    ({'ROS_DISTRO': 'jazzy'}, 'FASTRTPS_DEFAULT_PROFILES_FILE')])
def test_where_nobody_chose_large_pictures_get_room(tmp_path, distribution, name):
    """The shipped profile, under the name that this distribution's Fast DDS reads."""
    found = transport_environment('auto', distribution, tmp_path, FAST)
    assert found == {name: str(resources.find(PROFILE))}


@pytest.mark.parametrize('name', sorted(NAMES))
def test_an_environment_that_chose_is_left_alone(tmp_path, name):
    """Also where it is the name of the other version."""
    assert transport_environment('auto', {name: '/mine.xml'}, tmp_path, FAST) == {}


@pytest.mark.parametrize('name', ['DEFAULT_FASTDDS_PROFILES.xml', 'DEFAULT_FASTRTPS_PROFILES.xml'])
def test_a_profile_in_the_working_folder_is_left_alone(tmp_path, name):
    """Fast DDS reads it of its own accord."""
    (tmp_path / name).write_text('<dds/>')
    assert transport_environment('auto', {}, tmp_path, FAST) == {}


def test_other_middlewares_get_nothing(tmp_path):
    """The variables are Fast DDS's."""
    assert transport_environment('auto', {}, tmp_path, 'rmw_cyclonedds_cpp') == {}


def test_none_and_a_file_are_taken_at_their_word(tmp_path):
    """A file wins over the environment, one that is missing is refused with what is allowed."""
    mine = tmp_path / 'mine.xml'
    mine.write_text('<dds/>')
    chosen = {'FASTDDS_DEFAULT_PROFILES_FILE': '/other.xml'}
    assert transport_environment('none', {}, tmp_path, FAST) == {}
    assert transport_environment(str(mine), chosen, tmp_path, FAST) == {
        'FASTDDS_DEFAULT_PROFILES_FILE': str(mine)}
    with pytest.raises(ConfigError, match=r'auto, none or an existing file, got .*missing\.xml'):
        transport_environment(str(tmp_path / 'missing.xml'), {}, tmp_path, FAST)


def test_the_profile_ships():
    """It is a file of this repository."""
    assert Path(resources.find(PROFILE)).read_text().startswith('<?xml')


def test_nodes_that_stop_the_robot_share_no_memory(tmp_path):
    """Within LOCALHOST rmw would choose the transports itself, so the profile says it all."""
    name = 'FASTDDS_DEFAULT_PROFILES_FILE'
    assert unblocked_environment('auto', {}, tmp_path, FAST) == {name: str(resources.find(UDP))}
    here = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    assert unblocked_environment('auto', here, tmp_path, FAST) == {
        name: str(resources.find(UDP_LOCALHOST)),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SYSTEM_DEFAULT'}
    for chosen in ({name: '/mine.xml'}, {'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'},
                   {**here, 'ROS_STATIC_PEERS': '10.0.0.2'}):
        assert unblocked_environment('auto', chosen, tmp_path, FAST) == {}
    assert unblocked_environment('none', {}, tmp_path, FAST) == {}
    assert unblocked_environment('auto', {}, tmp_path, 'rmw_cyclonedds_cpp') == {}


def test_command_node_and_guard_are_those_nodes():
    """And the nodes that read cameras are not among them."""
    transports = Transports({'pictures': '1'}, {'unblocked': '1'}, {})
    found = {spec.executable: transports.of(spec) for spec in system(SystemOptions(sim=True))}
    assert found == {'command_node': {'unblocked': '1'}, 'guard_node': {'unblocked': '1'},
                     'planner_node': {'pictures': '1'}, 'goal_node': {'pictures': '1'},
                     'sim_node': {}}
