"""LeWorldModel: model, data, training and planning, without ROS and without a simulator.

Everything public is loaded on first use, so light processes (the command node, the simulator)
can import `lewm_model.types` or `lewm_model.images.decode` without paying for torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    'LeWorldModel': 'world_model',
    'ModelConfig': 'config',
    'PlanConfig': 'config',
    'TrainConfig': 'config',
    'DataConfig': 'config',
    'Bundle': 'bundles.bundle',
    'load_released': 'bundles.released',
    'HeldOut': 'held_out',
    'EpisodeFile': 'data.episodes',
    'Clips': 'data.clips',
    'train_bundle': 'training.run',
    'train_on': 'training.run',
    'make_policy': 'assemble',
    'make_engine': 'engines.choose',
    'Policy': 'planning.policy',
    'Fleet': 'planning.fleet',
    'Quantity': 'quantities',
    'RobotDescription': 'robots.robot',
    'Observation': 'types',
    'Context': 'types',
    'Goal': 'types',
    'Plan': 'types',
    'ActionChunk': 'types',
    'LewmError': 'errors',
}

__all__ = list(_HOMES)
__version__ = '0.1.0'


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}; it has {__all__}')
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
