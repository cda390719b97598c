"""Every e-stop publisher is a button of its own."""

from lewm_ros.command.e_stop import EStop


def test_a_button_is_released_by_the_one_who_pressed_it():
    """Another one that says 'released' all the time changes nothing."""
    stop = EStop()
    stop.hear('red', True)
    stop.hear('green', False)
    assert stop.pressed
    assert stop.problem() == 'the e-stop is pressed (1 button); release it first'
    stop.hear('green', True)
    stop.hear('red', False)
    assert stop.pressed
    stop.hear('green', False)
    assert not stop.pressed and stop.problem() == ''


def test_an_older_message_that_comes_later_changes_nothing():
    """Three readers hear one publisher, not all at the same time."""
    stop = EStop()
    stop.hear('red', True, sent_ns=10)
    stop.hear('red', False, sent_ns=20)
    stop.hear('red', True, sent_ns=10)
    assert not stop.pressed
    stop.hear('red', True, sent_ns=30)
    assert stop.pressed


def test_a_pressed_button_that_vanishes_stays_pressed_until_people_clear_it():
    """Clearing does not release a button that is still there, and says so."""
    stop = EStop()
    stop.hear('red', True)
    stop.hear('green', True)
    stop.look({'green'})
    assert stop.problem() == ('the e-stop is pressed (1 button); release it first; the e-stop was '
                              'pressed by 1 publisher that is gone; when that is understood, call '
                              '~/clear_e_stop')
    assert 'release it first' in stop.clear_vanished()
    stop.hear('green', False)
    assert not stop.pressed
    assert stop.clear_vanished() == 'no e-stop is pressed'


def test_a_button_that_comes_back_releases_itself():
    """A network that was gone for a moment needs nobody."""
    stop = EStop()
    stop.hear('red', True)
    stop.look(set())
    stop.hear('red', False)
    assert not stop.pressed


def test_a_press_counts_though_the_clock_of_its_button_was_set_back():
    """Its stamp is an hour before what the button said last; its release then counts, too."""
    stop = EStop()
    stop.hear('red', False, sent_ns=4000)
    stop.hear('red', True, sent_ns=400)
    assert stop.pressed
    stop.hear('red', False, sent_ns=500)
    assert not stop.pressed


def test_a_release_from_before_the_press_does_not_end_it():
    """Set back between press and release: nobody can tell, so it is pressed and released again."""
    stop = EStop()
    stop.hear('red', True, sent_ns=4000)
    stop.hear('red', False, sent_ns=500)
    assert stop.pressed
    stop.hear('red', True, sent_ns=600)
    stop.hear('red', False, sent_ns=700)
    assert not stop.pressed


def test_a_press_that_one_reader_lost_ends_with_the_release_that_the_other_brings():
    """The first hears only the release; the second both, in their order."""
    stop = EStop()
    stop.hear('red', False, sent_ns=20)
    stop.hear('red', True, sent_ns=10)
    stop.hear('red', False, sent_ns=20)
    assert not stop.pressed
    stop.hear('red', True, sent_ns=10)      # the third reader comes late with what was heard
    assert not stop.pressed
