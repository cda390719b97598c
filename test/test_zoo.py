"""The zoo's table, its robot files, its bodies and its judge, without ROS."""

from __future__ import annotations

import json

from lewm_model.robots.robot import RobotDescription
from lewm_ros.trials.zoo.results import report, rest
from lewm_ros.trials.zoo.results.rows import LIVE, LOAD, PAUSE, Row, Rows, STEPS
from lewm_ros.trials.zoo.robots.robot_file import differences, edit_file, shipped_file
from lewm_ros.trials.zoo.robots.table import ROBOTS, zoo_robot
from lewm_ros.trials.zoo.strangers.bodies import JointBody, MobileBody
import numpy as np
import pytest
import yaml

NAN = float('nan')


@pytest.mark.parametrize('robot', ROBOTS, ids=lambda robot: robot.name)
def test_the_file_of_a_robot_says_what_its_driver_is(robot):
    """Topics, types, joints and limits of config/robots/zoo are those of the fake driver."""
    described = RobotDescription.from_yaml(shipped_file(robot))
    assert described.image_topic == robot.cameras[0].topic
    assert described.joint_state_topic == robot.states[0].topic
    assert described.interface == robot.interface
    assert described.control_dt_s == robot.control_dt_s
    assert [(one.topic, one.type) for one in described.command_topics] == [
        (one.topic, one.type) for one in robot.controllers]
    assert described.joint_names == tuple(robot.edits.get('joint_names', robot.axes))
    for name in ('min_command', 'max_command', 'max_rate', 'stop_rate'):
        assert getattr(described, name).tolist() == robot.edits[name]
    fastest = dict(zip(robot.body.axes, robot.body.max_speed, strict=True))
    limit = (described.max_rate if robot.interface == 'joint_position'
             else described.max_command)
    assert all(value <= fastest[name]
               for name, value in zip(described.joint_names, limit, strict=True))


def test_an_edited_robot_file_keeps_its_other_lines(tmp_path):
    """Only the named keys change; a key that was missing is added; what was equal is no edit."""
    file = tmp_path / 'robot.yaml'
    file.write_text('# mine\nrobot: a   # name\nmax_rate: [1.0]   # seen\n')
    assert edit_file(file, {'max_rate': [2.0], 'robot': 'a', 'command_hold_s': 5.0}) == [
        'max_rate', 'command_hold_s']
    assert file.read_text().startswith('# mine\nrobot: a   # name\n')
    assert yaml.safe_load(file.read_text()) == {'robot': 'a', 'max_rate': [2.0],
                                                'command_hold_s': 5.0}


def test_facts_that_differ_are_named_and_limits_are_a_persons_matter():
    """Another topic is a difference, another limit is none."""
    arm = RobotDescription.from_yaml(shipped_file(zoo_robot('arm6')))
    values = yaml.safe_load(shipped_file(zoo_robot('arm6')).read_text())
    other = RobotDescription(**{**values, 'image_topic': 'elsewhere', 'max_rate': [9.0] * 6})
    assert differences(other, arm) == [
        "image_topic 'elsewhere' instead of 'camera/color/image_raw'"]


def test_a_servo_arrives_within_its_limits_and_stands():
    """A joint never exceeds speed and acceleration, and ends at the target."""
    body = JointBody(zoo_robot('gripper_arm').body)
    target = np.array([1.0, -1.0, 0.0, 0.05])
    speeds = []
    for _ in range(300):
        body.advance(0.01, target, np.zeros(4))
        speeds.append(body.velocities)
    assert (np.abs(speeds) <= np.array(body.facts.max_speed) + 1e-9).all()
    changes = np.abs(np.diff(speeds, axis=0)) / 0.01
    assert (changes <= np.array(body.facts.max_acceleration) + 1e-6).all()
    np.testing.assert_allclose(body.pose, target, atol=1e-3)


def test_a_base_drives_where_it_looks_and_coasts_to_a_stop():
    """With yaw 90 degrees forward is y; without a speed it brakes by its acceleration."""
    body = MobileBody(zoo_robot('jpeg_base').body)
    body.pose = np.array([0.0, 0.0, np.pi / 2])
    nowhere = np.full(2, NAN)
    body.advance(1.0, nowhere, np.array([0.4, 0.0]))
    assert abs(body.pose[0]) < 1e-6
    assert 0.35 < body.pose[1] < 0.4
    body.advance(0.25, nowhere, np.zeros(2))
    assert not body.velocities.any()


def test_a_stop_by_speeds_counts_until_the_first_zero():
    """0.3 at 1.0 s, zero at 1.1 s, event at 0.95 s: told to stand still after 0.15 s."""
    base = zoo_robot('jpeg_base')
    move, still = np.array([0.3, 0.0]), np.zeros(2)
    commands = [(0.9, 0, move), (1.0, 0, move), (1.1, 0, still), (1.2, 0, still)]
    truth = [(0.9 + 0.1 * k, np.zeros(3), move if k < 4 else still) for k in range(10)]
    found = rest.at_rest(base, commands, truth, 0.95)
    assert found.commanded_s == pytest.approx(0.15)
    assert found.body_s == pytest.approx(0.25)
    assert rest.at_rest(base, commands[:2], truth, 0.95).commanded_s == rest.NEVER


