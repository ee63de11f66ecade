"""Messages of a rosbag2, read with `rosbags` (the extra `bags`): no ROS installation is needed.

What is wrong with a bag is said once, as a `BagError` with the file, topic or type.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rosbags import rosbag2
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat, Qos
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from pan3d_ros.bags.reading.metadata import METADATA, check_metadata

SUFFIXES = (".mcap", ".db3")
TRANSFORMS = "tf2_msgs/msg/TFMessage"
IMAGE, COMPRESSED, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
POSE, TEXT, CLOCK = "geometry_msgs/msg/PoseStamped", "std_msgs/msg/String", "rosgraph_msgs/msg/Clock"


class BagError(ValueError):
    """A bag that cannot be read or used; the message names file, topic or field."""


@dataclass(frozen=True)
class TopicFacts:
    """One topic of a bag."""

    name: str
    type: str  # "sensor_msgs/msg/Image"
    count: int
    qos: tuple[Qos, ...]  # of the publishers that were recorded; empty = unknown


class BagMessage(NamedTuple):
    """One message as it was received."""

    topic: str
    received_ns: int
    content: Any


class BagReader:
    """Use as a context manager. `topics` maps names to facts; messages come in the order of receipt."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.topics: dict[str, TopicFacts] = {}
        self.start_ns, self.end_ns = 0, 0  # times of receipt; 0 for a bag without messages
        self._connections: dict[str, list[Connection]] = {}
        self._stores: dict[str, Typestore] = {}

    def __enter__(self) -> BagReader:
        with self._explained("opened"), ExitStack() as until_whole:
            self._reader = rosbag2.Reader(_what_to_open(self.path))
            self._reader.open()
            until_whole.callback(self._reader.close)
            self._list_topics()
            until_whole.pop_all()  # `__exit__` closes it
        return self

    def _list_topics(self) -> None:
        for connection in self._reader.connections:
            facts = (connection.topic, connection.msgtype, connection.msgcount)
            if not all(isinstance(fact, kind) for fact, kind in zip(facts, (str, str, int))):
                raise BagError(f"{self.path}: expected topics with a name, a type and a number of messages each, got {facts}")
            self._connections.setdefault(connection.topic, []).append(connection)
        for topic, connections in sorted(self._connections.items()):
            kinds = sorted({connection.msgtype for connection in connections})
            extras = (connection.ext for connection in connections)
            qos = tuple(item for ext in extras if isinstance(ext, ConnectionExtRosbag2) for item in ext.offered_qos_profiles)
            self.topics[topic] = TopicFacts(topic, ", ".join(kinds), sum(c.msgcount for c in connections), qos)
        if self._reader.message_count:
            self.start_ns, self.end_ns = self._reader.start_time, self._reader.end_time

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._reader.close()

    def of_type(self, *kinds: str) -> list[str]:
        """Names of the topics of these types that have messages."""
        return [facts.name for facts in self.topics.values() if facts.type in kinds and facts.count]

    def raw(
        self, topics: Collection[str] | None = None, start_s: float = 0.0, duration_s: float | None = None
    ) -> Iterator[BagMessage]:
        """Read serialized messages in the order in which they were received.

        Args:
            topics: Names; None = all.
            start_s: Begin so long after the bag's start.
            duration_s: So much of the bag's time; None = to the end.

        Yields:
            Messages with bytes as `content`.

        Raises:
            BagError: A topic is not in the bag, or the bag is damaged.
        """
        names = self.topics if topics is None else topics
        if unknown := sorted(set(names) - set(self.topics)):
            raise BagError(f"{unknown[0]}: expected one of the topics {', '.join(self.topics)}")
        wanted = [connection for name in names for connection in self._connections[name]]
        if not wanted:
            return
        start_ns = self.start_ns + int(start_s * 1e9)
        stop_ns = None if duration_s is None else start_ns + int(duration_s * 1e9)
        with self._explained("read"):
            for connection, received_ns, data in self._reader.messages(wanted, start_ns, stop_ns):
                if not isinstance(received_ns, int) or not isinstance(data, bytes):  # SQLite stores anything in any column
                    got = f"{type(data).__name__} at {received_ns!r}"
                    raise BagError(f"{self.path}: {connection.topic}: expected bytes with a time of receipt, got {got}")
                yield BagMessage(connection.topic, received_ns, data)

    def messages(
        self, topics: Collection[str] | None = None, start_s: float = 0.0, duration_s: float | None = None
    ) -> Iterator[BagMessage]:
        """Read messages as `raw` does, decoded: objects with the fields of the ROS messages, arrays as numpy arrays.

        Args:
            topics: As for `raw`.
            start_s: Likewise.
            duration_s: Likewise.

        Yields:
            Messages with such an object as `content`.

        Raises:
            BagError: As `raw` and `decode`.
        """
        for message in self.raw(topics, start_s, duration_s):
            yield message._replace(content=self.decode(message.topic, message.content))

    def first(self, topic: str) -> Any:
        """The first message of a topic, None when there is none."""
        return next((message.content for message in self.messages([topic])), None)

    def decode(self, topic: str, data: bytes) -> Any:
        """Decode a serialized message.

        Args:
            topic: That it is of.
            data: In CDR, as the bag has it.

        Returns:
            An object with the fields of the ROS message, arrays as numpy arrays.

        Raises:
            BagError: The bytes are no message of the topic's type.
        """
        kind = self.topics[topic].type
        store = self._stores.get(topic) or self._stores.setdefault(topic, self._store(topic))
        try:
            return store.deserialize_cdr(data, kind)
        # Beside its own error rosbags lets through what lengths of damaged messages lead to.
        except (SerdeError, ValueError, IndexError, TypeError, OverflowError, MemoryError, struct.error) as error:
            raise BagError(
                f"{self.path}: {topic}: expected a {kind}, got {len(data)} bytes that are none ({_words(error)})"
            ) from error

    def _store(self, topic: str) -> Typestore:
        """Types of a topic: the definition in the bag, or the one that ROS 2 Jazzy ships."""
        kind = self.topics[topic].type
        definition = self._connections[topic][0].msgdef
        try:
            if definition.format == MessageDefinitionFormat.MSG:
                found = get_types_from_msg(definition.data, kind)
            elif definition.format == MessageDefinitionFormat.IDL:
                parts = definition.data.split("=" * 80 + "\n")
                found = {}
                for part in parts:
                    found |= get_types_from_idl(part.partition("\n")[2] if part.startswith("IDL: ") else part) if part else {}
            else:
                store = get_typestore(Stores.ROS2_JAZZY)
                if kind not in store.fielddefs:
                    raise BagError(
                        f"{topic}: expected a definition of {kind} in the bag, which is no type of ROS 2 itself, got none;"
                        " bags in mcap format hold the definitions"
                    )
                return store
            store = get_typestore(Stores.EMPTY)
            store.register(found)
        except TypesysError as error:
            raise BagError(f"{self.path}: {topic}: the definition of {kind} cannot be read ({_words(error)})") from error
        return store

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """What rosbags and the storage raise, as `BagError` with the name of the bag."""
        try:
            yield
        except BagError:  # names it already
            raise
        except Exception as error:  # a damaged file can make the storage libraries raise anything
            text = f"{_damaged_part(self.path)}: expected a rosbag2 that can be {doing}, got {_words(error)}"
            if any(word in str(error) for word in ("end magic", "Truncated", "footer", "seems to be empty")):
                text += "; the recording did not end properly: mend it with `mcap recover` (db3: `ros2 bag reindex`)"
            if "decompress" in str(error):
                text += f"; is compression_mode in {METADATA} right?"
            raise BagError(text) from error


