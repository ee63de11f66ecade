"""Where cameras are: pose topics or a file, behind one function `lookup`; no ROS in here, `live_transforms` has TF.

No source ever answers with an identity or an old pose when it does not know: it raises
`TransformUnavailable`, and the node drops the view and says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.runtime.files import shortened
from pan3d_core.settings import read_yaml, refuse_unknown
from pan3d_ros.inputs.pose_history import PoseHistory
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.fields import StampedPose
from pan3d_ros.messages.poses import checked_pose, matrix_from_pose, pose_numbers

log = logging.getLogger("pan3d.ros.transforms")

POSE_KEYS = ("translation_m", "rotation_xyzw")
# What people call them elsewhere -> what they are here.
_ELSEWHERE = {"translation": POSE_KEYS[0], "position": POSE_KEYS[0], "rotation": POSE_KEYS[1], "orientation": POSE_KEYS[1]}


class TransformUnavailable(LookupError):
    """The pose of a camera at a stamp is unknown. `may_come` = waiting a little can help."""

    def __init__(self, message: str, *, may_come: bool = True) -> None:
        super().__init__(message)
        self.may_come = may_come


class TransformsSource(Protocol):
    """All methods may be called from any thread."""

    def lookup(self, camera: str, frame_id: str, stamp_ns: int) -> Tensor:
        """Look up a camera's pose at a stamp.

        Args:
            camera: Its name in the settings.
            frame_id: Its optical frame.
            stamp_ns: Time of exposure.

        Returns:
            cam_from_world (4, 4) float32, metres.

        Raises:
            TransformUnavailable: The pose is not known; its `may_come` tells whether waiting can help.
        """
        ...

    def clear(self) -> None:
        """Forget everything that depends on time, because the clock jumped."""
        ...


def _numbers(values: object) -> int:
    """How many numbers a list is of; 0 for anything else."""
    are = isinstance(values, list) and all(type(value) in (int, float) and not abs(value) > 1e12 for value in values)
    return len(values) if isinstance(values, list) and are else 0


def _static_pose(where: str, entry: object) -> Tensor:
    """cam_from_world of an entry; `ValueError` for what is no pose."""
    if not isinstance(entry, dict) or [_numbers(entry.get(key)) for key in POSE_KEYS] != [3, 4]:
        raise ValueError(f"{where}: expected 3 translation_m and 4 rotation_xyzw, got {shortened(entry)}")
    return invert_rigid(matrix_from_pose(where, entry["translation_m"], entry["rotation_xyzw"]))


class StaticTransforms:
    """Fixed cameras from a YAML file:

        reference_frame: base_link
        cameras:
          front: {translation_m: [0.5, 0.0, 0.6], rotation_xyzw: [1.0, 0.0, 0.0, 0.0]}

    Each entry is the pose of the camera's optical frame in the reference frame. Numbers that are no pose take one camera, whose
    `lookup` says why; a file of which no camera is left is refused, as are keys that nobody reads.
    """

    def __init__(self, path: str | Path, reference_frame: str) -> None:
        content = read_yaml(path, "poses of cameras")
        refuse_unknown(content, ("reference_frame", "cameras"), f"{path}: ")
        if not isinstance(content.get("cameras"), dict):
            raise ValueError(f"{path}: expected the keys reference_frame and cameras")
        if content.get("reference_frame") != reference_frame:
            raise ValueError(f"{path}: expected reference_frame {reference_frame}, got {content.get('reference_frame')}")
        self._cam_from_world: dict[str, Tensor] = {}
        self._refused: dict[str, str] = {}
        for camera, entry in content["cameras"].items():
            where = f"{path}: cameras.{camera}"
            refuse_unknown(entry if isinstance(entry, dict) else (), POSE_KEYS, f"{where}: ", _ELSEWHERE)
            try:
                self._cam_from_world[camera] = _static_pose(where, entry)
            except ValueError as error:
                self._refused[camera] = str(error)
        if self._refused:
            log.error("%s", "; ".join(self._refused.values()))
            if not self._cam_from_world:
                raise ValueError("; ".join(self._refused.values()))

    def lookup(self, camera: str, frame_id: str, stamp_ns: int) -> Tensor:
        """Answer as `TransformsSource.lookup`, the same at all times."""
        if camera not in self._cam_from_world:
            why = self._refused.get(camera, f"{camera}: not in the file of static extrinsics")
            raise TransformUnavailable(why, may_come=False)
        return self._cam_from_world[camera]

    def clear(self) -> None:
        pass


class PoseTopicTransforms:
    """PoseStamped messages of each camera's optical frame in the reference frame; feed them to `add`.

    The stamp is the time of the pose; 0 = it never changes. Between two poses it is interpolated.
    """

    def __init__(
        self, cameras: Sequence[str], reference_frame: str, new_history: Callable[[], PoseHistory] = PoseHistory
    ) -> None:
        self._reference_frame = reference_frame
        self._histories = {camera: new_history() for camera in cameras}
        self._refused = dict.fromkeys(cameras, "")

    def add(self, camera: str, message: StampedPose) -> None:
        """Take a pose.

        Args:
            camera: Its name in the settings.
            message: Of its optical frame in the reference frame.

        Raises:
            ValueError: NaN, a bad quaternion or another frame. The reason is repeated by `lookup`.
        """
        try:
            if message.header.frame_id != self._reference_frame:
                raise ValueError(f"{camera}/pose: expected frame {self._reference_frame}, got '{message.header.frame_id}'")
            xyz, xyzw = checked_pose(f"{camera}/pose", *pose_numbers(message.pose))
        except ValueError as error:
            self._refused[camera] = str(error)
            raise
        self._refused[camera] = ""
        self._histories[camera].add(stamp_to_ns(message.header.stamp), np.array(xyz), np.array(xyzw))

    def lookup(self, camera: str, frame_id: str, stamp_ns: int) -> Tensor:
        """Answer as `TransformsSource.lookup`, interpolated between the poses around the stamp."""
        try:
            xyz, xyzw = self._histories[camera].at(stamp_ns)
        except LookupError as error:
            reason = self._refused[camera] or f"{camera}/pose: {error.args[0]}"
            raise TransformUnavailable(reason) from error
        return invert_rigid(matrix_from_pose(f"{camera}/pose", xyz, xyzw))

    def clear(self) -> None:
        for history in self._histories.values():
            history.clear()


class FirstKnown:
    """Asks several sources in order; fails with all their reasons."""

    def __init__(self, sources: Sequence[TransformsSource]) -> None:
        self._sources = tuple(sources)

    def lookup(self, camera: str, frame_id: str, stamp_ns: int) -> Tensor:
        """Answer as `TransformsSource.lookup`, from the first source that knows; the error names the reasons of all."""
        failures = []
        for source in self._sources:
            try:
                return source.lookup(camera, frame_id, stamp_ns)
            except TransformUnavailable as error:
                failures.append(error)
        text = "; ".join(str(failure) for failure in failures)
        raise TransformUnavailable(text, may_come=any(failure.may_come for failure in failures))

    def clear(self) -> None:
        for source in self._sources:
            source.clear()


def wait_for_transform(
    source: TransformsSource, camera: str, frame_id: str, stamp_ns: int, timeout_s: float, cancelled: Callable[[], bool]
) -> Tensor:
    """Look up a pose, again and again: the newest image usually arrives before its transform.

    Args:
        source: Where it is looked up.
        camera: Its name in the settings.
        frame_id: Its optical frame.
        stamp_ns: Time of exposure.
        timeout_s: How long it is tried.
        cancelled: Is asked after every failure; True ends it.

    Returns:
        cam_from_world (4, 4) float32, metres.

    Raises:
        TransformUnavailable: The last failure, when time is up, it is cancelled or waiting cannot help.
    """
    return wait_for_pose(lambda: source.lookup(camera, frame_id, stamp_ns), timeout_s, cancelled)


def wait_for_pose(lookup: Callable[[], Tensor], timeout_s: float, cancelled: Callable[[], bool]) -> Tensor:
    """Look something up, again and again.

    Args:
        lookup: Does it once.
        timeout_s: How long it is tried.
        cancelled: Is asked after every failure; True ends it.

    Returns:
        What it gives.

    Raises:
        TransformUnavailable: The last failure, when time is up, it is cancelled or waiting cannot help.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return lookup()
        except TransformUnavailable as error:
            if not error.may_come or cancelled() or time.monotonic() >= deadline:
                raise
        time.sleep(0.01)
