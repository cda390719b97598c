from __future__ import annotations

from dataclasses import replace
import errno
import os
from pathlib import Path
import subprocess
import sys

from engine_models import alive_bundle, PLAN_2, planned_blocks, with_prior
from lewm_model.engines import machine, registry, trial
from lewm_model.engines.choose import make_engine
from lewm_model.engines.onnx import onnx_engine, openvino_graph
from lewm_model.engines.parity import check_parity, measure_parity
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.errors import EngineError, MissingPackageError, ShapeError
from lewm_model.types import Context
from nano import SIZES
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.usefixtures('own_cache')
PACKAGES = {'onnxruntime': 'onnxruntime:fp32', 'openvino': 'openvino:fp32'}


@pytest.fixture(params=PACKAGES)
def backend(request):
    """Each runtime that is installed."""
    pytest.importorskip('onnx', reason='pip install "lewm_ros[onnx]"')
    pytest.importorskip(request.param, reason=f'needs the package {request.param}')
    return PACKAGES[request.param]


def context(length):
    generator = torch.Generator().manual_seed(length)
    return Context(torch.randn(1, length, SIZES.latent_dim, generator=generator),
                   torch.randn(1, length - 1, SIZES.block_dim, generator=generator),
                   tuple(range(length)))


def test_a_runtime_agrees_with_eager_on_any_count_and_horizon(backend):
    """One candidate, the planner's number of them, others; its horizon and another."""
    bundle = alive_bundle()
    engine, eager = make_engine(backend, bundle, PLAN_2), TorchEngine(bundle)
    for length in (1, 2):
        for count in (1, PLAN_2.num_candidates, 5):
            for horizon in (PLAN_2.horizon, 2):
                blocks = torch.randn(count, horizon, SIZES.block_dim)
                torch.testing.assert_close(engine.rollout(context(length), blocks),
                                           eager.rollout(context(length), blocks),
                                           rtol=1e-4, atol=1e-4)
    rgb = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    torch.testing.assert_close(engine.encode(rgb), eager.encode(rgb), rtol=1e-4, atol=1e-4)


