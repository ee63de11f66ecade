"""Cameras of unposed views from what the views agree on: one level support plane and the objects that stand on it.

Every view's depth gives the support plane in its own camera frame, hence the camera's tilt and height. What is then left is a
turn and a shift on the plane, and the objects, which keep their identity across the views, fix those: Procrustes analysis of
their places, with weights that fall off for objects that disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid, rigid

PLANE_TOLERANCE = 0.015  # of the median depth: how far from the plane its points may lie
PLANE_TRIALS = 256
PLANE_SAMPLES = 1500
NEAR_OBJECTS = 0.17  # of the image's width: the support is looked for this close to objects, not on walls and floors
MIN_SUPPORT_PIXELS = 200
MIN_OBJECT_PIXELS = 20
PLACE_TOLERANCE = 0.03  # of the median depth: objects that disagree by more lose their weight


@dataclass(frozen=True)
class LevelCameras:
    """Cameras in the frame of the first view."""

    cam_from_view1: Tensor  # (S, 4, 4), the first one the identity; identity where not located
    located: Tensor  # (S,) bool: enough objects are shared with the other views; the first view counts as located


def locate_cameras(depth: Tensor, intrinsics: Tensor, masks: Tensor, support: Tensor) -> LevelCameras:
    """Locate the cameras of S views that see common objects on one plane.

    Args:
        depth: (S, h, w) in one unit for all views.
        intrinsics: (S, 3, 3) pixels.
        masks: (K, S, h, w) bool, object k in every view.
        support: (S, h, w) bool, shows neither object nor sky.

    Returns:
        The cameras. Views that share fewer than two objects with the others are not located.
    """
    views = len(depth)
    unit = float(depth.median())
    eye = torch.eye(4, dtype=depth.dtype, device=depth.device)
    points = unproject_depth(depth, intrinsics, eye.expand(views, 4, 4))
    level_from_cam = torch.stack([_level_frame(points[s], support[s], masks[:, s], unit) for s in range(views)])
    level = points @ level_from_cam[:, None, :3, :3].mT + level_from_cam[:, None, None, :3, 3]
    places, weights = _object_places(level[..., :2], masks)
    common_from_level, located = _align_places(places, weights, PLACE_TOLERANCE * unit)
    common_from_cam = common_from_level @ level_from_cam
    cam_from_view1 = torch.where(located[:, None, None], invert_rigid(common_from_cam) @ common_from_cam[0], eye)
    cam_from_view1[0] = eye  # exactly
    return LevelCameras(cam_from_view1, located)


def _level_frame(points: Tensor, support: Tensor, masks: Tensor, unit: float) -> Tensor:
    """`level_from_cam` (4, 4): z up from the plane, origin below the camera, x along its view. points (h, w, 3)."""
    reach = 2 * int(NEAR_OBJECTS * points.shape[1] / 2) + 1
    objects = masks.any(0) if len(masks) else torch.zeros_like(support)
    near = F.max_pool2d(objects[None, None].to(points.dtype), reach, 1, reach // 2)[0, 0] > 0
    chosen = support & near & ~objects
    chosen = chosen if int(chosen.sum()) >= MIN_SUPPORT_PIXELS else ~objects
    normal, offset = _fit_plane(points[chosen] if bool(chosen.any()) else points.reshape(-1, 3), PLANE_TOLERANCE * unit)
    forward = points.new_tensor([0.0, 0.0, 1.0])
    x = F.normalize(forward - normal * (forward @ normal), dim=0)
    rotation = torch.stack([x, torch.linalg.cross(normal, x), normal])
    return rigid(rotation, torch.stack([offset * 0, offset * 0, offset]))


def _fit_plane(points: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Unit normal towards the camera and distance to it of the plane that most of (N, 3) points lie on: RANSAC (Fischler and
    Bolles 1981), then least squares."""
    generator = torch.Generator().manual_seed(0)  # the same views give the same cameras
    picked = points[torch.randperm(len(points), generator=generator)[:PLANE_SAMPLES].to(points.device)]
    triples = torch.randint(len(picked), (PLANE_TRIALS, 3), generator=generator).to(points.device)
    a, b, c = picked[triples].unbind(1)
    normals = F.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    distance = (picked @ normals.T - (normals * a).sum(-1)).abs()
    best = (distance < tolerance).sum(0).argmax()
    inside = distance[:, best] < 1.5 * tolerance
    normal, offset = normals[best], -(normals[best] @ a[best])
    for _ in range(3):
        if int(inside.sum()) < 3:
            break
        center = picked[inside].mean(0)
        normal = torch.linalg.svd(picked[inside] - center, full_matrices=False)[2][2]
        offset = -(normal @ center)
        inside = (picked @ normal + offset).abs() < tolerance
    sign = torch.where(offset < 0, -1.0, 1.0)
    return normal * sign, offset * sign


