"""OpenVINO on the CPU, fp32 or bf16."""

from __future__ import annotations

from pathlib import Path

from lewm_model.engines.cache import cache_folder
from lewm_model.engines.onnx_engine import OnnxEngine, Run
from lewm_model.errors import MissingPackageError
import numpy as np
import torch

_SETTINGS = {
    # Without its code generator for chains of small operations: on an encoder with heads of 8
    # numbers that ended the process (2026.4, fp32 alone).
    'fp32': {'INFERENCE_PRECISION_HINT': 'f32', 'SNIPPETS_MODE': 'DISABLE'},
    'bf16': {'INFERENCE_PRECISION_HINT': 'bf16'}}


class OpenVinoEngine(OnnxEngine):
    """Runs both graphs with as many threads as torch has; compiled graphs are cached."""

    name = 'openvino'
    fixes_counts = True

    def load(self, path: Path, candidates: int | None) -> Run:
        """Compile a graph, for a fixed number of candidates or for any."""
        try:
            import openvino
        except ImportError as error:
            raise MissingPackageError('openvino', 'openvino', 'backend openvino') from error
        core = openvino.Core()
        model = core.read_model(str(path))
        if candidates is not None:
            for graph_input in model.inputs:
                shape = graph_input.partial_shape
                if graph_input.any_name == 'candidates':
                    model.reshape({'candidates': [candidates, *list(shape)[1:]]})
        request = core.compile_model(model, 'CPU', {
            **_SETTINGS[self.precision],
            'INFERENCE_NUM_THREADS': torch.get_num_threads(),
            'PERFORMANCE_HINT': 'LATENCY',
            'CACHE_DIR': str(cache_folder() / 'openvino')}).create_infer_request()

        def run(output: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
            return request.infer(inputs)[output].copy()   # the request owns its outputs

        return run
