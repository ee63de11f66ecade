"""Sizes, places and relations of segments as numbers, and how they rank candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pan3d_core.structures import Segment

Floats = npt.NDArray[np.float64]
_MIN_PLACE_SCALE_M = 0.03
_FLOOR = 0.05
# Candidates below this share of the best score do not take part in "the leftmost of these".
_CANDIDATE_SHARE = 0.5
_NEAR_M = 0.15  # distance at which "next to" has fallen to 1 / e of that of the nearest
_BESIDE_M = 0.3  # between centres: what may still be called "next to"
_SLACK_M = 0.02  # boxes of seen objects are off by so much
_RESTS_M = 0.04  # between a top and a bottom that rests on it
_TOUCH_M = 0.015
# Relations that hold or do not; the others only rank.
DECIDED = ("between", "on", "in", "above", "under", "touching", "holding", "carrying", "more")


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
    if measure == "width":
        return float(_box_extents(segment)[:2].max())
    if measure == "length":
        return float(sides.max())
    return float(sides.min())


def measure_values(segments: Sequence[Segment], measure: str) -> tuple[Floats, float]:
    """(N,) values of a measure (metres; larger = more of it) and the difference that clearly matters."""
    if measure in ("size", "height", "length", "width", "thickness"):
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


def distances(segments: Sequence[Segment], anchor: int) -> Floats:
    """(N,) metres between centroids, seen from above, to the segment with index `anchor`."""
    places = _centroids(segments)[:, :2]
    values: Floats = np.linalg.norm(places - places[anchor], axis=1)
    return values


def relation_factors(segments: Sequence[Segment], kind: str, anchors: Sequence[int], scores: Floats) -> Floats:
    """Weigh segments by how they stand to others.

    Args:
        segments: N of one scene, in the frame whose +x is away from the robot and whose +y is left.
        kind: "near", "far", "left", "right", "front", "behind", "opposite", or one of `DECIDED`.
        anchors: Index of the other thing; of both for "between".
        scores: (N,) how well each fits otherwise; the best candidate along the relation is preferred.

    Returns:
        (N,) factors 0..1; 0 for the other things themselves, and for what does not stand so where `kind` is decided.
    """
    is_anchor = np.isin(np.arange(len(segments)), anchors)
    if kind in DECIDED:
        decided: Floats = np.where(is_anchor, 0.0, _decided(_Boxes.of(segments), kind, anchors))
        return decided
    distance = distances(segments, anchors[0])
    boxes = _Boxes.of(segments)  # what lies on, in or under a thing is not beside it
    is_stacked = np.logical_or.reduce([_decided(boxes, stacked, anchors) > 0 for stacked in ("on", "in", "under", "holding")])
    scores = np.where(is_stacked, 0.0, scores)
    candidates = ~is_anchor & (scores >= _CANDIDATE_SHARE * np.where(is_anchor, 0.0, scores).max())
    closest = distance[candidates].min() if candidates.any() else 0.0
    if kind == "far":
        farthest = distance[candidates].max() if candidates.any() else 0.0
        factors = np.exp(-np.maximum(0.0, farthest - distance) / _NEAR_M)
    else:
        factors = np.exp(-np.maximum(0.0, distance - closest) / _NEAR_M)
    if kind == "opposite":
        across = _across(segments, anchors[0])
        best = across[candidates].max() if candidates.any() else 0.0
        factors = np.where(across > 0, np.exp(-np.maximum(0.0, best - across) / _NEAR_M), 0.0)
    elif kind not in ("near", "far"):
        factors = np.sqrt(factors) / (1.0 + np.exp(-(_toward(segments, kind, anchors[0]) - 0.3) / 0.1))
    weighed: Floats = np.where(is_anchor, 0.0, np.maximum(_FLOOR, np.where(is_stacked, 0.0, factors)))
    return weighed


def relation_holds(segments: Sequence[Segment], kind: str, anchors: Sequence[int]) -> npt.NDArray[np.bool_]:
    """(N,) whether each segment may be said to stand so, in doubt yes; arguments as of `relation_factors`."""
    is_anchor = np.isin(np.arange(len(segments)), anchors)
    distance = distances(segments, anchors[0])
    if kind in DECIDED:
        holds = _decided(_Boxes.of(segments), kind, anchors) > 0
    elif kind == "near":
        holds = distance <= max(_BESIDE_M, float(np.where(is_anchor, np.inf, distance).min()) + 0.02)
    elif kind == "far":
        holds = distance >= 0.5 * distance.max()
    elif kind == "opposite":
        holds = _across(segments, anchors[0]) > 0
    else:
        holds = _toward(segments, kind, anchors[0]) > 0.1
    chosen: npt.NDArray[np.bool_] = np.logical_and(holds, ~is_anchor)
    return chosen


def comparison_factors(segments: Sequence[Segment], measure: str, sign: int, anchor: int) -> Floats:
    """(N,) 1 for segments with more (`sign` 1) or less (-1) of a measure than the one with index `anchor`, 0 for the others."""
    values, _ = measure_values(segments, measure)
    more: Floats = (sign * (values - values[anchor]) > 1e-3).astype(np.float64)
    return more


def _toward(segments: Sequence[Segment], kind: str, anchor: int) -> Floats:
    """(N,) cosine of the direction from the other thing with that of a relation."""
    places = _centroids(segments)[:, :2]
    offset = places - places[anchor]
    direction = {"left": (0.0, 1.0), "right": (0.0, -1.0), "front": (-1.0, 0.0), "behind": (1.0, 0.0)}[kind]
    cosines: Floats = (offset @ np.array(direction)) / np.maximum(np.linalg.norm(offset, axis=1), 1e-6)
    return cosines


def _across(segments: Sequence[Segment], anchor: int) -> Floats:
    """(N,) metres beyond the middle of the scene, seen from the other thing."""
    places = _centroids(segments)[:, :2]
    middle = (places.max(0) + places.min(0)) / 2
    away = middle - places[anchor]
    beyond: Floats = (places - middle) @ (away / max(float(np.linalg.norm(away)), 1e-6))
    return beyond


@dataclass(frozen=True)
class _Boxes:
    """Of N segments, along the axes of the world, metres."""

    centers: Floats  # (N, 3)
    halves: Floats  # (N, 3)

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> _Boxes:
        centers = np.stack([segment.box.world_from_box[:3, 3].cpu().double().numpy() for segment in segments])
        return cls(centers, np.stack([_box_extents(segment) for segment in segments]) / 2)

    @property
    def bottoms(self) -> Floats:
        return self.centers[:, 2] - self.halves[:, 2]

    @property
    def tops(self) -> Floats:
        return self.centers[:, 2] + self.halves[:, 2]

    def over(self, anchor: int) -> npt.NDArray[np.bool_]:
        """(N,) whether each centre lies over the footprint of a box, or the other way round."""
        apart = np.abs(self.centers[:, :2] - self.centers[anchor, :2])
        own, other = self.halves[:, :2] + _SLACK_M, self.halves[anchor, :2] + _SLACK_M
        over: npt.NDArray[np.bool_] = np.logical_or((apart <= own).all(1), (apart <= other).all(1))
        return over


def _decided(boxes: _Boxes, kind: str, anchors: Sequence[int]) -> Floats:
    """(N,) 1 where a relation of `DECIDED` holds, less for what is off the middle of "between", 0 where it does not hold."""
    anchor = anchors[0]
    if kind == "between":
        return _between(boxes, anchors)
    over, higher = boxes.over(anchor), boxes.centers[:, 2] > boxes.centers[anchor, 2]
    rise = boxes.bottoms - boxes.tops[anchor]  # of the bottom over the other's top
    areas = boxes.halves[:, :2].prod(1)
    if kind == "on":
        holds = over & higher & (np.abs(rise) <= _RESTS_M)
    elif kind == "in":
        smaller = (areas <= areas[anchor]) | (boxes.bottoms > boxes.bottoms[anchor] + 0.01)
        holds = over & smaller & (boxes.bottoms >= boxes.bottoms[anchor] - _SLACK_M) & (rise < 0)
    elif kind == "above":
        holds = over & higher & (rise >= -_RESTS_M)
    elif kind == "under":
        holds = over & ~higher & (boxes.bottoms[anchor] - boxes.tops >= -_RESTS_M)
    elif kind == "touching":
        gaps = np.abs(boxes.centers - boxes.centers[anchor]) - boxes.halves - boxes.halves[anchor]
        holds = np.linalg.norm(np.maximum(gaps, 0.0), axis=1) <= _TOUCH_M
    elif kind == "holding":
        smaller = (areas >= areas[anchor]) | (boxes.bottoms < boxes.bottoms[anchor] - 0.01)
        holds = over & smaller & (boxes.bottoms <= boxes.bottoms[anchor] + _SLACK_M) & (boxes.bottoms[anchor] < boxes.tops)
    elif kind == "carrying":
        holds = over & ~higher & (np.abs(boxes.bottoms[anchor] - boxes.tops) <= _RESTS_M)
    else:
        raise ValueError(f"kind: expected a relation, got {kind!r}")
    decided: Floats = holds.astype(np.float64)
    return decided


def _between(boxes: _Boxes, anchors: Sequence[int]) -> Floats:
    start, end = boxes.centers[anchors[0]], boxes.centers[anchors[1]]
    length = max(float(np.linalg.norm(end - start)), 1e-6)
    along = (boxes.centers - start) @ (end - start) / length**2
    aside = np.linalg.norm(boxes.centers - start - along[:, None] * (end - start), axis=1)
    holds = (along > 0.05) & (along < 0.95) & (aside <= 0.35 * length + _SLACK_M)
    factors: Floats = np.where(holds, np.exp(-aside / length), 0.0)
    return factors
