"""Every reason that a message can carry is one that some node gives."""

import ast

from import_rules import ROOT
from lewm_ros.wire.reasons import Code, Reason, reason_of, ReasonedError
import pytest

# The surprise guard gives these.

def given(sources: dict[str, str]) -> set[str]:
    """Return the names X of every `Code.X` in the sources, except where it is compared with."""
    found = set()
    for source in sources.values():
        tree = ast.parse(source)
        compared = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Compare)
                    for part in ast.walk(node)}
        found |= {node.attr for node in ast.walk(tree)
                  if isinstance(node, ast.Attribute) and id(node) not in compared
                  and isinstance(node.value, ast.Name) and node.value.id == 'Code'}
    return found


@pytest.fixture(scope='module')
def names() -> set[str]:
    """Return the names of what is given by what runs on a robot."""
    package = ROOT / 'lewm_ros'
    return given({str(path): path.read_text(encoding='utf-8') for path in package.rglob('*.py')
                  if path != package / 'wire/reasons.py'
                  and path.relative_to(package).parts[0] != 'trials'})


@pytest.mark.parametrize('code', [
    pytest.param(code, id=code.name) for code in Code if code is not Code.OK])
def test_every_code_is_given_by_some_node(code, names):
    """A code that nobody sends is one that people wait for in vain."""
    assert code.name in names


def test_a_code_that_is_only_asked_for_is_not_given():
    """The check can fail: comparing a code does not give it."""
    source = 'if reason.code is Code.E_STOP or code == Code.RESET:\n    f(Code.NO_GOAL)\n'
    assert given({'x': source}) == {'NO_GOAL'}


def test_an_error_with_a_code_keeps_it():
    """And one without gets the code of the place where it was caught."""
    assert reason_of(ReasonedError(Code.E_STOP, 'pressed'), Code.INTERNAL) == Reason(
        Code.E_STOP, 'pressed')
    assert reason_of(ValueError('odd'), Code.INTERNAL) == Reason(Code.INTERNAL, 'odd')
