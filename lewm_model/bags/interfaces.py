"""Message types for bags without a ROS installation, our own included."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TYPE_CHECKING

from lewm_model.base import resources
from lewm_model.errors import MissingPackageError

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

PACKAGE = 'lewm_ros'


@lru_cache(maxsize=1)
def default_typestore() -> Typestore:
    """Return the types we write: the standard ones and `lewm_ros/msg/*` from our own files.

    Raises:
        MissingPackageError: If `rosbags` is not installed.
    """
    typesys = import_rosbags()
    # Any recent distribution will do: the types we use have had the same hash since Iron.
    store = typesys.get_typestore(typesys.Stores.ROS2_KILTED)
    types: dict[str, Any] = {}
    for path in sorted(resources.find('msg').glob('*.msg')):
        types.update(typesys.get_types_from_msg(
            path.read_text(encoding='utf-8'), f'{PACKAGE}/msg/{path.stem}'))
    store.register(types)
    return store


@dataclass(frozen=True)
class RecordedTypes:
    """The message types of one recording."""

    store: Typestore
    unusable: dict[str, str]     # type name -> why its messages cannot be decoded


@lru_cache(maxsize=8)  # the bags of one robot share their definitions, so parse them once
def recorded_types(definitions: frozenset[tuple[str, str, str]]) -> RecordedTypes:
    """Return the types as one bag defines them; for others, the default ones.

    What a recording says about its own bytes wins over what is installed here, so recordings
    stay readable after an interface has changed. A definition that cannot be parsed, or that
    another one in the bag contradicts, makes only its own type unusable.

    Args:
        definitions: Triples of type name, format ('msg' or 'idl') and text.
    """
    typesys = import_rosbags()
    parsed: dict[tuple[str, str, str], dict[str, Any]] = {}
    unusable: dict[str, str] = {}
    for definition in sorted(definitions):
        name, kind, text = definition
        try:
            found = (typesys.get_types_from_msg(text, name) if kind == 'msg'
                     else _types_from_idl(text))
            if name not in found:
                raise ValueError(f'it defines {", ".join(found) or "nothing"} instead')
            parsed[definition] = found
        except Exception as error:  # on damaged text rosbags raises nearly any kind
            unusable[name] = _not_understood(error)
    try:
        store = _store(list(parsed.values()))
    except Exception:  # what is good text may still be no type: find out which
        for definition, found in list(parsed.items()):
            try:
                _store([found])
            except Exception as error:
                unusable[definition[0]] = _not_understood(error)
                del parsed[definition]
        store = _store(list(parsed.values()))
    for name, _, _ in parsed:
        missing = _missing(name, store.fielddefs)
        if missing:
            unusable[name] = f'its definition in the bag refers to {missing}, which is not known'
    first: dict[str, Any] = {}
    contradicted = {part for found in parsed.values() for part, fields in found.items()
                    if first.setdefault(part, fields) != fields}
    unusable.update((name, 'the bag has several definitions of it that contradict each other')
                    for (name, _, _), found in parsed.items() if contradicted & found.keys())
    return RecordedTypes(store, unusable)


def _store(recorded: list[dict[str, Any]]) -> Typestore:
    """Return the default types with recorded ones in their place."""
    typesys = import_rosbags()
    types = dict(default_typestore().fielddefs)
    for found in recorded:
        types.update(found)
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    store.register(types)
    return store


def _missing(name: str, types: dict[str, Any]) -> str | None:
    """Return the first type that messages of type `name` contain and `types` lacks."""
    from rosbags.interfaces import Nodetype

    seen, waiting = set(), [name]
    while waiting:
        part = waiting.pop()
        if part not in types:
            return part
        seen.add(part)
        for _, (kind, value) in types[part][1]:
            if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
                kind, value = value[0]
            if kind == Nodetype.NAME and value not in seen:
                waiting.append(value)
    return None


def _not_understood(error: Exception) -> str:
    text = ' '.join(str(error).split())     # rosbags quotes the whole definition
    return (f'its definition in the bag cannot be understood: {type(error).__name__}: '
            f'{text[:200]}' + '...' * (len(text) > 200))


def _types_from_idl(text: str) -> dict[str, Any]:
    types: dict[str, Any] = {}
    rule = '=' * 80 + '\n'
    parts = text.split(rule)[1:] if text.startswith(rule + 'IDL: ') else ['\n' + text]
    for part in parts:  # each starts with its own name on one line
        types.update(import_rosbags().get_types_from_idl(part.split('\n', 1)[1]))
    return types


def import_rosbags() -> Any:
    """Return `rosbags.typesys`, or say how to install it."""
    try:
        import rosbags.typesys
    except ImportError as error:
        raise MissingPackageError('rosbags', 'train', 'reading and writing bags') from error
    return rosbags.typesys
