"""The TensorRT backend: what imports it, runs its engines and stands in where it cannot."""

from __future__ import annotations

from dataclasses import replace
import logging
import sys
import types

from engine_models import alive_bundle, PLAN_2
from lewm_model.engines import registry
from lewm_model.engines.choose import make_engine
from lewm_model.engines.nvidia import tensorrt_module
from lewm_model.engines.nvidia.tensorrt_engine import TensorRtEngine
from lewm_model.engines.nvidia.tensorrt_module import import_tensorrt
from lewm_model.engines.nvidia.tensorrt_run import TensorRtGraph
from lewm_model.engines.parity import check_parity
from lewm_model.engines.registry import BACKENDS, build_checked
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.errors import EngineError, MissingPackageError, ShapeError
from lewm_model.types import Context
from nano import SIZES
import pytest
import torch

pytestmark = pytest.mark.usefixtures('own_cache')


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    """Under either name."""
    for name in tensorrt_module.MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r'pip install "lewm_ros\[tensorrt\]"'):
        import_tensorrt()


def test_either_module_serves_and_a_broken_one_is_passed_over(monkeypatch, caplog):
    """`tensorrt` first; if its libraries are missing, `tensorrt_rtx`, with a warning."""
    fakes = {name: types.ModuleType(name) for name in tensorrt_module.MODULES}

    def load(name):
        if name == 'tensorrt':
            raise OSError('libnvinfer.so.10: cannot open shared object file')
        return fakes[name]

    with monkeypatch.context() as patch:
        patch.setattr(tensorrt_module, 'import_module', fakes.__getitem__)
        assert import_tensorrt() is fakes['tensorrt']
    monkeypatch.setattr(tensorrt_module, 'import_module', load)
    with caplog.at_level(logging.WARNING):
        assert import_tensorrt() is fakes['tensorrt_rtx']
    assert 'libnvinfer' in caplog.text


def test_without_a_gpu_the_backend_is_an_error_and_auto_does_without():
    """The message names both devices."""
    bundle = alive_bundle()
    with pytest.raises(EngineError, match='tensorrt runs on cuda, the model is on cpu'):
        make_engine('tensorrt', bundle)
    with pytest.raises(EngineError, match='runs on NVIDIA GPUs, the model is on cpu'):
        TensorRtEngine(bundle, PLAN_2, 'fp16')


def test_a_precision_that_the_gpu_lacks_falls_through_to_one_it_has(monkeypatch, caplog):
    """By name: fp16 fails, bf16 is not there, fp32 runs, with a warning; bf16 alone: an error."""
    bundle, tried = alive_bundle(), []

    def build(bundle, config, precision):
        tried.append(precision)
        if precision == 'fp16':
            raise EngineError('fp16 overflows')
        engine = TorchEngine(bundle)
        engine.precision = precision
        return engine

    monkeypatch.setattr(registry, 'BACKENDS', {
        'tensorrt': replace(BACKENDS['tensorrt'], build=build, devices=('cpu',))})
    monkeypatch.setattr(registry, 'has_native_bf16', lambda device: False)
    with caplog.at_level(logging.WARNING):
        assert make_engine('tensorrt', bundle, PLAN_2).precision == 'fp32'
    assert tried == ['fp16', 'fp32']
    assert 'no bf16 instructions' in caplog.text
    with pytest.raises(EngineError, match='has no bf16 instructions'):
        make_engine('tensorrt:bf16', bundle, PLAN_2)


class FakeGraph:
    """Runs the rollout on eager torch, and refuses every other shape, as an engine would."""

    def __init__(self, bundle, candidates):
        self.model, self.candidates, self.runs = bundle.model, candidates, 0

    def __call__(self, inputs):
        assert len(inputs['candidates']) == self.candidates
        self.runs += 1
        return {'imagined': self.model.rollout(inputs['latents'], inputs['past_blocks'],
                                               inputs['candidates'])}


def test_any_number_of_candidates_goes_through_a_fixed_engine():
    """Fewer are filled up, more go in parts; other horizons and several robots run eagerly."""
    bundle = alive_bundle()
    engine = TensorRtEngine.__new__(TensorRtEngine)
    engine._candidates, engine._horizon, engine._eager = 16, 3, TorchEngine(bundle)
    graph = FakeGraph(bundle, 16)
    engine._rollouts = {1: graph}
    eager = TorchEngine(bundle)
    for robots, frames, count, horizon, runs in ((1, 1, 1, 3, 1), (1, 1, 16, 3, 1),
                                                 (1, 1, 40, 3, 3), (1, 1, 16, 2, 0),
                                                 (1, 2, 16, 3, 0), (5, 1, 5, 3, 0)):
        seen = Context(torch.randn(robots, frames, SIZES.latent_dim),
                       torch.randn(robots, frames - 1, SIZES.block_dim), tuple(range(frames)))
        blocks = torch.randn(count, horizon, SIZES.block_dim)
        graph.runs = 0
        torch.testing.assert_close(engine.rollout(seen, blocks), eager.rollout(seen, blocks),
                                   rtol=1e-5, atol=1e-5)
        assert graph.runs == runs


