"""Free, occupied and unknown space around the objects, of bounded size and at a bounded cost per view set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.memory.evidence import RELATIVE_MARGIN
from pan3d_core.structures import Reconstruction

CELLS = (64, 64, 32)
PORTIONS = 16  # view sets in which every cell has its turn once
SUREST = 4  # votes beyond which a cell gets no surer, so that it can change as fast later as at first
ENTERED, PASSED = 2, -1  # votes of a view that sees a surface in the cell, and of one that looks through it


class Space(IntEnum):
    """What is known of a place."""

    UNKNOWN = 0
    FREE = 1
    OCCUPIED = 2


@dataclass(frozen=True)
class SpaceGrid:
    """What is known of all cells at one time."""

    origin: Tensor  # (3,) metres, world: lowest corner
    cell_m: float
    states: Tensor  # (X, Y, Z) int64 of `Space`

    def centers(self) -> Tensor:
        """(X * Y * Z, 3) middles of the cells, metres, world, in the order of `states`."""
        axes = [torch.arange(count) for count in self.states.shape]
        index = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).view(-1, 3)
        return self.origin + (index + 0.5) * self.cell_m

    def from_above(self, lowest_m: float, highest_m: float) -> Tensor:
        """Look down on the cells between two heights.

        Args:
            lowest_m: World z; cells whose middle is lower do not count.
            highest_m: World z; nor do those whose middle is higher.

        Returns:
            (X, Y) int64 of `Space`: occupied where one of them is, else unknown where one of them is.
        """
        middles = self.origin[2] + (torch.arange(self.states.shape[2]) + 0.5) * self.cell_m
        layers = self.states[:, :, (middles >= lowest_m) & (middles <= highest_m)]
        if not layers.shape[2]:
            return torch.full(layers.shape[:2], int(Space.UNKNOWN))
        free = torch.where((layers == Space.UNKNOWN).any(-1), int(Space.UNKNOWN), int(Space.FREE))
        return torch.where((layers == Space.OCCUPIED).any(-1), int(Space.OCCUPIED), free)


class SpaceMap:
    """A grid over the place that the first view set shows."""

    def __init__(self, cell_m: float) -> None:
        self.cell_m = cell_m
        self._origin: Tensor | None = None
        self._votes = torch.zeros(CELLS, dtype=torch.int8)
        self._turn = 0

    def reset(self) -> None:
        """Forget everything; the next view set says where the grid lies."""
        self._origin = None
        self._votes.zero_()

    def update(self, seen: Reconstruction, points: Tensor, margin_m: float, body: Tensor | None = None) -> None:
        """Take a view set into the cells whose turn it is.

        Args:
            seen: Metric.
            points: (N, 3) all points of the set, metres, world; the first set's middle is that of the grid.
            margin_m: As `look_for` takes it.
            body: (S, h, w) bool, the pixels that show the robot, which say nothing of the place; None = none do.
        """
        if self._origin is None:
            if not len(points):
                return
            half = torch.tensor(CELLS) * self.cell_m / 2
            self._origin = ((points.median(0).values - half) / self.cell_m).round() * self.cell_m
        if body is not None:
            seen = replace(seen, depth=seen.depth.masked_fill(body, 0.0))
        cells = torch.arange(self._turn, self._votes.numel(), PORTIONS)
        self._turn = (self._turn + 1) % PORTIONS
        votes = _votes(self._centers(cells), seen, max(margin_m, self.cell_m / 2))
        flat = self._votes.view(-1)
        flat[cells] = (flat[cells] + votes).clamp(-SUREST, SUREST)

    def at(self, points: Tensor) -> Tensor:
        """Look up what is known of places.

        Args:
            points: (N, 3) metres, world.

        Returns:
            (N,) int64 of `Space`; UNKNOWN outside the grid.
        """
        if self._origin is None:
            return torch.full((len(points),), int(Space.UNKNOWN))
        index = ((points - self._origin) / self.cell_m).floor().long()
        inside = ((index >= 0) & (index < torch.tensor(CELLS))).all(-1)
        index = index.clamp_min(0).minimum(torch.tensor(CELLS) - 1)
        votes = self._votes[index[:, 0], index[:, 1], index[:, 2]]
        known = torch.where(votes > 0, int(Space.OCCUPIED), int(Space.FREE))
        return torch.where(inside & (votes != 0), known, int(Space.UNKNOWN))

    def grid(self) -> SpaceGrid | None:
        """All cells as they are known now; None before the first view set."""
        if self._origin is None:
            return None
        known = torch.where(self._votes > 0, int(Space.OCCUPIED), int(Space.FREE))
        return SpaceGrid(self._origin, self.cell_m, torch.where(self._votes != 0, known, int(Space.UNKNOWN)))

    def cells(self, kind: Space) -> Tensor:
        """Centres of all cells of a kind, (N, 3) metres, world."""
        if self._origin is None:
            return torch.zeros(0, 3)
        chosen = {Space.UNKNOWN: self._votes == 0, Space.FREE: self._votes < 0, Space.OCCUPIED: self._votes > 0}[kind]
        return self._centers(chosen.view(-1).nonzero()[:, 0])

    def _centers(self, cells: Tensor) -> Tensor:
        """(N,) flat indices -> (N, 3) metres, world."""
        if self._origin is None:
            raise ValueError("SpaceMap: expected a view set first, got none")
        _, wide, high = CELLS
        index = torch.stack([cells // (wide * high), cells // high % wide, cells % high], dim=-1)
        return self._origin + (index + 0.5) * self.cell_m


def _votes(centers: Tensor, seen: Reconstruction, margin_m: float) -> Tensor:
    """(N,) int8 votes of all views together on (N, 3) cells: a surface that one sees outweighs those that look through."""
    pixels, depth = project(transform_points(seen.cam_from_world, centers[None]), seen.intrinsics)
    height, width = seen.depth.shape[-2:]
    column, row = pixels.round().unbind(-1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (depth > 0)
    flat = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
    measured = seen.depth.flatten(1).gather(1, flat)
    inside &= (measured > 0) & measured.isfinite()
    margin = (RELATIVE_MARGIN * depth).clamp_min(margin_m)
    passed = (inside & (measured > depth + margin)).any(0)
    entered = (inside & ((measured - depth).abs() <= margin)).sum(0) > (inside & (measured > depth + margin)).sum(0)
    return (ENTERED * entered + PASSED * (passed & ~entered)).to(torch.int8)
