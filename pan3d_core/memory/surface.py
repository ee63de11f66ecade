"""The surface of an object, fused from what view sets show of it, of bounded size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

FIRST_CELL_M = 0.003


@dataclass(frozen=True)
class FusedSurface:
    """Points at most one to a cell of a grid in the world."""

    points: Tensor  # (M, 3) metres, world: mean of all points seen in the cell
    colors: Tensor  # (M, 3) RGB 0..1, likewise
    counts: Tensor  # (M,) int64, view sets that showed the cell
    cell_m: float = FIRST_CELL_M  # side of a cell

    def __len__(self) -> int:
        return len(self.points)


def empty_surface() -> FusedSurface:
    """Nothing seen yet."""
    return FusedSurface(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))


def fuse(surface: FusedSurface, points: Tensor, colors: Tensor, max_points: int) -> FusedSurface:
    """Take what a view set shows of an object into its surface.

    Args:
        surface: So far.
        points: (N, 3) metres, world.
        colors: (N, 3) RGB 0..1.
        max_points: Most points kept; cells grow until no more are needed.

    Returns:
        The surface with these points, each cell that they lie in seen once more.
    """
    if not len(points):
        return surface
    seen = _binned(FusedSurface(points, colors, torch.ones(len(points), dtype=torch.int64), surface.cell_m))
    seen = replace(seen, counts=torch.ones_like(seen.counts))
    fused = _binned(
        FusedSurface(
            torch.cat([surface.points, seen.points]),
            torch.cat([surface.colors, seen.colors]),
            torch.cat([surface.counts, seen.counts]),
            surface.cell_m,
        )
    )
    while len(fused) > max_points:
        coarser = _binned(replace(fused, cell_m=fused.cell_m * 1.25))
        # Cells that become one were seen together, as a rule: their views are not added up.
        fused = replace(coarser, counts=coarser.counts.clamp_max(int(fused.counts.max())))
    return fused


def _binned(surface: FusedSurface) -> FusedSurface:
    """One point to a cell: means weighted by counts, and the sums of these."""
    cells = (surface.points / surface.cell_m).floor().to(torch.int64)
    cells = cells - cells.amin(0)
    _, wide, high = (cells.amax(0) + 1).tolist()
    unique, rows = ((cells[:, 0] * wide + cells[:, 1]) * high + cells[:, 2]).unique(return_inverse=True)
    weights = surface.counts.float()[:, None]
    values = torch.cat([surface.points * weights, surface.colors * weights, weights], dim=1)
    sums = torch.zeros(len(unique), 7).index_add_(0, rows, values)
    means = sums[:, :6] / sums[:, 6:]
    return replace(surface, points=means[:, :3], colors=means[:, 3:], counts=sums[:, 6].long())
