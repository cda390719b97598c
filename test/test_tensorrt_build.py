"""TensorRT engines are built from exact graphs, here or ahead for a robot."""

from __future__ import annotations

import logging
import types

from engine_models import alive_bundle, PLAN_2
from lewm_model.engines.nvidia import tensorrt_engine, tensorrt_module
from lewm_model.engines.nvidia.tensorrt_build import build_engine
from lewm_model.engines.nvidia.tensorrt_cache import engine_path
from lewm_model.engines.nvidia.tensorrt_engine import engine_facts, onnx_files, prebuild
from lewm_model.errors import EngineError
from lewm_sim.cli import main
from nano import SIZES
import pytest
import torch

pytestmark = pytest.mark.usefixtures('own_cache')


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
    monkeypatch.setattr('lewm_model.engines.nvidia.tensorrt_build._SECONDS_PER_LINE', 0.0)
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
        from lewm_model.engines.nvidia.tensorrt_build import _aim
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

    from lewm_model.engines.nvidia import tensorrt_run
    monkeypatch.setattr(tensorrt_run.torch.cuda, 'device', Nothing)
    monkeypatch.setattr(tensorrt_run.torch.cuda, 'Stream', Nothing)
    data = build_engine(rtx, exported['fp16']['encode'], candidates=16, target='sm89')
    with pytest.raises(EngineError, match='tensorrt_rtx .* does not load it: .*(CUDA|driver)'):
        tensorrt_run.TensorRtGraph(rtx, data, torch.device('cuda'))


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


def test_what_was_built_ahead_is_what_the_engine_looks_for(rtx, monkeypatch):
    """Equal facts, so equal names, for TensorRT-RTX on a GPU of that capability."""
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: (8, 9))
    target = tensorrt_module.gpu_target(rtx, torch.device('cuda'))
    bundle = alive_bundle()
    assert target == 'sm89'
    monkeypatch.setattr(tensorrt_module, 'MODULES', ('tensorrt_rtx',))
    ahead = prebuild(bundle, PLAN_2, 'fp16', 'sm89')
    assert ahead == [engine_path(name, engine_facts(rtx, path, PLAN_2, 'fp16', target))
                     for name, path in onnx_files(bundle, PLAN_2, 'fp16').items()]
