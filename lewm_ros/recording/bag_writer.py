"""Write one rosbag2 folder: an MCAP file and, when it is complete, `metadata.yaml`. No rclpy.

Nothing is ever overwritten. A folder without `metadata.yaml` was cut short; its file is good up
to the last chunk and can be read by a scan, which `lewm ingest` and `ros2 bag reindex` do.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
import os
from pathlib import Path
import re
from typing import Any

from lewm_model.errors import BagError, without_path
from lewm_ros.recording.mcap_writer import McapWriter
import yaml

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]{0,99}')
_VERSION = 9       # of metadata.yaml; the first that has QoS as YAML nodes


@dataclass(frozen=True)
class RecordedTopic:
    """What a bag says about one topic."""

    name: str                            # absolute
    type: str                            # such as sensor_msgs/msg/Image
    encoding: str                        # of the definition: 'ros2msg' or 'ros2idl'
    definition: str                      # text, with the definitions it depends on
    type_hash: str                       # RIHS01_...
    qos: tuple[dict[str, Any], ...] = ()  # offered by the publishers, as in metadata.yaml


class BagWriter:
    """One bag being written; not for use from several threads.

    Args:
        root: Where the bag's folder appears; made if it is missing.
        name: Of the new folder and its file: letters, digits, '_' and '-'.
        compression: Of chunks, 'none' or 'zstd'.
        chunk_bytes: A chunk of this size is written at once.

    Raises:
        BagError: If the name is not allowed or taken, or the folder cannot be written.
    """

    def __init__(self, root: Path, name: str, *, compression: str = 'none',
                 chunk_bytes: int = 1 << 22) -> None:
        if not _NAME.fullmatch(name):
            raise BagError(f'a bag is named by letters, digits, "_" and "-", got {name!r}')
        self.path = root / name
        self._topics: dict[int, RecordedTopic] = {}
        self._schemas: dict[str, int] = {}
        try:
            root.mkdir(parents=True, exist_ok=True)
            self.path.mkdir()
        except OSError as error:
            raise self._error('cannot be made', error) from error
        self._file = self.path / f'{name}_0.mcap'
        try:
            self._mcap = McapWriter(self._file, compression=compression, chunk_bytes=chunk_bytes)
        except OSError as error:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)  # it holds nothing yet
                self.path.rmdir()
            raise self._error('cannot be begun', error) from error
        self._identity = os.fstat(self._mcap.fileno()).st_ino

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._mcap.size

    @property
    def messages(self) -> int:
        """Messages in the file and in the open chunk."""
        return self._mcap.messages

    def add_topic(self, topic: RecordedTopic) -> int:
        """Add a topic and return its number for `write`."""
        if topic.type not in self._schemas:
            self._schemas[topic.type] = self._mcap.add_schema(topic.type, topic.encoding,
                                                              topic.definition)
        number = self._mcap.add_channel(self._schemas[topic.type], topic.name, {
            'offered_qos_profiles': _yaml(list(topic.qos)).strip(),
            'topic_type_hash': topic.type_hash})
        self._topics[number] = topic
        return number

    def write(self, topic: int, log_ns: int, publish_ns: int, sequence: int,
              data: bytes) -> None:
        """Add one serialised message; raises BagError when the disk refuses it."""
        try:
            self._mcap.write(topic, log_ns, publish_ns, sequence, data)
        except OSError as error:
            raise self._error('cannot be written', error) from error

    def flush(self, *, sync: bool = False) -> None:
        """Write the open chunk, and make it survive a power cut if `sync`.

        Raises:
            BagError: If the disk refuses it, or somebody removed the file meanwhile.
        """
        try:
            self._mcap.flush()
            if sync:
                self._mcap.sync()
            here = os.stat(self._file).st_ino
        except OSError as error:
            raise self._error('cannot be written', error) from error
        if here != self._identity:
            raise BagError(f'{self._file} was replaced by another file while it was recorded; '
                           f'leave the folder of recordings alone')

    def close(self, custom: dict[str, str]) -> None:
        """Finish the file and write `metadata.yaml` with `custom` in it.

        Raises:
            BagError: If that fails; what was written before stays readable.
        """
        try:
            self._mcap.flush()
            about = self._metadata(custom)
            self._mcap.close({'serialized_metadata': _yaml(about)})
            unfinished = self.path / 'metadata.yaml.tmp'
            unfinished.write_text(_yaml({'rosbag2_bagfile_information': about}),
                                  encoding='utf-8')
            os.replace(unfinished, self.path / 'metadata.yaml')
        except OSError as error:
            self._mcap.abort()
            raise self._error('cannot be finished', error) from error

    def _metadata(self, custom: dict[str, str]) -> dict[str, Any]:
        mcap = self._mcap
        start_ns = mcap.start_ns if self.messages else 0
        span = {'starting_time': {'nanoseconds_since_epoch': start_ns},
                'duration': {'nanoseconds': mcap.end_ns - start_ns if self.messages else 0},
                'message_count': self.messages}
        return {
            'version': _VERSION, 'storage_identifier': 'mcap',
            'relative_file_paths': [self._file.name], **span,
            'topics_with_message_count': [
                {'topic_metadata': {
                    'name': topic.name, 'type': topic.type, 'serialization_format': 'cdr',
                    'offered_qos_profiles': [dict(profile) for profile in topic.qos],
                    'type_description_hash': topic.type_hash},
                 'message_count': mcap.counts[number]}
                for number, topic in self._topics.items()],
            # chunks are compressed inside the file, which does not count here
            'compression_format': '', 'compression_mode': '',
            'files': [{'path': self._file.name, **span}],
            'custom_data': custom or None,
            'ros_distro': os.environ.get('ROS_DISTRO', '')}

    def _error(self, problem: str, error: OSError) -> BagError:
        return BagError(f'{self.path} {problem}: {without_path(error)}; what was written before '
                        f'is kept, check the disk and the folder of recordings')


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out twice: not every reader of bags knows YAML's references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(values: Any) -> str:
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False)
