"""OpenVINO on the CPU, fp32 or bf16."""

from __future__ import annotations

import hashlib
from importlib import metadata
import json
from pathlib import Path

from lewm_model.engines.cache import cache_folder
from lewm_model.engines.machine import machine_facts
from lewm_model.engines.onnx.onnx_engine import OnnxEngine, Run
from lewm_model.engines.onnx.openvino_graph import compile_graph
from lewm_model.engines.trial import try_outside
from lewm_model.errors import MissingPackageError
import torch

_SETTINGS = {
    # Without its code generator for chains of small operations: on an encoder with heads of 8
    # numbers that ended the process (2026.4, fp32 alone).
    'fp32': {'INFERENCE_PRECISION_HINT': 'f32', 'SNIPPETS_MODE': 'DISABLE'},
    'bf16': {'INFERENCE_PRECISION_HINT': 'bf16'}}


class OpenVinoEngine(OnnxEngine):
    """Runs both graphs with as many threads as torch has; compiled graphs are cached.

    Each graph is compiled and run in another process once before it is used in this one.
    """

    name = 'openvino'
    fixes_counts = True

    def prepare(self, graphs: list[tuple[Path, int | None]]) -> None:
        """Try graphs where a crash does no harm.

        Raises:
            MissingPackageError: If openvino is not installed.
            EngineError: If one crashes or fails.
        """
        try:
            import openvino  # noqa: F401, before minutes are spent
            metadata.version('openvino')
        except (ImportError, metadata.PackageNotFoundError) as error:
            raise MissingPackageError('openvino', 'openvino', 'backend openvino') from error
        settings = self._settings()
        digest = hashlib.sha256(json.dumps(
            [settings, machine_facts(self.device), [count for _, count in graphs]],
            sort_keys=True).encode())
        for path, _ in graphs:
            digest.update(path.read_bytes())
        try_outside('lewm_model.engines.onnx.openvino_graph', {
            'graphs': [(str(path), count) for path, count in graphs], 'settings': settings},
            key=f'openvino-{digest.hexdigest()[:32]}',
            what=f'backend {self.name}:{self.precision} cannot load the graphs in '
                 f'{graphs[0][0].parent}; if they are damaged, delete it')

    def load(self, path: Path, candidates: int | None) -> Run:
        """Compile a graph, for a fixed number of candidates or for any."""
        return compile_graph(str(path), candidates, self._settings())

    def _settings(self) -> dict[str, str | int]:
        return {**_SETTINGS[self.precision], 'INFERENCE_NUM_THREADS': torch.get_num_threads(),
                'PERFORMANCE_HINT': 'LATENCY', 'CACHE_DIR': str(cache_folder() / 'openvino')}
