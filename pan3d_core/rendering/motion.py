"""Gaussians under similarity transforms."""

from __future__ import annotations

from dataclasses import replace

from pan3d_core.geometry.alignment import Similarity
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.geometry.spherical_harmonics import turned_harmonics
from pan3d_core.structures import Gaussians


def moved_gaussians(gaussians: Gaussians, target_from_source: Similarity) -> Gaussians:
    """Bring Gaussians into another frame and unit; the harmonics of colours turn with them.

    Args:
        gaussians: In the source's frame.
        target_from_source: Where they go.

    Returns:
        In the target's frame; everything but means, scales, rotations and colours as it was.
    """
    colors = gaussians.colors
    turned = target_from_source.rotation @ matrix_from_quat_xyzw(gaussians.quats_wxyz.roll(-1, dims=-1))
    return replace(
        gaussians,
        means=target_from_source.apply(gaussians.means),
        scales=gaussians.scales * target_from_source.scale,
        colors=colors if colors.ndim == 2 else turned_harmonics(colors, target_from_source.rotation),
        quats_wxyz=quat_xyzw_from_matrix(turned).roll(1, dims=-1),
    )
