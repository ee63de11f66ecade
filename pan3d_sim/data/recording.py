"""`pan3d sim record`: a rosbag2 of the cell as a robot with a camera on its wrist would record it.

docs/bags.md describes topics, frames and times. Everything follows from the cell's seed: the same recording
twice gives the same messages.
"""

from __future__ import annotations

import heapq
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from pan3d_core.runtime.files import written_whole
from pan3d_sim.cameras.depth_sensors import depth_sensor
from pan3d_sim.cameras.rig import RigCamera
from pan3d_sim.cameras.wrist_path import WristPath
from pan3d_sim.cell.frame_tree import WRIST, mountings, objects_json, tool_link
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.data.recording_messages import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, TEXT, TRANSFORMS, MessageMaker, reliable

log = logging.getLogger("pan3d.sim.recording")

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
METADATA_VERSION: Literal[8] = 8  # the newest that every distribution from Humble on reads
LEAD_NS = 50_000_000  # transforms begin this long before the first image
PHASE_NS, JITTER_NS = 8_000_000, 500_000  # offset of a camera's clock (largest), of one exposure (standard deviation)
TRANSFER_NS = (5_000_000, 12_000_000)  # exposure to receipt of an image; the other images of a frame follow
TF_TRANSFER_NS = 500_000
OBJECTS_PERIOD_NS = 1_000_000_000


@dataclass(frozen=True)
class RecordingConfig:
    """How long, how often and what is recorded."""

    seconds: float = 10.0
    rate_hz: float = 10.0  # frames of every camera
    storage: str = "mcap"  # or "sqlite3"
    wrist: bool = True  # record the camera on the wrist too
    compressed: bool = False  # JPEG instead of raw colour
    depth: bool = True  # record aligned depth
    sensor: str = "structured_light"  # whose errors depth has, see `depth_sensor`; "exact" = none
    tf_rate_hz: float = 100.0
    start_ns: int = 1_800_000_000_000_000_000

    def __post_init__(self) -> None:
        if self.storage not in STORAGES:
            raise ValueError(f"storage: expected one of {', '.join(STORAGES)}, got {self.storage!r}")
        depth_sensor(self.sensor)
        if not (self.seconds > 0 and self.rate_hz > 0 and self.tf_rate_hz > 0 and self.seconds * self.rate_hz >= 1):
            raise ValueError(f"seconds, rate_hz: expected at least one frame, got {self.seconds} s at {self.rate_hz} Hz")


@dataclass(frozen=True)
class _Frame:
    """One exposure of one camera."""

    stamp_ns: int
    camera: str
    index: int
    received_ns: int


def record(out: Path, cell: RobotCell, config: RecordingConfig | None = None) -> dict[str, int]:
    """Write a bag of the cell with its ground truth, wrist camera included where it is asked for.

    Args:
        out: The bag, a folder that must not exist yet; it appears whole or not at all.
        cell: What the cameras see; nothing in it moves.
        config: Length, rates, jitter and storage.

    Returns:
        The number of messages per topic.

    Raises:
        OSError: The disk is full; nothing is left then.
        ValueError: The folder exists.
    """
    config = config or RecordingConfig()
    out = Path(out)
    if out.exists():
        raise ValueError(f"out: expected a folder that does not exist yet, got {out}")
    with written_whole(out) as part:
        part.mkdir()
        bag = part / out.name  # the files of a bag have its name
        writer = Writer(bag, version=METADATA_VERSION, storage_plugin=STORAGES[config.storage])
        if config.storage == "mcap":
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        with writer:
            names = [camera.name for camera in cell.cameras] + ([WRIST] if config.wrist else [])
            writer.set_custom_data("pan3d.seed", str(cell.seed))
            writer.set_custom_data("pan3d.cameras", ",".join(names))
            recording = _Recording(writer, cell, config, names)
            recording.run()
        _lift(bag)
    log.info("%s: %d messages", out, sum(recording.counts.values()))
    return recording.counts


