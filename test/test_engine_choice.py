"""`auto` takes the fastest engine that agrees, and remembers it as long as that holds."""

from __future__ import annotations

from dataclasses import replace
import json
import logging

from engine_faults import Faulty
from engine_models import alive_bundle, PLAN_2
from lewm_model.engines import choose, registry
from lewm_model.engines.choose import make_engine
from lewm_model.engines.parity import ParityLimits
from lewm_model.engines.registry import Backend, BACKENDS
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.errors import EngineError, MissingPackageError
import pytest

pytestmark = pytest.mark.usefixtures('own_cache')


@pytest.fixture
def few_backends(monkeypatch):
    """Only the reference and the backends that a test adds."""
    monkeypatch.setattr(registry, 'BACKENDS', {'torch': BACKENDS['torch']})
    monkeypatch.setattr(choose, 'BACKENDS', registry.BACKENDS)
    seconds = {'torch': 3.0}
    monkeypatch.setattr(choose, 'plan_seconds', lambda engine, *rest: (
        seconds[engine.name].pop(0) if isinstance(seconds[engine.name], list)
        else seconds[engine.name]))

    def add(name, speed, build):
        registry.BACKENDS[name] = Backend(build, ('fp32',))
        seconds[name] = speed

    return add


def named(name, base=TorchEngine):
    kind = type(name, (base,), {'name': name})
    return lambda bundle, config, precision: kind(bundle)


def missing(bundle, config, precision):
    raise MissingPackageError('abacus', 'abacus', 'backend abacus')


def test_auto_takes_the_fastest_that_agrees(few_backends, caplog):
    """The fastest of all is wrong, the next is not installed; the third is taken."""
    few_backends('wrong', 0.1, lambda bundle, *rest: Faulty(bundle, 'pairing'))
    few_backends('absent', 0.2, missing)
    few_backends('quick', 1.0, named('quick'))
    few_backends('slow', 5.0, named('slow'))
    with caplog.at_level(logging.INFO):
        assert make_engine('auto', alive_bundle()).name == 'quick'
    assert 'without wrong:fp32: backend faulty:fp32 does not agree' in caplog.text
    assert 'pip install "lewm_ros[abacus]"' in caplog.text


def test_auto_falls_back_to_torch(few_backends):
    """With nothing else that works there is still an engine; naming it is an error."""
    few_backends('absent', 0.2, missing)
    assert make_engine('auto', alive_bundle()).name == 'torch'
    with pytest.raises(MissingPackageError, match='abacus'):
        make_engine('absent', alive_bundle())


def test_auto_remembers_and_still_checks(few_backends, monkeypatch, own_cache, caplog):
    """The second time nothing is measured; one that went wrong since is not used."""
    built = []

    def quick(bundle, config, precision):
        built.append('quick')
        return named('quick')(bundle, config, precision)

    few_backends('quick', 1.0, quick)
    few_backends('slow', 5.0, named('slow'))
    bundle = alive_bundle()
    assert make_engine('auto', bundle).name == 'quick'
    [remembered] = own_cache.glob('fastest/*.json')
    assert json.loads(remembered.read_text())['backend'] == 'quick:fp32'
    with monkeypatch.context() as patch:
        patch.setattr(choose, '_build_all', None)   # would be called
        assert make_engine('auto', bundle).name == 'quick'
    assert len(built) == 2
    registry.BACKENDS['quick'] = Backend(
        lambda bundle, *rest: Faulty(bundle, 'encode'), ('fp32',))
    assert make_engine('auto', bundle).name == 'torch'
    assert 'the remembered quick:fp32 does not work any more' in caplog.text


def test_auto_measures_again_for_another_model_and_after_damage(few_backends, own_cache, caplog):
    """The key is the content of the model; a damaged note is no note."""
    few_backends('quick', 1.0, named('quick'))
    make_engine('auto', alive_bundle(seed=0))
    make_engine('auto', alive_bundle(seed=1))
    notes = list(own_cache.glob('fastest/*.json'))
    assert len(notes) == 2
    for note in notes:
        note.write_text('{"backend": ')
    assert make_engine('auto', alive_bundle(seed=0)).name == 'quick'
    assert 'is unreadable' in caplog.text


