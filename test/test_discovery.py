"""Who can find the nodes of a system."""

from lewm_model.errors import ConfigError
from lewm_ros.startup.discovery import CHOICES, discovery_environment
from lewm_ros.startup.options import SystemOptions
from lewm_ros.startup.system import system
from lewm_ros.startup.transport import Transports, UDP, UDP_LOCALHOST
import pytest

RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
FAST = 'rmw_fastrtps_cpp'


def test_by_default_only_this_machine_finds_it():
    """Where nobody said anything."""
    assert SystemOptions().discovery == 'auto'
    assert discovery_environment('auto', {}) == {RANGE: 'LOCALHOST'}
    assert discovery_environment('auto', {RANGE: '', 'ROS_STATIC_PEERS': '10.0.0.2'}) == {
        RANGE: 'LOCALHOST'}   # those peers are found, nobody else


@pytest.mark.parametrize('chosen', [{RANGE: 'SUBNET'}, {RANGE: 'OFF'}, {'ROS_LOCALHOST_ONLY': '0'},
                                    {'ROS_DISCOVERY_SERVER': '10.0.0.1:11811'}])
def test_an_environment_that_chose_is_left_alone(chosen):
    """A person's variable wins over a default, and an argument wins over both."""
    assert discovery_environment('auto', chosen) == {}
    assert discovery_environment('subnet', chosen)[RANGE] == 'SUBNET'


def test_an_argument_wins_over_the_variable_of_old():
    """ROS_LOCALHOST_ONLY=1 would be obeyed rather than the range."""
    assert discovery_environment('subnet', {'ROS_LOCALHOST_ONLY': '1'}) == {
        RANGE: 'SUBNET', 'ROS_LOCALHOST_ONLY': '0'}


def test_what_is_no_choice_is_refused():
    """By the options, for launch and bringup alike."""
    with pytest.raises(ConfigError, match='discovery must be one of auto, localhost, subnet'):
        SystemOptions(discovery='everybody')
    assert [SystemOptions.from_text({'discovery': one}).discovery for one in CHOICES] == [*CHOICES]


@pytest.mark.parametrize(('choice', 'ranges', 'profile'), [
    ('auto', {'LOCALHOST', 'SYSTEM_DEFAULT'}, UDP_LOCALHOST), ('subnet', {'SUBNET'}, UDP)])
def test_every_node_gets_it(monkeypatch, tmp_path, choice, ranges, profile):
    """Those that stop the robot by a profile of their own, which says localhost too."""
    for name in (RANGE, 'ROS_LOCALHOST_ONLY', 'FASTDDS_DEFAULT_PROFILES_FILE',
                 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_BUILTIN_TRANSPORTS'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('ROS_DISTRO', 'kilted')
    monkeypatch.chdir(tmp_path)
    transports = Transports.here('auto', FAST, choice)
    found = {spec.executable: transports.of(spec)
             for spec in system(SystemOptions(sim=True, record=True))}
    assert {environment[RANGE] for environment in found.values()} == ranges
    assert found['command_node']['FASTDDS_DEFAULT_PROFILES_FILE'].endswith(profile)
    assert found['sim_node'] == {RANGE: 'LOCALHOST' if choice == 'auto' else 'SUBNET'}
