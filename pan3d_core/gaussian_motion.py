"""Gaussians under similarity transforms."""

from __future__ import annotations

from dataclasses import replace

from pan3d_core.geometry.alignment import Similarity
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.structures import Gaussians


def moved_gaussians(gaussians: Gaussians, target_from_source: Similarity) -> Gaussians:
    """Gaussians of the source in the target's frame and unit. Harmonics of colours are not turned."""
    turned = target_from_source.rotation @ matrix_from_quat_xyzw(gaussians.quats_wxyz.roll(-1, dims=-1))
    return replace(
        gaussians,
        means=target_from_source.apply(gaussians.means),
        scales=gaussians.scales * target_from_source.scale,
        quats_wxyz=quat_xyzw_from_matrix(turned).roll(1, dims=-1),
    )
