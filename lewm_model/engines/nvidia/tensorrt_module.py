"""TensorRT by either of its names: `tensorrt` (any NVIDIA GPU) or `tensorrt_rtx` (of PCs)."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
import logging
from types import ModuleType
from typing import Any

from lewm_model.errors import MissingPackageError
import torch

MODULES = ('tensorrt', 'tensorrt_rtx')   # the first that is there
_LOG = logging.getLogger(__name__)


def import_tensorrt() -> ModuleType:
    """Return the module, under whichever name it is installed.

    Raises:
        MissingPackageError: If there is none.
    """
    for name in MODULES:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
        except (ImportError, OSError, RuntimeError) as error:   # there, but without its libraries
            _LOG.warning('the Python package %s is installed but does not load: %s', name, error)
    raise MissingPackageError('tensorrt-rtx', 'tensorrt', 'backend tensorrt')


def gpu_target(trt: ModuleType, device: torch.device) -> str:
    """Name the GPUs that an engine built on this device runs on.

    An engine of TensorRT fits one model of GPU; of TensorRT-RTX, which finishes its kernels when
    they are loaded, every GPU of the same compute capability.
    """
    major, minor = torch.cuda.get_device_capability(device)
    family = f'sm{major}{minor}'
    return family if trt.__name__ == 'tensorrt_rtx' else (
        f'{torch.cuda.get_device_name(device)} {family}')


@lru_cache(maxsize=2)
def shared_logger(trt: ModuleType) -> Any:
    """Return TensorRT's logger, the only one that a process may have; `last_error` is kept."""
    levels = {trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
              trt.ILogger.Severity.ERROR: logging.ERROR,
              trt.ILogger.Severity.WARNING: logging.WARNING,
              trt.ILogger.Severity.INFO: logging.DEBUG,
              trt.ILogger.Severity.VERBOSE: logging.NOTSET}

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ''

        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity, logging.DEBUG)
            if level == logging.ERROR:
                self.last_error = message
                level = logging.INFO    # whoever asked raises or warns, with this message in it
            if level:
                _LOG.log(level, '%s: %s', trt.__name__, message)

    return Logger()
