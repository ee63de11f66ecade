"""Which object every 3D Gaussian belongs to, by the views that see it."""

from __future__ import annotations

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.structures import Gaussians, Panoptic3D, Reconstruction, require_shape

DEPTH_TOLERANCE = 0.02  # of the depth: a Gaussian this far behind the surface is still on it


def gaussian_instance_ids(
    gaussians: Gaussians, reconstruction: Reconstruction, panoptic: Panoptic3D, depth_tolerance: float = DEPTH_TOLERANCE
) -> Tensor:
    """Let the views vote which object every Gaussian belongs to.

    Every centre is projected into every view of the reconstruction; a view where it lies in front of the surface or at it
    votes with the id of the pixel, "none" among them. Most votes win, of equally many the smallest id above 0. Pixels without
    depth have no vote.

    Args:
        gaussians: In the world frame of the reconstruction.
        reconstruction: Its depth is the surface that views see.
        panoptic: Ids of the same pixels.
        depth_tolerance: A Gaussian is at the surface up to `1 + depth_tolerance` times the depth of the pixel.

    Returns:
        (N,) int64 instance of every Gaussian, 0 = none or seen by no view.

    Raises:
        ValueError: The maps of ids are of another size than the depth.
    """
    depth, ids = reconstruction.depth, panoptic.instance_id
    require_shape("Panoptic3D.instance_id", ids, tuple(depth.shape))
    known, rows = torch.unique(ids, return_inverse=True)
    votes = torch.zeros(len(gaussians), len(known), dtype=torch.int32, device=ids.device)
    height, width = depth.shape[-2:]
    for view in range(len(depth)):
        at_camera = transform_points(reconstruction.cam_from_world[view], gaussians.means)
        pixels, z = project(at_camera, reconstruction.intrinsics[view])
        inside = (z > 0) & (pixels > -0.5).all(-1) & (pixels[:, 0] < width - 0.5) & (pixels[:, 1] < height - 0.5)
        seen = inside.nonzero()[:, 0]
        x, y = pixels[seen].round().long().unbind(-1)
        surface = depth[view, y, x]
        voting = (surface > 0) & (z[seen] <= (1 + depth_tolerance) * surface)
        votes[seen[voting], rows[view, y[voting], x[voting]]] += 1  # a Gaussian occurs once per view
    if len(known) == 0:
        return torch.zeros(len(gaussians), dtype=torch.int64, device=ids.device)
    # Doubled, so that a real object wins against "none" at equally many votes without winning against one vote more.
    ranked = 2 * votes + ((votes > 0) & (known > 0))
    most, winner = ranked.max(dim=1)
    return torch.where(most > 0, known[winner], 0)
