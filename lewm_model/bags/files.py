"""Which files make a recording, in which order: the folder's word, checked against metadata.yaml.

Nothing outside the folder is ever opened, whatever metadata.yaml or a link says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import hashlib
from pathlib import Path, PurePosixPath, PureWindowsPath
import re
from typing import Any

from lewm_model.bags.storage import Note
from lewm_model.base.yaml_text import parse_yaml
from lewm_model.errors import BagError, ConfigError

METADATA = 'metadata.yaml'
KNOWN_VERSION = 9
_MAX_METADATA_BYTES = 2 << 20    # YAML is slow to parse, and the files know better anyway
_NAME = re.compile(r'(?P<stem>.+?)(?P<suffix>\.(?:mcap|db3))(?P<packing>\.(?:zstd|zst|lz4))?')
_SPLIT = re.compile(r'(?P<family>.*)_(?P<number>0|[1-9][0-9]*)')   # ROS pads no numbers


@dataclass(frozen=True)
class BagFiles:
    """The files of one recording."""

    files: tuple[Path, ...]        # in the order of recording
    message_count: int | None      # as metadata.yaml has it
    publishers: Mapping[str, int] = field(default_factory=dict)   # of each topic, likewise


def find_files(path: Path, note: Note) -> BagFiles:
    """Find the files of the recording at `path`, a folder or one file.

    Raises:
        BagError: If there is no recording, there are several, or a path leads out of the folder.
    """
    if not path.exists():
        raise BagError(f'{path} does not exist; give the folder of a bag or one of its files')
    if not path.is_dir():
        if not is_recorded(path) or not path.is_file():
            raise BagError(f'{path} is not a recording: give the folder of a bag or a .mcap or '
                           f'.db3 file')
        return BagFiles((path,), None)
    present = _present(path)
    metadata = _read_metadata(path, note)
    if metadata is None and not present:
        raise BagError(f'{path} is not a bag: it holds neither metadata.yaml nor .mcap or .db3 '
                       f'files')
    listed = _listed(path, metadata or {}, note)
    if metadata is None:
        families = sorted({_family(file) for file in present})
        if len(families) > 1:
            raise BagError(f'{path} has no metadata.yaml and holds several recordings '
                           f'({", ".join(families)}); give one of its files instead')
        note(f'metadata.yaml is missing or unreadable; read without it: '
             f'{", ".join(file.name for file in present)}')
    families = {_family(file) for file in listed} or {_family(file) for file in present}
    files = list(listed)
    for file in present:
        if file not in files and _family(file) in families:
            if metadata is not None:
                note(f'{file.name}: is not listed in metadata.yaml; read all the same')
            files.append(file)
        elif file not in files:
            note(f'{file.name}: is not listed in metadata.yaml and its name belongs to another '
                 f'recording; left out')
    if len(files) > len(listed):
        files.sort(key=_split_order)
    count = (metadata or {}).get('message_count')
    return BagFiles(tuple(_without_copies(files, note)), count if isinstance(count, int) else None,
                    _publishers(metadata or {}))


def is_recorded(path: Path) -> bool:
    """Tell by its name whether a file may be (part of) a recording."""
    return _NAME.fullmatch(path.name) is not None and not path.name.startswith('.')


def recorded_files(folder: Path) -> list[Path]:
    """Return the files in a folder that may be (parts of) recordings, splits in order."""
    return sorted((file for file in folder.iterdir() if is_recorded(file) and not file.is_dir()),
                  key=_split_order)


def sha256_of(files: list[Path]) -> str:
    """Hash the contents of files, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        with file.open('rb') as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def is_bag_folder(path: Path) -> bool:
    """Tell a folder that is one recording, finished or not, from others."""
    return path.is_dir() and ((path / METADATA).exists() or len(
        {_family(file) for file in recorded_files(path)}) == 1)


def _present(folder: Path) -> list[Path]:
    files = []
    for file in recorded_files(folder):
        _inside(folder, file)
        if not file.is_file():
            raise BagError(f'{file} is neither a file nor a link to one; remove it')
        files.append(file)
    return files


def _inside(folder: Path, file: Path) -> None:
    """Refuse what leads out of the bag: it could be anything that this user may read."""
    for place in (file, *(file.with_name(file.name + end) for end in ('-wal', '-journal'))):
        if place.is_symlink() and not place.resolve().is_relative_to(folder.resolve()):
            raise BagError(f'{place} is a link that leads out of its bag, to {place.resolve()}; '
                           f'such links are not followed: copy the file into the bag, or give it '
                           f'by itself')


