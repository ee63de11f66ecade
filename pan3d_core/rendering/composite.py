"""Front-to-back compositing of projected Gaussians, many tiles at a time, with a backward pass that keeps nothing per pixel.

A tile's Gaussians are taken in blocks, nearest first. For one block of several tiles alpha is computed at every pixel, the
transmittance is a running product, and the channels are added by one matrix product of weights and values, which is what makes
many channels cheap. The backward pass walks the same way and computes the block again; it only needs what each pixel has
become (Kerbl et al. 2023, appendix C, there from back to front).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pan3d_core.rendering.project import MIN_ALPHA
from pan3d_core.rendering.tiles import TILE, TileGrid, TileLists, tile_lists

MAX_ALPHA = 0.999
# A pixel is finished before the Gaussian that would leave less light than this.
MIN_TRANSMITTANCE = 1e-4
BLOCK = 32  # Gaussians of one tile at a time
BLOCK_BYTES = 2**20  # of one array over tiles, Gaussians and pixels; about ten are alive, and they should stay in the cache


def composite(geometry: Tensor, values: Tensor, grid: TileGrid) -> Tensor:
    """Weighted sums of (N, C) values at every pixel -> (C, H, W); differentiable in both arguments.

    `geometry` (N, 6): centre x, y in pixels, factors a, b, d of `Ellipses`, logarithm of the opacity; rows nearest first.
    The weight of Gaussian i is alpha_i prod_{j<i} (1 - alpha_j) (Kerbl et al. 2023, eq. 3).
    """
    tiled: Tensor = _Composite.apply(geometry, values, grid)  # type: ignore[no-untyped-call]  # torch gives it no types
    return grid.to_image(tiled)


@dataclass(frozen=True)
class _Block:
    """The next at most `BLOCK` Gaussians of each of K tiles."""

    tiles: Tensor  # (K,)
    members: Tensor  # (K * BLOCK,) rows of geometry and values; anything where a list has ended
    dx: Tensor  # (K, BLOCK) from the centre to the tile's first pixel, and so is dy
    dy: Tensor
    a: Tensor  # (K, BLOCK), and so are b and d
    b: Tensor
    d: Tensor
    log_opacity: Tensor  # (K, BLOCK), minus infinity where a list has ended


def _blocks(lists: TileLists, geometry: Tensor, grid: TileGrid, transmittance: Tensor) -> Iterator[_Block]:
    """All blocks of the lists, front to back, without tiles whose pixels have no transmittance (tiles, TILE^2) left."""
    together = max(1, BLOCK_BYTES // (BLOCK * TILE * TILE * geometry.element_size()))
    ticks = torch.arange(BLOCK, device=geometry.device)
    active = torch.arange(len(lists.tiles), device=geometry.device)
    done = 0
    while len(active):
        for part in active.split(together):
            tiles = lists.tiles[part]
            places = (lists.starts[part] + done)[:, None] + ticks
            members = lists.members[places.clamp_max(len(lists.members) - 1)].flatten()
            x, y, a, b, d, log_opacity = geometry.index_select(0, members).view(len(part), BLOCK, 6).unbind(-1)
            log_opacity = log_opacity.masked_fill(places >= lists.ends[part, None], -torch.inf)
            left, top = grid.origins(tiles)
            yield _Block(tiles, members, left[:, None] - x, top[:, None] - y, a, b, d, log_opacity)
        done += BLOCK
        active = active[lists.ends[active] - lists.starts[active] > done]
        active = active[transmittance[lists.tiles[active]].amax(-1) > 0]


@dataclass(frozen=True)
class _Shade:
    """What a block does to its pixels; P = TILE^2 pixels in row-major order."""

    alpha: Tensor  # (K, BLOCK, P)
    ratio: Tensor  # (K, BLOCK, P) alpha / (1 - alpha)
    passed: Tensor  # (K, BLOCK, P) transmittance behind each Gaussian; 0 once the pixel is finished
    u: Tensor  # (K, BLOCK, P) first whitened offset
    v: Tensor  # (K, BLOCK, TILE) second one, the same for all pixels of a row


def _shade(block: _Block, transmittance: Tensor) -> _Shade:
    """Alpha and transmittance of a block, given that in front of it, (K, P)."""
    ticks = torch.arange(TILE, device=block.dx.device, dtype=block.dx.dtype)
    v = block.d[..., None] * (block.dy[..., None] + ticks)
    at_left = (block.a * block.dx + block.b * block.dy)[..., None] + block.b[..., None] * ticks
    u = at_left[..., None] + (block.a[..., None] * ticks)[..., None, :]
    level = torch.add(block.log_opacity[..., None], v.square(), alpha=-0.5)
    alpha = torch.add(level[..., None], u.square(), alpha=-0.5).exp_().clamp_max_(MAX_ALPHA)
    alpha = torch.threshold_(alpha, MIN_ALPHA, 0.0).flatten(-2)
    clear = 1.0 - alpha
    passed = clear.cumprod(1).mul_(transmittance[:, None])
    return _Shade(alpha, alpha / clear, torch.threshold_(passed, MIN_TRANSMITTANCE, 0.0), u.flatten(-2), v)


class _Composite(torch.autograd.Function):
    """(N, 6) geometry and (N, C) values -> (tiles, TILE^2, C)."""

    @staticmethod
    def forward(ctx: Any, geometry: Tensor, values: Tensor, grid: TileGrid) -> Tensor:
        output = values.new_zeros(grid.num_tiles, TILE * TILE, values.shape[1])
        transmittance = values.new_ones(output.shape[:2])
        for lists in tile_lists(geometry, grid):
            for block in _blocks(lists, geometry, grid, transmittance):
                shade = _shade(block, transmittance[block.tiles])
                transmittance[block.tiles] = shade.passed[:, -1]
                weights = shade.ratio.mul_(shade.passed)
                chosen = values.index_select(0, block.members).view(len(block.tiles), BLOCK, -1)
                output.index_add_(0, block.tiles, torch.bmm(weights.transpose(1, 2), chosen))
        ctx.grid = grid
        ctx.save_for_backward(geometry, values, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        geometry, values, output = ctx.saved_tensors
        grad_output = grad_output.contiguous()
        # Frozen geometry under trained channels, or the other way round, saves about half of the work.
        grad_geometry, grad_values = (
            torch.zeros_like(tensor) if needed else None for tensor, needed in zip((geometry, values), ctx.needs_input_grad)
        )
        transmittance = values.new_ones(output.shape[:2])
        # What the Gaussians behind still add to the loss's derivative along the pixel; all of it in front of the first.
        behind = (output * grad_output).sum(-1)
        for lists in tile_lists(geometry, ctx.grid):
            for block in _blocks(lists, geometry, ctx.grid, transmittance):
                shade = _shade(block, transmittance[block.tiles])
                transmittance[block.tiles] = shade.passed[:, -1]
                grad_pixels = grad_output.index_select(0, block.tiles)
                weights = shade.ratio * shade.passed
                if grad_values is not None:
                    grad_values.index_add_(0, block.members, torch.bmm(weights, grad_pixels).flatten(0, 1))
                if grad_geometry is not None:
                    chosen = values.index_select(0, block.members).view(len(block.tiles), BLOCK, -1)
                    worth = torch.bmm(chosen, grad_pixels.transpose(1, 2)).mul_(weights)
                    grad_log_alpha, behind[block.tiles] = _alpha_gradient(shade, worth, behind[block.tiles])
                    grad_geometry.index_add_(0, block.members, _geometry_gradient(block, shade, grad_log_alpha))
        return grad_geometry, grad_values, None


def _alpha_gradient(shade: _Shade, worth: Tensor, behind: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives (K, BLOCK, P) by log alpha, and what is behind the block (K, P), from `worth`, each Gaussian's share of the
    derivative along the pixel, and `behind`, the sum over the block and all behind it.

    More of one Gaussian is less of all behind it; nothing changes where alpha is capped or the pixel finished.
    """
    after = behind[:, None] - worth.cumsum(1)
    grad_log_alpha = worth - after * shade.ratio
    return grad_log_alpha.mul_((shade.passed > 0) & (shade.alpha < MAX_ALPHA)), after[:, -1]


