"""A look at a table, as pick lessons compare it with another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.lessons.differences import Floats, Mask
from pan3d_core.structures import CameraView, PerceptionResult
from pan3d_core.views.sampling import sample_at_network

NEAR_SUPPORT_M = 0.02  # what a network says is lower than this above the support may be it
OUTLINE_PX = 3  # a network's outlines are this uncertain at the size of pictures
ON_SUPPORT_M, ON_SUPPORT = 0.008, 0.01  # depth that agrees with the support this well shows it, metres and share of the distance


@dataclass(frozen=True)
class Look:
    """Calibrated views of a moment at which nothing moved, and what is believed of their pixels."""

    views: tuple[CameraView, ...]
    surface_m: tuple[Floats | None, ...]  # per view (H, W): z-depth of what is seen, measured or guessed, 0 = unknown
    claimed: tuple[Mask | None, ...]  # per view (H, W): somebody takes this for an object
    robot: tuple[Mask | None, ...]  # per view (H, W): shows the robot; None = there is none
    support_height_m: float | None = None  # world z that objects stand on

    def __post_init__(self) -> None:
        for name in ("surface_m", "claimed", "robot"):
            maps = getattr(self, name)
            if len(maps) != len(self.views):
                raise ValueError(f"Look.{name}: expected {len(self.views)} as there are views, got {len(maps)}")
            for view, item in zip(self.views, maps):
                if item is not None and item.shape != view.hw:
                    raise ValueError(f"Look.{name} of {view.camera}: expected {view.hw} as its picture, got {item.shape}")

    def ground_pixels(self, index: int) -> Mask:
        """(H, W) bool: where a view may well show the support, as far as a guessed depth can tell; nowhere without one."""
        view, surface, claimed = self.views[index], self.surface_m[index], self.claimed[index]
        if surface is None or claimed is None or self.support_height_m is None:
            return np.zeros(view.hw, bool)
        found: Mask = ~claimed & (world_heights(view, surface) < self.support_height_m + NEAR_SUPPORT_M)
        return found

    def support_pixels(self, index: int) -> Mask:
        """Say where a view shows the support for sure: depth agrees, and nobody takes it for an object.

        Args:
            index: Of the view.

        Returns:
            (H, W) bool; nowhere where height or depth are not known.
        """
        view, surface, claimed = self.views[index], self.surface_m[index], self.claimed[index]
        if surface is None or claimed is None or self.support_height_m is None:
            return np.zeros(view.hw, bool)
        height = world_heights(view, surface)
        off = np.abs(height - self.support_height_m)
        on_it = (surface > 0) & (off < np.maximum(ON_SUPPORT_M, ON_SUPPORT * surface))
        return on_it & ~ndimage.binary_dilation(claimed, iterations=OUTLINE_PX)


def look_of(views: Sequence[CameraView], result: PerceptionResult, robot: Sequence[Mask | None]) -> Look:
    """Put together what a look gave.

    Args:
        views: That were given to the pipeline, calibrated; as they were, or smaller.
        result: What it made of them. Views that it left out have nothing but their pictures.
        robot: Per view (H, W) bool: shows the robot; None = no robot.

    Returns:
        The look. Depth is the measured one where there is some.
    """
    seen = {camera: row for row, camera in enumerate(result.views.cameras)}
    surfaces: list[Floats | None] = []
    claims: list[Mask | None] = []
    for view in views:
        surface, claimed = _believed(view, result, seen.get(view.camera))
        if view.depth is not None:
            measured = view.depth.double().cpu().numpy()
            surface = measured if surface is None else np.where(measured > 0, measured, surface)
        surfaces.append(surface)
        claims.append(claimed)
    return Look(tuple(views), tuple(surfaces), tuple(claims), tuple(robot), result.views.support_height_m)


def _believed(view: CameraView, result: PerceptionResult, row: int | None) -> tuple[Floats | None, Mask | None]:
    """Depth of what a view shows and whether it is taken for an object, at the view's size."""
    if row is None or result.views.intrinsics is None:
        return None, None
    lens = torch.linalg.inv(view.calibration()[0].double().cpu())
    small_from_network = torch.linalg.inv(result.views.intrinsics[row].double().cpu() @ lens)
    owner = sample_at_network(result.panoptic.instance_id[row].cpu() + 1, small_from_network, view.hw).numpy()
    claimed = np.asarray(owner != 1)  # what the network did not see, too
    if not result.is_metric:
        return None, claimed
    depth = sample_at_network(result.reconstruction.depth[row].cpu(), small_from_network, view.hw)
    return depth.double().numpy(), claimed


def world_heights(view: CameraView, surface_m: Floats) -> Floats:
    """Compute how high what a view shows lies.

    Args:
        view: Calibrated.
        surface_m: (H, W) z-depth, metres.

    Returns:
        (H, W) world z in metres, also where there is no depth: that of the camera then.
    """
    intrinsics, cam_from_world = (item.double().cpu() for item in view.calibration())
    heights: Floats = unproject_depth(torch.from_numpy(surface_m), intrinsics, cam_from_world)[..., 2].numpy()
    return heights


def support_depth(look: Look, index: int) -> Floats:
    """Compute how far the support would be in each pixel.

    Args:
        look: With the support's height.
        index: Of the view.

    Returns:
        (H, W) metres along the camera's axis; 0 where it is not in that direction, or its height is not known.
    """
    view = look.views[index]
    if look.support_height_m is None:
        return np.zeros(view.hw)
    eye, far = (world_heights(view, np.full(view.hw, depth)) for depth in (0.0, 1.0))
    slope = far - eye
    depth: Floats = np.divide(look.support_height_m - eye, slope, out=np.zeros(view.hw), where=np.abs(slope) > 1e-9)
    return depth.clip(min=0.0)


def moved_camera(before: CameraView, after: CameraView) -> tuple[float, float]:
    """Compare where a camera was.

    Args:
        before: Calibrated.
        after: Likewise.

    Returns:
        Metres and degrees between the two places.
    """
    first, second = (invert_rigid(view.calibration()[1].double().cpu()) for view in (before, after))
    turn = first[:3, :3].T @ second[:3, :3]
    angle = torch.rad2deg(torch.acos(((turn.trace() - 1) / 2).clamp(-1.0, 1.0)))
    return float((first[:3, 3] - second[:3, 3]).norm()), float(angle)
