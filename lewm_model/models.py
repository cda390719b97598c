"""The model of a configuration: a LeWorldModel, or one to compare with."""

from __future__ import annotations

from lewm_model.config import ModelConfig
from lewm_model.frozen_world_model import FrozenWorldModel
from lewm_model.world_model import LeWorldModel

WorldModel = LeWorldModel | FrozenWorldModel


def make_model(config: ModelConfig) -> WorldModel:
    """Build the untrained model that `config.encoder` names."""
    return FrozenWorldModel(config) if config.encoder == 'frozen' else LeWorldModel(config)
