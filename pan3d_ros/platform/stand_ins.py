"""ROS packages that a pip-only machine lacks: the real one where it can be imported, a small equivalent otherwise.

Import the names without prefix (`SimpleFilter`, `ApproximateTimeSynchronizer`, `imgmsg_to_cv2`) and the optional modules
(`tf2_ros`, `tf2_msgs`, `vision_msgs`, `moveit_msgs`, `moveit_services`, `control_actions`, `bond_msgs`, None when missing)
from here only; what is for clouds is in `cloud_stand_ins`. The `Own...` equivalents do the part of the interface that pan3d
uses; a test compares them with the real ones where those are present. No ROS is needed here: that nodes need rclpy and bags do
not is a matter of which modules import it, at their top, as all others.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from pan3d_ros.messages.buffers import bytes_view, stamp_to_ns
from pan3d_ros.messages.fields import ImageFields

# The cv types that cv_bridge gives to encodings: numpy type and channels.
CV_TYPES: dict[str, tuple[str, int]] = {
    "rgb8": ("u1", 3), "bgr8": ("u1", 3), "rgba8": ("u1", 4), "bgra8": ("u1", 4), "rgb16": ("u2", 3), "bgr16": ("u2", 3),
    "mono8": ("u1", 1), "8UC1": ("u1", 1), "mono16": ("u2", 1), "16UC1": ("u2", 1), "32FC1": ("f4", 1), "32SC1": ("i4", 1),
    **{f"bayer_{order}{bits}": (kind, 1) for order in ("rggb", "bggr", "gbrg", "grbg") for bits, kind in ((8, "u1"), (16, "u2"))},
}  # fmt: skip


def optional_module(name: str) -> ModuleType | None:
    """The module, or None when it is not installed or was built for another numpy."""
    try:
        return importlib.import_module(name)
    except (ImportError, AttributeError):
        return None


class OwnSimpleFilter:
    """Source of messages: as message_filters.SimpleFilter."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, callback: Callable[..., None], *args: Any) -> int:  # noqa: N802 (name of the original)
        """Call `callback(*messages, *args)` for every output.

        Args:
            callback: What is called.
            args: Further arguments of it.

        Returns:
            Its number.
        """
        self.callbacks[len(self.callbacks)] = (callback, args)
        return len(self.callbacks) - 1

    def signalMessage(self, *messages: Any) -> None:  # noqa: N802 (name of the original)
        """Hand messages to all callbacks."""
        for callback, args in self.callbacks.values():
            callback(*messages, *args)


class OwnApproximateTimeSynchronizer(OwnSimpleFilter):
    """As message_filters.ApproximateTimeSynchronizer: one message of each input, spread of stamps below `slop` seconds.

    Unlike the original the callback runs after the queues are up to date, so that an exception in it cannot
    block later messages. Not for use from several threads at once.
    """

    def __init__(self, fs: Sequence[Any], queue_size: int, slop: float) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.slop_ns = int(slop * 1e9)
        self.queues: list[dict[int, Any]] = [{} for _ in fs]
        for index, source in enumerate(fs):
            source.registerCallback(self.add, index)

    def add(self, message: Any, index: int) -> None:
        """Take a message; the set that it completes, closest stamps first, is signalled.

        Args:
            message: With a header.
            index: Of its input.
        """
        stamp = stamp_to_ns(message.header.stamp)
        own = self.queues[index]
        own[stamp] = message
        while len(own) > self.queue_size:
            del own[min(own)]
        if stamp not in own:
            return
        candidates = [
            [stamp] if i == index else sorted((s for s in q if abs(s - stamp) <= self.slop_ns), key=lambda s: abs(s - stamp))
            for i, q in enumerate(self.queues)
        ]
        for stamps in itertools.product(*candidates):
            if max(stamps) - min(stamps) < self.slop_ns:
                self.signalMessage(*[queue.pop(s) for queue, s in zip(self.queues, stamps)])
                return


def own_imgmsg_to_cv2(message: ImageFields) -> np.ndarray:
    """As cv_bridge's `imgmsg_to_cv2(message, "passthrough")`: (H, W) or (H, W, C), native byte order."""
    kind, channels = CV_TYPES[message.encoding]
    item = np.dtype(kind)
    row_bytes = message.width * channels * item.itemsize
    rows = np.lib.stride_tricks.as_strided(bytes_view(message), (message.height, row_bytes), (message.step, 1), writeable=False)
    pixels = np.ascontiguousarray(rows).view(item.newbyteorder(">" if message.is_bigendian else "<")).astype(item, copy=False)
    return pixels.reshape((message.height, message.width) if channels == 1 else (message.height, message.width, channels))


def _real_imgmsg_to_cv2() -> Callable[[ImageFields], np.ndarray] | None:
    """cv_bridge's conversion when it works with the numpy that is installed (its compiled part may not)."""
    module = optional_module("cv_bridge")
    if module is None or optional_module("cv_bridge.boost.cv_bridge_boost") is None:
        return None
    return module.CvBridge().imgmsg_to_cv2


def _choose_imgmsg_to_cv2() -> Callable[[ImageFields], np.ndarray]:
    real = _real_imgmsg_to_cv2()
    if real is None:
        return own_imgmsg_to_cv2

    def convert(message: ImageFields) -> np.ndarray:
        # cv_bridge swaps bytes with a method that numpy 2 no longer has, and needs rows of whole pixels.
        kind, channels = CV_TYPES[message.encoding]
        if (
            message.is_bigendian
            or message.step % (np.dtype(kind).itemsize * channels)
            or len(message.data) != message.step * message.height
        ):
            return own_imgmsg_to_cv2(message)
        return real(message)

    return convert


_filters = optional_module("message_filters")
SimpleFilter = _filters.SimpleFilter if _filters else OwnSimpleFilter
ApproximateTimeSynchronizer = _filters.ApproximateTimeSynchronizer if _filters else OwnApproximateTimeSynchronizer
imgmsg_to_cv2 = _choose_imgmsg_to_cv2()
tf2_ros = optional_module("tf2_ros")
tf2_msgs = optional_module("tf2_msgs.msg")
vision_msgs = optional_module("vision_msgs.msg")
moveit_msgs: Any = optional_module("moveit_msgs.msg")
moveit_services: Any = optional_module("moveit_msgs.srv")
control_actions: Any = optional_module("control_msgs.action")
bond_msgs: Any = optional_module("bond.msg")
