"""Built engines are kept: found again, told from those of others, and built anew when unfit."""

from __future__ import annotations

import json
import logging

from lewm_model.engines.nvidia.tensorrt_cache import engine_path, obtain, read_engine
from lewm_model.errors import EngineError
import pytest

pytestmark = pytest.mark.usefixtures('own_cache')

FACTS = {'onnx_sha256': 'a' * 64, 'package': 'tensorrt', 'version': '10.3.0', 'gpu': 'Orin sm87',
         'precision': 'fp16', 'candidates': 300}


def build_counted(calls, data=b'engine'):
    def build():
        calls.append(len(calls))
        return data
    return build


def test_an_engine_is_built_once_and_found_again():
    """The second time it is read."""
    calls = []
    for _ in range(2):
        assert obtain('encode', FACTS, build_counted(calls), bytes) == b'engine'
    assert calls == [0]
    note = json.loads(engine_path('encode', FACTS).with_suffix('.json').read_text())
    assert note['facts']['gpu'] == 'Orin sm87'


@pytest.mark.parametrize('changed', [
    {'version': '10.7.0'}, {'gpu': 'RTX 4090 sm89'}, {'precision': 'fp32'}, {'candidates': 100},
    {'package': 'tensorrt_rtx'}, {'onnx_sha256': 'b' * 64}], ids=str)
def test_another_version_gpu_model_or_shape_has_another_engine(changed, caplog):
    """Neither is mistaken for the other, and after an update the log says why it builds."""
    [(name, value)] = changed.items()
    obtain('encode', FACTS, lambda: b'old', bytes)
    with caplog.at_level(logging.WARNING):
        assert obtain('encode', {**FACTS, **changed}, lambda: b'new', bytes) == b'new'
    assert obtain('encode', FACTS, lambda: b'never', bytes) == b'old'
    told = f'was built with {name} {FACTS[name]!r}, now {value!r}; building a new one'
    assert (told in caplog.text) == (name != 'onnx_sha256')   # another model is no update


def truncate(path):
    path.write_bytes(path.read_bytes()[:3])


def flip(path):
    path.write_bytes(b'Engine')


def copy_of_another_gpu(path):
    other = {**FACTS, 'gpu': 'RTX 4090 sm89', 'version': '10.7.0'}
    obtain('encode', other, lambda: b'foreign', bytes)
    for suffix in ('.engine', '.json'):
        engine_path('encode', other).with_suffix(suffix).replace(path.with_suffix(suffix))


def older_format(path):
    note = json.loads(path.with_suffix('.json').read_text())
    note['facts']['format'] = 0
    path.with_suffix('.json').write_text(json.dumps(note))


@pytest.mark.parametrize('harm, message', [
    (truncate, 'it is damaged: 3 bytes where 6 were written'),
    (flip, 'it is damaged: its content has changed'),
    (copy_of_another_gpu, "made for another version '10.7.0' .needed: '10.3.0'.*gpu 'RTX 4090"),
    (older_format, 'made for another format 0 .needed: 1'),
    (lambda path: path.with_suffix('.json').unlink(),
     'description .*json cannot be read: No such file'),
    (lambda path: path.with_suffix('.json').write_text('[1]'), 'description .* is damaged')],
    ids=['truncated', 'changed', 'other GPU', 'older format', 'no sidecar', 'broken sidecar'])
def test_an_engine_that_does_not_fit_is_named_and_built_again(harm, message, caplog):
    """One warning with the reason, one build, and then it is as good as new."""
    calls = []
    obtain('encode', FACTS, build_counted(calls), bytes)
    path = engine_path('encode', FACTS)
    harm(path)
    with pytest.raises(EngineError, match=message):
        read_engine(path, FACTS)
    with caplog.at_level(logging.WARNING):
        assert obtain('encode', FACTS, build_counted(calls), bytes) == b'engine'
    assert 'cannot be used' in caplog.text and 'building it again' in caplog.text
    obtain('encode', FACTS, build_counted(calls), bytes)
    assert calls == [0, 1]


def test_an_engine_that_tensorrt_refuses_is_built_again_once():
    """A driver may refuse what the files cannot show; a second refusal is an error."""
    obtain('encode', FACTS, lambda: b'old', bytes)
    loads = []

    def load(data):
        loads.append(data)
        if data == b'old':
            raise EngineError('the driver is too old')
        return data

    assert obtain('encode', FACTS, lambda: b'new', load) == b'new'
    assert loads == [b'old', b'new']
    obtain('rollout', FACTS, lambda: b'old', bytes)
    with pytest.raises(EngineError, match='driver is too old'):
        obtain('rollout', FACTS, lambda: b'old', load)


def test_a_failed_build_leaves_nothing_behind(own_cache):
    """No engine, no description, no temporary file."""
    def fail():
        raise EngineError('out of memory')

    with pytest.raises(EngineError, match='out of memory'):
        obtain('encode', FACTS, fail, bytes)
    assert [path.suffix for path in (own_cache / 'tensorrt').iterdir()] == ['.lock']


def test_a_cache_that_cannot_be_written_costs_the_build_only(own_cache, caplog):
    """With a warning that says which setting helps."""
    own_cache.write_text('a file in its place')
    with caplog.at_level(logging.WARNING):
        assert obtain('encode', FACTS, lambda: b'engine', bytes) == b'engine'
    assert 'set LEWM_CACHE' in caplog.text.replace('Set', 'set')


def test_two_that_want_the_same_engine_build_it_once():
    """The second waits for the first."""
    from concurrent.futures import ThreadPoolExecutor
    import threading
    calls, begun, go = [], threading.Event(), threading.Event()

    def build():
        calls.append(1)
        begun.set()
        assert go.wait(60)
        return b'engine'

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(obtain, 'encode', FACTS, build, bytes)
        assert begun.wait(60)
        second = pool.submit(obtain, 'encode', FACTS, build, bytes)
        go.set()
        assert first.result(60) == second.result(60) == b'engine'
    assert calls == [1]
