"""Where the cameras of a running node are: TF, and the choice of sources that the parameters ask for."""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from rclpy.node import Node
from rclpy.time import Time
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.settings import did_you_mean
from pan3d_ros.inputs.transforms import FirstKnown, PoseTopicTransforms, StaticTransforms, TransformsSource, TransformUnavailable
from pan3d_ros.messages.poses import matrix_from_pose, transform_numbers
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.platform.stand_ins import tf2_ros


class TfTransforms:
    """tf2_ros: `reference_frame` from the image's own frame at the image's own stamp."""

    def __init__(self, node: Node, reference_frame: str) -> None:
        """Begin to listen. Raises `ValueError` where tf2_ros is not installed."""
        if tf2_ros is None:
            raise ValueError("transforms.source: expected tf2_ros to be installed for 'tf'; use pose_topics or static")
        self._reference_frame = reference_frame
        self._failure, self._unknown = tf2_ros.TransformException, tf2_ros.LookupException
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, camera: str, frame_id: str, stamp_ns: int) -> Tensor:
        """Answer as `TransformsSource.lookup`, by TF."""
        try:
            found = self._buffer.lookup_transform(self._reference_frame, frame_id, Time(nanoseconds=stamp_ns))
        except self._failure as error:
            strangers = self._strangers(frame_id) if isinstance(error, self._unknown) else ""
            raise TransformUnavailable(f"{camera}: TF {self._reference_frame} <- {frame_id}: {error}{strangers}") from error
        try:
            return invert_rigid(matrix_from_pose(f"TF of {frame_id}", *transform_numbers(found.transform)))
        except ValueError as error:
            raise TransformUnavailable(str(error), may_come=False) from error

    def _strangers(self, frame_id: str) -> str:
        """Which of both frames /tf has never named, with what was meant, if others are known."""
        frames = yaml.safe_load(self._buffer.all_frames_as_yaml()) or {}
        known = {*frames, *(entry["parent"] for entry in frames.values())}
        wanted = (("reference_frame", self._reference_frame), ("the image's frame_id", frame_id))
        found = [(what, name) for what, name in wanted if known and name not in known]
        return "".join(f"; {what} '{name}' is in no transform{did_you_mean(name, known)}" for what, name in found)

    def clear(self) -> None:
        """As `TransformsSource.clear`."""
        self._buffer.clear()

    def close(self) -> None:
        """Stop listening to /tf."""
        self._listener.unregister()


@dataclass(frozen=True)
class LiveTransforms:
    """The sources that `transforms.source` names."""

    source: TransformsSource | None  # all of them in order; None: unposed cameras
    pose_topics: PoseTopicTransforms | None  # wants the messages of `<camera>/pose`
    tf: TfTransforms | None

    @classmethod
    def of(cls, node: Node, config: NodeConfig) -> LiveTransforms:
        """Open them.

        Args:
            node: That hears /tf.
            config: Its settings.

        Returns:
            Those that `transforms.source` asks for.

        Raises:
            ValueError: A file is missing or wrong, or tf2_ros is not installed.
            OSError: A file cannot be read.
        """
        wanted = [config.transforms.source]
        if config.transforms.source == "auto":
            wanted = (["static"] if config.transforms.static_file else []) + ["pose_topics"] + (["tf"] if tf2_ros else [])
        sources: list[TransformsSource] = []
        pose_topics = tf = None
        if "static" in wanted:
            if not config.transforms.static_file:
                raise ValueError("transforms.static_file: expected a file for the source 'static', got none")
            sources.append(StaticTransforms(config.transforms.static_file, config.reference_frame))
        if "pose_topics" in wanted:
            pose_topics = PoseTopicTransforms(config.cameras, config.reference_frame)
            sources.append(pose_topics)
        if "tf" in wanted:
            tf = TfTransforms(node, config.reference_frame)
            sources.append(tf)
        return cls(FirstKnown(sources) if sources else None, pose_topics, tf)

    def clear(self) -> None:
        """Forget everything that depends on time, because the clock jumped."""
        if self.source is not None:
            self.source.clear()

    def close(self) -> None:
        """Stop listening."""
        if self.tf is not None:
            self.tf.close()
