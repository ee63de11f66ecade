"""What the small networks take, from a batch of views: what is not known of cameras and support is guessed or measured."""

from __future__ import annotations

import logging

import torch

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.models.mini.calibration import MiniInputs
from pan3d_core.structures import ViewBatch, present

# Focal length over image width that is assumed for cameras without intrinsics (53 degrees across).
GUESSED_FOCAL = 1.0
SUPPORT_BIN_M = 0.005
logger = logging.getLogger("pan3d.engines.mini")


def support_height_from_depth(views: ViewBatch) -> float | None:
    """Find the height of the surface that objects stand on: the one at which the sensors see most points.

    Args:
        views: With depth, intrinsics and cameras.

    Returns:
        World z in metres; None where fewer than 500 pixels are measured.

    Raises:
        ValueError: One of the three is missing.
    """
    depth, intrinsics = present("ViewBatch.depth", views.depth), present("ViewBatch.intrinsics", views.intrinsics)
    points = unproject_depth(depth, intrinsics, present("ViewBatch.cam_from_world", views.cam_from_world))
    heights = points[..., 2][(depth > 0) & torch.isfinite(depth)]
    if len(heights) < 500:
        return None
    bins = torch.round(heights / SUPPORT_BIN_M)
    level, counts = bins.unique(return_counts=True)
    near = (bins - level[counts.argmax()]).abs() <= 1
    return float(heights[near].median())


def mini_inputs(views: ViewBatch, device: torch.device) -> MiniInputs:
    """Make what the network takes: one scene, posed where cameras and the support plane's height are known.

    Args:
        views: A set of views at network size.
        device: Where the network runs.

    Returns:
        Its inputs as a batch of one; what is not known stands in them as a guess, and `posed` says so.
    """
    count, (height, width) = views.num_views, views.hw
    support_height = known_support_height(views)
    intrinsics, cam_from_world = views.intrinsics, views.cam_from_world
    posed = support_height is not None
    if intrinsics is None:
        focal = GUESSED_FOCAL * width
        guess = torch.tensor([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
        intrinsics = guess.expand(count, 3, 3)
    if not posed or cam_from_world is None:
        cam_from_world = torch.eye(4).expand(count, 4, 4)
    return MiniInputs(
        images=views.images[None].to(device),
        intrinsics=intrinsics[None].to(device),
        cam_from_world=cam_from_world[None].to(device),
        support_height=torch.tensor([support_height or 0.0], device=device),
        posed=torch.tensor([float(posed)], device=device),
    )


def known_support_height(views: ViewBatch) -> float | None:
    """Return the height of the support plane (m) when the network can use it together with known cameras, else None."""
    if views.intrinsics is None or views.cam_from_world is None:
        return None
    if views.support_height_m is not None:
        return views.support_height_m
    found = None if views.depth is None else support_height_from_depth(views)
    if found is None:
        logger.warning("the support height is unknown, so the camera poses cannot be used; set workspace.support_height_m")
    return found
