"""Backends by name, `backend` or `backend:precision`; none is used before it agreed with eager.

A new backend is one line in `BACKENDS`: what builds it, its precisions in the order to try, where
it runs. The building function gets the planner's settings, for backends that fix shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
import logging

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.machine import has_native_bf16
from lewm_model.engines.parity import check_parity
from lewm_model.engines.parity_cases import Cases
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.errors import ConfigError, EngineError
from lewm_model.planning.protocols import Engine
import torch

REFERENCE = 'torch'
AUTO = 'auto'
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backend:
    """How to build one backend."""

    build: Callable[[Bundle, PlanConfig, str], Engine]
    precisions: tuple[str, ...]          # the first that the machine has and that agrees is used
    devices: tuple[str, ...] = ('cpu',)  # torch device types; (): wherever torch runs


def _lazy(module: str, name: str) -> Callable[[Bundle, PlanConfig, str], Engine]:
    def build(bundle: Bundle, config: PlanConfig, precision: str) -> Engine:
        kind = getattr(import_module(f'lewm_model.engines.{module}'), name)
        return kind(bundle, config, precision)

    return build


BACKENDS: dict[str, Backend] = {
    REFERENCE: Backend(lambda bundle, config, precision: TorchEngine(bundle), ('fp32',), ()),
    'torch-tuned': Backend(_lazy('torch.tuned', 'TunedTorchEngine'), ('bf16', 'fp32'), ()),
    'cuda-graph': Backend(_lazy('nvidia.cuda_graph_engine', 'CudaGraphEngine'), ('bf16', 'fp32'),
                          ('cuda',)),
    'cuda-graph-compiled': Backend(_lazy('nvidia.cuda_graph_engine', 'compiled_engine'),
                                   ('bf16', 'fp32'), ('cuda',)),
    'tensorrt': Backend(_lazy('nvidia.tensorrt_engine', 'TensorRtEngine'),
                        ('fp16', 'bf16', 'fp32'), ('cuda',)),
    'onnxruntime': Backend(_lazy('onnx.onnxruntime_engine', 'OnnxRuntimeEngine'), ('fp32',)),
    'openvino': Backend(_lazy('onnx.openvino_engine', 'OpenVinoEngine'), ('bf16', 'fp32')),
}


def named_engine(backend: str, bundle: Bundle, config: PlanConfig) -> Engine:
    """Build the backend called `backend` for a bundle and check that it computes the model.

    Args:
        backend: A name, or a name and a precision, as 'openvino:bf16'.
        bundle: The model.
        config: Planner settings.

    Raises:
        ConfigError: If there is no backend or precision of that name.
        MissingPackageError: If the backend's package is not installed.
        EngineError: If the machine lacks the precision, the backend cannot run the model, or
            does not agree with eager fp32.
    """
    name, precisions = _parse(backend)
    device = next(bundle.model.parameters()).device
    problems = []
    for precision in precisions:
        try:
            engine = build_checked(name, precision, bundle, config, device)
        except EngineError as error:
            problems.append(error)
            continue
        if problems:
            _LOG.warning('backend %s uses %s: %s', name, precision, problems[-1])
        return engine
    raise problems[-1]


def build_checked(name: str, precision: str, bundle: Bundle, config: PlanConfig,
                  device: torch.device, cases: Cases | None = None) -> Engine:
    """Build one backend at one precision and compare it with eager fp32.

    Args:
        name: Of the backend.
        precision: One of the backend's.
        bundle: The model.
        config: Planner settings.
        device: Where the model is.
        cases: What to compare on, from `make_cases`, if several backends are built.

    Raises:
        MissingPackageError: If its package is not installed.
        EngineError: If it cannot run here or does not agree with eager fp32.
    """
    check_possible(name, precision, device)
    engine = BACKENDS[name].build(bundle, config, precision)
    if name != REFERENCE:
        parity = check_parity(engine, bundle, config, cases=cases)
        _LOG.info('backend %s: encode error %.2g, rollout error %.2g, regret %.2g against eager '
                  'fp32', engine.describe(), parity.encode_error, parity.rollout_error,
                  parity.regret)
    return engine


def check_possible(name: str, precision: str, device: torch.device) -> None:
    """Refuse what cannot run on the device, before anything is built.

    Raises:
        EngineError: If the backend has no such device, or the device not the precision.
    """
    spec = BACKENDS[name]
    if spec.devices and device.type not in spec.devices:
        raise EngineError(f'backend {name} runs on {" or ".join(spec.devices)}, the model is on '
                          f'{device}')
    if precision == 'bf16' and not has_native_bf16(device):
        raise EngineError(f'backend {name}:bf16: {device} has no bf16 instructions, it would be '
                          f'slower than fp32; use {name}:fp32')


def _parse(backend: str) -> tuple[str, tuple[str, ...]]:
    name, _, precision = backend.partition(':')
    if name not in BACKENDS:
        raise ConfigError(f'backend must be one of {", ".join(BACKENDS)}, or {AUTO}, '
                          f'got {backend!r}')
    precisions = BACKENDS[name].precisions
    if not precision and ':' not in backend:
        return name, precisions
    if precision not in precisions:
        raise ConfigError(f'backend {name} has the precisions {", ".join(precisions)}, '
                          f'got {precision!r}')
    return name, (precision,)
