"""Which Gaussians reach which tiles of an image, nearest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.rendering.project import MIN_ALPHA, half_extents

# Small tiles compute few pixels in vain; larger ones have fewer lists and larger products. 8 was the fastest of 4, 8 and 16.
TILE = 8
# Gaussians times tiles listed at one time; parts of the image take turns beyond that.
MAX_PAIRS = 2**19
# Ellipses are listed by bounds in exact arithmetic; these make up for rounding.
SLACK_PX, SLACK_SIGMA2 = 0.01, 1e-3


@dataclass(frozen=True)
class TileGrid:
    """Tiles of an image in row-major order; those at the right and lower edge may stand out."""

    image_hw: tuple[int, int]

    @property
    def hw(self) -> tuple[int, int]:
        return -(-self.image_hw[0] // TILE), -(-self.image_hw[1] // TILE)

    @property
    def num_tiles(self) -> int:
        return self.hw[0] * self.hw[1]

    def origins(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """x and y of the first pixel of each tile."""
        columns = self.hw[1]
        return tiles % columns * TILE, torch.div(tiles, columns, rounding_mode="floor") * TILE

    def to_image(self, tiled: Tensor) -> Tensor:
        """(tiles, TILE^2, C) -> (C, H, W)."""
        (rows, columns), (height, width) = self.hw, self.image_hw
        split = tiled.view(rows, columns, TILE, TILE, -1).permute(4, 0, 2, 1, 3)
        return split.reshape(-1, rows * TILE, columns * TILE)[:, :height, :width]


@dataclass(frozen=True)
class TileLists:
    """K tiles and the Gaussians that reach each of them: `members[starts[k]:ends[k]]`, nearest first."""

    tiles: Tensor  # (K,)
    starts: Tensor  # (K,)
    ends: Tensor  # (K,)
    members: Tensor  # (M,)


def tile_lists(geometry: Tensor, grid: TileGrid) -> Iterator[TileLists]:
    """Lists of all tiles that anything reaches, from (N, 6) rows of centre, factors and log opacity, nearest first.

    Each tile comes once; a list holds at most `MAX_PAIRS` members over several tiles, or those of a single tile.
    """
    boxes = _tile_boxes(geometry, grid)
    windows = [(0, 0, grid.hw[1] - 1, grid.hw[0] - 1)]
    while windows:
        window = windows.pop()
        column, row, last_column, last_row = window
        counts = _overlap(boxes, window).prod(-1)
        if int(counts.sum()) > MAX_PAIRS and (column, row) != (last_column, last_row):
            if last_column - column > last_row - row:
                middle = (column + last_column) // 2
                windows += [(column, row, middle, last_row), (middle + 1, row, last_column, last_row)]
            else:
                middle = (row + last_row) // 2
                windows += [(column, row, last_column, middle), (column, middle + 1, last_column, last_row)]
        elif bool(counts.any()):
            yield _window_lists(geometry, boxes, window, grid)


def _tile_boxes(geometry: Tensor, grid: TileGrid) -> Tensor:
    """(N, 2, 2) first and last tile column and row of each Gaussian; last < first where it reaches no pixel."""
    opacities = geometry[:, 5].exp()
    extents = half_extents(geometry[:, 2:5], opacities) + SLACK_PX
    size = geometry.new_tensor([grid.image_hw[1], grid.image_hw[0]])
    # Clamped before they become whole numbers, which cannot hold the far ends of enormous ellipses.
    first = torch.minimum((geometry[:, :2] - extents).ceil().clamp_min(0.0), size).long()
    last = torch.minimum((geometry[:, :2] + extents).floor().clamp_min(-1.0), size - 1).long()
    empty = (first > last).any(-1, keepdim=True) | (opacities < MIN_ALPHA)[:, None]
    first, last = first // TILE, last // TILE
    return torch.stack([first, torch.where(empty, first - 1, last)], dim=1)


def _overlap(boxes: Tensor, window: tuple[int, int, int, int]) -> Tensor:
    """(N, 2) columns and rows that each box shares with a window of tiles (first column, first row, last column, last row)."""
    limits = boxes.new_tensor(window).view(2, 2)
    return (torch.minimum(boxes[:, 1], limits[1]) - torch.maximum(boxes[:, 0], limits[0]) + 1).clamp_min(0)


def _window_lists(geometry: Tensor, boxes: Tensor, window: tuple[int, int, int, int], grid: TileGrid) -> TileLists:
    """Lists of the tiles of one window."""
    columns, rows = _overlap(boxes, window).unbind(-1)
    counts = columns * rows
    members = torch.repeat_interleave(counts)
    place = torch.arange(len(members), device=boxes.device) - (counts.cumsum(0) - counts)[members]
    down = torch.div(place, columns[members], rounding_mode="floor")
    first = torch.maximum(boxes[:, 0], boxes.new_tensor(window[:2]))[members]
    tiles = (first[:, 1] + down) * grid.hw[1] + first[:, 0] + place - down * columns[members]
    reached = _may_reach(geometry.index_select(0, members), tiles, grid)
    members, tiles = members[reached], tiles[reached]
    tiles, order = tiles.int().sort(stable=True)  # members come nearest first and stay so within a tile
    found, lengths = tiles.long().unique_consecutive(return_counts=True)
    ends = lengths.cumsum(0)
    return TileLists(found, ends - lengths, ends, members[order])


def _may_reach(geometry: Tensor, tiles: Tensor, grid: TileGrid) -> Tensor:
    """(M,) bool: whether alpha can come to `MIN_ALPHA` in a pixel of the tile, by bounds of u and v over its square."""
    x, y, a, b, d, log_opacity = geometry.unbind(-1)
    left, top = grid.origins(tiles)
    half = (TILE - 1) / 2
    dx, dy = left + half - x, top + half - y
    u = ((a * dx + b * dy).abs() - half * (a + b.abs())).clamp_min(0.0)
    v = (d * dy.abs() - half * d).clamp_min(0.0)
    return u.square() + v.square() <= 2 * (log_opacity + torch.log(geometry.new_tensor(1 / MIN_ALPHA))) + SLACK_SIGMA2
