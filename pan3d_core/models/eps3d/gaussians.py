"""Raw Gaussians of pixels -> Gaussians of voxels, as in AnySplat (Jiang et al. 2025) and EPS3D (Zhu et al. 2026).

What falls into one voxel is averaged *before* the activations, weighted by a softmax of the confidence. Only sums per voxel are
kept, so memory grows with the Gaussians and not with the pixels: views are added one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.structures import Gaussians, require_shape

RAW_CHANNELS = 8  # opacity, 3 of scale, 4 of rotation; the harmonics of the colour follow
MAX_SCALE = 0.3
SCALE_UNIT = 0.001
HIGHER_HARMONICS, HARMONICS_DECAY = 0.1, 0.25  # how much smaller degree 1 and each further degree are made
MIN_WEIGHT = 1e-6  # beside the sum of the weights; part of the published rule
LARGEST_KEY = 2**31 - 1


@dataclass(frozen=True)
class VoxelGrid:
    """Occupied voxels of a cloud; rows are sorted by key, x before y before z."""

    voxel_of_point: Tensor  # (P,) int64 row of the voxel that holds each point, -1 = left out
    keys: Tensor  # (V, 3) int64, the place in multiples of the voxel size

    def __len__(self) -> int:
        return len(self.keys)


def voxel_grid(points: Tensor, voxel_size: float, kept: Tensor | None = None) -> VoxelGrid:
    """Find the occupied voxels of a cloud, each at the multiple of `voxel_size` that is nearest (ties to the even one).

    Args:
        points: (P, 3); those that are not finite or farther than 2^31 voxels from the origin are left out.
        voxel_size: In the unit of the points.
        kept: (P,) bool, false: left out as well; None: all are kept.

    Returns:
        Voxels, and which of them each point is in.

    Raises:
        ValueError: The size is not positive, or a shape is wrong.
    """
    if not voxel_size > 0:
        raise ValueError(f"voxel_size: expected a positive length, got {voxel_size}")
    require_shape("points", points, (None, 3))
    places = (points.detach() / voxel_size).round()
    inside = (places.abs() <= LARGEST_KEY).all(-1)  # false for NaN as well
    if kept is not None:
        require_shape("kept", kept, (len(points),))
        inside &= kept
    keys, row = _unique_rows(places[inside].long())
    voxel_of_point = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    voxel_of_point[inside] = row
    return VoxelGrid(voxel_of_point, keys)


def _unique_rows(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Sorted unique rows of (P, 3) int64 and the place of each row among them; by single numbers, which sort much faster."""
    if len(keys) == 0:
        return keys, keys.new_zeros(0)
    low = keys.amin(0)
    extent = keys.amax(0) - low + 1
    if float(extent.double().prod()) < 2.0**62:
        codes = ((keys[:, 0] - low[0]) * extent[1] + keys[:, 1] - low[1]) * extent[2] + keys[:, 2] - low[2]
        unique, row = codes.unique(return_inverse=True)
        columns = [unique // (extent[1] * extent[2]), unique // extent[2] % extent[1], unique % extent[2]]
        return torch.stack(columns, dim=-1) + low, row
    row = keys.new_zeros(len(keys))
    for column in keys.unbind(-1):  # ranks instead of coordinates: at most P^2 different pairs
        values, rank = column.unique(return_inverse=True)
        row = (row * len(values) + rank).unique(return_inverse=True)[1]
    unique = keys.new_zeros(int(row.max()) + 1, 3)
    unique[row] = keys
    return unique, row


class VoxelAverage:
    """Averages over voxels, weighted by exp(confidence), of values that come in several portions.

    Nothing overflows: weights are relative to the highest confidence that a voxel has seen, and sums are scaled down when it
    rises. With gradient tracking give everything in one portion; the highest confidence is then a constant.
    """

    def __init__(self, num_voxels: int, channels: tuple[int, ...], like: Tensor) -> None:
        self.peak = like.new_full((num_voxels,), -torch.inf)
        self.weight = like.new_zeros(num_voxels)
        self.sums = [like.new_zeros(num_voxels, width) for width in channels]

    def add(self, voxel: Tensor, confidence: Tensor, *values: Tensor) -> None:
        """Rows of voxels (P,) with confidences (P,) and one (P, channels) of values per kind; voxel -1 is left out."""
        if not bool((voxel >= 0).all()):
            inside = voxel >= 0
            voxel, confidence, values = voxel[inside], confidence[inside], tuple(value[inside] for value in values)
        peak = self.peak.scatter_reduce(0, voxel, confidence.detach(), "amax")
        risen = ((peak > self.peak) & self.peak.isfinite()).nonzero()[:, 0]
        if len(risen):
            factor = (self.peak[risen] - peak[risen]).exp()
            self.weight[risen] *= factor
            for total in self.sums:
                total[risen] *= factor[:, None]
        self.peak = peak
        weight = (confidence - peak[voxel]).exp()
        if torch.is_grad_enabled():
            self.weight = self.weight.index_add(0, voxel, weight)
            self.sums = [total.index_add(0, voxel, value * weight[:, None]) for total, value in zip(self.sums, values)]
            return
        self.weight.index_add_(0, voxel, weight)
        for total, value in zip(self.sums, values):
            total.index_add_(0, voxel, value * weight[:, None])

    def averages(self) -> list[Tensor]:
        """(V, channels) per kind. Takes the sums with it."""
        divisor = (self.weight + MIN_WEIGHT)[:, None]
        sums, self.sums = self.sums, []
        return [total / divisor if torch.is_grad_enabled() else total.div_(divisor) for total in sums]


def opacity_from_logits(logits: Tensor, exponent: float = 0.0) -> Tensor:
    """0..1 from logits p = sigmoid: (1 - (1 - p)^e + p^(1 / e)) / 2 with e = 2^exponent; 0, as published, leaves p."""
    p = logits.sigmoid()
    if exponent == 0.0:
        return p
    power = 2.0**exponent
    return 0.5 * (1 - torch.pow(1 - p, power) + torch.pow(p, 1 / power))


def harmonics_mask(degree: int, like: Tensor) -> Tensor:
    """((degree + 1)^2,) factors of the harmonics: 1 for the constant, 0.1 * 0.25^l for degree l."""
    factors = [1.0] + [HIGHER_HARMONICS * HARMONICS_DECAY**level for level in range(1, degree + 1)]
    return like.new_tensor([factor for level, factor in enumerate(factors) for _ in range(2 * level + 1)])


def gaussians_from_raw(
    means: Tensor, raw: Tensor, semantic_features: Tensor | None = None, instance_features: Tensor | None = None
) -> Gaussians:
    """Activate averaged raw values.

    Args:
        means: (N, 3) centres.
        raw: (N, 8 + 3 (degree + 1)^2) opacity, sizes, rotation, harmonics of the colour.
        semantic_features: (N, F), or None.
        instance_features: (N, G), or None.

    Returns:
        Gaussians with lengths in the unit of the centres. Scales are absolute and at most 0.3, opacities exactly 0 for logits far
        below. A rotation of length 0 becomes the identity. The harmonics are not turned into the world frame (the network was
        trained so).

    Raises:
        ValueError: Another number of channels.
    """
    degree = round(max(0, raw.shape[-1] - RAW_CHANNELS) / 3) ** 0.5 - 1
    if degree < 0 or degree != int(degree) or raw.shape[-1] != RAW_CHANNELS + 3 * (int(degree) + 1) ** 2:
        raise ValueError(f"raw: expected 8 + 3 (degree + 1)^2 channels, got {raw.shape[-1]}")
    quats_xyzw = raw[:, 4:8] / (raw[:, 4:8].norm(dim=-1, keepdim=True) + 1e-8)
    lost = (quats_xyzw == 0).all(-1, keepdim=True)
    quats_xyzw = torch.where(lost, quats_xyzw.new_tensor([0.0, 0.0, 0.0, 1.0]), quats_xyzw)
    harmonics = raw[:, RAW_CHANNELS:].unflatten(-1, (3, -1)) * harmonics_mask(int(degree), raw)
    return Gaussians(
        means=means,
        scales=(SCALE_UNIT * F.softplus(raw[:, 1:4])).clamp_max(MAX_SCALE),
        quats_wxyz=quats_xyzw[:, [3, 0, 1, 2]],
        opacities=opacity_from_logits(raw[:, 0]),
        colors=harmonics.transpose(1, 2).contiguous(),
        semantic_features=semantic_features,
        instance_features=instance_features,
    )
