"""The base of all settings: checked types, plain dictionaries and YAML in and out. No torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, MISSING
from pathlib import Path
from typing import Any, TypeVar

from lewm_model.base.yaml_text import read_yaml
from lewm_model.errors import ConfigError

ConfigT = TypeVar('ConfigT', bound='Config')
DescribedT = TypeVar('DescribedT')


def require(condition: bool, name: str, allowed: str, value: Any) -> None:
    """Refuse a setting: ConfigError with its name, what is allowed and the value."""
    if not condition:
        raise ConfigError(f'{name} must be {allowed}, got {value!r}')


@dataclass(frozen=True)
class Config:
    """Base of all settings: from and to plain dictionaries and YAML, types checked."""

    @classmethod
    def from_dict(cls: type[ConfigT], values: dict[str, Any]) -> ConfigT:
        """Build from a mapping; unknown keys and wrong types are errors.

        Raises:
            ConfigError: The message names the key and lists the known ones.
        """
        if not isinstance(values, dict):
            raise ConfigError(f'{cls.__name__} needs a mapping, got {type(values).__name__}')
        known = {f.name: f for f in fields(cls)}
        unknown = sorted(set(map(str, values)) - set(known))
        if unknown:
            raise ConfigError(f'{cls.__name__} has no setting {", ".join(unknown)}; '
                              f'known: {", ".join(known)}')
        missing = [f.name for f in fields(cls) if f.name not in values
                   and f.default is MISSING and f.default_factory is MISSING]
        if missing:
            raise ConfigError(f'{cls.__name__} needs {", ".join(missing)}')
        return cls(**{key: _coerce(cls.__name__, known[key], value)
                      for key, value in values.items()})

    @classmethod
    def from_yaml(cls: type[ConfigT], path: str | Path, section: str | None = None,
                  **overrides: Any) -> ConfigT:
        """Read a YAML file, optionally one section of it; `overrides` that are not None win."""
        values = load_yaml(path)
        if section is not None:
            values = values.get(section) or {}
            if not isinstance(values, dict):
                raise ConfigError(f'{path}: {section} must be a mapping of settings, got '
                                  f'{type(values).__name__}')
        given = {key: value for key, value in overrides.items() if value is not None}
        try:
            return cls.from_dict({**values, **given})
        except ConfigError as error:
            raise ConfigError(f'{path}: {error}') from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for YAML or JSON."""
        return asdict(self)


def load_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping safely.

    Raises:
        ConfigError: If the file is missing, is not YAML, is not a mapping or is too large.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f'{path} must hold a mapping of settings, '
                          f'got {type(values).__name__}')
    return values


def load_described(cls: type[DescribedT], path: str | Path, noun: str) -> DescribedT:
    """Build a dataclass that checks itself from a YAML file whose keys are its fields.

    Args:
        cls: The dataclass; fields without a default have to be in the file.
        path: The file.
        noun: What it describes, for messages: 'a robot'.

    Raises:
        ConfigError: The message names the file, the key and what is allowed.
    """
    values = load_yaml(path)
    known = [one.name for one in fields(cls)]
    unknown = sorted(set(map(str, values)) - set(known))
    missing = [one.name for one in fields(cls) if one.name not in values
               and one.default is MISSING and one.default_factory is MISSING]
    if unknown or missing:
        raise ConfigError(f'{path}: unknown keys: {", ".join(unknown) or "none"}; missing '
                          f'keys: {", ".join(missing) or "none"}; {noun} has '
                          f'{", ".join(known)}')
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error


def _coerce(owner: str, field: Any, value: Any) -> Any:
    """Accept what YAML writes for the annotated type, and nothing else."""
    kind = field.type if isinstance(field.type, str) else field.type.__name__
    if value is None and 'None' in kind:
        return None
    kind = kind.replace(' | None', '')
    # YAML 1.1 reads 1e-3 as a string
    if kind == 'float' and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):   # an int of 400 digits is no float
            pass
    elif type(value).__name__ == kind:  # exact: True is no int
        return value
    raise ConfigError(f'{owner}.{field.name} must be of type {kind}, '
                      f'got {value!r} ({type(value).__name__})')