def _read_metadata(folder: Path, note: Note) -> dict[str, Any] | None:
    """Return the contents of metadata.yaml, None if it is missing or cannot be understood."""
    file = folder / METADATA
    _inside(folder, file)
    if not file.is_file():
        return None
    if file.stat().st_size > _MAX_METADATA_BYTES:
        note(f'metadata.yaml has {file.stat().st_size} bytes, more than is accepted; ignored')
        return None
    try:
        contents = parse_yaml(file.read_text(encoding='utf-8'), METADATA)
        metadata = contents['rosbag2_bagfile_information']
        version = metadata.get('version')
    except (ConfigError, UnicodeError, KeyError, TypeError, AttributeError) as error:
        text = ' '.join(str(error).split())[:200]
        note(f'metadata.yaml cannot be understood ({type(error).__name__}: {text}); ignored')
        return None
    if isinstance(version, int) and version > KNOWN_VERSION:
        note(f'metadata.yaml has version {version}, newer than {KNOWN_VERSION}; read as far as it '
             f'is understood')
    return metadata


def _publishers(metadata: dict[str, Any]) -> dict[str, int]:
    """Return how many publishers offered each topic: rosbag2 keeps the QoS of every one."""
    found = {}
    topics = metadata.get('topics_with_message_count')
    for entry in topics if isinstance(topics, list) else []:
        try:
            topic = entry['topic_metadata']
            offered = topic['offered_qos_profiles']
            if isinstance(offered, str):   # YAML in YAML, until Jazzy
                offered = parse_yaml(offered, METADATA)
            found[str(topic['name'])] = len(offered)
        except (ConfigError, KeyError, TypeError):
            continue
    return found


def _listed(folder: Path, metadata: dict[str, Any], note: Note) -> list[Path]:
    """Return the files that metadata.yaml names and that exist."""
    entries = metadata.get('relative_file_paths')
    files: list[Path] = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, str) or not entry.strip() or '\0' in entry:
            # Not in full: aliases in YAML can make a small list print as terabytes.
            what = repr(entry[:80]) if isinstance(entry, str) else f'a {type(entry).__name__}'
            note(f'metadata.yaml lists {what}, which is no file name; ignored')
            continue
        pure = PurePosixPath(entry)
        if pure.is_absolute() or PureWindowsPath(entry).drive or '..' in (
                pure.parts + PureWindowsPath(entry).parts):
            raise BagError(f'{folder / METADATA} lists {entry!r}, which leads out of the bag; '
                           f'only files inside it are read: correct relative_file_paths')
        # Up to version 3 paths began with the name of the folder.
        file = folder / pure.name
        if not is_recorded(file):
            note(f'metadata.yaml lists {entry!r}, which is no .mcap or .db3 file; ignored')
        elif file in files:
            note(f'{file.name}: is listed twice in metadata.yaml; read once')
        elif file.is_file():
            files.append(file)
        elif _unpacked_name(file) not in map(_unpacked_name, recorded_files(folder)):
            note(f'{file.name}: is listed in metadata.yaml but is not there')
    return files


def _without_copies(files: list[Path], note: Note) -> list[Path]:
    """Leave out files that hold what another one holds."""
    kept: list[Path] = []
    plain = {file.name for file in files if file.name == _unpacked_name(file)}
    sizes = [file.stat().st_size for file in files]
    digests: dict[str, Path] = {}
    for file, size in zip(files, sizes, strict=True):
        if file.name not in plain and _unpacked_name(file) in plain:
            note(f'{file.name}: is there uncompressed as well, which is read instead')
            continue
        if size and sizes.count(size) > 1:   # only then look inside
            digest = sha256_of([file])
            if digest in digests:
                note(f'{file.name}: is a copy of {digests[digest].name}; read once')
                continue
            digests[digest] = file
        kept.append(file)
    return kept


def _unpacked_name(file: Path) -> str:
    match = _NAME.fullmatch(file.name)
    return match['stem'] + match['suffix']


def _family(file: Path) -> str:
    """Name the recording that a file belongs to: what stands before the number of the split."""
    stem = _NAME.fullmatch(file.name)['stem']
    split = _SPLIT.fullmatch(stem)
    return split['family'] if split else stem


def _split_order(file: Path) -> tuple[str, int, str]:
    split = _SPLIT.fullmatch(_NAME.fullmatch(file.name)['stem'])
    return _family(file), int(split['number']) if split else -1, file.name
