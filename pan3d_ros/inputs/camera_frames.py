"""What belongs together of one camera: topic names, image with camera_info and depth.

No ROS in here: messages are anything with the fields of the sensor_msgs types, from rclpy or from a bag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pan3d_ros.inputs.info_memory import InfoMemory
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
    info_problem: str = ""  # why there is no calibration where a file should give it

    @property
    def stamp_ns(self) -> int:
        return stamp_to_ns(self.image.header.stamp)

    @property
    def frame_id(self) -> str:
        """Optical frame of the image."""
        return (self.config.frame_id or self.image.header.frame_id).lstrip("/")


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

    def resolved(self, resolve: Callable[[str], str]) -> CameraTopics:
        """The same topics under other names. `resolve`: from a name to its full one."""
        return CameraTopics(*(resolve(name) for name in (self.image, self.info, self.depth, self.pose)))

    def from_the_root(self) -> CameraTopics:
        """The same names in the namespace /, as in bags."""
        return CameraTopics(*(f"/{name.lstrip('/')}" for name in (self.image, self.info, self.depth, self.pose)))


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
        self._fixed_info: CameraInfoFields | None = None
        self._file_problem = ""  # a bad file of one camera takes that camera alone
        if camera_config.calibration_file:
            try:
                self._fixed_info = info_from_file(camera_config.calibration_file)
            except (ValueError, OSError) as error:
                self._file_problem = f"camera.{camera}.calibration_file: {error}"
        slop_ns, max_age_ns = (int(seconds * 1e9) for seconds in (input_config.pair_slop_s, input_config.camera_info_max_age_s))
        self._infos = InfoMemory(input_config.pair_queue, slop_ns, max_age_ns)
        self._waiting: tuple[Any, Any] | None = None  # image and depth without their camera_info
        self._last_stamp_ns = 0
        self._last_depth: Any = None
        self._start()

    @property
    def waits_for_info(self) -> bool:
        """Whether frames need a camera_info message."""
        return self._input.use_camera_info and not self._config.calibration_file

    @property
    def info_problem(self) -> str:
        """Why the calibration file or the camera_info that has come cannot serve; "" where it does, or none has come."""
        return self._file_problem or self._infos.problem

    def remember(self, info: Any) -> None:
        """Take a camera_info that was sent before the first image, as latched ones are; it is not counted."""
        self._infos.add(info)

    def forget(self) -> None:
        """Time started over: drop the image that waits for its camera_info. Any thread may call this."""
        self._waiting = None

    def take(self, kind: str, message: Any) -> None:
        """Take a message; the frame that it completes goes to `on_frame`.

        Args:
            kind: "image", "info" or "depth".
            message: Of that kind.
        """
        if kind == "image":
            self._check_clock(stamp_to_ns(message.header.stamp))
        self.counts[kind] += 1
        if kind == "info":
            self._take_info(message)
            return
        if kind == "depth":
            self._last_depth = message
        self._sources[kind].signalMessage(message)

    def _check_clock(self, stamp_ns: int) -> None:
        """Start anew when the image's clock jumped back, with the depth that came before it from after the jump."""
        if self._last_stamp_ns - stamp_ns > _JUMP_BACK_NS:
            self._start()
            self._infos.start_over()
            depth = self._last_depth
            if depth is not None and abs(stamp_to_ns(depth.header.stamp) - stamp_ns) <= _JUMP_BACK_NS:
                self._sources["depth"].signalMessage(depth)
        self._last_stamp_ns = stamp_ns

    def _start(self) -> None:
        """Fresh queues; old ones would hold messages from after a jump of the clock for ever."""
        self._waiting = None
        self._sources = {"image": OwnSimpleFilter()}
        if self._input.use_depth:
            self._sources["depth"] = OwnSimpleFilter()
            sources = list(self._sources.values())
            self._pairing = self._synchronizer(sources, self._input.pair_queue, self._input.pair_slop_s)
            self._pairing.registerCallback(self._pair)
        else:
            self._sources["image"].registerCallback(self._pair)

    def _pair(self, image: Any, depth: Any = None) -> None:
        """An image that has its depth: find its camera_info."""
        if not self.waits_for_info:
            self._complete(image, self._fixed_info, depth)
            return
        late, self._waiting = self._waiting, None
        if late is not None:  # whose own never came
            self._complete_with_newest(*late)
        self._complete_or_wait(image, depth)

    def _take_info(self, message: Any) -> None:
        self._infos.add(message)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._complete_or_wait(*waiting)

    def _complete_or_wait(self, image: Any, depth: Any) -> None:
        """With the camera_info of the same stamp; without one, wait for it where it may still come."""
        own = self._infos.own(stamp_to_ns(image.header.stamp))
        if own is not None:
            self._complete(image, own, depth)
        elif self._infos.worth_waiting:
            self._waiting = image, depth
        else:
            self._complete_with_newest(image, depth)

    def _complete_with_newest(self, image: Any, depth: Any) -> None:
        info = self._infos.newest(stamp_to_ns(image.header.stamp))
        if info is not None:
            self._complete(image, info, depth)

    def _complete(self, image: Any, info: Any, depth: Any) -> None:
        self.counts["frame"] += 1
        self._on_frame(CameraFrame(self.camera, image, info, depth, self._config, self._file_problem))
