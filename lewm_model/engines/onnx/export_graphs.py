"""Both graphs as ONNX files, for any runtime that reads them."""

from __future__ import annotations

from pathlib import Path
import warnings

from lewm_model.bundles.bundle import Bundle
from lewm_model.engines.graphs.encode import EncodeGraph
from lewm_model.engines.graphs.linear import linear_factory
from lewm_model.engines.graphs.rollout import RolloutGraph
from lewm_model.errors import ConfigError, MissingPackageError
from lewm_model.planning.objectives import make_objective
from lewm_model.types import Goal
import torch
from torch import nn, Tensor

OPSET = 18   # LayerNormalization came with 17
_TRACED_CANDIDATES = 3   # any count but 1: the axis stays open


def export_encode(bundle: Bundle, path: Path, frame_size: tuple[int, int] | None = None,
                  dtype: torch.dtype = torch.uint8, *,
                  compute: torch.dtype = torch.float32) -> Path:
    """Write `rgb` (H, W, 3), 0 to 255 -> `latent` (D,).

    Args:
        bundle: The model.
        path: The file to write.
        frame_size: Height and width of the frames [px]; the model's when None.
        dtype: Of the pixels, torch.uint8 or torch.float32.
        compute: Of the matrix products; around them the graph is fp32, and so is what leaves it.

    Raises:
        MissingPackageError: If onnx is not installed.
    """
    size = bundle.model_config.image_size
    height, width = frame_size or (size, size)
    graph = EncodeGraph(bundle.model, bundle.frame_transform, (height, width),
                        linear_factory(compute), compute, islands=True)
    return _export(graph, (torch.zeros(height, width, 3, dtype=dtype),), path,
                   inputs=['rgb'], outputs=['latent'], dynamic={})


def export_rollout(bundle: Bundle, path: Path, *, length: int, horizon: int, cost: str,
                   compute: torch.dtype = torch.float32) -> Path:
    """Write the rollout to cost, all horizon steps in one graph.

    Inputs `latents` (1, L, D), `past_blocks` (1, L-1, K*A) unless L is 1, `candidates`
    (S, T, K*A), `goal` (D,); outputs `costs` (S,) and the imagined `imagined` (S, T, D).
    S is open; L, T and the cost are fixed.

    Args:
        bundle: The model.
        path: The file to write.
        length: L, frames in the context.
        horizon: T.
        cost: As `PlanConfig.cost`.
        compute: As for `export_encode`.

    Raises:
        MissingPackageError: If onnx is not installed.
        ConfigError: If L is beyond what the model was trained with.
    """
    sizes = bundle.model_config
    if not 1 <= length <= sizes.history:
        raise ConfigError(f'a context must have 1 to {sizes.history} frames, got {length}')
    graph = _RolloutToCost(bundle, cost, compute)
    latents, past, candidates = (torch.zeros(1, length, sizes.latent_dim),
                                 torch.zeros(1, length - 1, sizes.block_dim),
                                 torch.zeros(_TRACED_CANDIDATES, horizon, sizes.block_dim))
    goal = torch.zeros(sizes.latent_dim)
    many = {0: 'S'}
    dynamic = {'candidates': many, 'costs': many, 'imagined': many}
    outputs = ['costs', 'imagined']
    if length == 1:   # an input without elements is more than some runtimes take
        return _export(graph, (latents, candidates, goal), path, dynamic=dynamic,
                       inputs=['latents', 'candidates', 'goal'], outputs=outputs)
    return _export(graph, (latents, candidates, goal, past), path, dynamic=dynamic,
                   inputs=['latents', 'candidates', 'goal', 'past_blocks'], outputs=outputs)


class _RolloutToCost(nn.Module):
    def __init__(self, bundle: Bundle, cost: str, compute: torch.dtype) -> None:
        super().__init__()
        self._rollout = RolloutGraph(bundle.model, linear_factory(compute), compute,
                                     islands=True)
        self._objective = make_objective(cost)
        self._block_dim = bundle.model_config.block_dim

    def forward(self, latents: Tensor, candidates: Tensor, goal: Tensor,
                past_blocks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if past_blocks is None:
            past_blocks = candidates.new_zeros(1, 0, self._block_dim)
        imagined = self._rollout(latents, past_blocks, candidates)
        return self._objective(imagined, Goal(latent=goal)), imagined


def _export(graph: nn.Module, example: tuple[Tensor, ...], path: Path, *, inputs: list[str],
            outputs: list[str], dynamic: dict[str, dict[int, str]]) -> Path:
    try:
        import onnx  # noqa: F401, torch's exporter needs it
    except ImportError as error:
        raise MissingPackageError('onnx', 'onnx', 'exporting the model as ONNX') from error
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')   # the tracer's remarks on Python ints: L and T are fixed
        torch.onnx.export(graph.cpu().eval(), example, str(path), input_names=inputs,
                          output_names=outputs, dynamic_axes=dynamic, opset_version=OPSET,
                          dynamo=False)
    return path
