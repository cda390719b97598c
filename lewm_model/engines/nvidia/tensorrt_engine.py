"""Both graphs on TensorRT: fixed shapes, strongly typed, built once per machine and kept."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
import platform
from types import ModuleType

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.cache import cached_file, fingerprint
from lewm_model.engines.graphs.encode import FrameResizer
from lewm_model.engines.nvidia.tensorrt_build import build_engine
from lewm_model.engines.nvidia.tensorrt_cache import engine_path, Facts, obtain
from lewm_model.engines.nvidia.tensorrt_module import gpu_target, import_tensorrt
from lewm_model.engines.nvidia.tensorrt_run import TensorRtGraph
from lewm_model.engines.onnx.export_graphs import export_encode, export_rollout, OPSET
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.errors import EngineError
from lewm_model.types import Context
import numpy as np
import torch
from torch import Tensor

DTYPES = {'fp16': torch.float16, 'bf16': torch.bfloat16, 'fp32': torch.float32}
_LOG = logging.getLogger(__name__)


class TensorRtEngine:
    """Encode, and the rollout of `config.num_candidates` over `config.horizon` blocks.

    One engine for each context length up to `config.history`. Fewer candidates are filled up to
    that number, more go in parts. What has another shape (another horizon, several robots) runs on
    eager torch. Runs on the thread that plans, in torch's CUDA context; not for several at once.

    Raises:
        MissingPackageError: If TensorRT, or onnx for the first build, is not installed.
        EngineError: If there is no GPU, or the engines cannot be built or loaded.
    """

    name = 'tensorrt'

    def __init__(self, bundle: Bundle, config: PlanConfig, precision: str) -> None:
        self.precision = precision
        self.device = next(bundle.model.parameters()).device
        if self.device.type != 'cuda':
            raise EngineError(f'backend tensorrt runs on NVIDIA GPUs, the model is on '
                              f'{self.device}')
        trt = import_tensorrt()
        self._version = f'{trt.__name__} {trt.__version__}'
        self._candidates, self._horizon = config.num_candidates, config.horizon
        self._resize = FrameResizer(bundle.model_config.image_size, self.device)
        self._eager = TorchEngine(bundle)
        graphs = {}
        for name, onnx_path in onnx_files(bundle, config, precision).items():
            facts = engine_facts(trt, onnx_path, config, precision, gpu_target(trt, self.device))

            def build(onnx_path: Path = onnx_path) -> bytes:
                return build_engine(trt, onnx_path, candidates=config.num_candidates,
                                    exact=precision == 'fp32')

            graphs[name] = obtain(name, facts, build,
                                  lambda data: TensorRtGraph(trt, data, self.device))
        self._encode = graphs.pop('encode')
        self._rollouts = dict(enumerate(graphs.values(), start=1))   # by context length

    def describe(self) -> str:
        """Say in one line what runs."""
        return f'{self.name}:{self.precision} on {self.device}, {self._version}'

    @torch.inference_mode()
    def encode(self, rgb: np.ndarray) -> Tensor:
        """Encode one raw frame, uint8 (H, W, 3), to a latent (D,)."""
        return self._encode({'rgb': self._resize(rgb)})['latent']

    @torch.inference_mode()
    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict the latents of every candidate, (S, T, K*A) -> (S, T, D)."""
        robots, length = context.latents.shape[:2]
        if robots != 1 or blocks.shape[1] != self._horizon or length not in self._rollouts:
            return self._eager.rollout(context, blocks)
        graph, whole = self._rollouts[length], []
        for part in blocks.split(self._candidates):
            filled = part
            if len(part) < self._candidates:
                filled = part.new_zeros(self._candidates, *part.shape[1:])
                filled[:len(part)] = part
            outputs = graph({'latents': context.latents, 'past_blocks': context.past_blocks,
                             'candidates': filled, 'goal': context.latents[0, -1]})
            whole.append(outputs['imagined'][:len(part)])   # the costs are not asked for
        return whole[0] if len(whole) == 1 else torch.cat(whole)


def onnx_files(bundle: Bundle, config: PlanConfig, precision: str) -> dict[str, Path]:
    """Export what is not in the cache yet: `encode`, then the rollouts by context length."""
    key = fingerprint(bundle, opset=OPSET, torch=torch.__version__, cost=config.cost)
    compute = DTYPES[precision]

    def rollout(length: int) -> Path:
        return cached_file(
            f'onnx/{key}/rollout-L{length}-T{config.horizon}-{precision}.onnx',
            lambda path: export_rollout(bundle, path, length=length, horizon=config.horizon,
                                        cost=config.cost, compute=compute))

    files = {'encode': cached_file(
        f'onnx/{key}/encode-{precision}.onnx',
        lambda path: export_encode(bundle, path, dtype=torch.float32, compute=compute))}
    for length in range(1, config.history + 1):
        files[f'rollout-L{length}'] = rollout(length)
    return files


def engine_facts(trt: ModuleType, onnx_path: Path, config: PlanConfig, precision: str,
                 target: str) -> Facts:
    """Return all that decides whether an engine fits."""
    return {'onnx_sha256': hashlib.sha256(onnx_path.read_bytes()).hexdigest(),
            'package': trt.__name__, 'version': trt.__version__, 'gpu': target,
            'system': f'{platform.system()} {platform.machine()}', 'precision': precision,
            'candidates': config.num_candidates}


def prebuild(bundle: Bundle, config: PlanConfig, precision: str,
             target: str | None = None) -> list[Path]:
    """Fill the cache with graphs and engines, for the GPU here or, with TensorRT-RTX, another.

    Args:
        bundle: The model.
        config: Planner settings: shapes are part of an engine.
        precision: Of the matrix products: fp16, bf16 or fp32.
        target: Compute capability, as 'sm89'; the GPU here when None.

    Returns:
        The engines' files.

    Raises:
        MissingPackageError: If TensorRT or onnx is not installed.
        EngineError: If an engine cannot be built.
    """
    trt = import_tensorrt()
    if target is None and not torch.cuda.is_available():
        raise EngineError('there is no NVIDIA GPU here to build for; name a target, as sm89')
    for_gpu = target or gpu_target(trt, torch.device('cuda', torch.cuda.current_device()))
    paths = []
    for name, onnx_path in onnx_files(bundle, config, precision).items():
        facts = engine_facts(trt, onnx_path, config, precision, for_gpu)

        def build(onnx_path: Path = onnx_path) -> bytes:
            return build_engine(trt, onnx_path, candidates=config.num_candidates, target=target,
                                exact=precision == 'fp32')

        obtain(name, facts, build, lambda data: None)   # built for elsewhere: not loaded here
        paths.append(engine_path(name, facts))
    return paths
