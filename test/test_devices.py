"""Names of devices: what is refused, and with which advice."""

from lewm_model.base import devices
from lewm_model.base.devices import check_device
from lewm_model.bundles.bundle import Bundle
from lewm_model.engines.registry import check_possible
from lewm_model.errors import ConfigError, EngineError
from lewm_model.training.distributed import joined_processes
import pytest
import torch


def without_gpus(monkeypatch, built_for: str | None) -> None:
    """Pretend that this PyTorch was built for that CUDA, and sees one GPU if for any."""
    monkeypatch.setattr(devices.torch.version, 'cuda', built_for)
    monkeypatch.setattr(devices.torch.version, 'hip', None)
    monkeypatch.setattr(devices.torch.cuda, 'device_count', lambda: 1 if built_for else 0)


def test_a_cpu_is_always_there():
    """As text and as a device."""
    assert check_device('cpu') == torch.device('cpu')
    assert check_device(torch.device('cpu')) == torch.device('cpu')


def test_a_name_that_is_none_is_refused():
    """With the names that are some."""
    with pytest.raises(ConfigError, match=r"device must be cpu, cuda, .*, got 'gpu'"):
        check_device('gpu')


def test_a_pytorch_for_cpus_says_what_to_install(monkeypatch):
    """One line with the fix, not a traceback of PyTorch."""
    without_gpus(monkeypatch, None)
    with pytest.raises(ConfigError, match='needs PyTorch for GPUs.*use device cpu, or install'):
        check_device('cuda')


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    """Counting from zero, as PyTorch does."""
    without_gpus(monkeypatch, '12.6')
    assert check_device('cuda:0') == torch.device('cuda:0')
    with pytest.raises(ConfigError, match="'cuda:1' is not there: PyTorch sees 1 GPUs"):
        check_device('cuda:1')


def test_bundles_and_training_ask_first(monkeypatch, tmp_path):
    """Before they read or write anything: the planner node and `lewm` come through here."""
    without_gpus(monkeypatch, None)
    with pytest.raises(ConfigError, match='needs PyTorch for GPUs'):
        Bundle.load(tmp_path / 'missing', device='cuda')
    with pytest.raises(ConfigError, match='got .gpu.'), joined_processes('gpu'):
        pass


@pytest.mark.parametrize('name', ['xpu', 'mps', 'meta'])
def test_what_this_pytorch_cannot_use_is_refused_in_one_line(name):
    """A CPU build has none of these; the message gives PyTorch's own reason and the fix."""
    with pytest.raises(ConfigError, match=f"device '{name}' does not work.*; use device cpu") as e:
        check_device(name)
    assert '\n' not in str(e.value)


def test_eager_and_tuned_torch_run_wherever_torch_runs():
    """A graph of another library cannot; bf16 only where a device says that it has it."""
    for name in ('torch', 'torch-tuned'):
        check_possible(name, 'fp32', torch.device('mps'))
    with pytest.raises(EngineError, match='openvino runs on cpu, the model is on mps'):
        check_possible('openvino', 'fp32', torch.device('mps'))
    with pytest.raises(EngineError, match='has no bf16 instructions'):
        check_possible('torch-tuned', 'bf16', torch.device('mps'))
