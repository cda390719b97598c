"""What a text says of a file that the system refused: its path once, and the reason."""

import ast
import errno
import os

from import_rules import ROOT, sources
from lewm_model.errors import without_path
import pytest

# Texts that do not name the file, or of errors that are not about one.
PASSED_ON = {
    'lewm_model/engines/nvidia/tensorrt_module.py',  # an import that failed names its library
    'lewm_model/engines/trial.py',                   # what could not be started
    'lewm_model/ingest/convert_bag.py',              # a line of a report, which names bags alone
    'lewm_model/lerobot/episode.py',                 # likewise, which numbers episodes
    'lewm_ros/goals/goal_node.py',                   # goal_image cannot be the goal: ...
    'lewm_ros/recording/bag_thread.py',              # the recorder's last error, as it is
    'lewm_ros/trials/zoo/walk.py',                   # a row of a table, which names a step
}


def quoted(source):
    """Return the lines that put an OSError, as it is, into a text."""
    lines = []
    for handler in ast.walk(ast.parse(source)):
        if not isinstance(handler, ast.ExceptHandler) or not handler.name:
            continue
        kinds = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if kinds & {'OSError', 'FileNotFoundError', 'PermissionError'}:
            for node in ast.walk(handler):
                parts = ([node.value] if isinstance(node, ast.FormattedValue) else
                         node.args if isinstance(node, ast.Call) and _is_text(node.func) else [])
                lines += [part.lineno for part in parts if _is(part, handler.name)]
    return sorted(lines)


def _is(part, name):
    if isinstance(part, ast.BoolOp):
        return any(_is(value, name) for value in part.values)
    if isinstance(part, ast.Attribute) and part.attr == 'strerror':
        part = part.value
    return isinstance(part, ast.Name) and part.id == name


def _is_text(called):
    if isinstance(called, ast.Name):
        return called.id == 'str'
    return isinstance(called, ast.Attribute) and called.attr in (
        'debug', 'info', 'warning', 'warn', 'error')


def test_the_reason_is_said_without_the_path(tmp_path):
    """Of the system, and of what has only a text."""
    missing = tmp_path / 'missing'
    with pytest.raises(FileNotFoundError) as of_system:
        missing.open()
    assert str(missing) in str(of_system.value)
    assert without_path(of_system.value) == 'No such file or directory'
    assert without_path(OSError('the header is damaged')) == 'the header is damaged'
    assert without_path(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == (
        'No space left on device')
    assert without_path(ValueError('not finite')) == 'not finite'


@pytest.mark.parametrize(('library', 'name'), [
    ('h5py', 'File'), ('pyarrow.parquet', 'ParquetFile')])
def test_the_reason_is_found_amid_the_text_of_a_library(library, name, tmp_path):
    """Their texts have the path, too."""
    read = getattr(pytest.importorskip(library), name)
    with pytest.raises(OSError, match=str(tmp_path)) as refused:
        read(tmp_path / 'missing')
    assert without_path(refused.value) == 'No such file or directory'


@pytest.mark.parametrize('package', ['lewm_model', 'lewm_sim', 'lewm_ros'])
def test_no_text_says_a_path_twice(package):
    """Whoever catches an OSError and names the file says its reason by `without_path`."""
    found = {path.relative_to(ROOT).as_posix(): lines for path in sources(package)
             if (lines := quoted(path.read_text(encoding='utf-8')))}
    listed = {name for name in PASSED_ON if name.startswith(f'{package}/')}
    assert set(found) == listed, found


@pytest.mark.parametrize(('text', 'is_quoted'), [
    ("Error(f'cannot read {path}: {error}')", True),
    ("Error(f'cannot read {path}: {error.strerror or error}')", True),
    ("log.warning('cannot read %s: %s', path, error)", True), ('str(error)', True),
    ("Error(f'cannot read {path}: {without_path(error)}')", False),
    ("log.warning('cannot read %s: %s', path, without_path(error))", False)])
def test_the_rule_can_be_broken(text, is_quoted):
    """Each way to quote an error is found; the helper is none."""
    source = f'try:\n    pass\nexcept (ValueError, OSError) as error:\n    {text}\n'
    assert quoted(source) == ([4] if is_quoted else [])
