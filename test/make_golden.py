"""Make the golden vectors `golden_*.npz` with the reference implementation, stable-worldmodel.

    python -m venv reference && reference/bin/pip install -e '.[reference]'
    reference/bin/python test/make_golden.py

Neither weights nor pictures are stored: each array is drawn by `drawn`, from its name alone, with
integer arithmetic that no version of NumPy or torch changes. The tests draw the same ones, so a
golden file is only what the reference makes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
import sys
import tempfile
from types import SimpleNamespace

from lewm_model.bundles.released import write_released
from lewm_model.config import ModelConfig, PlanConfig
from lewm_model.world_model import LeWorldModel
import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent
CASES = {
    'paper': ModelConfig(action_dim=2),
    # Every width differs, so that a swapped one shows; frames are resized; ViT without a name.
    'small': ModelConfig(
        action_dim=3, frameskip=4, image_size=64, patch_size=16, encoder_dim=96, encoder_depth=4,
        encoder_heads=3, latent_dim=64, projector_dim=80, history=3, predictor_dim=48,
        predictor_depth=2, predictor_heads=4, predictor_head_dim=24, predictor_mlp_dim=112)}
CAMERA_PX = {'paper': 224, 'small': 96}
PLAN = PlanConfig(num_candidates=32, num_elites=8, iterations=3)
CANDIDATES = 4                                        # for rollouts
SIGREG_SCALES = {'standard': 1.0, 'wide': 2.0, 'narrow': 0.5, 'collapsed': 0.0}
SIGREG_SEED = 3


def drawn(name: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Draw an array (float64) by its name: uniform, from the raw bits of PCG64."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'big')
    bits = np.random.PCG64(seed).random_raw(int(np.prod(shape, dtype=int)))
    return (low + (high - low) * (bits >> np.uint64(11)) * 2.0 ** -53).reshape(shape)


def drawn_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """Draw one tensor of a state dict; sizes are such that every part of the model matters."""
    if name.endswith('num_batches_tracked'):
        return torch.tensor(1000)
    kind = name.rpartition('.')[2]
    if kind == 'running_var':
        values = drawn(name, shape, 0.5, 2.0)
    elif kind == 'weight' and len(shape) == 1:        # a norm
        values = drawn(name, shape, 0.8, 1.2)
    elif kind == 'weight':                            # outputs as large as inputs
        values = drawn(name, shape) * np.sqrt(3 / np.prod(shape[1:]))
    else:                                             # biases, positions, class token, means
        values = drawn(name, shape, -0.5, 0.5)
    return torch.from_numpy(values).float()


def drawn_model(config: ModelConfig) -> LeWorldModel:
    """Build our model with drawn weights."""
    model = LeWorldModel(config)
    model.load_state_dict({name: drawn_weight(name, tuple(value.shape))
                           for name, value in model.state_dict().items()})
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Inputs:
    """What both implementations get."""

    frames: np.ndarray      # uint8 (2, 3, H, W, 3)
    goal: np.ndarray        # uint8 (H, W, 3)
    blocks: Tensor          # (2, 3, K*A)
    candidates: Tensor      # (S, T, K*A)


def drawn_inputs(case: str) -> Inputs:
    """Draw pictures with structure at several scales, and actions."""
    size, width = CAMERA_PX[case], CASES[case].block_dim

    def picture(name: str, count: int) -> np.ndarray:
        coarse = drawn(f'{name} coarse', (count, 4, 4, 3), 0, 200)
        fine = drawn(f'{name} fine', (count, size, size, 3), 0, 56)
        return (coarse.repeat(size // 4, axis=1).repeat(size // 4, axis=2) + fine).astype(np.uint8)

    return Inputs(
        frames=picture('frames', 6).reshape(2, 3, size, size, 3), goal=picture('goal', 1)[0],
        blocks=torch.from_numpy(drawn('blocks', (2, 3, width), -2, 2)).float(),
        candidates=torch.from_numpy(
            drawn('candidates', (CANDIDATES, PLAN.horizon, width), -2, 2)).float())


def drawn_latents(name: str) -> Tensor:
    """Draw latents (B, T, D) = (64, 2, 32) for SIGReg, bell-shaped, of one scale."""
    return SIGREG_SCALES[name] * torch.from_numpy(
        drawn('latents', (64, 2, 32, 12), -0.5, 0.5).sum(axis=-1)).float()


@torch.inference_mode()
def reference_vectors(case: str) -> dict[str, np.ndarray]:
    """Compute everything with stable-worldmodel, from a checkpoint of our writing."""
    model, inputs = _load_reference(CASES[case]), drawn_inputs(case)
    frames, goal = _reference_frames(case, inputs.frames), _reference_frames(case, inputs.goal)
    blocks, candidates = inputs.blocks, inputs.candidates[None]
    seen = model.encode({'pixels': frames, 'action': blocks})
    small = torch.nn.functional.avg_pool2d(frames.flatten(0, 1), 2)[None]
    found = {'latents': seen['emb'], 'latents_half_size': model.encode({'pixels': small})['emb'],
             'predictions': model.predict(seen['emb'], seen['act_emb'])}
    for length in (1, 3):   # frames in the context
        past = blocks[:1, None, :length - 1].expand(-1, CANDIDATES, -1, -1)
        info = {'pixels': frames[:1, None, :length].expand(-1, CANDIDATES, -1, -1, -1, -1)}
        model.rollout(info, torch.cat([past, candidates], dim=2))
        found[f'rollout_{length}'] = info['predicted_emb'][0, :, length:]
    many = {name: value[None, None, None].expand(-1, CANDIDATES, -1, -1, -1, -1)
            for name, value in (('pixels', frames[0, 0]), ('goal', goal))}
    found['costs'] = model.get_cost({**many, 'action': candidates[:, :, :1]}, candidates)[0]
    found['plan'] = _reference_plan(model, case, frames[0, 0], goal)
    return {name: value.numpy() for name, value in found.items()}


def reference_sigreg() -> dict[str, np.ndarray]:
    """Compute SIGReg of the drawn latents with stable-worldmodel."""
    from stable_worldmodel.wm.loss import SIGReg
    found = {}
    for name in SIGREG_SCALES:
        torch.manual_seed(SIGREG_SEED)   # it draws from the global generator
        found[name] = SIGReg()(drawn_latents(name).transpose(0, 1)).numpy()
    return found


def _load_reference(config: ModelConfig) -> torch.nn.Module:
    """Let stable-worldmodel build the model from `config.json` and load it strictly."""
    from stable_worldmodel.wm.utils import load_pretrained
    import transformers
    with tempfile.TemporaryDirectory() as root:
        write_released(drawn_model(config), Path(root, 'checkpoints', 'drawn'),
                       transformers=min(5, int(transformers.__version__.partition('.')[0])))
        return load_pretrained('drawn', cache_dir=root).eval()


def _reference_frames(case: str, frames: np.ndarray) -> Tensor:
    """Prepare uint8 (..., H, W, 3) as the reference's evaluation does."""
    from torchvision.transforms import v2
    size = CASES[case].image_size
    prepare = v2.Compose([
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)), v2.Resize(size)])
    return prepare(torch.from_numpy(frames).movedim(-1, -3))


def _reference_plan(model: torch.nn.Module, case: str, frame: Tensor, goal: Tensor) -> Tensor:
    """Solve once with the reference's CEM, (T, K*A)."""
    from gymnasium.spaces import Box
    from stable_worldmodel.solver.cem import CEMSolver
    config = CASES[case]
    solver = CEMSolver(model, num_samples=PLAN.num_candidates, n_steps=PLAN.iterations,
                       topk=PLAN.num_elites, var_scale=PLAN.sample_std, seed=PLAN.seed)
    solver.configure(action_space=Box(-1, 1, (1, config.action_dim)), n_envs=1,
                     config=SimpleNamespace(horizon=PLAN.horizon, action_block=config.frameskip))
    info = {'pixels': frame[None, None], 'goal': goal[None, None],
            'action': torch.zeros(1, 1, config.block_dim)}
    return solver.solve(info)['actions'][0]


def main() -> None:
    """Write the golden files and say which versions made them."""
    import importlib.metadata
    versions = {name: importlib.metadata.version(name)
                for name in ('stable-worldmodel', 'stable-pretraining', 'transformers', 'torch')}
    for case in CASES:
        vectors = reference_vectors(case)
        np.savez_compressed(FOLDER / f'golden_{case}.npz', versions=json.dumps(versions),
                            **vectors)
        print(case, {name: value.shape for name, value in vectors.items()}, file=sys.stderr)
    np.savez_compressed(FOLDER / 'golden_sigreg.npz', versions=json.dumps(versions),
                        **reference_sigreg())


if __name__ == '__main__':
    main()
