"""Robot files with anything in them."""

from dataclasses import fields

from bag_factory import robot
from lewm_model.errors import ConfigError
from lewm_model.robots.describe import describe_robot
from lewm_model.robots.robot import RobotDescription
import numpy as np
import pytest

ENTRY = {'topic': 'arm', 'type': 'std_msgs/msg/Float64MultiArray', 'joints': ['shoulder', 'wrist']}
ODD = (None, True, 3, -1, 0, 1e308, float('nan'), 10 ** 400, '', 'x', '/', [], {}, [[]], [{}],
       [None], ['a'], ['shoulder', 'wrist'], {'image': 'receive'}, {1: 2}, b'x', 1j, object(),
       [ENTRY], [{**ENTRY, 'type': 3, 'joints': 3}], [{'topic': 'a'}],
       [{**ENTRY, 'joints': ['shoulder', 3]}], [1, 2], [[1, 2]], 'joint_position', 'twist',
       'joint_effort', 'sensor_msgs/msg/JointState', 'nav_msgs/msg/Odometry')


@pytest.mark.parametrize('seed', range(4))
def test_any_value_of_any_key_is_read_or_refused(seed):
    """Property: a robot file gives a robot that can be described, or a ConfigError."""
    rng = np.random.default_rng(seed)
    names = [one.name for one in fields(RobotDescription)]
    refused = 0
    for _ in range(1500):
        changes = {str(name): ODD[rng.integers(len(ODD))]
                   for name in rng.choice(names, rng.integers(1, 4), replace=False)}
        try:
            assert describe_robot(robot(**changes)).startswith('robot ')
        except ConfigError as error:
            refused += 1
            assert len(str(error)) < 2000
    assert 300 < refused < 1500
