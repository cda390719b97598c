"""Who else is on the command topic."""

from lewm_ros.command.audience import Audience, Endpoint
from lewm_ros.wire.reasons import Code

OWN = Endpoint(b'0', '/command_node')
ARM = Endpoint(b'1', '/controller')
TELEOP = Endpoint(b'2', '/teleop')
RECORDER = Endpoint(b'3', '/cell/recorder_node')
GUARD = Endpoint(b'4', '/guard_node')


def audience() -> Audience:
    return Audience('cmd_vel', '/command_node')


def test_a_topic_with_a_listener_and_no_other_publisher_is_well():
    """The guard speaks only in this node's place, so it is no stranger."""
    one = audience()
    one.look([OWN, GUARD], [ARM, GUARD], moving=False)
    assert not one.nobody() and not one.others() and not one.lost


def test_spectators_are_no_robot():
    """A recorder, the guard and `ros2 topic echo` listen, and nothing would move."""
    one = audience()
    one.look([OWN], [RECORDER, GUARD, Endpoint(b'5', '/_ros2cli_77')], moving=False)
    assert one.nobody().code is Code.NO_LISTENER
    assert 'nobody listens on cmd_vel' in one.nobody().text


def test_other_publishers_are_named():
    """By node; two endpoints of one node are one."""
    one = audience()
    one.look([OWN, TELEOP, TELEOP, Endpoint(b'6', '/nav2/controller_server')], [ARM], moving=False)
    assert one.others().code is Code.FOREIGN_COMMANDS
    assert '/nav2/controller_server, /teleop also publish on cmd_vel' in one.others().text


def test_a_controller_that_goes_while_the_robot_moves_is_missed():
    """It is known from when the motion began; a recorder that stays does not replace it."""
    one = audience()
    one.look([OWN], [ARM, RECORDER], moving=False)
    one.look([OWN], [ARM, RECORDER], moving=True)
    assert not one.lost
    one.look([OWN], [RECORDER], moving=True)
    assert one.lost.code is Code.NO_LISTENER
    assert '/controller listened on cmd_vel when the motion began and is gone' in one.lost.text


def test_a_controller_that_was_started_again_between_two_looks_is_another_one():
    """The same name with another identity; at rest it is simply the one that listens."""
    again = Endpoint(b'9', '/controller')
    one = audience()
    one.look([OWN], [ARM, TELEOP], moving=False)
    one.look([OWN], [again, TELEOP], moving=True)
    assert 'or was started again' in one.lost.text
    one.look([OWN], [again, TELEOP], moving=False)
    assert not one.lost
    one.look([OWN], [again, TELEOP], moving=True)
    assert not one.lost


def test_a_listener_that_leaves_while_others_stay_is_nobodys_concern():
    """A person closes a tool; the robot's controller listens on."""
    one = audience()
    one.look([OWN], [ARM, TELEOP], moving=False)
    one.look([OWN], [ARM], moving=True)
    assert not one.lost