def _geometry_gradient(block: _Block, shade: _Shade, grad_log_alpha: Tensor) -> Tensor:
    """(K * BLOCK, 6) derivatives by the rows of geometry, from (K, BLOCK, P) by log alpha = log opacity - (u^2 + v^2) / 2."""
    ticks = torch.arange(TILE, device=block.dx.device, dtype=block.dx.dtype)
    by_row = grad_log_alpha.unflatten(-1, (TILE, TILE)).sum(-1)
    grad_v = -by_row * shade.v
    grad_u = grad_log_alpha.mul(shade.u).neg_().unflatten(-1, (TILE, TILE))
    moments = grad_u @ torch.stack([torch.ones_like(ticks), ticks], dim=-1)  # per row: sum, and sum times column
    u_by_row, u_times_column = moments.unbind(-1)
    sum_u, sum_v = u_by_row.sum(-1), grad_v.sum(-1)
    u_times_dx = u_times_column.sum(-1) + sum_u * block.dx
    u_times_dy = u_by_row @ ticks + sum_u * block.dy
    v_times_dy = grad_v @ ticks + sum_v * block.dy
    grads = [-block.a * sum_u, -block.b * sum_u - block.d * sum_v, u_times_dx, u_times_dy, v_times_dy, by_row.sum(-1)]
    return torch.stack(grads, dim=-1).flatten(0, 1)
