"""Rendered instance features -> objects: prototypes are found in feature space, every pixel takes the nearest.

Two ways with one result. `read_by_pixels` is what EPS3D (Zhu et al. 2026) publishes: HDBSCAN (Campello et al. 2013) on 50,000
random pixels, whose time grows with the square of their number. `read_by_cells` is ours: features are averaged over small
squares of the image first, which takes their noise away; squares that lie across a border, recognised by their disagreement,
are left out. So few means remain that grouping 2,500 of them costs a hundredth and their noise, which is known from the squares
themselves, no longer hides small objects. What still groups along wide soft borders is recognised as a mixture of two objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from sklearn.cluster import HDBSCAN
from torch import Tensor
from torch.nn import functional as F

MIN_LENGTH = 1e-6  # beside the length of a feature; part of the published rule


@dataclass(frozen=True)
class PixelReadout:
    """The published numbers."""

    samples: int = 50_000
    min_cluster_size: int = 400
    min_samples: int = 1


@dataclass(frozen=True)
class CellReadout:
    """Of `read_by_cells`, chosen on made-up features (`pan3d bench readout`) and on 20 held-out scenes of `pan3d-mini-eps3d`."""

    largest_cell: int = 4  # pixels along a side, for images from 384 pixels on; down to 2 for small ones
    samples: int = 2500  # cells that are clustered
    resolution: float = 0.6  # distance of two unit directions from which on they are two objects
    min_share: float = 0.002  # of the clustered cells in an object
    min_cells: int = 6
    disagreement: float = 2.0  # times the median: more is a border
    mixture: float = 0.4  # a group whose unit mean is so near to a mixture of two others is their border; 0 = none is
    mixture_share: float = 0.15  # the least that each of the two has in it

    def __post_init__(self) -> None:
        if self.largest_cell < 2:
            raise ValueError(f"CellReadout.largest_cell: expected at least 2, got {self.largest_cell}")
        if self.samples < 2:
            raise ValueError(f"CellReadout.samples: expected at least 2, got {self.samples}")


@dataclass(frozen=True)
class PixelInstances:
    """Objects of V views."""

    instance_id: Tensor  # (V, H, W) int64, 1..K, the same object has the same number in all views; 0 = none
    prototypes: Tensor  # (K, D), row k belongs to number k + 1


def read_by_pixels(
    feature_maps: Tensor, generator: torch.Generator | None = None, settings: PixelReadout | None = None
) -> PixelInstances:
    """Read objects as published: HDBSCAN (Campello et al. 2013) of random pixels.

    Args:
        feature_maps: (V, D, H, W) rendered instance features.
        generator: Chooses the pixels.
        settings: The published numbers by default.

    Returns:
        The objects; where the clustering finds nothing all numbers are 0.

    Raises:
        ValueError: Another shape, or values that are not finite.
    """
    settings = settings or PixelReadout()
    unit = unit_features(feature_maps)
    rows = unit.movedim(1, -1).reshape(-1, unit.shape[1])
    chosen = torch.randperm(len(rows), generator=generator)[: settings.samples].to(rows.device)
    prototypes = clustered_prototypes(rows[chosen], settings.min_cluster_size, settings.min_samples)
    return PixelInstances(nearest_prototype(unit, prototypes), prototypes)


def read_by_cells(
    feature_maps: Tensor, generator: torch.Generator | None = None, settings: CellReadout | None = None
) -> PixelInstances:
    """Read objects by clustering averages of small squares, see the module docstring.

    Args:
        feature_maps: (V, D, H, W) rendered instance features.
        generator: Chooses the squares where there are many.
        settings: None: the defaults.

    Returns:
        The objects. Pixels whose feature is 0, where nothing was rendered, belong to nothing; by the published rule they fall to
        some object.

    Raises:
        ValueError: As `read_by_pixels`.
    """
    settings = settings or CellReadout()
    unit = unit_features(feature_maps)
    cells = cell_means(unit, settings)
    chosen = torch.randperm(len(cells.means), generator=generator)[: settings.samples].to(unit.device)
    prototypes = grouped_prototypes(cells.means[chosen], cells.noise, settings)
    return PixelInstances(torch.where((unit != 0).any(1), nearest_prototype(unit, prototypes), 0), prototypes)


READOUTS: dict[str, Callable[[Tensor, torch.Generator | None], PixelInstances]] = {
    "pixels": read_by_pixels,
    "cells": read_by_cells,
}


def unit_features(feature_maps: Tensor) -> Tensor:
    """(V, D, H, W) divided by the length over D; what is 0 stays 0. Raises `ValueError` as the readers."""
    if feature_maps.ndim != 4 or 0 in feature_maps.shape:
        raise ValueError(f"feature_maps: expected shape (V, D, H, W), none of them 0, got {tuple(feature_maps.shape)}")
    if not all(bool(torch.isfinite(extreme)) for extreme in feature_maps.aminmax()):
        raise ValueError("feature_maps: expected finite values, got NaN or infinity")
    length: Tensor = feature_maps.norm(dim=1, keepdim=True)
    return feature_maps / (length + MIN_LENGTH)


def clustered_prototypes(features: Tensor, min_cluster_size: int, min_samples: int) -> Tensor:
    """Rows (N, D) -> (K, D) means of their HDBSCAN clusters, weighted by how surely a row belongs; not normalised again."""
    if len(features) < 2:  # no density to speak of
        return features[:0]
    search = HDBSCAN(min_cluster_size=min_cluster_size, min_samples=min_samples, allow_single_cluster=True, copy=True)
    rows = features.double().numpy(force=True)
    search.fit(rows)
    labels, weights = search.labels_, np.nan_to_num(search.probabilities_)
    means = [
        np.average(rows[labels == label], axis=0, weights=weights[labels == label] if weights[labels == label].any() else None)
        for label in range(int(labels.max(initial=-1)) + 1)
    ]
    found = torch.from_numpy(np.array(means).reshape(-1, rows.shape[1]))
    return found.to(device=features.device, dtype=features.dtype)


def nearest_prototype(unit: Tensor, prototypes: Tensor) -> Tensor:
    """(V, D, H, W) -> (V, H, W) int64, 1 + the row of the nearest of (K, D) prototypes; 0 everywhere when there is none."""
    shape = (unit.shape[0], *unit.shape[2:])
    if len(prototypes) == 0:
        return torch.zeros(shape, dtype=torch.int64, device=unit.device)
    half_square = prototypes.square().sum(-1, keepdim=True) / 2
    score = torch.einsum("kd,vdn->vkn", prototypes, unit.flatten(2)) - half_square
    return score.argmax(1).reshape(shape) + 1


@dataclass(frozen=True)
class Cells:
    """Squares of the images that lie within one object."""

    means: Tensor  # (N, D) unit
    noise: float  # mean squared distance of a cell's mean from what it would be of infinitely many pixels


def cell_means(unit: Tensor, settings: CellReadout) -> Cells:
    """Means of squares of unit features (V, D, H, W). Rows and columns that no whole square covers are left out."""
    side = max(2, min(settings.largest_cell, min(unit.shape[-2:]) // 96))
    if min(unit.shape[-2:]) < side:
        return Cells(unit.new_zeros(0, unit.shape[1]), 0.0)
    means = F.avg_pool2d(unit, side).movedim(1, -1).flatten(0, 2)
    # The mean of unit vectors is the shorter, the less they agree: 1 - length^2 is their variance, but for one degree of freedom.
    length = means.norm(dim=-1)
    seen = length > MIN_LENGTH  # nothing was rendered elsewhere
    means, length = means[seen], length[seen]
    if len(means) == 0:
        return Cells(means, 0.0)
    variance = (1 - length.square()).clamp_min(0.0) * side**2 / (side**2 - 1)
    typical = variance.median()
    # Where most of the image is very even, objects may still be less so; a border mixes things `resolution` or more apart.
    inside = variance <= max(settings.disagreement * float(typical), settings.resolution**2 / 4) + MIN_LENGTH
    noise = float(typical) / side**2 / max(1 - float(typical), MIN_LENGTH)  # of the mean after its length is made 1
    return Cells(means[inside] / length[inside, None], noise)


def grouped_prototypes(cells: Tensor, noise: float, settings: CellReadout) -> Tensor:
    """Cells (N, D) -> (K, D) means of groups by average linkage of squared distances (UPGMA, Sokal and Michener 1958).

    Such a distance between two groups is that of their centres plus the spread of both. What the noise contributes to it is
    known, so groups join while their centres are nearer than `settings.resolution`; a few cells between two groups do not
    bridge them, as single cells would in HDBSCAN. Groups too small for an object are left out.
    """
    if len(cells) < 2:
        return cells[:0]
    tree = linkage(pdist(cells.double().numpy(force=True), "sqeuclidean"), "average")
    group = torch.from_numpy(fcluster(tree, 2 * noise + settings.resolution**2, "distance").astype(np.int64) - 1)
    counts = torch.bincount(group).to(cells.device)
    sums = cells.new_zeros(len(counts), cells.shape[1]).index_add_(0, group.to(cells.device), cells)
    smallest = min(len(cells), max(settings.min_cells, round(settings.min_share * len(cells))))
    large = counts >= smallest
    prototypes, counts = (sums / counts[:, None])[large], counts[large]
    return prototypes[~mixed_groups(prototypes, counts, settings)]


def mixed_groups(prototypes: Tensor, counts: Tensor, settings: CellReadout) -> Tensor:
    """Which of (K, D) groups of (K,) cells are borders between two others, of which one at least is no smaller -> (K,) bool.

    Rendering blends the features of what lies side by side, so a border has a mean x a + y b of the two unit means a and b with
    positive x and y; the directions of objects, many as they may be, rarely lie between those of two others.
    """
    unit = F.normalize(prototypes, dim=-1)
    cosine = unit @ unit.T
    to_a, to_b, between = cosine[:, :, None], cosine[:, None, :], cosine[None]  # group k, groups a and b
    apart = (1 - between.square()).clamp_min(MIN_LENGTH)
    x, y = (to_a - between * to_b) / apart, (to_b - between * to_a) / apart
    rest = (1 - x * to_a - y * to_b).clamp_min(0.0).sqrt()  # length of what is no mixture
    mixed = (rest < settings.mixture) & (torch.minimum(x, y) >= settings.mixture_share)
    larger = torch.maximum(counts[None, :, None], counts[None, None, :]) >= counts[:, None, None]
    same = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    different = ~(same[:, :, None] | same[:, None, :] | same[None])
    return (mixed & larger & different).flatten(1).any(1)
