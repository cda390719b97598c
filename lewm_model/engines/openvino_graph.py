"""Compile one graph with OpenVINO. No torch here: as a program it tries graphs, and dies alone.

Its input is the arguments of `try_graphs`: {"graphs": [["graph.onnx", null]], "settings": {}}
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
import json
import sys
from typing import Any

from lewm_model.errors import MissingPackageError
import numpy as np

Run = Callable[[str, dict[str, np.ndarray]], np.ndarray]   # (output, inputs) -> its value


def compile_graph(path: str, candidates: int | None, settings: dict[str, str | int]) -> Run:
    """Compile for the CPU, for a fixed number of candidates or, when None, for any.

    Raises:
        MissingPackageError: If openvino is not installed.
        RuntimeError: If it refuses the graph.
    """
    request, _ = _request(path, candidates, settings)

    def run(output: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return request.infer(inputs)[output].copy()   # the request owns its outputs

    return run


def try_graphs(graphs: list[tuple[str, int | None]], settings: dict[str, str | int]) -> None:
    """Compile and run each graph on zeros; a graph for any number of candidates on 1 and 2."""
    for path, candidates in graphs:
        request, inputs = _request(path, candidates, settings)
        for count in (1, 2):
            request.infer({name: np.zeros([count if size is None else size for size in shape],
                                          np.float32) for name, shape in inputs.items()})


@lru_cache(maxsize=1)
def _core() -> Any:
    """Return the one core of this process, kept for its whole life.

    It gives the thread a stack for signals and takes the memory away again when it is deleted;
    the next Ctrl-C then ended the process with a segmentation fault (2026.4).
    """
    try:
        import openvino
    except ImportError as error:
        raise MissingPackageError('openvino', 'openvino', 'backend openvino') from error
    return openvino.Core()


def _request(path: str, candidates: int | None, settings: dict[str, str | int]):
    """Return what runs the graph, and the shape of each input; an open axis is None."""
    core = _core()
    model = core.read_model(path)
    if candidates is not None:
        for graph_input in model.inputs:
            shape = graph_input.partial_shape
            if graph_input.any_name == 'candidates':
                model.reshape({'candidates': [candidates, *list(shape)[1:]]})
    inputs = {graph_input.any_name: [None if axis.is_dynamic else axis.get_length()
                                     for axis in graph_input.partial_shape]
              for graph_input in model.inputs}
    return core.compile_model(model, 'CPU', settings).create_infer_request(), inputs


if __name__ == '__main__':
    try_graphs(**json.load(sys.stdin))
