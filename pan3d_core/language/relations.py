"""Sizes, places and relations of segments as numbers, and how they rank candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pan3d_core.structures import Segment

Floats = npt.NDArray[np.float64]
_MIN_PLACE_SCALE_M = 0.03
_FLOOR = 0.05
# Candidates below this share of the best score do not take part in "the leftmost of these".
_CANDIDATE_SHARE = 0.5


def _centroids(segments: Sequence[Segment]) -> Floats:
    return np.stack([segment.centroid.cpu().double().numpy() for segment in segments])


def _box_extents(segment: Segment) -> Floats:
    """(3,) extents of the oriented box along the world axes, metres."""
    rotation = segment.box.world_from_box[:3, :3].cpu().double().numpy()
    extents: Floats = np.abs(rotation) @ segment.box.size_m.cpu().double().numpy()
    return extents


def _size(segment: Segment, measure: str) -> float:
    sides = np.maximum(segment.box.size_m.cpu().double().numpy(), 1e-4)
    if measure == "size":
        return float(np.prod(sides) ** (1 / 3))
    if measure == "height":
        return float(_box_extents(segment)[2])
    if measure == "length":
        return float(sides.max())
    return float(sides.min())


def measure_values(segments: Sequence[Segment], measure: str) -> tuple[Floats, float]:
    """(N,) values of a measure (metres; larger = more of it) and the difference that clearly matters."""
    if measure in ("size", "height", "length", "thickness"):
        values = np.array([_size(segment, measure) for segment in segments])
        return values, max(0.25 * float(np.median(values)), 0.005)
    places = _centroids(segments)
    if measure == "leftness":
        values = places[:, 1]
    elif measure == "forward":
        values = places[:, 0]
    elif measure == "elevation":
        values = places[:, 2]
    elif measure == "centrality":
        middle = (places[:, :2].max(0) + places[:, :2].min(0)) / 2
        values = -np.linalg.norm(places[:, :2] - middle, axis=1)
    else:
        raise ValueError(f"measure: expected a size or place, got {measure!r}")
    return values, max(0.25 * float(np.ptp(values)), _MIN_PLACE_SCALE_M)


def relative_factors(segments: Sequence[Segment], measure: str, sign: int, scores: Floats) -> Floats:
    """(N,) factors 0..1: 1 for the candidate with most (sign 1) or least (sign -1) of a measure, less for the others."""
    values, scale = measure_values(segments, measure)
    best = (sign * values)[scores >= _CANDIDATE_SHARE * scores.max()].max()
    factors: Floats = np.maximum(_FLOOR, np.exp(-np.maximum(0.0, best - sign * values) / scale))
    return factors


def relation_factors(segments: Sequence[Segment], kind: str, anchor_id: int, scores: Floats) -> Floats:
    """(N,) factors 0..1 of "near", "left", "right", "front" or "behind" another segment; the nearest candidate is preferred."""
    places = _centroids(segments)[:, :2]
    is_anchor = np.array([segment.instance_id == anchor_id for segment in segments])
    offset = places - places[is_anchor][0]
    distance = np.linalg.norm(offset, axis=1)
    candidates = ~is_anchor & (scores >= _CANDIDATE_SHARE * np.where(is_anchor, 0.0, scores).max())
    nearest = distance[candidates].min() if candidates.any() else 0.0
    factors = np.exp(-np.maximum(0.0, distance - nearest) / 0.15)
    if kind != "near":
        direction = {"left": (0.0, 1.0), "right": (0.0, -1.0), "front": (-1.0, 0.0), "behind": (1.0, 0.0)}[kind]
        toward = (offset @ np.array(direction)) / np.maximum(distance, 1e-6)
        factors = np.sqrt(factors) / (1.0 + np.exp(-(toward - 0.3) / 0.1))
    return np.where(is_anchor, 0.0, np.maximum(_FLOOR, factors))
