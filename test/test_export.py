from __future__ import annotations

import hashlib
import json

from engine_models import alive_bundle, PLAN_2
from lewm_model.engines.onnx import export_files as module, export_graphs as onnx_export
from lewm_model.engines.onnx.export_files import export_files, ExportedFiles
from lewm_model.engines.torch.eager import TorchEngine
from lewm_model.errors import ConfigError, EngineError, MissingPackageError
from lewm_model.planning.objectives import make_objective
from lewm_model.types import Context, Goal
from lewm_sim.cli import main
from nano import SIZES
import numpy as np
import pytest
import torch

pytest.importorskip('onnx', reason='pip install "lewm_ros[onnx]"')
pytest.importorskip('onnxruntime', reason='pip install "lewm_ros[onnx]"')


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Return a bundle, its exported folder for frames of another size, and what was returned."""
    bundle = alive_bundle()
    folder = tmp_path_factory.mktemp('export') / 'out'
    return bundle, folder, export_files(bundle, folder, PLAN_2, (48, 90))


def test_the_files_compute_the_model(exported):
    """Raw uint8 frames of the camera's size, latents, and costs of any number of candidates."""
    bundle, folder, _ = exported
    files, eager = ExportedFiles(folder), TorchEngine(bundle)
    rgb = np.random.default_rng(1).integers(0, 256, (48, 90, 3), dtype=np.uint8)
    torch.testing.assert_close(files.encode(rgb), eager.encode(rgb), rtol=1e-4, atol=1e-4)
    goal = Goal(latent=torch.randn(SIZES.latent_dim))
    for length, count in ((1, 1), (2, 9)):
        context = Context(torch.randn(1, length, SIZES.latent_dim),
                          torch.randn(1, length - 1, SIZES.block_dim), tuple(range(length)))
        blocks = torch.randn(count, PLAN_2.horizon, SIZES.block_dim)
        expected = eager.rollout(context, blocks)
        torch.testing.assert_close(files.rollout(context, blocks), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(files.costs(context, blocks, goal),
                                   make_objective(PLAN_2.cost)(expected, goal),
                                   rtol=1e-4, atol=1e-4)


def test_the_json_file_is_true(exported):
    """Hashes and shapes are those of the files, as ONNX Runtime sees them."""
    import onnxruntime
    _, folder, info = exported
    assert json.loads((folder / 'export.json').read_text()) == info
    assert set(info['files']) == {path.name for path in folder.glob('*.onnx')}
    for name, facts in info['files'].items():
        content = (folder / name).read_bytes()
        assert facts['sha256'] == hashlib.sha256(content).hexdigest()
        session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
        for kind, tensors in (('inputs', session.get_inputs()),
                              ('outputs', session.get_outputs())):
            assert {tensor.name: tensor.shape for tensor in tensors} == {
                key: shape for key, (_, *shape) in facts[kind].items()}
    assert info['parity']['rollout_error'] < 1e-4


def test_nothing_is_written_over(exported):
    """A folder with something in it is refused and stays as it is."""
    bundle, folder, _ = exported
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(ConfigError, match='not an empty folder'):
        export_files(bundle, folder, PLAN_2)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_files_that_disagree_are_not_left_behind(tmp_path, monkeypatch):
    """A wrong graph ends in an error and no folder, not even a temporary one."""
    other = alive_bundle(seed=1)
    monkeypatch.setattr(module, 'export_encode', lambda bundle, path, size:
                        onnx_export.export_encode(other, path, size))
    with pytest.raises(EngineError, match='encode error'):
        export_files(alive_bundle(seed=0), tmp_path / 'out', PLAN_2)
    assert list(tmp_path.iterdir()) == []


def test_a_context_longer_than_the_model_s_is_refused(tmp_path):
    """The message says how long it may be."""
    with pytest.raises(ConfigError, match='1 to 3 frames, got 4'):
        onnx_export.export_rollout(alive_bundle(), tmp_path / 'x.onnx', length=4, horizon=2,
                                   cost='all')


def test_without_onnx_the_message_has_the_command(tmp_path, monkeypatch):
    """The extra is named."""
    monkeypatch.setitem(__import__('sys').modules, 'onnx', None)
    with pytest.raises(MissingPackageError, match=r'pip install "lewm_ros\[onnx\]"'):
        onnx_export.export_encode(alive_bundle(), tmp_path / 'x.onnx')


def test_lewm_export_writes_the_folder(tmp_path, capsys):
    """The command takes a bundle's folder and the options that override its settings."""
    alive_bundle().save(tmp_path / 'bundle')
    out = tmp_path / 'out'
    assert main(['export', str(tmp_path / 'bundle'), '--out', str(out), '--history', '1',
                 '--horizon', '2', '--cost', 'last', '--frame-size', '40x60']) == 0
    info = json.loads((out / 'export.json').read_text())
    assert (info['horizon'], info['history'], info['cost']) == (2, 1, 'last')
    assert info['files']['encode.onnx']['inputs']['rgb'] == ['uint8', 40, 60, 3]
    assert 'agreement with eager fp32' in capsys.readouterr().out
    assert main(['export', str(tmp_path / 'bundle'), '--out', str(out)]) == 2
