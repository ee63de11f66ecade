"""Things of any colour and print, from pictures of a few: tables, surroundings and objects are painted anew.

The truth says where every pixel lies in the world, so a print is the same in all views and lies on a table as a cloth would. The
brightness of the picture stays, with its shadows and some of its grain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from pan3d_core.geometry.cameras import unproject_depth
from training.data.arrays import SceneBatch

ON_TABLE_M = 0.006  # a point this near the height of the support is of the table
LUMA = (0.299, 0.587, 0.114)
WAVES = 6  # of a smooth print


@dataclass(frozen=True)
class Paint:
    """Of P surfaces."""

    first: Tensor  # (P, 3) RGB 0..1
    second: Tensor  # (P, 3) the print's other colour
    contrast: Tensor  # (P,) exponent of the old brightness: 0 wipes the old print and its shadows out, 1 keeps them
    kind: Tensor  # (P,) int64: 0 plain, 1 checks, 2 stripes, 3 dots, 4 smooth
    axes: Tensor  # (P, 2, 3) of the print in the world, 1 over its period in metres
    waves: Tensor  # (P, WAVES, 3) direction and phase of a smooth print


def _between(low: float, high: float, shape: tuple[int, ...], generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def random_colors(count: int, generator: Generator) -> Tensor:
    """(count, 3) RGB of any hue, a third of them strong, a third pale, a third grey; from dark to light."""
    hue = torch.rand(count, generator=generator) * 6
    kind = torch.randint(3, (count,), generator=generator)
    strong, pale = _between(0.6, 1.0, (count,), generator), _between(0.0, 0.6, (count,), generator)
    saturation = torch.stack([strong, pale, 0.05 * pale]).gather(0, kind[None])[0]
    value = _between(0.08, 1.0, (count,), generator)
    steps = (hue[:, None] + torch.tensor([5.0, 3.0, 1.0])) % 6
    return value[:, None] * (1 - saturation[:, None] * torch.minimum(steps, 4 - steps).clamp(0, 1))


def random_paint(flat: Tensor, generator: Generator) -> Paint:
    """Paint for P surfaces, half of it plain. Where `flat` (P,) bool, the print lies level; its periods are longer there."""
    count = len(flat)
    kind = torch.randint(1, 5, (count,), generator=generator) * (torch.rand(count, generator=generator) < 0.5)
    direction = torch.rand((count, WAVES), generator=generator) * 2 * math.pi
    stretch = _between(0.3, 1.6, (count, WAVES), generator)
    phase = torch.rand((count, WAVES), generator=generator) * 2 * math.pi
    turn = torch.rand(count, generator=generator) * 2 * math.pi
    level = torch.stack([turn.cos(), turn.sin(), 0 * turn, -turn.sin(), turn.cos(), 0 * turn], dim=-1).unflatten(-1, (2, 3))
    tilted = torch.linalg.qr(torch.randn((count, 3, 3), generator=generator)).Q[:, :2]
    period = torch.exp(_between(math.log(0.02), math.log(0.4), (count,), generator))
    period = torch.where(flat, period, 0.4 * period)
    return Paint(
        random_colors(count, generator), random_colors(count, generator), _between(0.3, 1.0, (count,), generator), kind,
        torch.where(flat[:, None, None], level, tilted) / period[:, None, None],
        torch.stack([stretch * direction.cos(), stretch * direction.sin(), phase], dim=-1),
    )  # fmt: skip


def _prints(paint: Paint, surface: Tensor, points: Tensor) -> Tensor:
    """Share 0..1 of the second colour at the points (N, 3), metres, of the surfaces (N,)."""
    u, v = (paint.axes[surface] @ points[..., None])[..., 0].unbind(-1)
    checks = ((u.floor() + v.floor()) % 2).float()
    stripes = (u % 1 < 0.4).float()
    dots = ((u % 1 - 0.5).square() + (v % 1 - 0.5).square() < 0.06).float()
    along, across, phase = paint.waves[surface].unbind(-1)
    angle = 2 * math.pi * (u[:, None] * along + v[:, None] * across) + phase
    smooth = 0.5 + 0.5 * torch.sin(1.5 * torch.sin(angle).sum(-1))
    choices = torch.stack([torch.zeros_like(u), checks, stripes, dots, smooth])
    return choices.gather(0, paint.kind[surface][None])[0]


def painted(colors: Tensor, surface: Tensor, paint: Paint, points: Tensor) -> Tensor:
    """Return pixels with the paint of their surfaces, brighter and darker than its mean as they were before.

    Args:
        colors: (N, 3) RGB 0..1.
        surface: (N,) int64 rows of `paint`.
        paint: Of P surfaces.
        points: (N, 3) where the pixels lie, metres.

    Returns:
        (N, 3) RGB 0..1.
    """
    brightness = colors @ colors.new_tensor(LUMA)
    zeros = brightness.new_zeros(len(paint.kind))
    mean = zeros.index_add(0, surface, brightness) / zeros.index_add(0, surface, torch.ones_like(brightness)).clamp_min(1)
    shade = (brightness / mean[surface].clamp_min(0.02)).clamp(0.05, 3.0) ** paint.contrast[surface]
    share = _prints(paint, surface, points)[:, None]
    color = (1 - share) * paint.first[surface] + share * paint.second[surface]
    return (color * shade[:, None]).clamp(0, 1)


def repaint(batch: SceneBatch, surroundings: float, objects: float, generator: Generator) -> SceneBatch:
    """Paint tables, what is around them and objects anew, each with a colour or print of its own.

    Args:
        batch: Scenes with their truth.
        surroundings: Probability of each scene that table and surroundings are painted.
        objects: Probability of each object.
        generator: Source of all chance.

    Returns:
        The same scenes with other pictures.
    """
    size, views, _, height, width = batch.images.shape
    ids = batch.kinds.shape[1]
    rows = ids + 1  # per scene: surroundings (id 0), objects by id, and the table last
    chosen = torch.rand((size, rows), generator=generator) < objects
    chosen[:, 0] = chosen[:, -1] = torch.rand(size, generator=generator) < surroundings
    flat = (torch.arange(rows) % ids == 0).repeat(size)
    paint = random_paint(flat, generator)
    points = unproject_depth(batch.depth, batch.intrinsics, batch.cam_from_world).reshape(size, -1, 3)
    surface = batch.ids.reshape(size, -1)
    on_table = (points[..., 2] - batch.support_height[:, None]).abs() < ON_TABLE_M
    surface = torch.where((surface == 0) & on_table & (batch.depth.reshape(size, -1) > 0), ids, surface)
    surface = (surface + rows * torch.arange(size)[:, None]).flatten()
    where = torch.nonzero(chosen.flatten()[surface])[:, 0]
    colors = batch.images.permute(0, 1, 3, 4, 2).reshape(-1, 3).clone()
    colors[where] = painted(colors[where], surface[where], paint, points.reshape(-1, 3)[where])
    images = colors.reshape(size, views, height, width, 3).permute(0, 1, 4, 2, 3).contiguous()
    return replace(batch, images=images)
