"""A bag of a made-up table: a red and a blue block under cameras that look straight down, and an engine that knows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from color_engine import answer_by_color
from rosbags.rosbag2 import StoragePlugin, Writer

from pan3d_core.config import PipelineConfig, PreprocessConfig
from pan3d_core.engines import EngineFacts
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch
from pan3d_sim.cameras.rig import RigCamera
from pan3d_sim.cell.frame_tree import FrameLink
from pan3d_sim.data.recording_messages import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, TEXT, TRANSFORMS, MessageMaker

HEIGHT, WIDTH = 56, 72
INTRINSICS = np.array([[60.0, 0.0, 35.5], [0.0, 60.0, 27.5], [0.0, 0.0, 1.0]])
CAMERA_HEIGHT_M, BLOCK_HEIGHT_M = 0.6, 0.05
# Rows and columns of the blocks in the image.
RED, BLUE = (slice(20, 32), slice(14, 24)), (slice(22, 34), slice(46, 56))
START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
MAKE = MessageMaker()


def center_m(region) -> tuple[float, float, float]:
    """Middle of a block's top in the world."""
    rows, columns = region
    depth = CAMERA_HEIGHT_M - BLOCK_HEIGHT_M
    x = ((columns.start + columns.stop - 1) / 2 - INTRINSICS[0, 2]) * depth / INTRINSICS[0, 0]
    y = -((rows.start + rows.stop - 1) / 2 - INTRINSICS[1, 2]) * depth / INTRINSICS[1, 1]
    return x, y, BLOCK_HEIGHT_M


