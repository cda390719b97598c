"""One loaded TensorRT engine, called with torch tensors on torch's device and in its context."""

from __future__ import annotations

from types import ModuleType

from lewm_model.engines.nvidia.tensorrt_module import shared_logger
from lewm_model.errors import EngineError, ShapeError
import torch
from torch import Tensor


class TensorRtGraph:
    """Runs an engine with fixed shapes; float32 in and out.

    Work is queued on a stream of its own, in order with torch's present stream on both sides, so
    callers need not wait. Not for use by several threads at once.

    Args:
        trt: TensorRT, see `import_tensorrt`.
        data: The engine.
        device: Where it runs, CUDA.

    Raises:
        EngineError: If TensorRT refuses it; the message has its reason.
    """

    def __init__(self, trt: ModuleType, data: bytes, device: torch.device) -> None:
        logger = shared_logger(trt)
        logger.last_error = ''
        self._device, self._logger = device, logger
        problem: object = 'no reason given'
        self._context = None
        with torch.cuda.device(device):
            self._stream = torch.cuda.Stream()   # makes torch's context the present one, too
            try:
                self._runtime = trt.Runtime(logger)  # must outlive the engine
                self._engine = self._runtime.deserialize_cuda_engine(data)
                if self._engine is not None:
                    self._context = self._engine.create_execution_context()
            except (RuntimeError, TypeError) as error:   # how its bindings say that they cannot
                problem = error
        if self._context is None:
            raise EngineError(f'{trt.__name__} {trt.__version__} does not load it: '
                              f'{logger.last_error or problem}')
        names = [self._engine.get_tensor_name(k) for k in range(self._engine.num_io_tensors)]
        self._outputs = [name for name in names
                         if self._engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]
        self.shapes: dict[str, tuple[int, ...]] = {}   # of the inputs
        for name in set(names) - set(self._outputs):
            shape = tuple(self._engine.get_tensor_shape(name))
            if -1 in shape:   # open in the file, fixed by the only profile
                shape = tuple(self._engine.get_tensor_profile_shape(name, 0)[1])
                self._context.set_input_shape(name, shape)
            self.shapes[name] = shape

    def __call__(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run on float32 tensors of exactly `shapes`.

        Raises:
            ShapeError: If an input does not fit.
            EngineError: If the run cannot be queued.
        """
        kept = {}   # until the run is queued
        for name, shape in self.shapes.items():
            kept[name] = inputs[name].to(self._device, torch.float32).contiguous()
            if tuple(kept[name].shape) != shape:
                raise ShapeError(f'the engine takes {name} {shape}, got '
                                 f'{tuple(kept[name].shape)}')
        outputs = {name: torch.empty(tuple(self._context.get_tensor_shape(name)),
                                     device=self._device) for name in self._outputs}
        for name, value in (*kept.items(), *outputs.items()):
            self._context.set_tensor_address(name, value.data_ptr())
        present = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(present)
        with torch.cuda.device(self._device):
            queued = self._context.execute_async_v3(self._stream.cuda_stream)
        present.wait_stream(self._stream)   # memory freed below is used again after the run only
        if not queued:
            raise EngineError(f'TensorRT cannot run the engine: '
                              f'{self._logger.last_error or "no reason given"}')
        return outputs
