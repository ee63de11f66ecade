"""Masks of posed views onto the vertices of a scan, with the truth's cameras and the sensor's depth.

Predicted geometry takes no part, so this isolates the quality of masks: figures are about twice those of `unposed_transfer`
for one and the same network. The results are another type and carry another protocol; they belong into different tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.views.scan_truth import MeshTruth
from pan3d_eval.protocols.scannet import VertexMasks

MASK_THRESHOLD = 0.4  # of the probability


@dataclass(frozen=True)
class VisibilityRule:
    """When a view sees a vertex: its z against the sensor's depth at its pixel, which must be measured."""

    name: str
    max_gap_m: float = 0.0  # less than this
    max_gap_share: float = 0.0  # of the measured depth: at most this; used where `max_gap_m` is 0
    border_px: int = 0  # of the depth image, in which nothing is seen
    pixel: Literal["floor", "nearest"] = "floor"  # how a projected position becomes a pixel


FIXED_GAP = VisibilityRule("gap under 0.1 m", max_gap_m=0.1)  # SegVGGT
RELATIVE_GAP = VisibilityRule("gap to 0.25 of the depth", max_gap_share=0.25, pixel="nearest")  # OpenScene; its border is 0 to 10


@dataclass(frozen=True)
class PosedMasks(VertexMasks):
    """Masks that were read off; a vertex can be in several."""

    views_per_vertex: Tensor  # (N,) int64, how many views see it


def posed_transfer(
    mask_probs: Tensor,
    cam_from_world: Tensor,
    mesh: MeshTruth,
    *,
    threshold: float = MASK_THRESHOLD,
    rule: VisibilityRule = FIXED_GAP,
    by_superpoint: bool = True,
) -> PosedMasks:
    """Read masks at the vertices of a scan that each view sees.

    A vertex is in a mask when at least half of the views that see it have it there (the published description leaves the share
    open). Views without sensor depth see nothing.

    Args:
        mask_probs: (Q, S, h, w) 0..1.
        cam_from_world: (S, 4, 4), the true cameras, to which `mesh.sensor_depth` belongs.
        mesh: The scan.
        threshold: Probability over which a pixel is in a mask.
        rule: When a view sees a vertex.
        by_superpoint: Let the pieces of the over-segmentation vote afterwards.

    Returns:
        Masks on the N vertices, which may overlap.

    Raises:
        ValueError: Shapes disagree, no view has depth, or there is no over-segmentation to vote by.
    """
    views = mask_probs.shape[1] if mask_probs.ndim == 4 else -1
    if cam_from_world.shape != (views, 4, 4) or len(mesh.sensor_depth) != views:
        raise ValueError(
            "mask_probs, cam_from_world, mesh.sensor_depth: expected (Q, S, h, w), (S, 4, 4) and S depth images, "
            f"got {tuple(mask_probs.shape)}, {tuple(cam_from_world.shape)} and {len(mesh.sensor_depth)}"
        )
    if all(depth is None for depth in mesh.sensor_depth):
        raise ValueError("mesh.sensor_depth: expected the depth of one view at least, got none")
    if by_superpoint and mesh.superpoints is None:
        raise ValueError("mesh.superpoints: expected an over-segmentation to vote by, got none")
    seen = torch.zeros(len(mesh.vertices), dtype=torch.int64)
    inside = torch.zeros((len(mask_probs), len(mesh.vertices)), dtype=torch.int16)
    for view, depth in enumerate(mesh.sensor_depth):
        if depth is None:
            continue
        position, visible = visible_vertices(mesh, view, cam_from_world[view], rule)
        seen += visible
        mask_hw, depth_hw = torch.tensor(mask_probs.shape[-2:]), torch.tensor(depth.shape)
        pixel = torch.floor(position[visible] * (mask_hw / depth_hw).flip(0)).long()
        masks = mask_probs[:, view].cpu() > threshold
        inside[:, visible] += masks[:, pixel[:, 1].clamp_max(mask_hw[0] - 1), pixel[:, 0].clamp_max(mask_hw[1] - 1)].short()
    masks = (inside > 0) & (2 * inside >= seen)
    protocol = f"posed, {rule.name}, masks over {threshold:g}"
    if by_superpoint and mesh.superpoints is not None:
        masks, protocol = superpoint_majority(masks, mesh.superpoints), f"{protocol}, superpoints"
    return PosedMasks(masks, protocol, seen)


def visible_vertices(mesh: MeshTruth, view: int, cam_from_world: Tensor, rule: VisibilityRule) -> tuple[Tensor, Tensor]:
    """(N, 2) positions (x, y) in the depth image, whose integer part is the pixel, and (N,) bool: seen by the view."""
    depth, intrinsics = mesh.sensor_depth[view], mesh.sensor_intrinsics[view]
    if depth is None or intrinsics is None:
        raise ValueError(f"mesh.sensor_depth: expected depth and intrinsics of view {view}, got none")
    depth, in_camera = depth.double().cpu(), transform_points(cam_from_world.double().cpu(), mesh.vertices.double())
    position, z = project(in_camera, intrinsics.double().cpu())
    if rule.pixel == "nearest":
        position = position.round() + 0.5
    pixel = torch.floor(position.clamp(-1e6, 1e6)).long()
    limit = torch.tensor(depth.shape).flip(0) - rule.border_px
    visible = (z > 0) & (pixel >= rule.border_px).all(1) & (pixel < limit).all(1)
    row, column = (pixel[:, axis].clamp(0, depth.shape[1 - axis] - 1) for axis in (1, 0))
    measured = depth[row, column]
    gap = (measured - z).abs()
    close = gap < rule.max_gap_m if rule.max_gap_m else gap <= rule.max_gap_share * measured
    return position, visible & (measured > 0) & close


def superpoint_majority(masks: Tensor, superpoints: Tensor) -> Tensor:
    """(Q, N) bool and (N,) piece numbers -> (Q, N) bool: a piece is in a mask when more than half of its vertices are."""
    if superpoints.shape != masks.shape[1:]:
        raise ValueError(f"superpoints: expected shape ({masks.shape[1]},), got {tuple(superpoints.shape)}")
    _, piece, sizes = torch.unique(superpoints, return_inverse=True, return_counts=True)
    votes = torch.zeros((len(masks), len(sizes)), dtype=torch.int64)
    votes.scatter_add_(1, piece.expand(masks.shape), masks.long())
    return (2 * votes > sizes)[:, piece]
