"""Temporal straightness: do latents of a smooth motion move in a straight line?

Source: LeWorldModel, arXiv 2603.19312: mean cosine of consecutive latent velocities; on Push-T it
rises to about 0.6 during training although no loss term asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lewm_model.config import ModelConfig
from lewm_model.errors import TrainingError
from lewm_model.training.checkpoint import load
from lewm_model.training.health import straightness
from lewm_model.world_model import LeWorldModel

__all__ = ['checkpointed_models', 'straightness']


def checkpointed_models(run_folder: Path, config: ModelConfig
                        ) -> Iterator[tuple[int, LeWorldModel]]:
    """Yield the optimiser step and the model, in eval mode, of every checkpoint of a run.

    Args:
        run_folder: What `lewm train --run` wrote; it keeps the newest few and the best.
        config: Sizes of the model.

    Raises:
        TrainingError: If there are none, or they belong to a model of another size.
    """
    paths = sorted((run_folder / 'checkpoints').glob('*.pt'))
    if not paths:
        raise TrainingError(f'{run_folder} has no checkpoints; give the folder that '
                            f'"lewm train --run" wrote')
    states = {}
    for path in paths:
        state = load(path)
        states[int(state['step'])] = (path, state['model'])
    for step, (path, weights) in sorted(states.items()):
        model = LeWorldModel(config)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise TrainingError(f'{path} does not fit the bundle: {error}') from error
        yield step, model.eval().requires_grad_(False)
