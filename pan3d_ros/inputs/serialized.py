"""Messages as they come over the wire, whose pixels are unpacked by who needs them: most images are never looked at."""

from __future__ import annotations

import struct
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

_REPRESENTATION_BYTES = 4  # before the content; the second says the order of bytes
_FIXED_BYTES = 12  # seconds, nanoseconds, and the length of the frame's name


class Serialized:
    """A message with a header: this is read at once, any other field when it is first asked for, in the thread that asks.

    Args:
        kind: Type of the message, with a field `header` that is its first.
        data: As DDS sends it (CDR).

    Raises:
        ValueError: It is too short for a header.
    """

    def __init__(self, kind: type, data: bytes) -> None:
        self._kind, self._data = kind, data
        self._message: Any = None
        order = "<" if len(data) > 1 and data[1] & 1 else ">"
        try:
            seconds, nanoseconds, length = struct.unpack_from(f"{order}iII", data, _REPRESENTATION_BYTES)
        except struct.error as error:
            raise ValueError(f"{kind.__name__}: expected a header, got {len(data)} bytes") from error
        start = _REPRESENTATION_BYTES + _FIXED_BYTES
        if not 0 < length <= len(data) - start:
            raise ValueError(f"{kind.__name__}: expected a frame_id within {len(data)} bytes, got {length} characters")
        frame_id = data[start : start + length - 1].decode("utf-8", "replace")
        self.header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)

    def __getattr__(self, name: str) -> Any:
        """A field of the message; called for those that are not known yet."""
        if name.startswith("__"):
            raise AttributeError(name)
        if self._message is None:
            self._message = deserialize_message(self._data, self._kind)
        return getattr(self._message, name)
