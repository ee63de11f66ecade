"""Truth at network size, picked pixel by pixel so that ids and depths are never mixed."""

from __future__ import annotations

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_grid


def sample_at_network(values: Tensor, network_from_original: Tensor, hw: tuple[int, int]) -> Tensor:
    """Pick values at network size, never mixing two of them.

    Args:
        values: (H, W) of any type at original size.
        network_from_original: (3, 3) maps original to network pixels, as in `ViewBatch`.
        hw: Height and width at network size.

    Returns:
        (h, w): the value whose pixel holds each network pixel's centre; 0 outside.
    """
    original_from_network = torch.linalg.inv(network_from_original.double().cpu())
    if not bool(original_from_network[0, 1]) and not bool(original_from_network[1, 0]):  # rows and columns on their own
        return _sampled_by_axes(values.cpu(), original_from_network, hw)
    pixels = torch.cat([pixel_grid(*hw, dtype=torch.float64).reshape(-1, 2), torch.ones(hw[0] * hw[1], 1).double()], dim=1)
    # Half a pixel is added before flooring; the tiny rest keeps exact halves from falling to either side by rounding.
    place = torch.floor((pixels @ original_from_network.T)[:, :2] + 0.5 + 1e-9).long()
    height, width = values.shape
    inside = (place >= 0).all(1) & (place[:, 0] < width) & (place[:, 1] < height)
    picked = values.cpu()[place[:, 1].clamp(0, height - 1), place[:, 0].clamp(0, width - 1)]
    return torch.where(inside, picked, torch.zeros_like(picked)).reshape(hw)


def _sampled_by_axes(values: Tensor, original_from_network: Tensor, hw: tuple[int, int]) -> Tensor:
    """The same where columns stay columns and rows stay rows, which is many times as fast."""
    places = []
    for axis, size in ((1, hw[0]), (0, hw[1])):
        scale, offset = original_from_network[axis, axis], original_from_network[axis, 2]
        places.append(torch.floor(torch.arange(size, dtype=torch.float64) * scale + offset + 0.5 + 1e-9).long())
    (y, x), (height, width) = places, values.shape
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    picked = values[y.clamp(0, height - 1)][:, x.clamp(0, width - 1)]
    return picked if bool(inside.all()) else torch.where(inside, picked, torch.zeros_like(picked))
