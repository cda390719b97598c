"""The physical limit: what must be computed, over what this machine multiplies per second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.side_by_side import side_by_side, Variant


def count_flops(call: Callable[[], object]) -> int:
    """Count floating-point operations of matrix products and attention in one call of torch."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def product_rates(device: str = 'cpu', size: int = 1536) -> dict[str, float]:
    """Measure plain square matrix products of this machine [operations/s] by precision."""
    variants = {}
    for name, dtype in (('fp32', torch.float32), ('bf16', torch.bfloat16)):
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))

        def multiply(left: torch.Tensor = left, right: torch.Tensor = right) -> None:
            left @ right
            if left.is_cuda:
                torch.cuda.synchronize()
        variants[name] = Variant(multiply, units=2.0 * size ** 3)
    return {name: measured.units / min(measured.seconds) for name, measured in
            side_by_side(variants, rounds=8, warmup=2).items()}


def limit_note(flops: int, seconds: float, rates: dict[str, float]) -> dict[str, Any]:
    """Say how far a measurement is from the limit of each precision."""
    return {f'limit {name}': f'{1e3 * flops / rate:.1f} ms for {flops / 1e9:.1f} GFLOP at '
                             f'{rate / 1e9:.0f} GFLOP/s; measured is {seconds * rate / flops:.1f} '
                             f'times that' for name, rate in rates.items()}