@pytest.mark.gpu
@pytest.mark.parametrize('precision', ['fp16', 'bf16', 'fp32'])
def test_the_engines_compute_the_model_on_a_gpu(precision):
    """Built, loaded, run and compared with eager; the second time from the cache."""
    import_tensorrt()
    bundle = alive_bundle()
    bundle = replace(bundle, model=bundle.model.to('cuda'))
    for _ in range(2):
        engine = build_checked('tensorrt', precision, bundle, PLAN_2, torch.device('cuda'))
        check_parity(engine, bundle, PLAN_2, (48, 90))


class FakeTensorRt(types.ModuleType):
    """TensorRT's part of running an engine: reads and writes memory by address, on the CPU."""

    def __init__(self, answer=True):
        super().__init__('tensorrt')
        self.__version__ = '10.3.0'
        self.answer, self.fixed, self.places, self.streams = answer, {}, {}, []

        class Severity:
            INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        self.ILogger = type('ILogger', (), {'Severity': Severity})
        self.TensorIOMode = types.SimpleNamespace(INPUT=0, OUTPUT=1)
        self.num_io_tensors = 2
        self.Runtime = lambda logger: self
        self.create_execution_context = lambda: self
        self.get_tensor_name = ('rows', 'doubled').__getitem__
        self.get_tensor_mode = {'rows': 0, 'doubled': 1}.__getitem__
        self.get_tensor_shape = lambda name: self.fixed.get('rows', (-1, 2))
        self.get_tensor_profile_shape = lambda name, profile: [(4, 2), (4, 2), (4, 2)]
        self.set_input_shape = self.fixed.__setitem__
        self.set_tensor_address = self.places.__setitem__

    def deserialize_cuda_engine(self, data):
        return self if data == b'engine' else None

    def execute_async_v3(self, stream):
        import ctypes
        self.streams.append(stream)
        values = (ctypes.c_float * 8).from_address(self.places['rows'])
        target = (ctypes.c_float * 8).from_address(self.places['doubled'])
        target[:] = [2 * value for value in values]
        return self.answer


class FakeStream:
    cuda_stream = 7

    def __init__(self, waited=None):
        self.waited = [] if waited is None else waited

    def wait_stream(self, other):
        self.waited.append((self, other))


@pytest.fixture
def no_gpu_needed(monkeypatch):
    """Let torch's calls that need a GPU do nothing; return what waited for what."""
    from contextlib import nullcontext

    from lewm_model.engines.nvidia import tensorrt_run
    waited = []
    own, present = FakeStream(waited), FakeStream(waited)
    monkeypatch.setattr(tensorrt_run.torch.cuda, 'device', nullcontext)
    monkeypatch.setattr(tensorrt_run.torch.cuda, 'Stream', lambda: own)
    monkeypatch.setattr(tensorrt_run.torch.cuda, 'current_stream', lambda device: present)
    return waited, own, present


def test_an_engine_reads_and_writes_the_right_memory_in_order(no_gpu_needed):
    """Open axes are set to the profile's size; strided input is made dense; streams wait."""
    waited, own, present = no_gpu_needed
    trt = FakeTensorRt()
    graph = TensorRtGraph(trt, b'engine', torch.device('cpu'))
    assert graph.shapes == {'rows': (4, 2)}
    rows = torch.arange(8.0).reshape(2, 4).T
    first = graph({'rows': rows, 'not asked for': None})['doubled']
    second = graph({'rows': rows + 1})['doubled']
    torch.testing.assert_close(first, 2 * rows)       # not overwritten by the second run
    torch.testing.assert_close(second, 2 * rows + 2)
    assert trt.streams == [7, 7]
    assert waited[:2] == [(own, present), (present, own)]
    with pytest.raises(ShapeError, match=r'takes rows \(4, 2\), got \(3, 2\)'):
        graph({'rows': rows[:3]})


def test_an_engine_that_does_not_load_or_run_is_an_error(no_gpu_needed):
    """Not a None that is called later, nor memory that nobody wrote."""
    with pytest.raises(EngineError, match='tensorrt 10.3.0 does not load it'):
        TensorRtGraph(FakeTensorRt(), b'of another version', torch.device('cpu'))
    graph = TensorRtGraph(FakeTensorRt(answer=False), b'engine', torch.device('cpu'))
    with pytest.raises(EngineError, match='cannot run the engine'):
        graph({'rows': torch.zeros(4, 2)})
