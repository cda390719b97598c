"""Message types for bags without a ROS installation, our own included."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TYPE_CHECKING

from lewm_model import resources
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


@lru_cache(maxsize=8)  # the bags of one robot share their definitions, so parse them once
def recorded_typestore(definitions: frozenset[tuple[str, str, str]]) -> Typestore:
    """Return the types as one bag defines them; for others, the default ones.

    What a recording says about its own bytes wins over what is installed here, so recordings
    stay readable after an interface has changed.

    Args:
        definitions: Triples of type name, format ('msg' or 'idl') and text.
    """
    typesys = import_rosbags()
    types: dict[str, Any] = {}
    for name, kind, text in sorted(definitions):
        if kind == 'msg':
            types.update(typesys.get_types_from_msg(text, name))
        else:
            types.update(_types_from_idl(text))
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    store.register({**default_typestore().fielddefs, **types})
    return store


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
