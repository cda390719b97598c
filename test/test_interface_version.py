"""A message, service or action does not change without its version."""

import importlib.util

from import_rules import ROOT
import pytest

DEFINITION = """# A comment.
uint8 A = 1          # one
string NAME = "a # b"

lewm_ros/Reason reason
float64[] values     # some
"""


@pytest.fixture(scope='module')
def tool():
    path = ROOT / 'tools' / 'interface_version.py'
    spec = importlib.util.spec_from_file_location('interface_version', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path):
    """A package with one message, one it has as a field, and one service."""
    for name, text in (('msg/Thing.msg', DEFINITION), ('msg/Reason.msg', 'uint16 code\n'),
                       ('srv/Do.srv', 'string what\n---\nbool success\n')):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def changed(tool, package, name: str, old: str, new: str) -> set[str]:
    """Return which digests an edit changes."""
    before = tool.digests(package)
    path = package / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    after = tool.digests(package)
    return {name for name in before if before[name] != after[name]}


def test_every_interface_has_the_version_of_its_definition(tool):
    """What travels and config/interfaces.yaml belong together."""
    wrong = tool.problems(tool.load(), tool.digests(ROOT))
    assert not wrong, ('; '.join(wrong) + '. Whoever listens with the older definition gets '
                       'nothing, and old bags have the older one: if that is meant, run: '
                       'python tools/interface_version.py --bump, and say it in CHANGELOG.md')


@pytest.mark.parametrize(('old', 'new'), [
    ('# A comment.', '# Another.'), ('A = 1          # one', 'A=1'),
    ('float64[] values', 'float64[]   values'), ('\n\n', '\n')])
def test_comments_and_spacing_do_not_count(tool, package, old, new):
    """The same travels."""
    assert changed(tool, package, 'msg/Thing.msg', old, new) == set()


@pytest.mark.parametrize(('old', 'new'), [
    ('values', 'numbers'), ('float64[]', 'float32[]'), ('A = 1', 'A = 2'),
    ('a # b', 'a # c'), ('lewm_ros/Reason reason\n', '')])
def test_what_travels_counts(tool, package, old, new):
    """Names, types, constants, fields."""
    assert changed(tool, package, 'msg/Thing.msg', old, new) == {'msg/Thing'}


def test_a_field_of_our_own_type_changes_with_it(tool, package):
    """Whoever has the older inner type cannot read the outer one either."""
    assert changed(tool, package, 'msg/Reason.msg', 'uint16', 'uint32') == {
        'msg/Reason', 'msg/Thing'}


def test_bump_raises_what_changed_and_nothing_else(tool, package):
    """Changed: one more. New: 1. Gone: gone."""
    page = package / 'interfaces.yaml'
    tool.write(tool.raised({}, tool.digests(package)), page)
    assert tool.problems(tool.load(page), tool.digests(package)) == []
    changed(tool, package, 'msg/Thing.msg', 'values', 'numbers')
    (package / 'srv/Do.srv').rename(package / 'srv/Act.srv')
    found = tool.digests(package)
    assert tool.problems(tool.load(page), found) == [
        'msg/Thing has changed since version 1', 'srv/Act has no version yet',
        'srv/Do has a version but no definition']
    tool.write(tool.raised(tool.load(page), found), page)
    assert {name: entry['version'] for name, entry in tool.load(page).items()} == {
        'msg/Reason': 1, 'msg/Thing': 2, 'srv/Act': 1}
