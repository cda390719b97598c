"""Engines compute what the model computes, and are asked for by name."""

from __future__ import annotations

from dataclasses import replace
import logging

from engine_models import alive_bundle, EQUAL_WIDTHS, PLAN_2, planned_blocks
from lewm_model.engines import machine, registry
from lewm_model.engines.choose import make_engine
from lewm_model.engines.graphs.encode import EncodeGraph, FrameResizer
from lewm_model.engines.graphs.linear import linear_factory
from lewm_model.engines.graphs.rollout import RolloutGraph
from lewm_model.engines.parity import check_parity
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.engines.torch.tuned import TunedTorchEngine
from lewm_model.errors import ConfigError, EngineError, ShapeError
from lewm_model.types import Context
from nano import SIZES
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.usefixtures('own_cache')
BF16 = pytest.mark.skipif(not machine.has_native_bf16(torch.device('cpu')),
                          reason='needs a processor with bf16')


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
