from __future__ import annotations

from dataclasses import replace
import json
import logging

from engine_models import alive_bundle, EQUAL_WIDTHS, PLAN_2, planned_blocks
from lewm_model.engines import auto, machine, registry
from lewm_model.engines.encode_graph import EncodeGraph, FrameResizer
from lewm_model.engines.linear import linear_factory
from lewm_model.engines.parity import check_parity, measure_parity, ParityLimits
from lewm_model.engines.parity_cases import make_cases
from lewm_model.engines.registry import Backend, BACKENDS, make_engine
from lewm_model.engines.rollout_graph import RolloutGraph
from lewm_model.engines.torch_engine import TorchEngine
from lewm_model.engines.torch_tuned import TunedTorchEngine
from lewm_model.errors import ConfigError, EngineError, MissingPackageError, ShapeError
from lewm_model.planning.objectives import make_objective
from lewm_model.types import Context
from nano import SIZES, tiny_bundle
import numpy as np
import pytest
import torch

BF16 = pytest.mark.skipif(not machine.has_native_bf16(torch.device('cpu')),
                          reason='needs a processor with bf16')


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep each test's cache to itself."""
    monkeypatch.setenv('LEWM_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def inputs(sizes, length, horizon, count=7):
    generator = torch.Generator().manual_seed(length + 10 * horizon)
    return (torch.randn(1, length, sizes.latent_dim, generator=generator),
            torch.randn(1, length - 1, sizes.block_dim, generator=generator),
            torch.randn(count, horizon, sizes.block_dim, generator=generator))


@pytest.mark.parametrize('sizes', [
    SIZES, EQUAL_WIDTHS, replace(SIZES, predictor_depth=3), replace(SIZES, history=1),
    replace(SIZES, history=4, predictor_depth=2)],
    ids=['projections', 'equal widths', 'three layers', 'history 1', 'history 4'])
def test_the_rollout_graph_is_the_rollout(sizes):
    """For every context length, growing and sliding; one context for all, or one each."""
    model = alive_bundle(sizes).model
    graph = RolloutGraph(model, linear_factory(torch.float32))
    for length in range(1, sizes.history + 1):
        for horizon in (1, 2, 6):
            arguments = inputs(sizes, length, horizon)
            torch.testing.assert_close(graph(*arguments), model.rollout(*arguments),
                                       rtol=1e-4, atol=1e-5)
            latents, past, blocks = arguments
            each = (torch.randn(7, *latents.shape[1:]), torch.randn(7, *past.shape[1:]), blocks)
            torch.testing.assert_close(graph(*each), model.rollout(*each), rtol=1e-4, atol=1e-5)


def test_every_part_of_the_model_matters_to_the_rollout():
    """The bundle of these tests would show a weight that the graph forgot."""
    bundle = alive_bundle(replace(SIZES, predictor_depth=2))
    arguments = inputs(SIZES, 3, 5)
    before = bundle.model.rollout(*arguments)
    for name, tensor in bundle.model.state_dict().items():
        if name.startswith(('encoder.', 'projector.')) or 'num_batches' in name:
            continue
        kept = tensor.clone()
        tensor.add_(0.5 * torch.rand(tensor.shape))
        assert (bundle.model.rollout(*arguments) - before).abs().max() > 1e-4, name
        tensor.copy_(kept)


@pytest.mark.parametrize('size', [(64, 64), (48, 80), (130, 97)])
def test_the_encode_graph_is_transform_and_encode(size):
    """Resizing up and down inside the graph, and outside by `FrameResizer`, equal the model's."""
    bundle = alive_bundle(replace(SIZES, encoder_depth=2))
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = TorchEngine(bundle).encode(rgb)
    for frame_size, pixels in (
            (size, torch.from_numpy(rgb)),
            ((64, 64), FrameResizer(64, torch.device('cpu'))(rgb))):
        graph = EncodeGraph(bundle.model, bundle.frame_transform, frame_size,
                            linear_factory(torch.float32))
        torch.testing.assert_close(graph(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('rgb', [np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.uint8),
                                 np.zeros((64, 64, 4), np.uint8)])
def test_what_is_no_frame_is_refused(rgb):
    """The message says what a frame is."""
    engine = TunedTorchEngine(alive_bundle(), PLAN_2, 'fp32')
    with pytest.raises(ShapeError, match='uint8 .H, W, 3.'):
        engine.encode(rgb)


@pytest.mark.parametrize('precision', ['fp32', pytest.param('bf16', marks=BF16)])
def test_the_tuned_engine_agrees_with_eager(precision):
    """Parity holds, and by the right margin: bf16 is not fp32 by another name."""
    bundle = alive_bundle()
    parity = check_parity(TunedTorchEngine(bundle, PLAN_2, precision), bundle, PLAN_2)
    assert (parity.rollout_error > 1e-4) == (precision == 'bf16')


def test_plans_on_the_tuned_engine_are_those_on_eager():
    """The same seed gives the same plan to 1e-4."""
    plans = map(planned_blocks, ('torch', 'torch-tuned:fp32'))
    torch.testing.assert_close(*plans, rtol=0, atol=1e-4)


class Faulty(TorchEngine):
    """Eager, with a planted fault."""

    name = 'faulty'

    def __init__(self, bundle, fault):
        super().__init__(bundle)
        self.fault = fault

    def encode(self, rgb):
        latent = super().encode(rgb)
        return latent * 1.001 if self.fault == 'encode' else latent

    def rollout(self, context, blocks):
        if self.fault == 'pairing':
            blocks = blocks.roll(1, dims=1)
        if self.fault == 'answer' and len(blocks) == 1:   # right but for a single candidate
            return super().rollout(context, -blocks)
        latents = super().rollout(context, blocks)
        if self.fault == 'history' and context.latents.shape[1] > 1:
            newest = Context(context.latents[:, -1:], context.past_blocks[:, :0], (0,))
            return super().rollout(newest, blocks)
        return latents * float('nan') if self.fault == 'nan' else latents


@pytest.mark.parametrize('fault, named', [
    ('encode', 'encode error'), ('pairing', 'rollout error.*regret.*rank correlation'),
    ('history', 'rollout error'), ('answer', 'rollout error'),
    ('nan', 'rollout error nan.*regret nan.*rank correlation nan')])
def test_parity_finds_planted_faults(fault, named):
    """Each wrong computation is refused by the quantity that it spoils."""
    bundle = alive_bundle()
    with pytest.raises(EngineError, match=f'faulty:fp32 does not agree.*{named}'):
        check_parity(Faulty(bundle, fault), bundle, PLAN_2)


def test_parity_of_the_reference_with_itself_is_perfect():
    """No false alarm: zero errors, correlation one; also where actions have no effect yet."""
    for bundle in (alive_bundle(), tiny_bundle()):
        parity = measure_parity(TorchEngine(bundle), bundle, PLAN_2)
        assert parity.encode_error == parity.rollout_error == parity.regret == 0
        assert parity.rank_correlation == pytest.approx(1)


class Off(TorchEngine):
    """Eager, with latents off by noise of a given share of their size."""

    name, precision = 'off', 'bf16'

    def __init__(self, bundle, share):
        super().__init__(bundle)
        self.share = share

    def rollout(self, context, blocks):
        latents = super().rollout(context, blocks)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        return latents + self.share * latents.std() * noise


def test_regret_grows_with_the_error_and_has_a_known_size():
    """Nothing for nearly none; a choice at random costs what elites gain over the average."""
    bundle, config = alive_bundle(), replace(PLAN_2, num_candidates=200, num_elites=20)
    regrets = [measure_parity(Off(bundle, share), bundle, config).regret
               for share in (1e-6, 0.1, 1e4)]
    assert regrets[0] < 1e-3 and sorted(regrets) == regrets
    cases = make_cases(bundle, config)
    gains = []
    for case in cases.rollouts:
        for goal in case.goals:
            costs = make_objective(config.cost)(case.expected, goal)
            gains.append((costs.mean() - costs.sort().values[:20].mean()) / costs.std())
    assert min(gains) / 2 < regrets[-1] < 2 * max(gains)
    with pytest.raises(EngineError, match='regret'):
        check_parity(Off(bundle, 1e4), bundle, config)


class OffBySpread(TorchEngine):
    """Eager, with latents off by a share of how much they differ between candidates."""

    name = 'off by spread'

    def rollout(self, context, blocks):
        latents = super().rollout(context, blocks)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        return latents + 0.5 * latents.std(dim=0) * noise if len(latents) > 1 else latents


def test_regret_counts_in_units_of_the_spread():
    """Actions with a hundredth of the effect, costs ten thousand times closer: as much regret."""
    regrets = []
    for gain in (1.0, 1e-2):
        bundle = alive_bundle()
        for name, parameter in bundle.model.named_parameters():
            if name.startswith('action_encoder.embed.2'):
                parameter.mul_(gain)
        regrets.append(measure_parity(OffBySpread(bundle), bundle, PLAN_2).regret)
    assert 0.01 < regrets[0] / 4 < regrets[1] < 4 * regrets[0]


@pytest.mark.parametrize('backend', ['torch', 'torch-tuned:fp32'])
def test_several_robots_in_one_batch_equal_single_calls(backend):
    """Rows with contexts of their own; the number of candidates changes between calls."""
    bundle = alive_bundle()
    engine, eager = make_engine(backend, bundle, PLAN_2), TorchEngine(bundle)
    for length, count in ((1, 16), (2, 16), (2, 1), (1, 1), (2, 16)):
        latents, past, _ = inputs(SIZES, length, 3)
        contexts = [Context(k * latents, past + k, tuple(range(length))) for k in (1, 2, 3)]
        blocks = torch.randn(3, count, 3, SIZES.block_dim)
        joined = Context(torch.cat([c.latents for c in contexts]).repeat_interleave(count, 0),
                         torch.cat([c.past_blocks for c in contexts]).repeat_interleave(count, 0),
                         contexts[0].stamps_ns)
        torch.testing.assert_close(
            engine.rollout(joined, blocks.flatten(0, 1)),
            torch.cat([eager.rollout(c, b) for c, b in zip(contexts, blocks, strict=True)]),
            rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('latents, past, message', [
    ((2, 1, 16), (2, 0, 10), 'one for each of the 7, got 2'),
    ((1, 1, 15), (1, 0, 10), r'latents must be \(1 or S, L, 16\)'),
    ((1, 2, 16), (1, 0, 10), r'past blocks must be \(1, 1, 10\)'),
    ((7, 2, 16), (1, 1, 10), r'past blocks must be \(7, 1, 10\)')])
def test_contexts_that_do_not_fit_are_refused(latents, past, message):
    """The message says what was wanted."""
    engine = TunedTorchEngine(alive_bundle(), PLAN_2, 'fp32')
    with pytest.raises(ShapeError, match=message):
        engine.rollout(Context(torch.zeros(latents), torch.zeros(past), (0,)),
                       torch.zeros(7, 3, 10))


@pytest.mark.parametrize('name, error, message', [
    ('abacus', ConfigError, 'must be one of torch, torch-tuned.*or auto'),
    ('torch-tuned:int4', ConfigError, "precisions bf16, fp32, got 'int4'"),
    ('torch:', ConfigError, "precisions fp32, got ''")])
def test_unknown_names_are_errors(name, error, message):
    """The message lists what there is."""
    with pytest.raises(error, match=message):
        make_engine(name, alive_bundle())


def test_a_precision_the_machine_lacks_is_an_error_only_if_it_was_named(monkeypatch, caplog):
    """A name alone falls back to the next precision and says so."""
    monkeypatch.setattr(registry, 'has_native_bf16', lambda device: False)
    with pytest.raises(EngineError, match='cpu has no bf16 instructions.*torch-tuned:fp32'):
        make_engine('torch-tuned:bf16', alive_bundle())
    with caplog.at_level(logging.WARNING):
        assert make_engine('torch-tuned', alive_bundle()).precision == 'fp32'
    assert 'no bf16 instructions' in caplog.text


def test_a_device_the_backend_lacks_is_an_error():
    """The model's device decides; nothing is moved silently."""
    with pytest.raises(EngineError, match='runs on cpu, the model is on meta'):
        registry.build_checked('onnxruntime', 'fp32', alive_bundle(), PLAN_2,
                               torch.device('meta'))


@pytest.fixture
def few_backends(monkeypatch):
    """Only the reference and the backends that a test adds."""
    monkeypatch.setattr(registry, 'BACKENDS', {'torch': BACKENDS['torch']})
    monkeypatch.setattr(auto, 'BACKENDS', registry.BACKENDS)
    seconds = {'torch': 3.0}
    monkeypatch.setattr(auto, 'plan_seconds', lambda engine, *rest: (
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
        patch.setattr(auto, '_build_all', None)   # would be called
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
        patch.setattr(auto, 'LIMITS', {**auto.LIMITS, 'fp32': ParityLimits(1e-3, 0.9, 1)})
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
    kept = auto.plan_seconds

    def seconds(engine, *rest):
        if engine.name == 'flaky':
            raise EngineError('it failed')
        return kept(engine, *rest)

    auto.plan_seconds = seconds   # few_backends restores it
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
    monkeypatch.setattr(auto.time, 'process_time', lambda: next(ticks))
    monkeypatch.setattr(auto.torch, 'get_num_threads', lambda: 1)
    assert auto.plan_seconds(Clocked(alive_bundle()), alive_bundle(), PLAN_2) == 1 + 2 * 2 + 5
    assert calls == ['encode', PLAN_2.num_candidates, 1]