def _lift(folder: Path) -> None:
    """Put a folder in the place of the one that it is alone in."""
    above = folder.parent
    aside = above.with_name(f"{above.name}.whole")
    os.replace(folder, aside)
    above.rmdir()
    os.replace(aside, above)


def frame_times(seed: int, names: list[str], config: RecordingConfig) -> dict[str, np.ndarray]:
    """Per camera (N, 2) int64 ns: stamp of exposure and time of receipt of each frame."""
    count = round(config.seconds * config.rate_hz)
    regular = config.start_ns + LEAD_NS + np.round(np.arange(count) * 1e9 / config.rate_hz).astype(np.int64)
    times = {}
    for index, name in enumerate(names):
        rng = np.random.default_rng([seed, 101, index])
        phase = rng.uniform(-PHASE_NS, PHASE_NS)
        jitter = np.clip(rng.normal(0.0, JITTER_NS, count), -4 * JITTER_NS, 4 * JITTER_NS)
        stamps = regular + np.round(phase + jitter).astype(np.int64)
        received = stamps + np.round(rng.uniform(*TRANSFER_NS, count)).astype(np.int64)
        times[name] = np.stack([stamps, received], axis=1)
    return times


class _Recording:
    """Writes in the order of receipt: what is made is held until nothing can come before it."""

    def __init__(self, writer: Writer, cell: RobotCell, config: RecordingConfig, names: list[str]) -> None:
        self.counts: dict[str, int] = {}
        self._writer, self._cell, self._config, self._names = writer, cell, config, names
        self._make = MessageMaker()
        self._path = WristPath.of_seed(cell.seed, cell.config.support_height_m)
        self._fixed = {camera.name: camera for camera in cell.cameras}
        self._still: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}  # what the fixed cameras see
        self._sensor = depth_sensor(config.sensor)
        self._noise_rng = np.random.default_rng([cell.seed, 102])
        self._connections: dict[str, Connection] = {}
        self._waiting: list[tuple[int, int, str, bytes]] = []  # received_ns, order of making, topic, message
        self._made = 0

    def run(self) -> None:
        """Make and write everything."""
        config, start = self._config, self._config.start_ns
        self._connect()
        links = mountings(list(self._fixed.values()), wrist=config.wrist)
        self._put(start, "/tf_static", self._make.transforms(links, start))
        for stamp_ns, thing in sorted(self._schedule(), key=lambda item: item[0]):
            self._flush(stamp_ns)
            if isinstance(thing, _Frame):
                self._put_frame(thing)
            elif thing == "/tf":
                link = tool_link(self._path.world_from_hand(self._seconds(stamp_ns)))
                self._put(stamp_ns + TF_TRANSFER_NS, "/tf", self._make.transforms([link], stamp_ns))
            else:
                self._put(stamp_ns + TF_TRANSFER_NS, thing, self._make.text(objects_json(self._cell, stamp_ns)))
        self._flush(None)

    def _schedule(self) -> Iterator[tuple[int, _Frame | str]]:
        config, start = self._config, self._config.start_ns
        for name, times in frame_times(self._cell.seed, self._names, config).items():
            for index, (stamp_ns, received_ns) in enumerate(times.tolist()):
                yield stamp_ns, _Frame(stamp_ns, name, index, received_ns)
        last = int(config.seconds * 1e9) + 2 * LEAD_NS
        if config.wrist:
            for index in range(int(last * config.tf_rate_hz / 1e9) + 1):
                yield start + round(index * 1e9 / config.tf_rate_hz), "/tf"
        for offset in range(0, last, OBJECTS_PERIOD_NS):
            yield start + offset, "/ground_truth/objects"

    def _seconds(self, stamp_ns: int) -> float:
        return (stamp_ns - self._config.start_ns) * 1e-9

    def _connect(self) -> None:
        color = ("image_raw/compressed", COMPRESSED_IMAGE) if self._config.compressed else ("image_raw", IMAGE)
        images = reliable(5)
        for name in self._names:
            self._open(f"/{name}/color/{color[0]}", color[1], images)
            self._open(f"/{name}/color/camera_info", CAMERA_INFO, images)
            if self._config.depth:
                self._open(f"/{name}/depth/image_raw", IMAGE, images)
            self._open(f"/ground_truth/{name}/instance_ids", IMAGE, images)
            self._open(f"/ground_truth/{name}/depth", IMAGE, images)
        self._open("/tf_static", TRANSFORMS, reliable(1, latched=True))
        if self._config.wrist:
            self._open("/tf", TRANSFORMS, reliable(100))
        self._open("/ground_truth/objects", TEXT, reliable(1, latched=True))

    def _open(self, topic: str, kind: str, qos: Qos) -> None:
        store = self._make.typestore
        self._connections[topic] = self._writer.add_connection(topic, kind, typestore=store, offered_qos_profiles=[qos])
        self.counts[topic] = 0

    def _put_frame(self, frame: _Frame) -> None:
        """All messages of one exposure; camera_info is small and arrives first, depth after colour."""
        make, name, stamp_ns, received_ns = self._make, frame.camera, frame.stamp_ns, frame.received_ns
        camera = self._camera(frame)
        rgb, depth, ids = self._seen(camera)
        self._put(received_ns - 1_000_000, f"/{name}/color/camera_info", make.camera_info(camera, stamp_ns))
        if self._config.compressed:
            self._put(received_ns, f"/{name}/color/image_raw/compressed", make.jpeg(name, stamp_ns, rgb))
        else:
            self._put(received_ns, f"/{name}/color/image_raw", make.image(name, stamp_ns, rgb, "rgb8"))
        if self._config.depth:
            measured = depth
            if self._sensor is not None:
                measured = self._sensor.measure(self._cell.seen_surfaces(camera, rgb, depth, ids), self._noise_rng)
            message = make.image(name, stamp_ns, millimetres(measured), "16UC1")
            self._put(received_ns + 2_000_000, f"/{name}/depth/image_raw", message)
        truth = f"/ground_truth/{name}"
        self._put(received_ns + 2_500_000, f"{truth}/depth", make.image(name, stamp_ns, millimetres(depth), "16UC1"))
        self._put(received_ns + 3_000_000, f"{truth}/instance_ids", make.image(name, stamp_ns, ids.astype(np.uint16), "mono16"))

    def _camera(self, frame: _Frame) -> RigCamera:
        if frame.camera in self._fixed:
            return self._fixed[frame.camera]
        return self._path.camera(self._seconds(frame.stamp_ns), self._cell.config.width, self._cell.config.height)

    def _seen(self, camera: RigCamera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """RGB, depth and ids. Nothing moves in the cell, so the fixed cameras render once."""
        if camera.name in self._still:
            return self._still[camera.name]
        seen = self._cell.render(camera)
        if camera.name in self._fixed:
            rgb, depth, ids = seen
            self._still[camera.name] = (rgb.copy(), depth.copy(), ids.copy())
        return seen

    def _put(self, received_ns: int, topic: str, message: bytes) -> None:
        heapq.heappush(self._waiting, (received_ns, self._made, topic, message))
        self._made += 1

    def _flush(self, until_ns: int | None) -> None:
        """Write what was received before `until_ns`: nothing made later is received before its stamp."""
        while self._waiting and (until_ns is None or self._waiting[0][0] < until_ns):
            received_ns, _, topic, message = heapq.heappop(self._waiting)
            self._writer.write(self._connections[topic], received_ns, message)
            self.counts[topic] += 1


def millimetres(depth: np.ndarray) -> np.ndarray:
    """(H, W) metres -> uint16 millimetres, 0 = none; beyond 65.535 m there is no measurement."""
    rounded = np.round(depth * 1000.0)
    return np.where((rounded > 0) & (rounded <= 65535), rounded, 0).astype(np.uint16)
