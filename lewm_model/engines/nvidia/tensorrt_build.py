"""ONNX file to TensorRT engine: strongly typed, so the file alone says what is computed how.

TensorRT 11 has no flags for precision any more, and those of 10 lower whatever they please; a
strongly typed network means the same on both.
"""

from __future__ import annotations

import logging
from pathlib import Path
import time
from types import ModuleType
from typing import Any

from lewm_model.engines.nvidia.tensorrt_module import shared_logger
from lewm_model.errors import EngineError, without_path

_SECONDS_PER_LINE = 5.0   # of the log, while building
_LOG = logging.getLogger(__name__)


def build_engine(trt: ModuleType, onnx_path: Path, *, candidates: int, target: str | None = None,
                 exact: bool = False) -> bytes:
    """Build an engine; minutes for a large model, with progress in the log.

    Args:
        trt: TensorRT, see `import_tensorrt`.
        onnx_path: The graph, in the types it shall run in.
        candidates: What an open axis of the graph is fixed to.
        target: Compute capability, as 'sm89', to build for; the GPU here when None. Only
            TensorRT-RTX can build for a GPU that is not here, or without any.
        exact: Keep fp32 products in fp32. Otherwise they may use TF32, which has the range of
            fp32 and the mantissa of fp16.

    Raises:
        EngineError: If TensorRT cannot build it; the message has its reason.
    """
    logger = shared_logger(trt)
    logger.last_error = ''
    started, name = time.perf_counter(), onnx_path.stem
    try:
        builder = trt.Builder(logger)
        network = builder.create_network(
            1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(onnx_path.read_bytes()):
            problems = '; '.join(str(parser.get_error(k)) for k in range(parser.num_errors))
            raise EngineError(f'{trt.__name__} {trt.__version__} cannot read {onnx_path}: '
                              f'{problems}; if the file is damaged, delete it')
        config = builder.create_builder_config()
        if exact:
            config.clear_flag(trt.BuilderFlag.TF32)
        if target is not None:
            _aim(trt, config, target)
        _fix_shapes(builder, config, network, candidates)
        config.progress_monitor = _monitor(trt, name)
        _LOG.info('%s %s builds %s for %s', trt.__name__, trt.__version__, name,
                  target or 'the GPU here')
        plan = builder.build_serialized_network(network, config)
    except (RuntimeError, TypeError) as error:   # how its bindings say that there is no GPU
        raise EngineError(f'{trt.__name__} {trt.__version__} cannot build here: '
                          f'{logger.last_error or error}') from error
    except OSError as error:
        raise EngineError(f'cannot read {onnx_path}: {without_path(error)}') from error
    if plan is None:
        raise EngineError(f'{trt.__name__} {trt.__version__} cannot build {onnx_path}: '
                          f'{logger.last_error or "no reason given"}')
    data = bytes(plan)
    _LOG.info('built %s: %.1f MB in %.1f s', name, len(data) / 1e6, time.perf_counter() - started)
    return data


def _aim(trt: ModuleType, config: Any, target: str) -> None:
    """Build for a GPU that need not be here."""
    if not hasattr(trt, 'ComputeCapability'):
        raise EngineError(f'{trt.__name__} builds for the GPU it runs on only, not for {target}; '
                          f'build on the robot, or with tensorrt_rtx')
    known = {name.lower(): value for name, value in trt.ComputeCapability.__members__.items()
             if name.startswith('SM')}
    if target not in known:
        raise EngineError(f'{trt.__name__} {trt.__version__} builds ahead for '
                          f'{", ".join(known)}, got {target!r}; for other GPUs build on the '
                          f'robot')
    config.num_compute_capabilities = 1
    config.set_compute_capability(known[target], 0)


def _fix_shapes(builder: Any, config: Any, network: Any, candidates: int) -> None:
    profile, is_open = builder.create_optimization_profile(), False
    for k in range(network.num_inputs):
        graph_input = network.get_input(k)
        shape = tuple(graph_input.shape)
        if -1 in shape:
            fixed = tuple(candidates if size == -1 else size for size in shape)
            profile.set_shape(graph_input.name, fixed, fixed, fixed)
            is_open = True
    if is_open:
        config.add_optimization_profile(profile)


def _monitor(trt: ModuleType, name: str) -> Any:
    """Log how far a build is, every few seconds."""
    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._spoken = time.monotonic()

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            now = time.monotonic()
            if now - self._spoken >= _SECONDS_PER_LINE:
                self._spoken = now
                _LOG.info('building %s: %s, step %d of %d', name, phase, step + 1,
                          self._steps.get(phase, 0))
            return True   # go on

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()
