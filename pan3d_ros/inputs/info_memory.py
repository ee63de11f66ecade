"""Which camera_info belongs to an image: its own where the driver sends one with every image, otherwise the last that came.

No ROS in here.
"""

from __future__ import annotations

from collections import deque

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.fields import SentCameraInfo

ACCOMPANIED = 2  # images in a row with a camera_info of their own; the next one is waited for then


class InfoMemory:
    """The camera_info messages of one camera. Not for use from several threads at once.

    Drivers send one with every image, or slower, or once and latched. An image gets the one of its own moment. Where that has
    not come, it is waited for only if the images before had theirs; otherwise the newest serves.
    """

    def __init__(self, queue: int, slop_ns: int, max_age_ns: int) -> None:
        self.problem = ""  # why the newest cannot serve
        self._slop_ns, self._max_age_ns = slop_ns, max_age_ns  # 0 = the newest serves for ever
        self._known: deque[SentCameraInfo] = deque(maxlen=queue)
        self._accompanied = 0
        self._served_ns: int | None = None  # stamp of the last image that had its own
        self._lacking_ns: int | None = None  # stamp of the last image, when its own had not come

    def add(self, message: SentCameraInfo) -> None:
        """Take one."""
        self._known.append(message)
        if self._lacking_ns is not None and self._is_of(message, self._lacking_ns):
            self._had_its_own(self._lacking_ns)

    def start_over(self) -> None:
        """The stamps jumped back: only the newest is kept, which may be latched and never come again."""
        newest = list(self._known)[-1:]
        self._known.clear()
        self._known.extend(newest)
        self._accompanied, self._lacking_ns = 0, None

    def own(self, stamp_ns: int) -> SentCameraInfo | None:
        """Give the one of this moment, None while there is none."""
        found = min(self._known, key=lambda info: abs(stamp_to_ns(info.header.stamp) - stamp_ns), default=None)
        if self._lacking_ns is not None:
            self._accompanied = 0  # the image before never got its own
        if found is None or not self._is_of(found, stamp_ns):
            self._lacking_ns = stamp_ns
            return None
        self._had_its_own(stamp_ns)
        return found

    @property
    def worth_waiting(self) -> bool:
        """Whether the own one of an image that lacks it is likely to come, or there is no other."""
        return self._accompanied >= ACCOMPANIED or not self._known

    def newest(self, stamp_ns: int) -> SentCameraInfo | None:
        """Give the one that came last, None where it is too old for an image of this moment, or there is none."""
        if not self._known:
            return None
        age_ns = abs(stamp_ns - stamp_to_ns(self._known[-1].header.stamp))
        if self._max_age_ns and age_ns > self._max_age_ns:
            self.problem = (
                f"the newest camera_info is {age_ns * 1e-9:.3g} s from the image, input.camera_info_max_age_s is"
                f" {self._max_age_ns * 1e-9:g}"
            )
            return None
        self.problem = ""
        return self._known[-1]

    def _had_its_own(self, stamp_ns: int) -> None:
        if stamp_ns != self._served_ns:
            self._accompanied += 1
        self._served_ns, self._lacking_ns, self.problem = stamp_ns, None, ""

    def _is_of(self, message: SentCameraInfo, stamp_ns: int) -> bool:
        return abs(stamp_to_ns(message.header.stamp) - stamp_ns) < self._slop_ns
