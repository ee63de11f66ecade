"""Which views are reconstructed together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from pan3d_core.config import KeyframeConfig
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import CameraView

log = logging.getLogger("pan3d.keyframes")
View = TypeVar("View", bound=CameraView)


class KeyframeWindow(Generic[View]):
    """Views of a moving camera (or of several) that show the scene from different places.

    With `enabled=False` (a fixed rig) every view set passes as it is.
    """

    def __init__(self, config: KeyframeConfig | None = None) -> None:
        self.config = config or KeyframeConfig()
        self._keyframes: list[View] = []

    def __len__(self) -> int:
        return len(self._keyframes)

    def reconfigure(self, config: KeyframeConfig) -> None:
        """Take over other settings from the next views on; the views stay."""
        self.config = config

    def reset(self) -> None:
        """Forget all views."""
        self._keyframes.clear()

    def add(self, views: Sequence[View]) -> tuple[View, ...] | None:
        """Take the views of one moment.

        A view becomes a keyframe when its camera moved or turned enough since that camera's last one; a standing camera renews
        its last one after `max_interval_s`. Only the newest `window_size` stay. A stamp before the newest one (a clock that
        jumped back) empties the window first.

        Args:
            views: With poses, unless the window is disabled.

        Returns:
            The views to reconstruct now, or None when these bring nothing new or there are too few yet.

        Raises:
            ValueError: A view has no pose.
        """
        if not self.config.enabled:
            return tuple(views)
        changed = False
        for view in views:
            changed |= self._add_one(view)
        del self._keyframes[: -self.config.window_size]
        return tuple(self._keyframes) if changed and len(self._keyframes) >= self.config.min_views else None

    def _add_one(self, view: View) -> bool:
        pose = _pose_of(view)
        same_camera = [k for k, kept in enumerate(self._keyframes) if kept.camera == view.camera]
        if not same_camera:
            self._keyframes.append(view)
            return True
        last = self._keyframes[same_camera[-1]]
        if view.stamp_ns < last.stamp_ns:
            log.warning("time went back by %.3f s; keyframes are forgotten", (last.stamp_ns - view.stamp_ns) * 1e-9)
            self.reset()
            self._keyframes.append(view)
            return True
        moved_m, turned_deg = _motion(_pose_of(last), pose)
        if moved_m >= self.config.min_translation_m or turned_deg >= self.config.min_rotation_deg:
            self._keyframes.append(view)
            return True
        if view.stamp_ns - last.stamp_ns >= self.config.max_interval_s * 1e9:
            del self._keyframes[same_camera[-1]]
            self._keyframes.append(view)
            return True
        return False


def _pose_of(view: CameraView) -> Tensor:
    if view.cam_from_world is None:
        raise ValueError(f"CameraView.cam_from_world: expected a pose for keyframes, got None for {view.camera!r}")
    return view.cam_from_world


def _motion(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Distance (m) and angle (degrees) between two poses `cam_from_world` (4, 4)."""
    second_from_first = second @ invert_rigid(first)
    cosine = ((second_from_first.diagonal()[:3].sum() - 1) / 2).clamp(-1, 1)
    centers = [invert_rigid(cam_from_world)[:3, 3] for cam_from_world in (first, second)]
    return float((centers[0] - centers[1]).norm()), float(torch.rad2deg(torch.arccos(cosine)))


def told_apart(views: Sequence[CameraView]) -> tuple[CameraView, ...]:
    """Give each view a name of its own: the keyframes of a moving camera have all the same.

    Args:
        views: Of one scene.

    Returns:
        The views, in their order; as "view_000" and so on where two had the same name.
    """
    if len({view.camera for view in views}) == len(views):
        return tuple(views)
    return tuple(replace(view, camera=f"view_{index:03d}") for index, view in enumerate(views))