def _object_places(level_xy: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Median point (S, K, 2) of each object on the plane, as each view sees it in (S, h, w, 2), and its weight (S, K), 0 where
    it is not seen."""
    count, views = masks.shape[:2]
    places, weights = level_xy.new_zeros(views, count, 2), level_xy.new_zeros(views, count)
    for view, k in torch.nonzero(masks.flatten(2).sum(-1).T >= MIN_OBJECT_PIXELS).tolist():
        seen = level_xy[view][masks[k, view]]
        places[view, k] = seen.median(0).values
        weights[view, k] = min(len(seen), 400) ** 0.5
    return places, weights


def _align_places(places: Tensor, weights: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """`common_from_level` (S, 4, 4) and which views are located, from (S, K, 2) places and (S, K) weights.

    Views join one by one, each time the one that shares most with those that have joined, at the mean of their places. The
    first view's frame is where it starts.
    """
    views = len(places)
    turn = torch.eye(2, dtype=places.dtype, device=places.device).repeat(views, 1, 1)
    shift = places.new_zeros(views, 2)
    joined = [0]
    while len(joined) < views:
        known = weights[joined].sum(0)
        shared = [(int(((weights[s] > 0) & (known > 0)).sum()), float((weights[s] * known).sum()), s) for s in range(views)]
        number, _, view = max(item for item in shared if item[2] not in joined)
        if number < 2:
            break
        mean, _ = _mean_places(places, weights, turn, shift, joined)
        turn[view], shift[view] = _fit_turn(places[view], mean, weights[view] * (known > 0), tolerance)
        joined.append(view)
    rotation = torch.eye(3, dtype=places.dtype, device=places.device).repeat(views, 1, 1)
    rotation[:, :2, :2] = turn
    located = torch.zeros(views, dtype=torch.bool, device=places.device)
    located[joined] = True
    return rigid(rotation, F.pad(shift, (0, 1))), located


def _mean_places(places: Tensor, weights: Tensor, turn: Tensor, shift: Tensor, views: list[int]) -> tuple[Tensor, Tensor]:
    """Weighted mean (K, 2) of the chosen views' places in the common frame, and the weights' sums (K,)."""
    moved = places[views] @ turn[views].mT + shift[views][:, None]
    weight = weights[views][..., None]
    total = weight.sum(0)
    return (moved * weight).sum(0) / total.clamp_min(1e-6), total[:, 0]


def _fit_turn(source: Tensor, target: Tensor, weights: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Rotation (2, 2) and shift (2,) that bring (K, 2) to (K, 2) places, iteratively reweighted (Cauchy)."""
    current = weights
    turn, shift = torch.eye(2, dtype=source.dtype, device=source.device), source.new_zeros(2)
    for _ in range(6):
        share = (current / current.sum().clamp_min(1e-9))[:, None]
        center_s, center_t = (share * source).sum(0), (share * target).sum(0)
        a, b = source - center_s, target - center_t
        sine = (share[:, 0] * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])).sum()
        cosine = (share * a * b).sum()
        angle = torch.atan2(sine, cosine)
        turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
        shift = center_t - turn @ center_s
        residual = (source @ turn.T + shift - target).norm(dim=-1)
        current = weights / (1 + (residual / tolerance).square())
    return turn, shift
