"""Moving large numpy arrays in and out of message `data` fields without touching single elements."""

from __future__ import annotations

import array
from typing import Any

import numpy as np

from pan3d_ros.messages.fields import Bytes, Stamp


def assign_bytes(message: Any, content: np.ndarray) -> None:
    """Store the bytes of an array in `message.data`.

    An `array.array` is the only type that generated setters of every distribution take without looking at
    each element. They still copy it; where the message keeps the field in the plain slot `_data` (all
    generators up to Kilted do) the array is put there directly, which saves that copy.

    Args:
        message: With a field `data` of bytes.
        content: Of any shape and dtype; in C order.
    """
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(content).data.cast("B"))
    if isinstance(getattr(message, "_data", None), array.array):
        message._data = data
    else:
        message.data = data


def bytes_view(message: Bytes) -> np.ndarray:
    """(N,) uint8 view of `message.data`, no copy."""
    return np.frombuffer(message.data, dtype=np.uint8)


def stamp_to_ns(stamp: Stamp) -> int:
    """Integer nanoseconds; a float would lose about 240 ns at today's epoch and break exact matching."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec
