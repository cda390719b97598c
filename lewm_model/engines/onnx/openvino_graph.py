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

    Candidates that divide evenly among the threads are divided: a part for every thread, which
    then waits once per run for the others, not once per operation.

    Raises:
        MissingPackageError: If openvino is not installed.
        RuntimeError: If it refuses the graph.
    """
    threads = settings['INFERENCE_NUM_THREADS']
    if candidates and threads > 1 and candidates % threads == 0:
        return _divided(path, candidates // threads, settings)
    request = _compiled(path, candidates, settings).create_infer_request()

    def run(output: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return request.infer(inputs)[output].copy()   # the request owns its outputs

    return run


def _divided(path: str, part: int, settings: dict[str, str | int]) -> Run:
    threads = settings['INFERENCE_NUM_THREADS']
    compiled = _compiled(path, part, {**settings, 'NUM_STREAMS': threads})
    requests = [compiled.create_infer_request() for _ in range(threads)]

    def run(output: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        parts = np.split(inputs['candidates'], threads)
        for request, candidates in zip(requests, parts, strict=True):
            request.start_async({**inputs, 'candidates': candidates})
        for request in requests:
            request.wait()
        return np.concatenate([request.get_tensor(output).data for request in requests])

    return run


def try_graphs(graphs: list[tuple[str, int | None]], settings: dict[str, str | int]) -> None:
    """Compile and run each graph on zeros; a graph for any number of candidates on 1 and 2."""
    for path, candidates in graphs:
        run = compile_graph(path, candidates, settings)
        outputs, inputs = _axes(path)
        for count in (candidates,) if candidates else (1, 2):
            zeros = {name: np.zeros([count if size is None else size for size in shape],
                                    np.float32) for name, shape in inputs.items()}
            run(outputs[0], zeros)


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


def _compiled(path: str, candidates: int | None, settings: dict[str, str | int]) -> Any:
    core = _core()
    model = core.read_model(path)
    if candidates is not None:
        for graph_input in model.inputs:
            shape = graph_input.partial_shape
            if graph_input.any_name == 'candidates':
                model.reshape({'candidates': [candidates, *list(shape)[1:]]})
    return core.compile_model(model, 'CPU', settings)


def _axes(path: str) -> tuple[list[str], dict[str, list[int | None]]]:
    """Return the names of the outputs, and the shape of each input; an open axis is None."""
    model = _core().read_model(path)
    return ([output.any_name for output in model.outputs],
            {graph_input.any_name: [None if axis.is_dynamic else axis.get_length()
                                    for axis in graph_input.partial_shape]
             for graph_input in model.inputs})


if __name__ == '__main__':
    try_graphs(**json.load(sys.stdin))
