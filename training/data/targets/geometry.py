"""True cameras and depth in the frame and unit of VGGT (Wang et al. 2025, Sec. 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.models.vggt.pose_encoding import pose_encoding_from_cameras
from training.data.arrays import SceneBatch
from training.data.targets.mini import MAX_DEPTH_M, MIN_DEPTH_M


@dataclass(frozen=True)
class GeometryTargets:
    """The unit of each scene is the mean distance of its visible points from the first camera."""

    pose_encodings: Tensor  # (B, S, 9) of cameras relative to the first one
    depth: Tensor  # (B, S, H, W) z-depth
    valid: Tensor  # (B, S, H, W) bool


def geometry_targets(truth: SceneBatch, max_depth_m: float = MAX_DEPTH_M) -> GeometryTargets:
    """Make true cameras and depth in the frame of the first view and the unit of VGGT (Wang et al. 2025, Sec. 3.4).

    Args:
        truth: Scenes with depth (m) and cameras.
        max_depth_m: Depth beyond it is not valid.

    Returns:
        Codes of the cameras, depth over the mean distance of valid points, and where it is valid; scenes without any keep metres.
    """
    cam_from_first = truth.cam_from_world @ invert_rigid(truth.cam_from_world[:, :1])
    valid = (truth.depth > MIN_DEPTH_M) & (truth.depth < max_depth_m)
    distance = unproject_depth(truth.depth, truth.intrinsics, cam_from_first).norm(dim=-1)
    count = valid.flatten(1).sum(1)
    unit = (distance * valid).flatten(1).sum(1) / count.clamp_min(1)
    unit = torch.where(count > 0, unit, 1.0)
    scaled = cam_from_first.clone()
    scaled[..., :3, 3] /= unit[:, None, None]
    codes = pose_encoding_from_cameras(scaled, truth.intrinsics, (truth.depth.shape[-2], truth.depth.shape[-1]))
    return GeometryTargets(codes, truth.depth / unit[:, None, None, None], valid)