def test_a_stop_by_positions_counts_until_the_target_is_held():
    """The last change of the target counts, and how far the body is from it in the end."""
    arm = zoo_robot('two_sources')
    commands = [(1.0 + 0.1 * k, 0, np.full(3, 0.1 * min(k, 2))) for k in range(6)]
    truth = [(1.0 + 0.1 * k, np.full(3, 0.19), np.zeros(3)) for k in range(10)]
    found = rest.at_rest(arm, commands, truth, 1.05)
    assert found.commanded_s == pytest.approx(0.15)
    assert found.body_s == 0
    assert found.target_off == pytest.approx(0.01)


def test_jumps_and_limits_are_measured_in_what_is_allowed():
    """A first command of two steps, a later one of three, and 0.1 past a limit are seen."""
    arm = zoo_robot('two_sources')            # 1 rad/s, stop 2 rad/s, 0.1 s
    commands = [(1.0, 0, np.array([0.2, 0.0, 0.0])), (1.1, 0, np.array([0.8, 0.0, 0.0]))]
    assert rest.first_jump(arm, commands, np.zeros(3)) == pytest.approx(2.0)
    assert rest.largest_step(arm, commands) == pytest.approx(3.0)
    assert rest.past_limits(arm, [(1.0, 0, np.array([2.5, 0.0, 0.0]))]) == pytest.approx(0.1)


def test_a_finished_step_is_not_taken_again_and_a_failed_one_is(tmp_path):
    """Rows are kept by step; a failed row leaves its step open; infinity is written as null."""
    file = tmp_path / 'rows.json'
    rows = Rows('arm6', file, say=lambda text: None)
    rows.at_most('stop', 'seconds', 0.2, 0.6)
    rows.close('stop')
    rows.at_most('e_stop', 'seconds', rest.NEVER, 0.6)
    rows.close('e_stop')
    again = Rows('arm6', file)
    assert again.finished('stop') and not again.finished('e_stop')
    assert not again.finished('drive')
    assert again.all[1] == Row('arm6', 'e_stop', 'seconds', None, 'at most 0.6', False)
    assert json.loads(file.read_text()).keys() <= set(STEPS)


def test_the_table_shows_every_robot_that_walked_and_every_failed_row(tmp_path):
    """A dash for what was not taken, bold for what failed; robots of an earlier run stay."""
    report.write([Row('arm6', 'stop', 'told to stand still after', 0.25, 'at most 0.6 s', True),
                  Row('arm6', 'stop', 'body at rest after', None, 'at most 1 s', False),
                  Row('arm6', 'stop', LOAD, 1.4, '', True)], tmp_path)
    rows = report.write([Row('drone', 'drive', 'first command from where the robot is', 0.5,
                             'at most 1.1 slew steps', True)], tmp_path)
    assert [row.robot for row in rows] == ['arm6', 'arm6', 'arm6', 'drone']
    page = (tmp_path / 'zoo.md').read_text()
    assert '| 0.25 / **never** |' in page and '| 0.50 |' in page
    assert '| `arm6` | stop | body at rest after | never | at most 1 s |' in page
    assert 'The load average was 1 to 1 ' in page


def test_the_page_says_what_a_person_had_to_set():
    """Keys of the robot file, and parameters of the nodes: a late camera needs one of each."""
    page = report.text([Row('wireless_base', 'inspect', 'keys that a person sets', 'max_rate', '',
                            True)])
    assert ('| `wireless_base` | max_rate | planner_node: obs_max_age_s 0.6; '
            'command_node: obs_max_age_s 0.6 |') in page


@pytest.mark.ros
def test_an_interrupted_step_is_taken_again_and_a_failed_one_ends_the_walk(tmp_path):
    """Half a step's rows are none; after an error the later steps say why they were not taken."""
    pytest.importorskip('rclpy')
    from lewm_model.errors import LewmError
    from lewm_ros.trials.zoo.walk import take
    rows = Rows('arm6', tmp_path / 'rows.json', say=lambda text: None)

    def interrupted():
        rows.at_least('ingest', 'rows', 100, 10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take('ingest', interrupted, rows)
    assert not rows.finished('ingest')

    def failing():
        raise LewmError('no data')

    assert not take('train', failing, rows)
    assert [(row.step, row.value) for row in rows.all if not row.passed] == [
        ('train', 'LewmError: no data'), *((step, 'train was not') for step in LIVE)]


@pytest.mark.ros
@pytest.mark.parametrize(('stopped_s', 'pause_s', 'again'), [
    (0.9, 0.4, True), (0.9, 0.05, False), (0.2, 0.4, False)])
def test_a_failure_on_a_busy_machine_says_nothing_about_the_robot(tmp_path, stopped_s, pause_s,
                                                                 again):
    """Only a step that failed while the machine paused for longer than 0.15 s is taken again."""
    pytest.importorskip('rclpy')
    from lewm_ros.trials.zoo.walk import disturbed
    rows = Rows('arm6', tmp_path / 'rows.json', say=lambda text: None)
    rows.at_most('stop', 'told to stand still after', stopped_s, 0.6, 's')
    rows.note('stop', PAUSE, pause_s)
    rows.close('stop')
    assert disturbed(rows, 'stop') == again
