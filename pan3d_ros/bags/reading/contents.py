"""What lies in a rosbag2: facts about every topic, calibrations, transforms and the ways that they lead, read with rosbags alone.

No ROS is imported. Pictures are not decoded, so a bag is read about as fast as the disk gives it.
"""

from __future__ import annotations

import json
import struct
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pan3d_core.views.image_files import stored_size
from pan3d_ros.bags.reading.reader import COMPRESSED, IMAGE, INFO, TRANSFORMS, BagError, BagReader
from pan3d_ros.messages.calibration import calibrated_size
from pan3d_ros.messages.images import compressed_to_depth

OBJECTS_TOPIC = "/ground_truth/objects"


@dataclass
class RecordedTopic:
    """One topic."""

    topic: str
    kind: str  # message type
    received_ns: np.ndarray  # (N,) int64
    stamps_ns: np.ndarray  # (N,) int64 header stamps; (0,) when the type has no header
    frame_id: str = ""  # of the first header
    encoding: str = ""  # of the first Image, format of the first CompressedImage
    size: tuple[int, int] = (0, 0)  # width, height of the first Image, decoded CompressedImage or image of the CameraInfo

    @property
    def count(self) -> int:
        return len(self.received_ns)

    @property
    def rate_hz(self) -> float:
        """By the stamps where there are some, otherwise by the times of receipt; 0 below two messages."""
        times = self.stamps_ns if len(self.stamps_ns) > 1 and np.ptp(self.stamps_ns) > 0 else self.received_ns
        return (len(times) - 1) * 1e9 / np.ptp(times) if len(times) > 1 and np.ptp(times) > 0 else 0.0

    @property
    def delay_s(self) -> float:
        """Median of receipt minus stamp; NaN without stamps."""
        return float(np.median(self.received_ns - self.stamps_ns)) * 1e-9 if len(self.stamps_ns) else float("nan")


