"""What ONNX Runtime and OpenVINO share: cached exports, one per context length and horizon."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from lewm_model.bundles.bundle import Bundle
from lewm_model.config import PlanConfig
from lewm_model.engines.cache import cached_file, fingerprint
from lewm_model.engines.graphs.encode import FrameResizer
from lewm_model.engines.inputs import checked_context
from lewm_model.engines.onnx.export_graphs import export_encode, export_rollout, OPSET
from lewm_model.errors import EngineError
from lewm_model.types import Context
import numpy as np
import torch
from torch import Tensor

Run = Callable[[str, dict[str, np.ndarray]], np.ndarray]   # (output, inputs) -> its value


class OnnxEngine(ABC):
    """Both graphs in a runtime that reads ONNX files; on the CPU.

    The graphs of the planner's settings are loaded at once; another horizon when it is asked for.
    They share the context among the candidates: for several robots they run once per robot.

    Raises:
        EngineError: If the model is not on the CPU, or the runtime refuses a graph.
        MissingPackageError: If the runtime or onnx is not installed.
    """

    name = ''

    def __init__(self, bundle: Bundle, config: PlanConfig, precision: str) -> None:
        self.precision = precision
        self.device = next(bundle.model.parameters()).device
        if self.device.type != 'cpu':
            raise EngineError(f'backend {self.name} runs on the CPU, the model is on '
                              f'{self.device}; use device cpu, or backend torch-tuned')
        self._bundle, self._config = bundle, config
        self._resize = FrameResizer(bundle.model_config.image_size, self.device)
        self._key = fingerprint(bundle, opset=OPSET, torch=torch.__version__, cost=config.cost)
        self._rollouts: dict[tuple[int, int, int | None], Run] = {}
        encode = self._file('encode', lambda path: export_encode(bundle, path,
                                                                 dtype=torch.float32))
        graphs = [(length, config.horizon, fixed) for length in range(1, config.history + 1)
                  for fixed in dict.fromkeys((self._fixed(config.num_candidates), None))]
        self.prepare([(encode, None), *((self._rollout_file(*graph[:2]), graph[2])
                                        for graph in graphs)])
        self._encode = self._load(encode, None)
        for graph in graphs:
            self._rollouts[graph] = self._load(self._rollout_file(*graph[:2]), graph[2])

    def prepare(self, graphs: list[tuple[Path, int | None]]) -> None:  # noqa: B027, optional
        """Get ready to load graphs, each for a fixed number of candidates or any.

        Raises:
            LewmError: If they cannot be loaded.
        """

    @abstractmethod
    def load(self, path: Path, candidates: int | None) -> Run:
        """Load a graph, for a fixed number of candidates or, when None, for any.

        Raises:
            RuntimeError: As the runtime pleases; also what is returned, when it runs.
        """

    fixes_counts = False   # whether a graph gains from knowing the number of candidates

    def describe(self) -> str:
        """Say in one line what runs."""
        return f'{self.name}:{self.precision} on {self.device}, graphs {self._key[:12]}'

    def encode(self, rgb: np.ndarray) -> Tensor:
        """Encode one raw frame, uint8 (H, W, 3), to a latent (D,)."""
        return self._run(self._encode, 'latent', {'rgb': self._resize(rgb)})

    def rollout(self, context: Context, blocks: Tensor) -> Tensor:
        """Predict the latents of every candidate, (S, T, K*A) -> (S, T, D).

        Raises:
            ShapeError: If context and candidates do not fit the model or each other.
            EngineError: If the runtime fails.
        """
        context = checked_context(context, blocks, self._bundle.model_config)
        if len(context.latents) == 1:
            return self._rollout_shared(context, blocks)
        return torch.cat([self._rollout_shared(
            Context(context.latents[rows][:1], context.past_blocks[rows][:1], context.stamps_ns),
            blocks[rows]) for rows in _robots(context)])

    def _rollout_shared(self, context: Context, blocks: Tensor) -> Tensor:
        length = context.latents.shape[1]
        inputs = {'latents': context.latents, 'candidates': blocks,
                  'goal': context.latents[0, -1]}   # the costs are not asked for
        if length > 1:
            inputs['past_blocks'] = context.past_blocks
        key = (length, blocks.shape[1], self._fixed(len(blocks)))
        if key not in self._rollouts:
            path = self._rollout_file(*key[:2])
            self.prepare([(path, key[2])])
            self._rollouts[key] = self._load(path, key[2])
        return self._run(self._rollouts[key], 'imagined', inputs)

    def _run(self, run: Run, output: str, inputs: dict[str, Tensor]) -> Tensor:
        with engine_errors(f'backend {self.name} failed'):
            return torch.from_numpy(run(output, {
                name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}))

    def _fixed(self, count: int) -> int | None:
        """Return the number that a graph for so many candidates is made for; None: any."""
        return count if self.fixes_counts and count == self._config.num_candidates else None

    def _rollout_file(self, length: int, horizon: int) -> Path:
        return self._file(f'rollout-L{length}-T{horizon}', lambda path: export_rollout(
            self._bundle, path, length=length, horizon=horizon, cost=self._config.cost))

    def _file(self, name: str, make: Callable[[Path], object]) -> Path:
        return cached_file(f'onnx/{self._key}/{name}.onnx', make)

    def _load(self, path: Path, candidates: int | None) -> Run:
        with engine_errors(f'backend {self.name} cannot load {path}; if it is damaged, delete it'):
            return self.load(path, candidates)


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn a runtime's errors into `EngineError`, for callers that must survive them."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(f'{what}: {error}') from error


def _robots(context: Context) -> list[slice]:
    """Find runs of equal contexts among (S, L, D); one robot's candidates stand together."""
    rows = torch.cat([context.latents.flatten(1), context.past_blocks.flatten(1)], dim=1)
    changes = (rows[1:] != rows[:-1]).any(dim=1).nonzero().flatten().add(1).tolist()
    return [slice(*pair) for pair in pairwise([0, *changes, len(rows)])]
