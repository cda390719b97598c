"""Where a model runs: the name of a device, checked before anything is loaded."""

from __future__ import annotations

from lewm_model.errors import ConfigError
import torch


def check_device(device: str | torch.device) -> torch.device:
    """Return the device, if this machine and this PyTorch have it.

    Raises:
        ConfigError: If the name is none, PyTorch was built without it, or no such GPU is there;
            the message says what to do.
    """
    try:
        checked = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f'device must be cpu, cuda, cuda:1, mps, xpu, ..., got '
                          f'{str(device)!r}') from error
    if checked.type == 'cpu':
        return checked
    if checked.type != 'cuda':
        return _check_other(checked)
    if torch.version.cuda is None and torch.version.hip is None:
        raise ConfigError(f'device {str(device)!r} needs PyTorch for GPUs, and this one, '
                          f'{torch.__version__}, is for CPUs; use device cpu, or install it as '
                          f'https://pytorch.org says')
    count = torch.cuda.device_count()
    if (checked.index or 0) >= count:
        raise ConfigError(f'device {str(device)!r} is not there: PyTorch sees {count} GPUs; '
                          f'`nvidia-smi` shows what the driver sees')
    return checked


def _check_other(device: torch.device) -> torch.device:
    """Ask what only PyTorch itself knows of mps, xpu and others: whether memory can be had."""
    try:
        if device.type != 'meta' and (torch.empty(1, device=device) + 1).cpu().numel():
            return device
        reason = 'it holds no numbers'
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).partition('\n')[0]
    raise ConfigError(f'device {str(device)!r} does not work with this PyTorch, '
                      f'{torch.__version__}: {reason}; use device cpu')
