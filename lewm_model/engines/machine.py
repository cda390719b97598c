"""What this machine is and can do, as far as engines care."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
import platform

import torch

_BF16_FLAGS = {'avx512_bf16', 'amx_bf16', 'bf16'}   # x86, x86, Arm


def has_native_bf16(device: torch.device) -> bool:
    """Say whether the device multiplies bf16 matrices in hardware."""
    if device.type == 'cuda':
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != 'cpu':   # xpu can tell; what cannot is taken to have none
        module = getattr(torch, device.type, None)
        return bool(getattr(module, 'is_bf16_supported', lambda: False)())
    return bool(_BF16_FLAGS & _cpu_facts()[1])


def machine_facts(device: torch.device) -> dict[str, str | int]:
    """Name what a measured speed depends on: processor, threads, versions."""
    model, flags = _cpu_facts()
    facts: dict[str, str | int] = {
        'cpu': model, 'cpu_flags': ' '.join(sorted(flags)), 'system': platform.system(),
        'device': str(device), 'threads': torch.get_num_threads()}
    if device.type == 'cuda':
        facts['gpu'] = torch.cuda.get_device_name(device)
    for package in ('torch', 'onnxruntime', 'openvino', 'tensorrt', 'tensorrt-rtx'):
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            facts[package] = 'none'
    return facts


def _cpu_facts() -> tuple[str, set[str]]:
    """Return the processor's name and feature flags; on other systems than Linux, no flags."""
    try:
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return platform.processor() or platform.machine(), set()
    fields = dict(line.split(':', 1) for line in text.partition('\n\n')[0].splitlines()
                  if ':' in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get('flags') or fields.get('Features', '')
    return fields.get('model name', platform.machine()), set(flags.split())
