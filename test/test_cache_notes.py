"""Notes of the cache: what was found out before, and may be found out again."""

from __future__ import annotations

from lewm_model.engines.cache import read_note, write_note
import pytest


def test_a_note_is_read_as_it_was_written(tmp_path, caplog):
    """In a folder that did not exist; before, there is no note and no warning."""
    path = tmp_path / 'new' / 'key.json'
    assert read_note(path, 'backend') is None
    write_note(path, {'backend': 'torch:fp32', 'plan_s': {'torch:fp32': 0.1}})
    assert read_note(path, 'backend') == 'torch:fp32'
    assert caplog.text == ''
    assert [file.name for file in path.parent.iterdir()] == ['key.json']


@pytest.mark.parametrize(('content', 'why'), [
    (b'{"backend": ', 'JSONDecodeError'), (b'\xff', 'UnicodeDecodeError'),
    (b'', 'JSONDecodeError'),
    (b'{"outcome": "passed"}', "KeyError: 'backend'"), (b'["backend"]', 'TypeError'),
    (b'{"backend": 3}', "'backend' must be a text, got 3")])
def test_a_damaged_note_is_none_with_a_warning(tmp_path, caplog, content, why):
    """Cut short, not text, empty, of another kind: the warning has the file and the reason."""
    (tmp_path / 'key.json').write_bytes(content)
    assert read_note(tmp_path / 'key.json', 'backend') is None
    assert str(tmp_path / 'key.json') in caplog.text
    assert 'is unreadable' in caplog.text and why in caplog.text