def pictures(blocks=(RED, BLUE)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGB, depth in millimetres and instance ids."""
    rgb = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    depth = np.full((HEIGHT, WIDTH), 600, np.uint16)
    ids = np.zeros((HEIGHT, WIDTH), np.uint16)
    for number, (region, color) in enumerate(((RED, (220, 20, 20)), (BLUE, (20, 20, 220))), 1):
        if region in blocks:
            rgb[region], depth[region], ids[region] = color, 550, number
    return rgb, depth, ids


def from_base(x: float = 0.0) -> np.ndarray:
    """Pose of a camera above (x, 0) that looks straight down; image x is world x."""
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[:3, 3] = x, 0.0, CAMERA_HEIGHT_M
    return pose


def edited(messages, change):
    """(receipt, topic, type, bytes) with the messages that `change(topic, message)` gives; None leaves one out."""
    store = MAKE.typestore
    for received, topic, kind, content in messages:
        message = change(topic, store.deserialize_cdr(content, kind))
        if message is not None:
            yield received, topic, kind, bytes(store.serialize_cdr(message, kind))


def write_bag(path, messages, storage=StoragePlugin.MCAP):
    """(receipt, topic, type, bytes) -> a bag, in order of receipt; the path."""
    with Writer(path, version=8, storage_plugin=storage) as writer:
        connections = {}
        for received, topic, kind, message in sorted(messages, key=lambda item: item[0]):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=MAKE.typestore)
            writer.write(connections[topic], received, message)
    return path


@dataclass
class BlockBag:
    """Everything is right unless told otherwise."""

    cameras: tuple[str, ...] = ("front", "side")
    sets: int = 4
    period_s: float = 0.5
    blocks_of: dict[int, tuple] = field(default_factory=dict)  # set -> blocks that are there
    without_info: tuple[str, ...] = ()  # cameras
    phase_s: dict[str, float] = field(default_factory=dict)  # camera -> offset of its stamps
    tf_until: int = 1_000_000  # last set at which /tf is known
    static: bool = True  # cameras on /tf_static, otherwise on /tf
    jpeg: bool = False
    encoding: str = "rgb8"
    with_truth: bool = True
    truth_shift_m: float = 0.0
    rounds: int = 1  # > 1: the stamps start over
    stamps_behind_s: float = 0.0
    extra: tuple = ()  # (received, topic, type, message)
    change: Callable[[str, Any], Any] | None = None  # (topic, message) -> message, or None to leave it out

    def write(self, path, storage=StoragePlugin.MCAP):
        messages = [*self.extra]
        if self.static:
            links = [FrameLink("base_link", f"{name}_optical_frame", from_base()) for name in self.cameras]
            messages.append((START, "/tf_static", TRANSFORMS, MAKE.transforms(links, START)))
        if self.with_truth:
            messages.append((START, "/ground_truth/objects", TEXT, MAKE.text(self._objects())))
        for turn in range(self.rounds):
            for index in range(self.sets):
                messages += self._set(index, turn)
        return write_bag(path, messages if self.change is None else edited(messages, self.change), storage)

    def stamp(self, index: int, camera: str = "front") -> int:
        return START + SECOND + int((index * self.period_s + self.phase_s.get(camera, 0.0)) * SECOND)

    def _set(self, index: int, turn: int):
        rgb, depth, ids = pictures(self.blocks_of.get(index, (RED, BLUE)))
        rgb = rgb[:, :, ::-1] if self.encoding == "bgr8" else rgb
        later = turn * int(self.sets * self.period_s * SECOND)
        for name in self.cameras:
            stamp = self.stamp(index, name)
            received = stamp + 10_000_000 + later
            stamp -= int(self.stamps_behind_s * SECOND)
            if self.jpeg:
                yield received, f"/{name}/color/image_raw/compressed", COMPRESSED_IMAGE, MAKE.jpeg(name, stamp, rgb)
            else:
                yield received, f"/{name}/color/image_raw", IMAGE, MAKE.image(name, stamp, rgb, self.encoding)
            if name not in self.without_info:
                info = MAKE.camera_info(RigCamera(name, INTRINSICS, np.eye(4), WIDTH, HEIGHT), stamp)
                yield received - 1_000_000, f"/{name}/color/camera_info", CAMERA_INFO, info
            yield received + 1_000_000, f"/{name}/depth/image_raw", IMAGE, MAKE.image(name, stamp, depth, "16UC1")
            if not self.static and index <= self.tf_until:
                link = FrameLink("base_link", f"{name}_optical_frame", from_base())
                yield received + 50_000_000, "/tf", TRANSFORMS, MAKE.transforms([link], stamp)
            if self.with_truth:
                yield received + 3_000_000, f"/ground_truth/{name}/instance_ids", IMAGE, MAKE.image(name, stamp, ids, "mono16")
                yield received + 3_000_000, f"/ground_truth/{name}/depth", IMAGE, MAKE.image(name, stamp, depth, "16UC1")

    def _objects(self) -> str:
        objects = []
        for number, (region, color) in enumerate(((RED, "red"), (BLUE, "blue")), 1):
            x, y, top = center_m(region)
            rows, columns = region
            place = {"position": [x + self.truth_shift_m, y, top / 2], "orientation_xyzw": [0, 0, 0, 1]}
            size = [(columns.stop - columns.start) * 0.55 / 60, (rows.stop - rows.start) * 0.55 / 60, BLOCK_HEIGHT_M]
            objects.append(
                {"id": number, "name": f"{color} block", "kind": "block", "pose": place, "box": {**place, "size": size}}
            )
        content = {"stamp_ns": START, "frame_id": "base_link", "support_height_m": 0.0, "objects": objects}
        return json.dumps(content)


def parameters(path, bag, text=""):
    """A parameter file for the node, for bags that the discovery would refuse."""
    inputs = "" if "input:" in text else "    input: {use_depth: true}"
    lines = ["/**:", "  ros__parameters:", f"    cameras: [{', '.join(bag.cameras)}]", inputs, text]
    lines += ["    camera:"]
    for name in bag.cameras:
        lines += [f"      {name}: {{image_topic: {name}/color/image_raw, info_topic: {name}/color/camera_info,"]
        lines += [f"        depth_topic: /{name}/depth/image_raw}}"]
    path.write_text("\n".join(lines))
    return path


class ColorEngine:
    """Finds the blocks by their colour; geometry from the sensor."""

    facts = EngineFacts(PreprocessConfig(height=HEIGHT, width=WIDTH), LabelSpace.things(("block", "ball")), needs_depth=True)

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        return answer_by_color(views, self.facts.labels)


def pipeline(**changes) -> PerceptionPipeline:
    """A pipeline around the engine; the blocks' tops are all that is seen of them."""
    settings = {"merge": {"support_clearance_m": 0.01}, "cloud": {"voxel_size_m": 0.0}} | changes
    return PerceptionPipeline(ColorEngine(), PipelineConfig.from_dict(settings))