def test_a_prior_plans_in_a_runtime_as_in_eager_torch(backend):
    """Its attempts grow beyond the frames that the model sees, one context for each."""
    bundle = with_prior(alive_bundle())
    config = replace(PLAN_2, solver='prior', horizon=SIZES.history + 2)
    plans = [planned_blocks(name, bundle, config) for name in ('torch', backend)]
    torch.testing.assert_close(*plans, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(('count', 'divided'), [(8, True), (7, False)])
def test_openvino_divides_candidates_evenly_among_threads_or_not_at_all(count, divided,
                                                                       monkeypatch):
    """With two threads 8 candidates are two runs of 4, and 7 are one; same latents."""
    pytest.importorskip('onnx')
    pytest.importorskip('openvino')
    parts = []
    divide = openvino_graph._divided
    monkeypatch.setattr(openvino_graph, '_divided',
                        lambda path, part, settings: (parts.append(part),
                                                      divide(path, part, settings))[1])
    bundle, before = alive_bundle(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        engine = make_engine('openvino:fp32', bundle, replace(PLAN_2, num_candidates=count,
                                                              num_elites=2))
        blocks = torch.randn(count, PLAN_2.horizon, SIZES.block_dim)
        torch.testing.assert_close(engine.rollout(context(2), blocks),
                                   TorchEngine(bundle).rollout(context(2), blocks),
                                   rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(before)
    assert set(parts) == ({4} if divided else set())


@pytest.mark.skipif(not machine.has_native_bf16(torch.device('cpu')), reason='no bf16 here')
def test_openvino_in_bf16_agrees_and_is_really_bf16():
    """Its errors are within the limits of bf16 and beyond those of fp32."""
    pytest.importorskip('onnx')
    pytest.importorskip('openvino')
    bundle = alive_bundle()
    parity = check_parity(make_engine('openvino:bf16', bundle, PLAN_2), bundle, PLAN_2)
    assert parity.rollout_error > 1e-4


def test_a_policy_plans_on_it(backend):
    """The same seed gives the plan of eager."""
    plans = map(planned_blocks, ('torch', backend))
    torch.testing.assert_close(*plans, rtol=0, atol=1e-3)


def test_blocks_of_a_wrong_width_are_refused(backend):
    """Before the runtime sees them, with the right shape in the message."""
    engine = make_engine(backend, alive_bundle(), PLAN_2)
    with pytest.raises(ShapeError, match=r'candidates must be \(S, T, 10\)'):
        engine.rollout(context(1), torch.zeros(4, 3, 9))


def test_graphs_are_exported_once(backend, own_cache, monkeypatch):
    """The second engine reads the cache; another model does not; nothing temporary stays."""
    make_engine(backend, alive_bundle(), PLAN_2)
    files = sorted(own_cache.rglob('*.onnx'))
    assert [path.name for path in files] == ['encode.onnx', 'rollout-L1-T3.onnx',
                                             'rollout-L2-T3.onnx']
    assert not list((own_cache / 'onnx').rglob('.*'))
    calls = []
    monkeypatch.setattr(onnx_engine, 'export_rollout', lambda *a, **k: calls.append(a))
    make_engine(backend, alive_bundle(), PLAN_2)
    assert calls == []
    with pytest.raises(EngineError):   # the stand-in writes an empty file
        make_engine(backend, alive_bundle(seed=1), PLAN_2)
    assert calls


def test_a_damaged_graph_is_an_error_that_names_the_file(backend, own_cache):
    """And `auto` gets along without it."""
    bundle = alive_bundle()
    make_engine(backend, bundle, PLAN_2)
    for path in own_cache.rglob('*.onnx'):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EngineError, match='(?s)cannot load .*onnx.*delete it'):
        make_engine(backend, bundle, PLAN_2)
    assert make_engine('auto', bundle, PLAN_2).name != backend.partition(':')[0]


def test_an_exchanged_graph_does_not_pass(backend, own_cache):
    """A file of another model under this one's name is caught by the check at load."""
    bundle, other = alive_bundle(seed=0), alive_bundle(seed=1)
    make_engine(backend, bundle, PLAN_2)
    [folder] = (own_cache / 'onnx').iterdir()
    make_engine(backend, other, PLAN_2)
    [other_folder] = set((own_cache / 'onnx').iterdir()) - {folder}
    (other_folder / 'encode.onnx').replace(folder / 'encode.onnx')
    with pytest.raises(EngineError, match='encode error'):
        make_engine(backend, bundle, PLAN_2)


def test_a_cache_that_cannot_be_written_is_an_error(backend, own_cache):
    """The message says which setting helps."""
    own_cache.write_text('a file in its place')
    with pytest.raises(EngineError, match='set LEWM_CACHE'):
        make_engine(backend, alive_bundle(), PLAN_2)


@pytest.mark.parametrize('package', PACKAGES)
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch, own_cache):
    """Asked for by name it is an error; `auto` takes another."""
    monkeypatch.setitem(__import__('sys').modules, package, None)   # import fails
    monkeypatch.setattr(onnx_engine, 'export_encode', lambda *a, **k: None)
    monkeypatch.setattr(onnx_engine, 'export_rollout', lambda *a, **k: None)
    with pytest.raises(MissingPackageError, match=r'pip install "lewm_ros\[(onnx|openvino)\]"'):
        make_engine(package, alive_bundle(), PLAN_2)
    monkeypatch.setattr(registry, 'BACKENDS', {
        name: registry.BACKENDS[name] for name in ('torch', package)})
    monkeypatch.setattr('lewm_model.engines.choose.BACKENDS', registry.BACKENDS)
    assert make_engine('auto', alive_bundle(), PLAN_2).name == 'torch'


def test_parity_is_measured_with_frames_of_any_size(backend):
    """A camera's own size goes through the engine's resizing."""
    bundle = alive_bundle()
    engine = make_engine(backend, bundle, PLAN_2)
    assert measure_parity(engine, bundle, PLAN_2, (48, 90)).encode_error < 1e-4


def test_several_robots_in_one_batch_equal_single_calls(backend, monkeypatch):
    """Also when the number of candidates changes; no graph is exported or loaded for it."""
    bundle = alive_bundle()
    engine, eager = make_engine(backend, bundle, PLAN_2), TorchEngine(bundle)
    monkeypatch.setattr(onnx_engine, 'export_rollout', None)   # would be called
    monkeypatch.setattr(type(engine), 'load', None)
    for length, count in ((1, PLAN_2.num_candidates), (2, 1), (2, PLAN_2.num_candidates), (1, 5)):
        contexts = [context(length), Context(2 * context(length).latents,
                                             context(length).past_blocks - 1, (0,) * length)]
        blocks = torch.randn(2, count, PLAN_2.horizon, SIZES.block_dim)
        joined = Context(torch.cat([c.latents for c in contexts]).repeat_interleave(count, 0),
                         torch.cat([c.past_blocks for c in contexts]).repeat_interleave(count, 0),
                         contexts[0].stamps_ns)
        torch.testing.assert_close(
            engine.rollout(joined, blocks.flatten(0, 1)),
            torch.cat([eager.rollout(c, b) for c, b in zip(contexts, blocks, strict=True)]),
            rtol=1e-4, atol=1e-4)


def test_candidates_with_equal_latents_but_other_pasts_are_told_apart(backend):
    """A robot is its latents and what it did."""
    bundle = alive_bundle()
    engine, eager = make_engine(backend, bundle, PLAN_2), TorchEngine(bundle)
    each = Context(context(2).latents.expand(3, -1, -1),
                   torch.randn(3, 1, SIZES.block_dim), (0, 1))
    blocks = torch.randn(3, PLAN_2.horizon, SIZES.block_dim)
    torch.testing.assert_close(engine.rollout(each, blocks), eager.rollout(each, blocks),
                               rtol=1e-4, atol=1e-4)


def test_a_runtime_that_fails_while_it_runs_is_an_engine_error(backend):
    """Encode and rollout: what drives a robot catches that, and nothing else."""
    engine = make_engine(backend, alive_bundle(), PLAN_2)
    wrong = np.zeros((1, 1, SIZES.latent_dim + 1), np.float32)   # the runtime refuses it
    for key, run in engine._rollouts.items():
        engine._rollouts[key] = lambda output, inputs, run=run: run(
            output, {**inputs, 'latents': wrong})
    with pytest.raises(EngineError, match=f'backend {engine.name} failed'):
        engine.rollout(context(1), torch.zeros(4, PLAN_2.horizon, SIZES.block_dim))
    encode = engine._encode
    engine._encode = lambda output, inputs: encode(output, {'rgb': wrong})
    with pytest.raises(EngineError, match=f'backend {engine.name} failed'):
        engine.encode(np.zeros((64, 64, 3), np.uint8))


def test_a_full_disk_is_an_engine_error(backend, own_cache, monkeypatch):
    """With the file and what to do; nothing half-written stays, and the next try works."""
    def full(bundle, path, **options):
        path.write_bytes(b'half')
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(onnx_engine, 'export_rollout', full)
        with pytest.raises(EngineError, match='rollout-L1-T3.onnx.*No space left.*make room'):
            make_engine(backend, alive_bundle(), PLAN_2)
    assert [path.name for path in own_cache.rglob('*') if path.is_file()] == ['encode.onnx']
    make_engine(backend, alive_bundle(), PLAN_2)


def test_openvino_is_tried_outside_once(own_cache, monkeypatch):
    """The second time nothing is tried; a crash there is an error, and `auto` does without."""
    pytest.importorskip('onnx')
    pytest.importorskip('openvino')
    bundle = alive_bundle()
    make_engine('openvino:fp32', bundle, PLAN_2)
    [note] = own_cache.glob('trials/*.json')
    with monkeypatch.context() as patch:
        patch.setattr(trial, '_run', None)   # would be called
        make_engine('openvino:fp32', bundle, PLAN_2)
    note.unlink()
    monkeypatch.setattr(trial, '_run', lambda *arguments: 'SIGSEGV')
    for _ in range(2):
        with pytest.raises(trial.TrialCrash, match='openvino:fp32.*SIGSEGV.*delete .*json'):
            make_engine('openvino:fp32', bundle, PLAN_2)
        monkeypatch.setattr(trial, '_run', None)   # remembered: not tried again
    monkeypatch.setattr(registry, 'BACKENDS', {'torch': registry.BACKENDS['torch'], 'openvino':
                        registry.Backend(registry.BACKENDS['openvino'].build, ('fp32',))})
    monkeypatch.setattr('lewm_model.engines.choose.BACKENDS', registry.BACKENDS)
    assert make_engine('auto', bundle, PLAN_2).name == 'torch'


def test_ctrl_c_after_openvino_is_only_an_interrupt():
    """An engine that came and went must not leave a process that dies of the next signal."""
    pytest.importorskip('openvino')
    script = ('import os, signal\n'
              'from nano import tiny_bundle\n'
              'from lewm_model.engines.choose import make_engine\n'
              'bundle = tiny_bundle()\n'
              "engine = make_engine('openvino:fp32', bundle, bundle.plan_config)\n"
              'del engine\n'
              'try:\n'
              '    os.kill(os.getpid(), signal.SIGINT)\n'
              'except KeyboardInterrupt:\n'
              "    print('interrupted')\n")
    folder = Path(__file__).resolve().parent
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': f'{folder.parent}:{folder}'})
    assert (done.returncode, done.stdout.strip()) == (0, 'interrupted'), done.stderr
