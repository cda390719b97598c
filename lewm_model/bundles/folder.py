"""The folder of a bundle: its settings file and the weights that belong to it, in and out.

What the settings mean is `bundle`'s; here is that they are whole, and that every file of weights
is the one that they name. `weights` says how both change together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lewm_model.base.folder_lock import locked
from lewm_model.bundles.networks import NETWORKS
from lewm_model.bundles.weights import (
    adopt_weights,
    discard_staged,
    load_weights,
    stage_weights,
    write_atomically,
)
from lewm_model.config import Config, load_yaml
from lewm_model.errors import BundleError, ConfigError, without_path
import torch
from torch import nn
import yaml

FORMAT_VERSION = 1
SETTINGS_FILE = 'bundle.yaml'
WEIGHTS_FILE = 'weights.safetensors'
PRIOR_FILE = 'prior.safetensors'
_SECTIONS = ('format', 'model', 'preprocessing', 'actions', 'control_dt_s', 'robot', 'task',
             'goal_tolerance', 'plan', 'provenance', 'metrics', 'weights_sha256')
_OPTIONAL_SECTIONS = ('view', *NETWORKS)
_SMALL_NETWORK = 25_000_000    # numbers: may be built before its weights are looked at


def write_folder(folder: Path, model: nn.Module, networks: Mapping[str, nn.Module],
                 settings_of: Callable[[str], dict[str, Any]]) -> Path:
    """Write a bundle; killed at any moment, it leaves the old one or the new one, whole.

    Args:
        folder: Made if it is missing.
        model: The world model.
        networks: What is beside it, by its name in `NETWORKS`.
        settings_of: Returns the settings, given the SHA-256 of the model's weights.

    Raises:
        BundleError: If the folder cannot be written; a bundle that was there is intact.
    """
    path = folder / SETTINGS_FILE
    weights = folder / WEIGHTS_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            kept = _named_weights(path)     # of the bundle that this one replaces
            try:
                settings = settings_of(stage_weights(model, weights))
                for name, network in networks.items():
                    settings[name] = {
                        **network.config.to_dict(),
                        'weights_sha256': stage_weights(network, _file(folder, name))}
                text = yaml.safe_dump(settings, sort_keys=False, width=99)
                write_atomically(path, text.encode())       # from here on it is the new one
            except OSError:
                discard_staged(weights, kept.get('model'))
                for name in NETWORKS:
                    discard_staged(_file(folder, name), kept.get(name))
                raise
            adopt_weights(weights, settings['weights_sha256'])
            for name in NETWORKS:
                adopt_weights(_file(folder, name), settings.get(name, {}).get('weights_sha256'))
    except OSError as error:
        raise BundleError(f'cannot write bundle {folder}: {without_path(error)}; what was there '
                          f'before is intact, free some space or make it writable') from error
    return folder


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a bundle, whole.

    Raises:
        BundleError: If there are none, or a section is missing or unknown.
    """
    if not folder.is_dir():
        raise BundleError(f'bundle {folder} is not a folder; make one with `lewm train`')
    if not (folder / SETTINGS_FILE).is_file():
        raise BundleError(f'bundle {folder} has no {SETTINGS_FILE}: it was not written completely')
    try:
        settings = load_yaml(folder / SETTINGS_FILE)
    except ConfigError as error:
        raise BundleError(str(error)) from error
    version = settings.get('format')
    if version != FORMAT_VERSION:
        raise BundleError(f'{folder / SETTINGS_FILE}: format {version!r} is not supported, '
                          f'this version reads {FORMAT_VERSION}')
    missing = [name for name in _SECTIONS if name not in settings]
    unknown = [str(name) for name in settings if name not in _SECTIONS + _OPTIONAL_SECTIONS]
    if missing or unknown:
        raise BundleError(f'{folder / SETTINGS_FILE}: missing {", ".join(missing) or "nothing"}, '
                          f'unknown {", ".join(unknown) or "nothing"}')
    return settings


def read_model(build: Callable[[], nn.Module], folder: Path, settings: Mapping[str, Any]
               ) -> nn.Module:
    """Build the world model and fill it with the weights that the settings name.

    Raises:
        BundleError: If they are missing, others, or do not fit.
    """
    _require_filled(build, folder / WEIGHTS_FILE)
    model = build()
    load_weights(model, folder / WEIGHTS_FILE, settings['weights_sha256'], 'weights_sha256')
    return model


def read_network(build: Callable[[str, Config], nn.Module], folder: Path, name: str, section: Any
                 ) -> nn.Module:
    """Build one of `NETWORKS` and fill it, in eval mode.

    Args:
        build: Returns it unfilled, given its name and sizes.
        folder: Of the bundle.
        name: Of the network.
        section: Of the settings.

    Raises:
        BundleError: If the section or the weights are not what they should be.
    """
    entry, path = f'{folder / SETTINGS_FILE}: {name}', _file(folder, name)
    if not isinstance(section, dict) or 'weights_sha256' not in section:
        raise BundleError(f'{entry} must be a mapping with weights_sha256, got {section!r}')
    sizes = {key: value for key, value in section.items() if key != 'weights_sha256'}
    try:
        config = NETWORKS[name].config.from_dict(sizes)
        _require_filled(lambda: build(name, config), path)
        network = build(name, config)
    except ConfigError as error:
        raise BundleError(f'{entry}: {error}') from error
    load_weights(network, path, section['weights_sha256'], f'{name}.weights_sha256')
    return network.eval().requires_grad_(False)


def _require_filled(build: Callable[[], nn.Module], path: Path) -> None:
    """Refuse sizes that no weights file here can fill, before memory is taken for them."""
    with torch.device('meta'):
        count = sum(value.numel() for value in build().state_dict().values())
    stored = max((file.stat().st_size for file in path.parent.glob(f'{path.stem}*{path.suffix}')
                  if file.is_file()), default=None)
    if stored is not None and count > max(stored, _SMALL_NETWORK):
        raise BundleError(f'{path.parent / SETTINGS_FILE} describes a network of {count} numbers, '
                          f'but {path.name} has only {stored} bytes; one of them is damaged')
    if stored is None:
        raise BundleError(f'bundle {path.parent} has no {path.name}')


def _file(folder: Path, name: str) -> Path:
    return folder / f'{name}.safetensors'


def _named_weights(path: Path) -> dict[str, str]:
    """Return the hashes that a settings file names; none if it is missing or damaged."""
    try:
        settings = load_yaml(path)
        return {'model': str(settings['weights_sha256']),
                **{name: str(settings[name]['weights_sha256']) for name in NETWORKS
                   if settings.get(name)}}
    except (ConfigError, KeyError, TypeError, AttributeError):
        return {}
