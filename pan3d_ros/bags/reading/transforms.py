"""Where the frames of a bag were at any time: all of /tf and /tf_static, read before the first image.

A recorded transform can come after the image that needs it; the node waits for it, a replay has it already.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_ros.bags.reading.reader import TRANSFORMS, BagError, BagReader
from pan3d_ros.inputs.camera_frames import CameraTopics
from pan3d_ros.inputs.pose_history import PoseHistory
from pan3d_ros.inputs.transforms import FirstKnown, PoseTopicTransforms, StaticTransforms, TransformsSource, TransformUnavailable
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.poses import checked_pose, matrix_from_pose, transform_numbers
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig

log = logging.getLogger("pan3d.ros.bags")
FOREVER_NS = 2**62
TF_GAP_NS = 10_000_000_000  # as long as a tf2 buffer remembers, so that it bridges the same gaps


@dataclass
class _Link:
    """One frame in its parent."""

    parent: str
    history: PoseHistory = field(default_factory=lambda: PoseHistory(FOREVER_NS, TF_GAP_NS))


class BagTransforms:
    """A `TransformsSource` over recorded frames."""

    def __init__(self, reference_frame: str) -> None:
        self._reference_frame = reference_frame
        self._links: dict[str, _Link] = {}
        self.refused: dict[str, str] = {}  # child frame -> why a transform of it was left out

    @classmethod
    def read(cls, bag: BagReader, reference_frame: str) -> BagTransforms:
        """Read all topics of a bag whose names end in tf or tf_static. Broken transforms are left out and logged.

        Args:
            bag: An open one.
            reference_frame: The world of `lookup`.

        Returns:
            The transforms of the whole bag.
        """
        found = []
        for message in bag.messages(transform_topics(bag)):
            static = message.topic.endswith("tf_static")
            found += [(0 if static else stamp_to_ns(item.header.stamp), item) for item in message.content.transforms]
        transforms = cls(reference_frame)
        for stamp_ns, item in sorted(found, key=lambda pair: pair[0]):
            try:
                transforms.add(stamp_ns, item)
            except ValueError as error:
                transforms.refused.setdefault(item.child_frame_id.lstrip("/"), str(error))
        if transforms.refused:
            log.warning("transforms of the bag were left out: %s", "; ".join(transforms.refused.values()))
        return transforms

    @property
    def frames(self) -> frozenset[str]:
        """All frames that are connected to another."""
        return frozenset(self._links) | {link.parent for link in self._links.values()}

    def root(self, frame_id: str) -> str:
        """The frame at the top of the tree that `frame_id` is in; itself when it is in none."""
        seen = {frame_id}
        while frame_id in self._links and self._links[frame_id].parent not in seen:
            frame_id = self._links[frame_id].parent
            seen.add(frame_id)
        return frame_id

    def add(self, stamp_ns: int, message: Any) -> None:
        """Take a transform.

        Args:
            stamp_ns: 0 = it never changes. Stamps of one frame must not go back.
            message: A TransformStamped.

        Raises:
            ValueError: It is not finite, or its quaternion is no rotation.
        """
        child, parent = message.child_frame_id.lstrip("/"), message.header.frame_id.lstrip("/")
        xyz, xyzw = checked_pose(f"/tf {parent} <- {child}", *transform_numbers(message.transform))
        link = self._links.get(child)
        if link is None or link.parent != parent:
            link = self._links[child] = _Link(parent)
        link.history.add(stamp_ns, np.array(xyz), np.array(xyzw))

    def lookup(self, camera: str, frame_id: str, stamp_ns: int) -> Tensor:
        """Look up a camera's pose at a stamp.

        Args:
            camera: Its name, for the error.
            frame_id: Its optical frame.
            stamp_ns: Time of exposure.

        Returns:
            cam_from_world (4, 4) float32, metres.

        Raises:
            TransformUnavailable: A frame is missing, the two are not connected, or nothing is known at that stamp.
        """
        name = f"{camera}: /tf {self._reference_frame} <- {frame_id}"
        for frame in (frame_id, self._reference_frame):
            if frame not in self.frames:
                known = ", ".join(sorted(self.frames)) or "none"
                text = f"{name}: '{frame}' is in no transform of the bag; its frames are {known}"
                raise TransformUnavailable(text + self._left_out(frame), may_come=False)
        top_from_camera, top_of_camera = self._from_top(name, frame_id, stamp_ns)
        top_from_world, top_of_world = self._from_top(name, self._reference_frame, stamp_ns)
        if top_of_camera != top_of_world:
            text = f"{name}: not connected, one is below '{top_of_camera}', the other below '{top_of_world}'"
            raise TransformUnavailable(text + self._left_out(top_of_camera, top_of_world), may_come=False)
        return invert_rigid(invert_rigid(top_from_world) @ top_from_camera).float()

    def clear(self) -> None:
        """Nothing: what the bag recorded stays true after a jump of the clock."""

    def _left_out(self, *frames: str) -> str:
        """What was refused of the frames at which a way ends; "" where nothing was."""
        return "".join(f"; {self.refused[frame]}" for frame in frames if frame in self.refused)

    def _from_top(self, name: str, frame_id: str, stamp_ns: int) -> tuple[Tensor, str]:
        """(4, 4) double transform of a frame into the top of its tree, and the top."""
        chain, top = [], self.root(frame_id)
        while frame_id != top:
            link = self._links[frame_id]
            try:
                xyz, xyzw = link.history.at(stamp_ns)
            except LookupError as error:
                raise TransformUnavailable(f"{name}: {link.parent} <- {frame_id}: {error.args[0]}", may_come=False) from error
            chain.append(matrix_from_pose(name, xyz, xyzw).double())
            frame_id = link.parent
        top_from_frame = matrix_from_pose(name, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)).double()
        for parent_from_child in reversed(chain):
            top_from_frame = top_from_frame @ parent_from_child
        return top_from_frame, top


def transform_topics(bag: BagReader) -> list[str]:
    """Topics with transforms: /tf, /tf_static, and the same in a namespace."""
    return [name for name in bag.of_type(TRANSFORMS) if name.rsplit("/", 1)[-1] in ("tf", "tf_static")]


def pose_topics(bag: BagReader, node: NodeConfig, cameras: dict[str, CameraConfig]) -> dict[str, str]:
    """Find the pose topics that a bag has.

    Args:
        bag: An open one.
        node: Of which the image transport counts.
        cameras: Name -> its settings.

    Returns:
        Camera -> its pose topic, for those that have messages.
    """
    wanted = {name: "/" + CameraTopics.of(name, cameras[name], node.input.image_transport).pose.lstrip("/") for name in cameras}
    return {name: topic for name, topic in wanted.items() if topic in bag.topics and bag.topics[topic].count}


def transforms_of(bag: BagReader, node: NodeConfig, cameras: dict[str, CameraConfig]) -> TransformsSource | None:
    """Do over a bag what the node's `transforms.source` says.

    Args:
        bag: An open one.
        node: With the source and the reference frame.
        cameras: Name -> its settings.

    Returns:
        Where poses are looked up; None for unposed cameras.

    Raises:
        BagError: The bag has no such poses.
    """
    config = node.transforms
    sources: list[TransformsSource] = []
    with_tf, with_poses = bool(transform_topics(bag)), pose_topics(bag, node, cameras)
    if config.source == "none":
        return None
    if config.source == "static" or (config.source == "auto" and config.static_file):
        sources.append(StaticTransforms(config.static_file, node.reference_frame))
    if with_poses and config.source in ("auto", "pose_topics"):
        sources.append(_read_poses(bag, node, with_poses))
    if with_tf and config.source in ("auto", "tf"):
        sources.append(BagTransforms.read(bag, node.reference_frame))
    if not sources:
        wanted = "pose topics" if config.source == "pose_topics" else "/tf and /tf_static"
        raise BagError(
            f"{bag.path}: expected the cameras' poses on {wanted} (transforms.source is '{config.source}'), got no such topic;"
            " set transforms.static_file for fixed cameras or transforms.source: none for unposed ones"
        )
    return FirstKnown(sources)


def _read_poses(bag: BagReader, node: NodeConfig, topics: dict[str, str]) -> PoseTopicTransforms:
    transforms = PoseTopicTransforms(node.cameras, node.reference_frame, lambda: PoseHistory(FOREVER_NS))
    camera_of = {topic: camera for camera, topic in topics.items()}
    found = [(stamp_to_ns(item.content.header.stamp), item) for item in bag.messages(list(camera_of))]
    for _, item in sorted(found, key=lambda pair: pair[0]):
        try:
            transforms.add(camera_of[item.topic], item.content)
        except ValueError as error:
            log.warning("%s: %s", item.topic, error)
    return transforms
