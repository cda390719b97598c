"""ONNX Runtime on the CPU, fp32."""

from __future__ import annotations

from pathlib import Path

from lewm_model.base.idle_threads import idle_threads_spin
from lewm_model.engines.onnx.onnx_engine import OnnxEngine, Run
from lewm_model.errors import MissingPackageError
import numpy as np
import torch


class OnnxRuntimeEngine(OnnxEngine):
    """Runs both graphs with as many threads as torch has."""

    name = 'onnxruntime'

    def load(self, path: Path, candidates: int | None) -> Run:
        """Load a graph; one serves any number of candidates."""
        return open_session(path)


def open_session(path: Path) -> Run:
    """Load any ONNX file on the CPU.

    Raises:
        MissingPackageError: If onnxruntime is not installed.
        RuntimeError: If it refuses the file; what is returned raises it if a run fails.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError('onnxruntime', 'onnx', 'backend onnxruntime') from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3   # errors
    if not idle_threads_spin():      # its own threads, which OpenMP's variables do not reach
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        session = onnxruntime.InferenceSession(str(path), options,
                                               providers=['CPUExecutionProvider'])
    except Exception as error:  # its exceptions have no common base but this one
        raise RuntimeError(str(error)) from error

    def run(output: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        try:
            return session.run([output], inputs)[0]
        except Exception as error:  # as above
            raise RuntimeError(str(error)) from error

    return run
