"""What belongs together of one camera: topic names, image with camera_info and depth.

No ROS in here: messages are anything with the fields of the sensor_msgs types, from rclpy or from a bag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.calibration import info_from_file
from pan3d_ros.messages.fields import CameraInfoFields, CompressedFields, ImageFields
from pan3d_ros.parameters.node_config import CameraConfig, InputConfig
from pan3d_ros.platform.stand_ins import OwnApproximateTimeSynchronizer, OwnSimpleFilter

_JUMP_BACK_NS = 500_000_000


@dataclass(frozen=True)
class CameraFrame:
    """Messages of one camera that belong together."""

    camera: str
    image: ImageFields | CompressedFields
    info: CameraInfoFields | None
    depth: ImageFields | CompressedFields | None
    config: CameraConfig

    @property
    def stamp_ns(self) -> int:
        return stamp_to_ns(self.image.header.stamp)

    @property
    def frame_id(self) -> str:
        """Optical frame of the image."""
        return self.config.frame_id or self.image.header.frame_id


@dataclass(frozen=True)
class CameraTopics:
    """Names of what one camera publishes."""

    image: str
    info: str
    depth: str
    pose: str

    @classmethod
    def of(cls, name: str, config: CameraConfig, transport: str) -> CameraTopics:
        """Name the topics of a camera.

        Args:
            name: Of the camera.
            config: What it says goes before the usual names.
            transport: Of the images, "raw" or "compressed".

        Returns:
            Names, relative to the node's namespace where they are the usual ones.
        """
        suffix = "/compressed" if transport == "compressed" else ""
        return cls(
            image=config.image_topic or f"{name}/image_raw{suffix}",
            info=config.info_topic or f"{name}/camera_info",
            depth=config.depth_topic or f"{name}/depth",
            pose=config.pose_topic or f"{name}/pose",
        )


class FramePairing:
    """Messages of one camera in, complete frames out. Not for use from several threads at once.

    `synchronizer` is a class with the interface of message_filters.ApproximateTimeSynchronizer.
    """

    def __init__(
        self,
        camera: str,
        input_config: InputConfig,
        camera_config: CameraConfig,
        on_frame: Callable[[CameraFrame], None],
        synchronizer: Callable[..., Any] = OwnApproximateTimeSynchronizer,
    ) -> None:
        self.counts: Counter[str] = Counter()  # image, info, depth, frame
        self.camera = camera
        self._input, self._config = input_config, camera_config
        self._on_frame, self._synchronizer = on_frame, synchronizer
        self._fixed_info = info_from_file(camera_config.calibration_file) if camera_config.calibration_file else None
        self._last_stamp_ns = 0
        self._last: dict[str, Any] = {}  # kind -> message
        self._start()

    @property
    def waits_for_info(self) -> bool:
        """Whether frames need a camera_info message."""
        return self._input.use_camera_info and self._fixed_info is None

    def take(self, kind: str, message: Any) -> None:
        """Take a message; the frame that it completes goes to `on_frame`.

        Args:
            kind: "image", "info" or "depth".
            message: Of that kind.
        """
        if kind == "image":
            self._check_clock(stamp_to_ns(message.header.stamp))
        self.counts[kind] += 1
        self._last[kind] = message
        self._sources[kind].signalMessage(message)

    def _check_clock(self, stamp_ns: int) -> None:
        """Start anew when the image's clock jumped back, with what came before it from after the jump."""
        if self._last_stamp_ns - stamp_ns > _JUMP_BACK_NS:
            self._start()
            for kind, message in self._last.items():
                if kind != "image" and abs(stamp_to_ns(message.header.stamp) - stamp_ns) <= _JUMP_BACK_NS:
                    self._sources[kind].signalMessage(message)
        self._last_stamp_ns = stamp_ns

    def _start(self) -> None:
        """Fresh queues; old ones would hold messages from after a jump of the clock for ever."""
        self._sources = {"image": OwnSimpleFilter()}
        if self.waits_for_info:
            self._sources["info"] = OwnSimpleFilter()
        if self._input.use_depth:
            self._sources["depth"] = OwnSimpleFilter()
        if len(self._sources) == 1:
            self._sources["image"].registerCallback(self._pair)
        else:
            sources = list(self._sources.values())
            self._pairing = self._synchronizer(sources, self._input.pair_queue, self._input.pair_slop_s)
            self._pairing.registerCallback(self._pair)

    def _pair(self, *messages: Any) -> None:
        by_kind = dict(zip(self._sources, messages))
        self.counts["frame"] += 1
        info = by_kind.get("info", self._fixed_info)
        self._on_frame(CameraFrame(self.camera, by_kind["image"], info, by_kind.get("depth"), self._config))
