"""Rendered instance features -> objects: prototypes are found in feature space, every pixel takes the nearest.

Two ways with one result. `read_by_pixels` is what EPS3D (Zhu et al. 2026) publishes: HDBSCAN (Campello et al. 2013) on 50,000
random pixels, whose time grows with the square of their number. `read_by_cells` is ours: features are averaged over small
squares of the image first, which takes their noise away; squares that lie across a border, recognised by their disagreement,
are left out, since mixtures of two objects form the bridges over which clusters by density run together. So few means are left
that clustering them costs a hundredth, and smaller objects stand out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
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
    """Of `read_by_cells`, chosen on made-up features (`pan3d bench readout`)."""

    largest_cell: int = 4  # pixels along a side, for images from 384 pixels on; down to 2 for small ones
    samples: int = 3000  # cells that are clustered
    min_share: float = 0.003  # of these in a cluster
    min_cells: int = 6
    disagreement: float = 2.0  # times the median: more is a border
    joined: float = 0.5  # prototypes closer than so many times the spread of pixels about them are one


@dataclass(frozen=True)
class PixelInstances:
    """Objects of V views."""

    instance_id: Tensor  # (V, H, W) int64, 1..K, the same object has the same number in all views; 0 = none
    prototypes: Tensor  # (K, D), row k belongs to number k + 1


def read_by_pixels(
    feature_maps: Tensor, generator: torch.Generator | None = None, settings: PixelReadout | None = None
) -> PixelInstances:
    """Objects of rendered instance features (V, D, H, W), as published.

    `generator` chooses the pixels. Where the clustering finds nothing there are no instances: all numbers are 0. Raises
    `ValueError` for another shape and for values that are not finite.
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
    """The same by clustering averages of small squares; `generator` chooses the squares where there are many."""
    settings = settings or CellReadout()
    unit = unit_features(feature_maps)
    cells, spread = cell_means(unit, settings)
    chosen = torch.randperm(len(cells), generator=generator)[: settings.samples].to(cells.device)
    smallest = max(settings.min_cells, round(settings.min_share * len(chosen)))
    prototypes = clustered_prototypes(cells[chosen], smallest, 1)
    prototypes = joined_prototypes(cells, prototypes, settings.joined * spread)
    return PixelInstances(nearest_prototype(unit, prototypes), prototypes)


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
    return feature_maps / (feature_maps.norm(dim=1, keepdim=True) + MIN_LENGTH)


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


def cell_means(unit: Tensor, settings: CellReadout) -> tuple[Tensor, float]:
    """Unit means (N, D) of the squares that lie within one object, and the spread of pixels about a mean (root mean square)."""
    side = max(2, min(settings.largest_cell, min(unit.shape[-2:]) // 96))
    side = min(side, *unit.shape[-2:])
    means = F.avg_pool2d(unit, side).movedim(1, -1).flatten(0, 2)
    # The mean of unit vectors is the shorter, the less they agree: 1 - length^2 is their variance about it.
    length = means.norm(dim=-1)
    variance = (1 - length.square()).clamp_min(0.0)
    seen = length > MIN_LENGTH  # nothing was rendered elsewhere
    if not bool(seen.any()):
        return means[:0], 0.0
    typical = variance[seen].median()
    inside = seen & (variance <= settings.disagreement * typical + MIN_LENGTH)
    return means[inside] / length[inside, None], float(typical.sqrt())


def joined_prototypes(cells: Tensor, prototypes: Tensor, closest: float) -> Tensor:
    """Prototypes (K, D) that lie at least `closest` apart, each the mean of the cells (N, D) nearest to it."""
    for _ in range(len(prototypes)):
        distance = torch.cdist(prototypes, prototypes).fill_diagonal_(torch.inf)
        if len(prototypes) < 2 or float(distance.min()) >= closest:
            break
        first, second = divmod(int(distance.argmin()), len(prototypes))
        prototypes[first] = (prototypes[first] + prototypes[second]) / 2
        prototypes = torch.cat([prototypes[:second], prototypes[second + 1 :]])
    if len(prototypes) == 0:
        return prototypes
    nearest = nearest_prototype(cells.T[None, :, :, None], prototypes)[0, :, 0] - 1
    sums = torch.zeros_like(prototypes).index_add_(0, nearest, cells)
    counts = torch.bincount(nearest, minlength=len(prototypes))
    return torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], prototypes)
