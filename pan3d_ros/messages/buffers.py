"""Moving large numpy arrays in and out of message `data` fields without touching single elements."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time


def assign_bytes(message: object, content: np.ndarray) -> None:
    """Store the bytes of `content` in `message.data`.

    An `array.array` is the only type that generated setters of every distribution take without looking at
    each element. They still copy it; where the message keeps the field in the plain slot `_data` (all
    generators up to Kilted do) the array is put there directly, which saves that copy.
    """
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(content)).cast("B"))
    if isinstance(getattr(message, "_data", None), array.array):
        message._data = data  # type: ignore[attr-defined]
    else:
        message.data = data  # type: ignore[attr-defined]


def bytes_view(message: object) -> np.ndarray:
    """(N,) uint8 view of `message.data`, no copy."""
    return np.frombuffer(message.data, dtype=np.uint8)  # type: ignore[attr-defined]


def stamp_to_ns(stamp: Time) -> int:
    """Integer nanoseconds; a float would lose about 240 ns at today's epoch and break exact matching."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def stamp_from_ns(stamp_ns: int) -> Time:
    """The ROS time of integer nanoseconds."""
    from builtin_interfaces.msg import Time

    seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)