def _damaged_part(path: Path) -> Path:
    """The first file of a bag that cannot be opened by itself; the bag where they all can, or none is named by a storage."""
    for file in _storage_files(path):
        with suppress(Exception), rosbag2.Reader(file):  # what is wrong with it is told by `_explained`
            continue
        return file
    return path


def _storage_files(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if item.suffix in SUFFIXES) if folder.is_dir() else []


def _what_to_open(path: Path) -> Path:
    """The folder, or the only storage file of a folder whose recording never wrote its metadata."""
    if not path.exists():
        raise BagError(f"bag: expected a rosbag2 folder, .mcap or .db3 file, got {path}, which does not exist")
    if path.suffix == ".bag":
        raise BagError(f"{path}: expected a rosbag2, got a ROS 1 bag; convert it with `rosbags-convert --src {path} --dst DIR`")
    if path.is_file():
        return _readable(path)
    if (path / METADATA).is_file():
        try:
            check_metadata(path)
        except ValueError as error:
            raise BagError(str(error)) from error
        for file in _storage_files(path):
            _readable(file)
        return path
    files = _storage_files(path)
    if len(files) != 1:
        hint = f"{len(files)}; try `ros2 bag reindex`" if files else "neither"
        raise BagError(f"{path}: expected {METADATA} or one .mcap or .db3 file in it, got {hint}")
    return _readable(files[0])


def _readable(file: Path) -> Path:
    """`file`, unless SQLite would take its path for another one: rosbags hands it over as the address of a file."""
    if file.suffix == ".db3" and any(mark in str(file) for mark in "#?%"):
        raise BagError(f"{file}: expected a path without #, ? and % for a bag in db3 format; rename it")
    return file


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
