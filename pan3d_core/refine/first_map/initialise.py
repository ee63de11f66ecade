"""The first Gaussians of a scene to refine: those of a network, or one per small cube of measured surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pan3d_core.geometry.spherical_harmonics import CONSTANT
from pan3d_core.models.eps3d.gaussians import voxel_grid
from pan3d_core.refine.first_map.agreement import DepthImage, agreed_pixels, agreed_points
from pan3d_core.refine.views import RefineView
from pan3d_core.structures import Gaussians, Reconstruction

MIN_OPACITY = 0.1  # assumed: fainter Gaussians say little about where a surface is
NEIGHBOURS = 3  # whose root mean square distance is the first size of a Gaussian, as in 3D Gaussian splatting
VOXEL_GROWTH = 1.08  # until few enough are occupied; of `max_gaussians` about a seventh is left unused at most


@dataclass(frozen=True)
class SurfaceSettings:
    """Gaussians from depth."""

    voxel_m: float = 0.004  # assumed, for a table; of surfaces whose pixels are larger, the next doubling that is not smaller
    opacity: float = 0.9  # assumed: a measured surface is there, unlike the guesses of structure from motion with their 0.1
    size: float = 0.5  # assumed: share of the neighbours' distance, for the same reason
    max_gaussians: int = 40_000  # assumed; the voxels grow until no more are left
    # Assumed: share of the depth within which two views see one surface; points that others see through are left out, see
    # `agreed_pixels`. 0 = all are taken.
    tolerance: float = 0.02

    def __post_init__(self) -> None:
        if not self.voxel_m > 0:
            raise ValueError(f"SurfaceSettings.voxel_m: expected a positive length, got {self.voxel_m}")
        if self.max_gaussians < 1:
            raise ValueError(f"SurfaceSettings.max_gaussians: expected at least 1, got {self.max_gaussians}")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"SurfaceSettings.tolerance: expected 0 to less than 1, got {self.tolerance:g}")


def gaussians_from_depth(views: Sequence[RefineView], settings: SurfaceSettings | None = None) -> Gaussians:
    """Make one Gaussian per occupied voxel of the views' depth, as far as they agree on it, coloured as its pixels.

    Args:
        views: Of which one at least has depth.
        settings: None = the defaults.

    Returns:
        In the world of the views, metres, colours (N, 3).

    Raises:
        ValueError: No view has depth.
    """
    seen = [(view, view.depth) for view in views if view.depth is not None]
    images = [DepthImage(depth, view.intrinsics, view.cam_from_world) for view, depth in seen]
    if not any(bool(image.measured.any()) for image in images):
        raise ValueError("views: expected depth in at least one, got none")
    return _surface_of(images, [view.labels.image for view, _ in seen], settings or SurfaceSettings())


def gaussians_from_reconstruction(
    reconstruction: Reconstruction, images: Tensor, settings: SurfaceSettings | None = None
) -> Gaussians:
    """Take the Gaussians of a feed-forward reconstruction, else make one per occupied voxel of its depth.

    Only what the views' depth agrees on. Harmonics are reduced to their constant, and features left behind: refinement learns
    its own. More Gaussians than `settings.max_gaussians` serve as points of the surface, of which fewer are made.

    Args:
        reconstruction: S views of (h, w) pixels.
        images: (S, 3, h, w) RGB 0..1; only looked at where the reconstruction has no Gaussians.
        settings: None = the defaults.

    Returns:
        In the world of the reconstruction, colours (N, 3).

    Raises:
        ValueError: Without Gaussians, the images do not fit the depth, or there is no depth.
    """
    settings = settings or SurfaceSettings()
    seen = [DepthImage(*parts) for parts in zip(reconstruction.depth, reconstruction.intrinsics, reconstruction.cam_from_world)]
    if reconstruction.gaussians is not None:
        return _taken(reconstruction.gaussians, seen, settings)
    if images.shape != (len(reconstruction.depth), 3, *reconstruction.depth.shape[1:]):
        wanted = (len(reconstruction.depth), 3, *reconstruction.depth.shape[1:])
        raise ValueError(f"images: expected shape {wanted} as the depth, got {tuple(images.shape)}")
    if not any(bool(image.measured.any()) for image in seen):
        raise ValueError("Reconstruction.depth: expected depth somewhere, got none")
    return _surface_of(seen, list(images), settings)


def _taken(made: Gaussians, seen: Sequence[DepthImage], settings: SurfaceSettings) -> Gaussians:
    """Gaussians of a network as they are, but for those that the views look through; fewer where they are too many."""
    kept = torch.ones_like(made.opacities, dtype=torch.bool)
    if settings.tolerance:
        agreed = agreed_points(made.means, seen, settings.tolerance, own=1)
        kept = agreed if bool(agreed.any()) else kept
    colors = (made.colors if made.colors.ndim == 2 else made.colors[:, 0] * CONSTANT + 0.5).clamp(0, 1)
    if int(kept.sum()) <= settings.max_gaussians:
        return Gaussians(*(values[kept] for values in (made.means, made.scales, made.quats_wxyz, made.opacities, colors)))
    kept &= made.opacities >= MIN_OPACITY
    return _surface(made.means[kept], colors[kept], made.scales[kept].median(-1).values / settings.size, settings)


def _surface_of(images: Sequence[DepthImage], colors: Sequence[Tensor], settings: SurfaceSettings) -> Gaussians:
    """Of depth images with pictures (3, H, W); where they agree on nothing, of all that is measured."""
    measured = [image.measured for image in images]
    kept = agreed_pixels(images, settings.tolerance) if settings.tolerance else measured
    if not any(bool(choice.any()) for choice in kept):
        kept = measured
    points = [image.points[choice] for image, choice in zip(images, kept, strict=True)]
    shades = [picture.movedim(0, -1)[choice] for picture, choice in zip(colors, kept, strict=True)]
    footprints = [(image.depth / image.intrinsics[0, 0])[choice] for image, choice in zip(images, kept, strict=True)]
    return _surface(torch.cat(points), torch.cat(shades), torch.cat(footprints), settings)


def _surface(points: Tensor, colors: Tensor, footprints: Tensor, settings: SurfaceSettings) -> Gaussians:
    """Points (P, 3) with colours (P, 3) and sizes (P,) of their pixels, all metres -> Gaussians."""
    voxel_m = settings.voxel_m
    means, shades = _averaged(points, colors, footprints, voxel_m)
    while len(means) > settings.max_gaussians:
        voxel_m *= VOXEL_GROWTH
        means, shades = _averaged(points, colors, footprints, voxel_m)
    if len(means) > NEIGHBOURS:
        places = means.double().cpu().numpy()
        distances = np.asarray(cKDTree(places).query(places, k=NEIGHBOURS + 1)[0])
        spacing = torch.from_numpy(distances[:, 1:]).square().mean(1).sqrt().to(means)
    else:
        spacing = means.new_full((len(means),), voxel_m)
    scales = (settings.size * spacing).clamp(0.1 * voxel_m)[:, None].expand(-1, 3)
    turn = means.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(len(means), 4)
    return Gaussians(means, scales.clone(), turn.clone(), means.new_full((len(means),), settings.opacity), shades)


def _averaged(points: Tensor, colors: Tensor, footprints: Tensor, voxel_m: float) -> tuple[Tensor, Tensor]:
    """Means of what shares a voxel. Far surfaces have larger ones: finer than their pixels, they would be mostly of one point."""
    level = (footprints / voxel_m).log2().ceil().clamp_min(0).long()
    means: list[Tensor] = []
    shades: list[Tensor] = []
    for doublings in level.unique().tolist():
        here = level == doublings
        grid = voxel_grid(points[here], voxel_m * 2**doublings)
        kept = grid.voxel_of_point >= 0
        row = grid.voxel_of_point[kept]
        count = torch.bincount(row, minlength=len(grid)).to(points)[:, None]
        for values, found in ((points, means), (colors, shades)):
            sums = values.new_zeros(len(grid), 3).index_add_(0, row, values[here][kept])
            found.append(sums / count)
    return torch.cat(means), torch.cat(shades)
