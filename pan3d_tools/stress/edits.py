"""Ways to make a message wrong, as functions from message to message. They may change what they are given: it is a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pan3d_tools.stress.faults import Edit


def nothing(_: Any) -> None:
    """Send nothing."""
    return None


def with_fields(**values: Any) -> Edit:
    """Other values in fields of the message."""

    def edit(message: Any) -> Any:
        for name, value in values.items():
            setattr(message, name, value)
        return message

    return edit


def with_header(**values: Any) -> Edit:
    """Other values in fields of the header."""

    def edit(message: Any) -> Any:
        for name, value in values.items():
            setattr(message.header, name, value)
        return message

    return edit


def shifted(seconds: float) -> Edit:
    """A stamp that is later, or earlier where negative."""

    def edit(message: Any) -> Any:
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec + int(seconds * 1e9)
        stamp.sec, stamp.nanosec = divmod(max(stamp_ns, 0), 1_000_000_000)
        return message

    return edit


def in_sequence(*edits: Edit) -> Edit:
    """One edit after the other; what is not sent stays so."""

    def edit(message: Any) -> Any:
        for part in edits:
            if message is not None:
                message = part(message)
        return message

    return edit


def cut(share: float) -> Edit:
    """The first part of the data."""

    def edit(message: Any) -> Any:
        message.data = bytes(message.data)[: int(len(message.data) * share)]
        return message

    return edit


def with_bytes(data: bytes) -> Edit:
    """These bytes as data."""
    return with_fields(data=data)


def pixels(change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """Other pixels of a raw image of 3 x 8 bits or of float depth; size, step and data follow."""

    def edit(message: Any) -> Any:
        kind, channels = (np.float32, 1) if message.encoding == "32FC1" else (np.uint8, 3)
        shape = (message.height, message.width, channels)
        changed = np.ascontiguousarray(change(np.frombuffer(bytes(message.data), kind).reshape(shape)))
        message.height, message.width = changed.shape[:2]
        message.step = changed[0].nbytes
        message.data = changed.tobytes()
        return message

    return edit


def encoded_as(encoding: str, change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """The same picture in another encoding."""
    return in_sequence(pixels(change), with_fields(encoding=encoding))


def matrix(**entries: float) -> Edit:
    """Other numbers in K of a CameraInfo, by name: fx, fy, cx, cy, skew, or `row` for the last entry."""
    places = {"fx": 0, "skew": 1, "cx": 2, "fy": 4, "cy": 5, "row": 8, "lower": 3}

    def edit(message: Any) -> Any:
        k = list(message.k)
        for name, value in entries.items():
            k[places[name]] = value
        message.k = k
        return message

    return edit


def distortion(model: str, coefficients: list[float]) -> Edit:
    """Another distortion."""
    return with_fields(distortion_model=model, d=coefficients)


def position(x: float, y: float, z: float) -> Edit:
    """Another position of a pose, metres."""

    def edit(message: Any) -> Any:
        place = message.pose.position
        place.x, place.y, place.z = x, y, z
        return message

    return edit


def quaternion(change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """Another orientation of a pose, from x y z w to x y z w."""

    def edit(message: Any) -> Any:
        q = message.pose.orientation
        q.x, q.y, q.z, q.w = (float(value) for value in change(np.array([q.x, q.y, q.z, q.w])))
        return message

    return edit
