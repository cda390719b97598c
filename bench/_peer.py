"""The reference implementation with a bundle's weights, ready to be timed beside ours.

Needs the extra `reference`; see pyproject.toml.
"""

from __future__ import annotations

from pathlib import Path
import tempfile
from types import SimpleNamespace

from lewm_model.bundles.bundle import Bundle
from lewm_model.bundles.released import write_released
from lewm_model.config import PlanConfig
from lewm_model.errors import MissingPackageError
import numpy as np
import torch
from torch import Tensor

NAME = 'stable-worldmodel'


class Peer:
    """stable-worldmodel's LeWM and CEM solver.

    Args:
        bundle: Whose weights it gets, through a checkpoint of the published form.
        frame: What the robot sees, uint8 (H, W, 3), already of the model's size.
        goal: Where it shall be, the same.

    Raises:
        MissingPackageError: If it is not installed.
    """

    def __init__(self, bundle: Bundle, frame: np.ndarray, goal: np.ndarray) -> None:
        try:
            from stable_worldmodel.wm.utils import load_pretrained
            import transformers
        except ImportError as error:
            raise MissingPackageError(NAME, 'reference', 'measuring against it') from error
        self._sizes = bundle.model_config
        with tempfile.TemporaryDirectory() as root:
            write_released(bundle.model, Path(root, 'checkpoints', 'bundle'),
                           transformers=min(5, int(transformers.__version__.partition('.')[0])))
            self._model = load_pretrained('bundle', cache_dir=root).eval()
        self._device = next(bundle.model.parameters()).device
        self._model.to(self._device)
        self._transform, self._raw = bundle.frame_transform, frame
        self._frame, self._goal = map(self._prepared, (frame, goal))

    @torch.inference_mode()
    def plan(self, config: PlanConfig) -> Tensor:
        """Solve once with its CEM and a context of one frame, (T, K*A)."""
        from gymnasium.spaces import Box
        from stable_worldmodel.solver.cem import CEMSolver

        solver = CEMSolver(
            self._model, num_samples=config.num_candidates, n_steps=config.iterations,
            topk=config.num_elites, var_scale=config.sample_std, seed=config.seed,
            device=self._device)
        solver.configure(
            action_space=Box(-1, 1, (1, self._sizes.action_dim)), n_envs=1,
            config=SimpleNamespace(horizon=config.horizon, action_block=self._sizes.frameskip))
        info = {'pixels': self._frame[None, None], 'goal': self._goal[None, None],
                'action': torch.zeros(1, 1, self._sizes.block_dim, device=self._device)}
        return solver.solve(info)['actions'][0]

    @torch.inference_mode()
    def costs(self, candidates: Tensor) -> Tensor:
        """Score candidates (S, T, K*A) as its solver does, (S,)."""
        count = len(candidates)
        info = {name: value[None, None, None].expand(-1, count, -1, -1, -1, -1)
                for name, value in (('pixels', self._frame), ('goal', self._goal))}
        return self._model.get_cost({**info, 'action': candidates[None, :, :1]},
                                    candidates[None])[0]

    @torch.inference_mode()
    def rollout(self, past_blocks: Tensor, candidates: Tensor) -> Tensor:
        """Imagine from L equal frames, with L-1 past blocks (1, L-1, K*A): (S, T, D)."""
        count, length = len(candidates), past_blocks.shape[1] + 1
        info = {'pixels': self._frame.expand(1, count, length, -1, -1, -1)}
        past = past_blocks[:, None].expand(-1, count, -1, -1)
        self._model.rollout(info, torch.cat([past, candidates[None]], dim=2))
        return info['predicted_emb'][0, :, length:]

    @torch.inference_mode()
    def encode(self) -> Tensor:
        """Encode the frame, from uint8, (D,)."""
        return self._model.encode({'pixels': self._prepared(self._raw)[None, None]})['emb'][0, 0]

    def _prepared(self, rgb: np.ndarray) -> Tensor:
        # A linear map of the pixels, the same as its ToDtype, Normalize, Resize at this size.
        return self._transform.numpy(rgb).to(self._device)