@dataclass
class TransformEdge:
    """All that a bag says about a frame in its parent."""

    parent: str
    child: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)
    positions: list[tuple[float, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Chain:
    """The way from a frame up the tree."""

    frames: tuple[str, ...]  # the frame itself, its parent, ... as far as the bag knows
    edges: tuple[TransformEdge, ...]  # between them
    reaches: bool  # whether it comes to the reference frame

    @property
    def moving(self) -> tuple[TransformEdge, ...]:
        """The edges that are not static."""
        return tuple(edge for edge in self.edges if not edge.static)

    @property
    def travel_m(self) -> float:
        """Largest movement of a frame of the chain within its parent."""
        spans = [float(np.linalg.norm(np.ptp(np.array(edge.positions), axis=0))) for edge in self.moving]
        return max(spans, default=0.0)

    def covered(self, stamps_ns: np.ndarray) -> float:
        """Share of the stamps at which every moving transform is known: between its first and its last one."""
        inside = np.ones(len(stamps_ns), bool)
        for edge in self.moving:
            inside &= (stamps_ns >= min(edge.stamps_ns)) & (stamps_ns <= max(edge.stamps_ns))
        return float(inside.mean()) if len(inside) else 0.0


@dataclass
class BagContents:
    """A whole bag."""

    path: Path
    topics: dict[str, RecordedTopic]
    edges: dict[str, TransformEdge]  # by child frame
    contradictions: tuple[str, ...]  # frames with several parents
    unreadable: dict[str, str]  # topic -> why its messages cannot be decoded
    objects: dict[str, Any] | None = None  # the first /ground_truth/objects

    @property
    def duration_s(self) -> float:
        times = [facts.received_ns for facts in self.topics.values() if facts.count]
        return (max(t.max() for t in times) - min(t.min() for t in times)) * 1e-9 if times else 0.0


def read_contents(bag: BagReader) -> BagContents:
    """Read everything that `pan3d doctor BAG` judges, in one pass.

    Args:
        bag: Opened.

    Raises:
        BagError: The storage is damaged, or transforms cannot be decoded. Other topics that cannot are named in the contents.
    """
    return _ContentsReader(bag).read()


class _ContentsReader:
    """Collects while it passes over the messages."""

    def __init__(self, reader: BagReader) -> None:
        self._reader = reader
        self._received: dict[str, list[int]] = defaultdict(list)
        self._stamps: dict[str, list[int]] = defaultdict(list)
        self._first: dict[str, Any] = {}
        self._unreadable: dict[str, str] = {}
        self._edges: dict[str, TransformEdge] = {}
        self._contradictions: dict[str, None] = {}

    def read(self) -> BagContents:
        reader = self._reader
        for topic, received_ns, raw in reader.raw():
            self._received[topic].append(received_ns)
            if topic not in self._first:
                self._first[topic] = self._decoded(topic, raw)
            if hasattr(self._first[topic], "header"):
                self._stamps[topic].append(_stamp_of(raw))
            if reader.topics[topic].type == TRANSFORMS and topic not in self._unreadable:
                self._take_transforms(reader.decode(topic, raw), static=topic.endswith("tf_static"))
        topics = {topic: self._facts(topic, facts.type) for topic, facts in reader.topics.items()}
        objects = _parsed(self._first.get(OBJECTS_TOPIC))
        return BagContents(reader.path, topics, self._edges, tuple(self._contradictions), self._unreadable, objects)

    def _decoded(self, topic: str, raw: bytes) -> Any:
        try:
            return self._reader.decode(topic, raw)
        except BagError as error:
            self._unreadable[topic] = str(error)
            return None

    def _take_transforms(self, message: Any, *, static: bool) -> None:
        for item in message.transforms:
            parent, child = item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/")
            edge = self._edges.setdefault(child, TransformEdge(parent, child, static))
            if edge.parent != parent:
                self._contradictions[f"{child} in {edge.parent} and in {parent}"] = None
                continue
            edge.static |= static
            position = item.transform.translation
            edge.stamps_ns.append(item.header.stamp.sec * 1_000_000_000 + item.header.stamp.nanosec)
            edge.positions.append((position.x, position.y, position.z))

    def _facts(self, topic: str, kind: str) -> RecordedTopic:
        received, stamps = (np.array(times[topic], np.int64) for times in (self._received, self._stamps))
        facts = RecordedTopic(topic, kind, received, stamps)
        first = self._first.get(topic)
        if first is None or not hasattr(first, "header"):
            return facts
        facts.frame_id = first.header.frame_id.lstrip("/")
        if kind == IMAGE:
            facts.encoding, facts.size = first.encoding, (first.width, first.height)
        elif kind == COMPRESSED:
            facts.encoding, facts.size = first.format, _compressed_size(first)
        elif kind == INFO:
            facts.size = calibrated_size(first)
        return facts


def _stamp_of(raw: bytes | memoryview) -> int:
    """The stamp of a serialized message that begins with a header: after 4 bytes that name the byte order."""
    seconds, nanoseconds = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
    return seconds * 1_000_000_000 + nanoseconds


def _compressed_size(message: Any) -> tuple[int, int]:
    """Width and height of a JPEG or PNG, or of packed depth; (0, 0) when it is none of them."""
    try:
        packed = "compressedDepth" in message.format
        height, width = compressed_to_depth(message).shape if packed else stored_size(bytes(message.data))
    except ValueError:
        return 0, 0
    return width, height


def _parsed(message: Any) -> dict[str, Any] | None:
    """The content of a JSON String, None when there is none or it is something else."""
    if message is None:
        return None
    try:
        content = json.loads(getattr(message, "data", ""))
    except json.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def chain(edges: Mapping[str, TransformEdge], frame: str, reference_frame: str) -> Chain:
    """Follow the tree of transforms upwards.

    Args:
        edges: Frame -> its edge to its parent.
        frame: Where to begin.
        reference_frame: Where to stop; where it is not met the end of the tree is.

    Returns:
        The frames on the way, and whether it leads to `reference_frame`.
    """
    frames, found = [frame], []
    while frame != reference_frame and frame in edges:
        found.append(edges[frame])
        frame = edges[frame].parent
        if frame in frames:  # a loop is no way
            break
        frames.append(frame)
    return Chain(tuple(frames), tuple(found), frames[-1] == reference_frame)


def guess_reference_frame(edges: Mapping[str, TransformEdge], camera_frames: Sequence[str]) -> str:
    """Guess in which frame poses are wanted.

    Args:
        edges: Frame -> its edge to its parent.
        camera_frames: Optical frames of the cameras.

    Returns:
        `base_link` when a camera hangs on it (or there is no better one), otherwise the root that most cameras share.
    """
    chains = [chain(edges, frame, "") for frame in camera_frames]
    if not edges or any("base_link" in found.frames for found in chains):
        return "base_link"
    roots = Counter(found.frames[-1] for found in chains if len(found.frames) > 1)
    return roots.most_common(1)[0][0] if roots else "base_link"
