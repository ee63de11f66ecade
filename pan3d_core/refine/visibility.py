"""Which Gaussians and queries a camera sees: what local cross attention (arXiv 2503.18073) is confined to."""

from __future__ import annotations

import torch
from torch import Tensor

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.rendering.project import Camera

CONFIDENCE_99 = 3.368  # standard deviations that hold 99 % of a 3D Gaussian: the root of 11.345, chi-squared of 3 degrees
MARGIN_PX = 2.0  # assumed: what the renderer's low-pass adds around a Gaussian, 3.368 times the root of 0.3


@torch.no_grad()
def ellipsoids_in_frustum(
    means: Tensor, scales: Tensor, quats_wxyz: Tensor, camera: Camera, deviations: float = CONFIDENCE_99
) -> Tensor:
    """(N,) bool: whether ellipsoids (N, 3), (N, 3), (N, 4), in world metres, reach into the frustum of a camera.

    An ellipsoid is outside when it lies wholly behind one of the near plane and the four sides; beyond a corner of the frustum
    it may be taken for seen, never the other way round. A plane with unit normal n is reached from `deviations` times the root
    of n^T Sigma n away.
    """
    centers = transform_points(camera.cam_from_world, means)
    axes = matrix_from_quat_xyzw(quats_wxyz.roll(-1, dims=-1)) * scales[:, None, :]  # columns: half axes in the world
    axes = camera.cam_from_world[:3, :3] @ axes
    planes = frustum_planes(camera)
    reach = deviations * torch.einsum("pi,nij->npj", planes[:, :3], axes).norm(dim=-1)
    seen: Tensor = (centers @ planes[:, :3].T + planes[:, 3] + reach >= 0).all(-1)
    return seen


def frustum_planes(camera: Camera, margin_px: float = MARGIN_PX) -> Tensor:
    """(5, 4) planes (n, d) in camera axes with n . x + d >= 0 inside: near, left, right, top, bottom; unit normals."""
    height, width = camera.image_hw
    matrix = camera.intrinsics
    zero, one = matrix.new_zeros(()), matrix.new_ones(())
    left, right = ((edge - matrix[0, 2]) / matrix[0, 0] for edge in (-0.5 - margin_px, width - 0.5 + margin_px))
    top, bottom = ((edge - matrix[1, 2]) / matrix[1, 1] for edge in (-0.5 - margin_px, height - 0.5 + margin_px))
    rows = [(one, zero, -left), (-one, zero, right), (zero, one, -top), (zero, -one, bottom)]
    normals = torch.stack([torch.stack(row) for row in rows])
    sides = torch.cat([normals / normals.norm(dim=-1, keepdim=True), matrix.new_zeros(4, 1)], dim=1)
    near = matrix.new_tensor([[0.0, 0.0, 1.0, -camera.near]])
    return torch.cat([near, sides])
