"""Poses of one moving thing over time, looked up at an exact stamp."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np


class PoseHistory:
    """Bounded list of (stamp, translation, quaternion) with interpolation, never extrapolation."""

    def __init__(self, keep_ns: int = 10_000_000_000, max_gap_ns: int = 500_000_000) -> None:
        self._keep_ns = keep_ns
        self._max_gap_ns = max_gap_ns
        self._stamps: list[int] = []
        self._poses: list[tuple[np.ndarray, np.ndarray]] = []
        self._static: tuple[np.ndarray, np.ndarray] | None = None

    def clear(self) -> None:
        """Forget all moving poses; a pose that holds at all times stays."""
        self._stamps.clear()
        self._poses.clear()

    def add(self, stamp_ns: int, translation: np.ndarray, quaternion_xyzw: np.ndarray) -> None:
        """Take a pose.

        Args:
            stamp_ns: 0 = it holds at all times, until one with a stamp comes. Stamps that go back start the history anew.
            translation: (3,) metres.
            quaternion_xyzw: (4,) of any length but 0.
        """
        pose = translation, quaternion_xyzw / np.linalg.norm(quaternion_xyzw)
        if stamp_ns == 0:
            if not self._stamps:  # among others it says nothing about when
                self._static = pose
            return
        self._static = None
        if self._stamps and stamp_ns < self._stamps[-1]:
            self.clear()
        if self._stamps and stamp_ns == self._stamps[-1]:
            self._poses[-1] = pose
            return
        self._stamps.append(stamp_ns)
        self._poses.append(pose)
        while self._stamps[-1] - self._stamps[0] > self._keep_ns:
            del self._stamps[0], self._poses[0]

    def at(self, stamp_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Translation and xyzw quaternion at `stamp_ns`; `LookupError` says how far off the known poses are."""
        if self._static is not None:
            return self._static
        if not self._stamps:
            raise LookupError("no pose has been received")
        index = bisect_left(self._stamps, stamp_ns)
        if index < len(self._stamps) and self._stamps[index] == stamp_ns:
            return self._poses[index]
        if index == len(self._stamps):
            raise LookupError(f"the newest pose is {(stamp_ns - self._stamps[-1]) * 1e-6:.1f} ms older than the image")
        if index == 0:
            raise LookupError(f"the oldest pose is {(self._stamps[0] - stamp_ns) * 1e-6:.1f} ms newer than the image")
        before, after = self._stamps[index - 1], self._stamps[index]
        if after - before > self._max_gap_ns:
            raise LookupError(f"the poses around the image are {(after - before) * 1e-6:.0f} ms apart")
        return _interpolate(self._poses[index - 1], self._poses[index], (stamp_ns - before) / (after - before))


def _interpolate(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Straight line between the translations, spherical interpolation (Shoemake 1985) between the rotations."""
    translation = (1 - share) * first[0] + share * second[0]
    q0, q1 = first[1], second[1]
    cosine = float(q0 @ q1)
    if cosine < 0:
        q1, cosine = -q1, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-6:
        mixed = (1 - share) * q0 + share * q1
    else:
        mixed = (np.sin((1 - share) * angle) * q0 + np.sin(share * angle) * q1) / np.sin(angle)
    return translation, mixed / np.linalg.norm(mixed)
