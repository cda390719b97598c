"""A function whose tensors stay where they are, captured once as a CUDA graph and then replayed.

A replay starts hundreds of kernels with one call, which is what a search over small tensors spends
its time on otherwise. A graph knows addresses, not values: what goes in must be copied to where
the first run found it, and what comes out is overwritten by the next replay.
"""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import Any

import torch

_WARM_UPS = 3   # libraries choose kernels and allocate in the first runs, which no graph may hold
_LOG = logging.getLogger(__name__)


class CapturedFunction:
    """Runs a function without arguments: captured on CUDA, as it is on other devices.

    The first call captures and replays. Where capturing fails, the function runs as it is from
    then on, with a warning. Not for use by several threads at once.

    Args:
        function: Reads and writes tensors that outlive it. It must not depend on values on the
            host, nor wait for the device; its random numbers come from `generators`.
        device: Where its tensors are.
        generators: What it draws from; warming up leaves them as they were.
        name: For log lines.
    """

    def __init__(self, function: Callable[[], Any], device: torch.device, *,
                 generators: tuple[torch.Generator, ...] = (), name: str = 'function') -> None:
        self._function, self._device, self._name = function, device, name
        self._generators = generators
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Any = None
        self._plain = device.type != 'cuda'

    def __call__(self) -> Any:
        """Run; the tensors of the result are good until the next call."""
        if self._plain:
            return self._function()
        if self._graph is None:
            try:
                with torch.cuda.device(self._device):
                    self._capture()
            except RuntimeError as error:
                _LOG.warning('%s cannot be captured as a CUDA graph (%s); it runs without, slower',
                             self._name, error)
                self._plain = True
                return self._function()
        self._graph.replay()
        return self._result

    def _capture(self) -> None:
        states = [generator.get_state() for generator in self._generators]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._function()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        self._restore(states)
        for generator in self._generators:
            graph.register_generator_state(generator)   # a replay draws on, it does not repeat
        try:
            # Other threads may use the GPU meanwhile: only this one's mistakes are errors.
            with torch.cuda.graph(graph, capture_error_mode='thread_local'):
                result = self._function()
        finally:
            self._restore(states)
        self._graph, self._result = graph, result

    def _restore(self, states: list[torch.Tensor]) -> None:
        for generator, state in zip(self._generators, states, strict=True):
            generator.set_state(state)


class CapturedByShape:
    """Runs a function of tensors: one graph, with inputs of its own, for each set of shapes.

    Args:
        function: Tensors to one tensor, with no memory of its own; see `CapturedFunction`.
        device: Where it runs; what is on other devices is copied there.
        name: For log lines.
    """

    MOST = 8   # graphs kept; each holds on to its memory

    def __init__(self, function: Callable[..., torch.Tensor], device: torch.device,
                 name: str = 'function') -> None:
        self._function, self._device, self._name = function, device, name
        self._graphs: dict[tuple, tuple[list[torch.Tensor], CapturedFunction]] = {}

    def __call__(self, *values: torch.Tensor) -> torch.Tensor:
        """Run; the result is the caller's."""
        key = tuple((tuple(value.shape), value.dtype) for value in values)
        if key not in self._graphs:
            if len(self._graphs) == self.MOST:
                self._graphs.pop(next(iter(self._graphs)))   # the oldest
            inputs = [torch.empty(shape, dtype=dtype, device=self._device)
                      for shape, dtype in key]
            for kept, value in zip(inputs, values, strict=True):
                kept.copy_(value)   # sane numbers for warming up
            self._graphs[key] = inputs, CapturedFunction(
                lambda: self._function(*inputs), self._device,
                name=f'{self._name} {" ".join(str(list(shape)) for shape, _ in key)}')
        inputs, run = self._graphs[key]
        for kept, value in zip(inputs, values, strict=True):
            kept.copy_(value)
        return run().clone()
