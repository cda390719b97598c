"""The board of diagnostics: what is not OK, in words that fit. Known answers; no ROS."""

from lewm_ros.show.board import Board, SILENT_S
import numpy as np
import pytest

OK, WARN, ERROR = range(3)
RED = (200, 40, 45)


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(axis=2).any())


def board(*health, at_s: float = 10.0) -> Board:
    made = Board()
    made.add(health, at_s)
    return made


def test_what_is_not_ok_is_written_the_worst_first():
    """With the node's own words; what is OK is counted."""
    made = board(('goal_node', WARN, 'slow'), ('sim_node', OK, 'running'))
    made.add([('planner_node', ERROR, 'no picture')], 10.0)
    assert made.lines(10.0) == [('1 of 3 nodes are OK', ERROR),
                                ('ERROR  planner_node: no picture', ERROR),
                                ('WARN  goal_node: slow', WARN)]
    assert has(made.draw(10.0), RED)
    made.add([('planner_node', OK, 'planning'), ('goal_node', OK, 'no goal')], 10.1)
    assert made.lines(10.1) == [('3 of 3 nodes are OK', OK)]
    assert not has(made.draw(10.1), RED)


def test_of_several_parts_of_a_node_the_worst_counts():
    """In any order; in the next message it is judged anew."""
    for parts in ((ERROR, OK), (OK, ERROR)):
        made = board(*(('camera', level, f'part {level}') for level in parts))
        assert made.lines(10.0)[1:] == [('ERROR  camera: part 2', ERROR)]
    made.add([('camera', OK, 'well')], 11.0)
    assert made.lines(11.0) == [('1 of 1 nodes are OK', OK)]


def test_a_node_that_went_silent_is_not_well_and_is_forgotten_in_the_end():
    """Diagnostics come once a second, so three seconds are a death."""
    made = board(('planner_node', OK, 'planning'))
    assert made.lines(10.0 + SILENT_S) == [('1 of 1 nodes are OK', OK)]
    assert made.lines(15.0)[1:] == [('ERROR  planner_node: silent for 5 s', ERROR)]
    assert made.lines(75.0) == [('no diagnostics were heard yet', WARN)]


@pytest.mark.parametrize('text', ['x' * 5000, 'word ' * 900, 'W' * 300])
def test_long_texts_are_cut(text):
    """No text takes the board from the others; what has no room is counted."""
    made = board(*((f'node_{number}', ERROR, text) for number in range(8)))
    lines = made.lines(10.0)
    assert len(lines) <= 14 and max(len(line) for line, _ in lines) <= 66
    assert lines[1][0].startswith('ERROR  node_0: ')
    shown = sum(line.startswith('ERROR') for line, _ in lines)
    assert lines[-1] == (f'and {8 - shown} more', ERROR) and 3 <= shown < 8
    assert made.draw(10.0).shape == (240, 480, 3)


def test_anything_can_be_said_by_anybody():
    """What the font has not is a question mark; levels that do not exist are told by number."""
    made = board(('lid\x1b[2J', 200, 'a\nb\u0394'))
    assert made.lines(10.0)[1:] == [('level 200  lid?[2J: a?b?', 200)]
    made.draw(10.0)
    for number in range(1000):
        made.add([(f'somebody {number}', ERROR, '')], 11.0)
    assert made.lines(11.0)[0] == ('0 of 100 nodes are OK', ERROR)


def test_a_refused_click_fits_on_the_board():
    """The text of the goal node, as it is, to its end; no ink reaches the right edge."""
    text = ("no goal; click refused: the click at (0.500, 1.500) m in frame 'world' is outside of "
            'x -0.16 to 0.16, y -0.16 to 0.16 m, see clicks.within of the robot file')
    made = board(('goal_node', ERROR, text))
    said = ' '.join(line.strip() for line, _ in made.lines(10.0)[1:])
    assert said == f'ERROR  goal_node: {text}'
    picture = made.draw(10.0)
    assert np.ptp(picture[:, -8:].reshape(-1, 3), axis=0).max() == 0
