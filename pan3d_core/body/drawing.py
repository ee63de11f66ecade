"""Nearest and farthest depth of triangles in views, exact at pixel centres; plain tensor operations on any device."""

from __future__ import annotations

import torch
from torch import Tensor

NEAREST_M = 0.005  # surfaces nearer to a camera's plane than this are not drawn
MAX_SPANS = 4_000_000  # rows of triangles, and pixels of these, that are worked on at once


def draw_depth(vertices: Tensor, faces: Tensor, intrinsics: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Draw triangles into views.

    A triangle covers the pixels where three linear functions of the pixel, its corners' shares over depth, are not negative
    (Olano and Greer 1997); so one that reaches behind a camera needs no clipping. Row by row they bound an interval of columns.

    Args:
        vertices: (S, V, 3) metres, in the frame of each camera.
        faces: (F, 3) corners of each triangle, in any sense of rotation.
        intrinsics: (S, 3, 3) pixels at `hw`.
        hw: Height and width of the views.

    Returns:
        Nearest and farthest z-depth, each (S, h, w) metres; 0 where no triangle is.
    """
    height, width = hw
    count = len(vertices)
    near = torch.full((count * height * width,), torch.inf, device=vertices.device)
    far = torch.zeros(count * height * width, device=vertices.device)
    pixels = (vertices @ intrinsics.transpose(-1, -2)).float()  # column and row times depth, and depth
    corners = pixels[:, faces]  # (S, F, 3, 3)
    view = torch.arange(count, device=vertices.device)[:, None].expand(count, len(faces))
    kept, first, last = _rows(corners, hw)
    functions, view, first, last = _functions(corners[kept]), view[kept], first[kept], last[kept]
    per_part = max(1, MAX_SPANS // max(height, width))
    for start in range(0, len(view), per_part):
        part = slice(start, start + per_part)
        index, depth = _spans(functions[part], view[part], first[part], last[part], hw)
        near.scatter_reduce_(0, index, depth, "amin")
        far.scatter_reduce_(0, index, depth, "amax")
    shape = (count, height, width)
    return torch.where(near.isfinite(), near, 0.0).view(shape), far.view(shape)


def _rows(corners: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Which triangles (S, F) may be seen, and their first and last row; all rows where one reaches behind its camera."""
    height, width = hw
    depth = corners[..., 2]
    before = depth > NEAREST_M
    xy = corners[..., :2] / depth.clamp_min(NEAREST_M)[..., None]
    low, high = xy.amin(-2), xy.amax(-2)
    whole = before.all(-1)
    inside = (high[..., 0] >= 0) & (low[..., 0] <= width - 1) & (high[..., 1] >= 0) & (low[..., 1] <= height - 1)
    first = torch.where(whole, low[..., 1].ceil().clamp(0, height), 0.0).long()
    last = torch.where(whole, high[..., 1].floor().clamp(-1, height - 1), height - 1.0).long()
    kept = before.any(-1) & (inside | ~whole) & (first <= last)
    return kept, first, last


def _functions(corners: Tensor) -> Tensor:
    """(T, 3, 3) corners -> (T, 3, 3) rows: share of each corner over depth, as coefficients of column, row and 1."""
    a, b, c = corners.unbind(-2)
    rows = torch.stack([torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], dim=-2)
    volume = (a * rows[:, 0]).sum(-1)
    return torch.where(volume[:, None, None].abs() > 1e-12, rows / volume[:, None, None], -1.0)  # edge-on: nowhere


def _spans(functions: Tensor, view: Tensor, first: Tensor, last: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Flat pixels (N,) that triangles cover, with their depths (N,)."""
    height, width = hw
    owner, step = _numbered(last - first + 1)
    row = first[owner] + step
    slope, rest = functions[owner, :, 0], functions[owner, :, 1] * row[:, None] + functions[owner, :, 2]
    bound = -rest / torch.where(slope == 0, 1.0, slope)
    low = torch.where(slope > 0, bound, -torch.inf).amax(-1).clamp_min(0.0).ceil()
    high = torch.where(slope < 0, bound, torch.inf).amin(-1).clamp_max(width - 1.0).floor()
    low = low.clamp_max(width)
    some = (high >= low) & ~((slope == 0) & (rest < 0)).any(-1)
    low, length = low[some].long(), (high - low)[some].long() + 1
    owner, row = owner[some], row[some]
    span, step = _numbered(length)
    owner, row, column = owner[span], row[span], low[span] + step
    inverse = functions.sum(-2)[owner]
    over_depth = inverse[:, 0] * column + inverse[:, 1] * row + inverse[:, 2]
    seen = (over_depth > 0) & (over_depth < 1 / NEAREST_M)
    return ((view[owner] * height + row) * width + column)[seen], 1.0 / over_depth[seen]


def _numbered(counts: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) counts -> for each counted thing the place of its count, and its number 0, 1, ... there."""
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    starts = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - starts[owner]
