"""gsplat's PyTorch functions as a side of `pan3d bench rasterize`.

They are a reference for gsplat's kernels and not a renderer: the search for the pairs of Gaussians and pixels only exists as a
kernel, and the sums along a pixel's Gaussians come from another package. Stand-ins for both are here. The search is made without
gradients and is not in the time; the sums are plain PyTorch, as that package has them on the CPU, and are.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from pan3d_core.structures import Gaussians

FILE = "gsplat/cuda/_torch_impl.py"
TILE, LOW_PASS_PX2 = 16, 0.3
T = TypeVar("T")


class Timed(Protocol):
    """Does some work and says what it cost."""

    def __call__(self, work: Callable[[], T]) -> tuple[T, dict[str, float]]: ...


def load(folder: Path) -> ModuleType:
    """The module, without the package around it, which would ask for a GPU."""
    spec = importlib.util.spec_from_file_location("gsplat_torch_reference", folder / FILE)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    sums = ModuleType("nerfacc")
    sums.render_weight_from_alpha, sums.accumulate_along_rays = _weights_along_rays, _sums_along_rays  # type: ignore[attr-defined]
    sys.modules.setdefault("nerfacc", sums)
    return module


def _weights_along_rays(alphas: Tensor, ray_indices: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
    """(M,) alpha of pairs sorted by ray, nearest first -> weights and the transmittance in front of each."""
    logs = torch.log1p(-alphas.double())
    before = logs.cumsum(0) - logs
    counts = torch.bincount(ray_indices, minlength=n_rays)
    starts = (counts.cumsum(0) - counts)[ray_indices]
    transmittance = torch.exp(before - before[starts]).to(alphas)
    return alphas * transmittance, transmittance


def _sums_along_rays(weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int) -> Tensor:
    source = weights[:, None] if values is None else weights[:, None] * values
    return source.new_zeros(n_rays, source.shape[1]).index_add(0, ray_indices, source)


def measure(module: ModuleType, scene: tuple, timed: Timed) -> tuple[Tensor, dict[str, dict[str, float]]]:
    """The (3 + F + 1, H, W) image, depth last, and figures of each step; the forward steps without a graph."""
    image_hw = scene[3]
    with torch.no_grad():
        projected, projection = timed(lambda: _project(module, scene))
        lists, tiles = timed(lambda: _tile_lists(module, projected, image_hw))
        pairs = _pairs(projected, scene[0].opacities, lists, image_hw)
        image, compositing = timed(lambda: _composite(module, projected, scene, pairs))

    gaussians = scene[0]
    leaves = (gaussians.means, gaussians.scales, gaussians.quats_wxyz, gaussians.opacities, gaussians.colors, scene[4])
    means, scales, quats_wxyz, opacities, colors, features = (leaf.clone().requires_grad_() for leaf in leaves)
    tracked = (Gaussians(means, scales, quats_wxyz, opacities, colors), *scene[1:4], features)
    rendered, with_graph = timed(lambda: _composite(module, _project(module, tracked), tracked, pairs))
    _, backward = timed(lambda: rendered.sum().backward())
    backward["peak_mib"] += with_graph["peak_mib"]
    return image, {"projection": projection, "tiles": tiles, "compositing": compositing, "backward": backward}


def _project(module: ModuleType, scene: tuple) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Radii, centres, depths and inverse covariances, (1, N, ...); pixel coordinates count from the image's corner."""
    gaussians, cam_from_world, intrinsics, (height, width), _ = scene
    covariances, _ = module._quat_scale_to_covar_preci(gaussians.quats_wxyz, gaussians.scales, compute_preci=False)
    cornered = intrinsics.clone()
    cornered[:, :2, 2] += 0.5
    return module._fully_fused_projection(
        gaussians.means, covariances, cam_from_world, cornered, width, height, eps2d=LOW_PASS_PX2
    )[:4]


def _tile_lists(module: ModuleType, projected: tuple, image_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Offsets (1, rows, columns) of the tiles' lists, and Gaussians, nearest first in each."""
    radii, centers, depths, _ = projected
    rows, columns = (-(-size // TILE) for size in image_hw)
    _, keys, members = module._isect_tiles(centers, radii, depths, TILE, columns, rows)
    return module._isect_offset_encode(keys, 1, columns, rows), members


def _pairs(projected: tuple, opacities: Tensor, lists: tuple, image_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Gaussians and pixels that meet, sorted by pixel and then by depth: what the kernel without PyTorch twin returns."""
    offsets, members = lists
    (height, width), columns = image_hw, offsets.shape[-1]
    bounds = [*offsets.flatten().tolist(), len(members)]
    _, centers, _, conics = (values[0] for values in projected)
    inside = torch.stack(torch.meshgrid(torch.arange(TILE), torch.arange(TILE), indexing="ij"), dim=-1).reshape(-1, 2)
    found: list[tuple[Tensor, Tensor]] = []
    for tile, (start, end) in enumerate(zip(bounds, bounds[1:])):
        chosen = members[start:end].long()
        row_column = inside + torch.tensor([tile // columns * TILE, tile % columns * TILE])
        row_column = row_column[(row_column[:, 0] < height) & (row_column[:, 1] < width)]
        dx, dy = (row_column.flip(-1)[:, None] + 0.5 - centers[chosen]).unbind(-1)
        a, b, c = conics[chosen].unbind(-1)
        alpha = (opacities[chosen] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)).clamp_max(0.999)
        alpha = torch.where(alpha < 1 / 255, 0.0, alpha)
        pixel, place = ((alpha > 0) & ((1 - alpha).cumprod(1) > 1e-4)).nonzero().unbind(-1)
        found.append((chosen[place], (row_column[:, 0] * width + row_column[:, 1])[pixel]))
    gaussian_ids, pixel_ids = (torch.cat(parts) for parts in zip(*found))
    pixel_ids, order = pixel_ids.sort(stable=True)
    return gaussian_ids[order], pixel_ids


def _composite(module: ModuleType, projected: tuple, scene: tuple, pairs: tuple[Tensor, Tensor]) -> Tensor:
    gaussians, (height, width) = scene[0], scene[3]
    _, centers, depths, conics = projected
    values = torch.cat([gaussians.colors, scene[4], depths[0, :, None]], dim=-1)[None]
    gaussian_ids, pixel_ids = pairs
    image, _ = module.accumulate(
        centers, conics, gaussians.opacities[None], values, gaussian_ids, pixel_ids, torch.zeros_like(pixel_ids), width, height
    )
    return image[0].movedim(-1, 0)
