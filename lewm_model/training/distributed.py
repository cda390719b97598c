"""Training on several processes, as torchrun starts them: what they must agree on.

A step gives what one process would get from the joint batch. Four things see more than one clip
and are averaged over processes: BatchNorm's statistics, the characteristic function in SIGReg,
the reported losses, and the gradients. Weights need no wrapper: they start equal and stay equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os

from lewm_model.base.devices import check_device
from lewm_model.errors import ConfigError, TrainingError
import torch
from torch import distributed, nn, Tensor


class Group:
    """The processes that train together; with one process every method is the identity."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def is_main(self) -> bool:
        """Whether this process logs, checks health and writes files."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Average over the processes, element by element; differentiable."""
        return values if self.size == 1 else _Sum.apply(values) / self.size

    def average_gradients(self, model: nn.Module) -> None:
        """Replace every gradient by its mean over the processes, in one message."""
        gradients = [value.grad for value in model.parameters() if value.grad is not None]
        if self.size == 1 or not gradients:
            return
        joined = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = joined.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def require_equal(self, value: float, name: str) -> None:
        """Refuse to go on when the processes do not agree.

        Raises:
            TrainingError: If `value` is not the same everywhere.
        """
        values = torch.tensor([value, value * value], dtype=torch.float64)
        mean, mean_of_squares = self.mean(values.to(self._device())).tolist()
        if mean_of_squares - mean * mean > 1e-6 * (1 + mean * mean):
            raise TrainingError(f'the {self.size} processes do not agree on {name}: process '
                                f'{self.rank} has {value}; all need the same run folder, data '
                                f'and options')

    def _device(self) -> str:
        on_gpu = self.size > 1 and distributed.get_backend() == 'nccl'
        return f'cuda:{torch.cuda.current_device()}' if on_gpu else 'cpu'


class _Sum(torch.autograd.Function):
    """All-reduce whose gradient is the all-reduced gradient.

    Backward passes of all processes together then differentiate the *sum* of their losses, and
    averaging the gradients afterwards makes it the mean.
    """

    @staticmethod
    def forward(context, values: Tensor) -> Tensor:
        return _sum(values)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        return _sum(gradient)


def _sum(values: Tensor) -> Tensor:
    total = values.detach().clone(memory_format=torch.contiguous_format)
    try:
        distributed.all_reduce(total)
    except RuntimeError as error:
        raise TrainingError('another process of this run has stopped; its message says '
                            'why') from error
    return total


class _JointBatchNorm(nn.BatchNorm1d):
    """BatchNorm over the rows of all processes; torch's own SyncBatchNorm has no CPU version.

    In eval mode, and in its state dict, it is a plain BatchNorm1d.
    """

    mean_over_processes: Callable[[Tensor], Tensor]
    processes: int

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise (N, width) rows; N is the same in every process."""
        if not self.training:
            return super().forward(rows)
        with torch.autocast(rows.device.type, enabled=False):
            values = rows.to(torch.promote_types(rows.dtype, torch.float32))
            mean = self.mean_over_processes(values.mean(dim=0))
            centred = values - mean
            variance = self.mean_over_processes(centred.square().mean(dim=0))
            with torch.no_grad():
                count = len(rows) * self.processes
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum)
                self.num_batches_tracked += 1
            normed = centred * (variance + self.eps).rsqrt()
            return (normed * self.weight + self.bias).to(rows.dtype)


def join_batch_norms(model: nn.Module, group: Group) -> None:
    """Make every BatchNorm1d of a model see the joint batch; parameters and names stay."""
    if group.size == 1:
        return
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.BatchNorm1d:
                joint = _JointBatchNorm(child.num_features, child.eps, child.momentum)
                joint._parameters, joint._buffers = child._parameters, child._buffers
                joint.mean_over_processes, joint.processes = group.mean, group.size
                setattr(module, name, joint.train(child.training))


@contextmanager
def joined_processes(device: str) -> Iterator[tuple[Group, str]]:
    """Join the processes that torchrun started, if it did; leave them at the end.

    Yields:
        The group, and the device of this process: `cuda` becomes one GPU for each.

    Raises:
        ConfigError: If the environment of torchrun is incomplete, or there is no such device.
    """
    check_device(device)
    size = int(os.environ.get('WORLD_SIZE', '1'))
    if size == 1:
        yield Group(), device
        return
    missing = [name for name in ('RANK', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
               if name not in os.environ]
    if missing:
        raise ConfigError(f'WORLD_SIZE is {size}, but {", ".join(missing)} is not set; start '
                          f'several processes with torchrun, or unset WORLD_SIZE')
    on_gpu = torch.device(device).type == 'cuda'
    if on_gpu:
        device = f'cuda:{os.environ["LOCAL_RANK"]}'
        torch.cuda.set_device(device)
    distributed.init_process_group('nccl' if on_gpu else 'gloo')
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