def test_auto_works_without_a_cache(few_backends, own_cache, caplog):
    """A cache folder that cannot be written costs a measurement each time, nothing else."""
    few_backends('quick', 1.0, named('quick'))
    own_cache.write_text('a file in its place')
    assert make_engine('auto', alive_bundle()).name == 'quick'
    assert 'cannot remember' in caplog.text


def test_auto_measures_again_when_limits_or_precisions_change(few_backends, monkeypatch,
                                                              own_cache):
    """What a choice rested on is part of its key."""
    few_backends('quick', 1.0, named('quick'))
    bundle = alive_bundle()
    make_engine('auto', bundle)
    with monkeypatch.context() as patch:
        patch.setattr(choose, 'LIMITS', {**choose.LIMITS, 'fp32': ParityLimits(1e-3, 0.9, 1)})
        make_engine('auto', bundle)
    assert len(list(own_cache.glob('fastest/*.json'))) == 2
    registry.BACKENDS['quick'] = replace(registry.BACKENDS['quick'], precisions=('fp32', 'bf16'))
    monkeypatch.setattr(registry, 'has_native_bf16', lambda device: False)
    make_engine('auto', bundle)
    assert len(list(own_cache.glob('fastest/*.json'))) == 3


def test_auto_does_not_remember_what_times_do_not_repeat(few_backends, own_cache, caplog):
    """Each half of the rounds has another winner by far: the choice is used, not kept."""
    few_backends('quick', [0.1, 5, 5, 5, 5, 5], named('quick'))
    with caplog.at_level(logging.INFO):
        assert make_engine('auto', alive_bundle()).name == 'quick'
    assert 'the times vary too much' in caplog.text
    assert not list(own_cache.glob('fastest/*'))


@pytest.mark.parametrize('error, kept', [
    (EngineError('the disk is full'), 0), (MissingPackageError('abacus', 'abacus', 'it'), 1)])
def test_auto_does_not_remember_after_a_failure_that_may_pass(few_backends, own_cache, error,
                                                              kept):
    """A package that is missing stays so until the versions change; a full disk may not."""
    def broken(*arguments):
        raise error

    few_backends('broken', 0.1, broken)
    few_backends('quick', 1.0, named('quick'))
    assert make_engine('auto', alive_bundle()).name == 'quick'
    assert len(list(own_cache.glob('fastest/*'))) == kept


def test_auto_survives_an_engine_that_fails_after_its_check(few_backends, own_cache):
    """It counts as infinitely slow."""
    few_backends('quick', 1.0, named('quick'))
    few_backends('flaky', 0.1, named('flaky'))
    kept = choose.plan_seconds

    def seconds(engine, *rest):
        if engine.name == 'flaky':
            raise EngineError('it failed')
        return kept(engine, *rest)

    choose.plan_seconds = seconds   # few_backends restores it
    assert make_engine('auto', alive_bundle()).name == 'quick'


def test_plan_seconds_measures_a_plan(monkeypatch):
    """One frame, every iteration with all candidates, and the answer alone."""
    calls = []

    class Clocked(TorchEngine):
        def encode(self, rgb):
            calls.append('encode')
            return super().encode(rgb)

        def rollout(self, context, blocks):
            calls.append(len(blocks))
            return super().rollout(context, blocks)

    ticks = iter([0, 1, 10, 12, 20, 25])   # 1 s to encode, 2 s to roll out, 5 s for the answer
    monkeypatch.setattr(choose.time, 'process_time', lambda: next(ticks))
    monkeypatch.setattr(choose.torch, 'get_num_threads', lambda: 1)
    assert choose.plan_seconds(Clocked(alive_bundle()), alive_bundle(), PLAN_2) == 1 + 2 * 2 + 5
    assert calls == ['encode', PLAN_2.num_candidates, 1]
