"""Nearest and farthest depth of triangles in views, exact at pixel centres; plain tensor operations on any device."""

from __future__ import annotations

import torch
from torch import Tensor

NEAREST_M = 0.005  # surfaces nearer to a camera's plane than this are not drawn
MAX_SPANS = 4_000_000  # rows of triangles, and pixels of these, that are worked on at once
LEAST_VOLUME = 1e-12  # triangles seen edge-on cover nothing


def draw_depth(vertices: Tensor, faces: Tensor, intrinsics: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Draw closed surfaces into views.

    A triangle covers the pixels where three linear functions of the pixel, its corners' shares over depth, are not negative
    (Olano and Greer 1997); so one that reaches behind a camera needs no clipping. Row by row they bound an interval of columns.

    Args:
        vertices: (S, V, 3) metres, in the frame of each camera.
        faces: (F, 3) corners of each triangle, counter-clockwise as seen from outside.
        intrinsics: (S, 3, 3) pixels at `hw`.
        hw: Height and width of the views.

    Returns:
        Nearest z-depth of what faces the camera and farthest of what faces away, each (S, h, w) metres; 0 where nothing does.
    """
    corners, functions, volume = _triangles(vertices, faces, intrinsics)
    near = _drawn(corners, functions, volume < -LEAST_VOLUME, hw, "amin")
    far = _drawn(corners, functions, volume > LEAST_VOLUME, hw, "amax")
    return near, far


def draw_nearest(vertices: Tensor, faces: Tensor, intrinsics: Tensor, hw: tuple[int, int]) -> Tensor:
    """Draw closed surfaces into views, only their sides that face the camera.

    Args:
        vertices: As for `draw_depth`.
        faces: As for `draw_depth`.
        intrinsics: As for `draw_depth`.
        hw: As for `draw_depth`.

    Returns:
        The nearest z-depth, (S, h, w) metres; 0 where nothing is.
    """
    corners, functions, volume = _triangles(vertices, faces, intrinsics)
    return _drawn(corners, functions, volume < -LEAST_VOLUME, hw, "amin")


def _triangles(vertices: Tensor, faces: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Corners (S, F, 3, 3) as column and row times depth, and depth; coefficients of column, row and 1 (S, F, 3, 3) of the share
    of each corner over depth; and six times the volume (S, F) under each triangle, negative where it faces the camera."""
    pixels = (vertices @ intrinsics.transpose(-1, -2)).float()
    corners = pixels.index_select(1, faces.reshape(-1)).unflatten(1, (-1, 3))
    a, b, c = corners.unbind(-2)
    rows = torch.stack([torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], dim=-2)
    volume = (a * rows[..., 0, :]).sum(-1)
    return corners, rows / torch.where(volume == 0, 1.0, volume)[..., None, None], volume


def _drawn(corners: Tensor, functions: Tensor, chosen: Tensor, hw: tuple[int, int], rule: str) -> Tensor:
    """(S, h, w) nearest ("amin") or farthest ("amax") depth of the chosen triangles (S, F), 0 where there is none."""
    height, width = hw
    count, device = len(corners), corners.device
    kept, first, last = _rows(corners, hw)
    view, face = (kept & chosen).nonzero(as_tuple=True)
    index = view * corners.shape[1] + face
    taken = functions.reshape(-1, 9).index_select(0, index)
    first, last = first.reshape(-1).index_select(0, index), last.reshape(-1).index_select(0, index)
    depth = torch.full((count * height * width,), torch.inf if rule == "amin" else 0.0, device=device)
    per_part = max(1, MAX_SPANS // max(height, width))
    for start in range(0, len(view), per_part):
        part = slice(start, start + per_part)
        pixel, seen = _spans(taken[part], view[part], first[part], last[part], hw)
        depth.scatter_reduce_(0, pixel, seen, rule)
    return torch.where(depth.isfinite(), depth, 0.0).view(count, height, width)


def _rows(corners: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Which triangles (S, F) may be seen, and their first and last row; all rows where one reaches behind its camera."""
    height, width = hw
    depth = corners[..., 2]
    before = depth > NEAREST_M
    inverse = 1 / depth.clamp_min(NEAREST_M)
    column, row = corners[..., 0] * inverse, corners[..., 1] * inverse
    whole = before.all(-1)
    inside = (column.amax(-1) >= 0) & (column.amin(-1) <= width - 1)
    first = torch.where(whole, row.amin(-1).ceil().clamp(0, height), 0.0).long()
    last = torch.where(whole, row.amax(-1).floor().clamp(-1, height - 1), height - 1.0).long()
    return before.any(-1) & (inside | ~whole) & (first <= last), first, last


def _spans(functions: Tensor, view: Tensor, first: Tensor, last: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Flat pixels (N,) that triangles with these coefficients (T, 9) cover, with their depths (N,)."""
    height, width = hw
    owner, step = _numbered(last - first + 1)
    row = first.index_select(0, owner) + step
    mine = functions.index_select(0, owner)
    low = torch.zeros(len(row), device=row.device)
    high = torch.full_like(low, width - 1.0)
    for k in (0, 3, 6):
        slope, rest = mine[:, k], mine[:, k + 1] * row + mine[:, k + 2]
        bound = -rest / slope  # infinite where a side runs along the row: then all of it or none
        low = torch.where(slope > 0, torch.maximum(low, bound), torch.where((slope == 0) & (rest < 0), torch.inf, low))
        high = torch.where(slope < 0, torch.minimum(high, bound), high)
    low, high = low.ceil(), high.floor()
    some = (high >= low).nonzero()[:, 0]
    owner, row, low = owner.index_select(0, some), row.index_select(0, some), low.index_select(0, some)
    mine = mine.index_select(0, some)
    slope, rest = mine[:, 0] + mine[:, 3] + mine[:, 6], mine[:, 2] + mine[:, 5] + mine[:, 8]
    rest = rest + row * (mine[:, 1] + mine[:, 4] + mine[:, 7])  # 1 / depth = slope * column + rest
    begin = (view.index_select(0, owner) * height + row) * width
    span, step = _numbered((high.index_select(0, some) - low).long() + 1)
    column = low.index_select(0, span) + step
    over_depth = slope.index_select(0, span) * column + rest.index_select(0, span)
    seen = 1.0 / over_depth.clamp(1e-6, 1 / NEAREST_M)
    return begin.index_select(0, span) + column.long(), seen


def _numbered(counts: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) counts -> for each counted thing the place of its count, and its number 0, 1, ... there."""
    owner = torch.repeat_interleave(counts)
    starts = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - starts.index_select(0, owner)
