"""The smallest honest bundle: untrained, but whole. For tests that need one in milliseconds."""

from lewm_model import Bundle, LeWorldModel, ModelConfig, PlanConfig
from lewm_model.preprocess import ActionNormalizer, FrameTransform
import numpy as np
import torch

SIZES = ModelConfig(
    action_dim=2, frameskip=5, image_size=64, patch_size=32, encoder_dim=24, encoder_depth=1,
    encoder_heads=3, latent_dim=16, projector_dim=32, history=3, predictor_dim=24,
    predictor_depth=1, predictor_heads=2, predictor_head_dim=8, predictor_mlp_dim=32, dropout=0.0)
PLAN = PlanConfig(horizon=3, receding_horizon=1, num_candidates=16, num_elites=4, iterations=2,
                  noise='held', cost='all', clip=True)


def tiny_bundle(**changes) -> Bundle:
    """Build an untrained bundle for the simulated arm."""
    torch.manual_seed(0)
    parts = {
        'model': LeWorldModel(SIZES).eval(),
        'frame_transform': FrameTransform(SIZES.image_size),
        'action_normalizer': ActionNormalizer(np.zeros(2, np.float32), np.ones(2, np.float32)),
        'action_names': ('shoulder', 'wrist'),
        'action_min': np.array([-2, -2], np.float32), 'action_max': np.array([2, 2], np.float32),
        'control_dt_s': 0.05, 'robot': 'sim_reacher', 'task': 'reacher', 'goal_tolerance': 1.0,
        'plan_config': PLAN, 'provenance': {'validation_split': 0.1}, 'metrics': {}}
    return Bundle(**{**parts, **changes})
