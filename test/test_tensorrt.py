from __future__ import annotations

from dataclasses import replace
import json
import logging
import sys
import types

from engine_models import alive_bundle, PLAN_2
from lewm_model.engines import registry, tensorrt_engine, tensorrt_module
from lewm_model.engines.parity import check_parity
from lewm_model.engines.registry import BACKENDS, build_checked, make_engine
from lewm_model.engines.tensorrt_build import build_engine
from lewm_model.engines.tensorrt_cache import engine_path, obtain, read_engine
from lewm_model.engines.tensorrt_engine import engine_facts, onnx_files, prebuild, TensorRtEngine
from lewm_model.engines.tensorrt_module import import_tensorrt
from lewm_model.engines.tensorrt_run import TensorRtGraph
from lewm_model.engines.torch_engine import TorchEngine
from lewm_model.errors import EngineError, MissingPackageError, ShapeError
from lewm_model.types import Context
from lewm_sim.cli import main
from nano import SIZES
import pytest
import torch

FACTS = {'onnx_sha256': 'a' * 64, 'package': 'tensorrt', 'version': '10.3.0', 'gpu': 'Orin sm87',
         'precision': 'fp16', 'candidates': 300}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep each test's cache to itself."""
    monkeypatch.setenv('LEWM_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture(scope='module')
def rtx():
    """TensorRT-RTX, which builds without a GPU."""
    pytest.importorskip('onnx', reason='pip install "lewm_ros[tensorrt]"')
    return pytest.importorskip('tensorrt_rtx', reason='pip install "lewm_ros[tensorrt]"')


@pytest.fixture(scope='module')
def exported(rtx, tmp_path_factory):
    """Return the graphs of a small model in every precision."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('LEWM_CACHE', str(tmp_path_factory.mktemp('cache')))
        bundle = alive_bundle()
        return {precision: onnx_files(bundle, PLAN_2, precision)
                for precision in ('fp16', 'bf16', 'fp32')}


# The file says in which type everything is computed.

def types_of(path):
    """Return the element type of every value in a graph, and the graph."""
    import onnx
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    graph = model.graph
    kinds = {value.name: value.type.tensor_type.elem_type
             for value in (*graph.value_info, *graph.input, *graph.output)}
    kinds.update({weight.name: weight.data_type for weight in graph.initializer})
    return kinds, graph


@pytest.mark.parametrize('precision, number', [('fp16', 10), ('bf16', 16)])
@pytest.mark.parametrize('name', ['encode', 'rollout-L1', 'rollout-L2'])
def test_norms_softmax_projector_and_cost_are_islands_of_fp32(exported, precision, number, name):
    """Norms, softmax, projector, inputs and outputs; no other product of weights is."""
    kinds, graph = types_of(exported[precision][name])
    single = 1
    assert {kinds[value.name] for value in (*graph.input, *graph.output)} == {single}
    weights = {weight.name: weight for weight in graph.initializer}
    islands = products = 0
    for node in graph.node:
        if node.op_type in ('LayerNormalization', 'Softmax', 'ReduceSumSquare', 'ReduceSum',
                            'ReduceMean') and node.input[0] in kinds:
            scores = name != 'encode' and node.op_type == 'ReduceSum' and kinds[
                node.input[0]] == number    # query times key, a product like others
            assert kinds[node.input[0]] == single or scores, node.name
            islands += kinds[node.input[0]] == single
        if node.op_type in ('MatMul', 'Gemm') and any(key in weights for key in node.input):
            key = next(key for key in node.input if key in weights)
            is_projector = SIZES.projector_dim in weights[key].dims and (
                kinds[key] == single)
            assert kinds[key] == (single if is_projector else number), node.name
            products += is_projector
    assert islands >= 3
    assert products >= 2 or name != 'encode'


@pytest.mark.parametrize('precision', ['fp16', 'bf16', 'fp32'])
def test_every_graph_builds_in_every_precision(rtx, exported, precision, caplog):
    """For real, on the CPU; strongly typed; what is built says so in the log."""
    with caplog.at_level(logging.INFO):
        for path in exported[precision].values():
            data = build_engine(rtx, path, candidates=16, target='sm89',
                                exact=precision == 'fp32')
            assert len(data) > 10_000
    assert caplog.text.count('built ') == 3


def test_progress_is_logged_while_building(rtx, exported, monkeypatch, caplog):
    """With the step, and of how many."""
    monkeypatch.setattr('lewm_model.engines.tensorrt_build._SECONDS_PER_LINE', 0.0)
    with caplog.at_level(logging.INFO):
        build_engine(rtx, exported['fp16']['encode'], candidates=16, target='sm89')
    assert 'building encode-fp16: ' in caplog.text
    assert ', step 1 of ' in caplog.text


def test_a_gpu_that_cannot_be_built_for_is_an_error(rtx, exported):
    """The message lists those that can; so does asking for the one here where there is none."""
    with pytest.raises(EngineError, match="sm80.*sm89.*got 'sm90'; for other GPUs build on the"):
        build_engine(rtx, exported['fp16']['encode'], candidates=16, target='sm90')
    classic = types.SimpleNamespace(__name__='tensorrt', __version__='10.3.0')
    with pytest.raises(EngineError, match='builds for the GPU it runs on only, not for sm89'):
        from lewm_model.engines.tensorrt_build import _aim
        _aim(classic, None, 'sm89')


def test_a_damaged_graph_is_an_error_that_names_the_file(rtx, tmp_path):
    """With what the parser said."""
    path = tmp_path / 'encode.onnx'
    path.write_bytes(b'no graph')
    with pytest.raises(EngineError, match='cannot read .*encode.onnx.*delete it'):
        build_engine(rtx, path, candidates=16, target='sm89')


@pytest.mark.skipif(torch.cuda.is_available(), reason='is about machines without a GPU')
def test_without_a_gpu_loading_is_an_error_with_the_reason(rtx, exported, monkeypatch):
    """Not a crash: TensorRT's own words are in the message."""
    class Nothing:
        def __init__(self, *_): ...
        def __enter__(self): ...
        def __exit__(self, *_): ...

    from lewm_model.engines import tensorrt_run
    monkeypatch.setattr(tensorrt_run.torch.cuda, 'device', Nothing)
    monkeypatch.setattr(tensorrt_run.torch.cuda, 'Stream', Nothing)
    data = build_engine(rtx, exported['fp16']['encode'], candidates=16, target='sm89')
    with pytest.raises(EngineError, match='tensorrt_rtx .* does not load it: .*(CUDA|driver)'):
        tensorrt_run.TensorRtGraph(rtx, data, torch.device('cuda'))


# The cache.

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
    (lambda path: path.with_suffix('.json').unlink(), 'it cannot be read: .*json'),
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


# The backend.

def test_engines_are_built_ahead_for_a_robot(rtx, own_cache, tmp_path, capsys, monkeypatch):
    """`lewm export` fills the cache; the second time nothing is exported or built."""
    monkeypatch.setattr(tensorrt_module, 'MODULES', ('tensorrt_rtx',))
    alive_bundle().save(tmp_path / 'bundle')
    command = ['export', str(tmp_path / 'bundle'), '--backend', 'tensorrt', '--target', 'sm89']
    assert main(command) == 0
    assert capsys.readouterr().out.count('.engine: ') == 3
    names = {path.name.partition('-')[0] for path in own_cache.rglob('*.engine')}
    assert names == {'encode', 'rollout'}
    monkeypatch.setattr(tensorrt_engine, 'build_engine', None)
    monkeypatch.setattr(tensorrt_engine, 'export_rollout', None)
    assert main(command) == 0
    assert main([*command, '--out', str(tmp_path / 'out')]) == 2


def test_what_was_built_ahead_is_what_the_engine_looks_for(rtx, exported, monkeypatch):
    """Equal facts, so equal names, for TensorRT-RTX on a GPU of that capability."""
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (8, 9))
    target = tensorrt_module.gpu_target(rtx, torch.device('cuda'))
    bundle = alive_bundle()
    assert target == 'sm89'
    monkeypatch.setattr(tensorrt_module, 'MODULES', ('tensorrt_rtx',))
    ahead = prebuild(bundle, PLAN_2, 'fp16', 'sm89')
    assert ahead == [engine_path(name, engine_facts(rtx, path, PLAN_2, 'fp16', target))
                     for name, path in onnx_files(bundle, PLAN_2, 'fp16').items()]


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

    from lewm_model.engines import tensorrt_run
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
