"""How likely two appearances are of one object: a few distances, each weighed by how well it tells objects apart.

The logarithm of the odds is a bias and a sum over the distances. A distance counts by its logarithm from a scale on, so that one
that is far off - a side of the box that is hidden, a view that a shadow falls on - does not outweigh all others. Where a distance
is not known, its share is that of one which speaks for neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pan3d_core.teaching.looks import Floats, Looks

LEARNT_LOOK = "learnt look"
_LEAST_SHARED = 1e-3


@dataclass(frozen=True)
class Cue:
    """One distance between two appearances."""

    name: str  # for a person
    distance: Callable[[Looks, Looks], float | None]  # of a taught object and one that is seen; None = not known
    needs_checkpoint: bool = False  # comparable only where both are of the same network


@dataclass(frozen=True)
class CueWeight:
    """What a distance d adds to the log odds: `weight` x log(1 + d / scale); `unknown` where it is not known."""

    weight: float
    scale: float
    unknown: float


@dataclass(frozen=True)
class Weights:
    """Of all cues, by name; a cue without one counts nothing."""

    bias: float
    cues: dict[str, CueWeight]
    blind: Weights | None = None  # where the learnt look is not known; None = these as well, by its `unknown`


@dataclass(frozen=True)
class Likeness:
    """How an object compares with a taught one."""

    probability: float  # that it is the taught one
    shares: tuple[tuple[str, float], ...]  # what each cue added to the log odds, the most telling against it first
    left_out: tuple[str, ...] = ()  # cues that could not be compared

    @property
    def explanation(self) -> str:
        """What speaks most against it, for a person."""
        name = self.shares[0][0] if self.shares else "nothing"
        return f"{self.probability:.2f}, least alike in {name}"


def _side(index: int) -> Callable[[Looks, Looks], float | None]:
    def distance(taught: Looks, seen: Looks) -> float | None:
        if taught.size_m is None or seen.size_m is None:
            return None
        return float(abs(np.log(max(taught.size_m[index], 1e-4) / max(seen.size_m[index], 1e-4))))

    return distance


def _spread(taught: Looks, seen: Looks) -> float | None:
    if taught.spread_m is None or seen.spread_m is None:
        return None
    return float(np.abs(np.log(taught.spread_m / seen.spread_m)).sum())


def _distances(taught: Looks, seen: Looks) -> float | None:
    if taught.distances is None or seen.distances is None:
        return None
    return float(np.abs(taught.distances - seen.distances).sum())


def _apart(first: Floats, second: Floats) -> np.ndarray:
    """(A, C) and (B, C) shares -> (A, B) Bhattacharyya distances."""
    shared: np.ndarray = np.sqrt(first) @ np.sqrt(second).T
    apart: np.ndarray = -np.log(np.maximum(shared, _LEAST_SHARED))
    return apart


def _nearest(distances: np.ndarray) -> float:
    """Mean over the views of both of how near the nearest view of the other is."""
    return float(0.5 * (distances.min(0).mean() + distances.min(1).mean()))


def _pooled(looks: Looks) -> Floats:
    weights = np.sqrt(looks.pixels)
    pooled: Floats = (weights / weights.sum()) @ looks.colors
    return pooled[None]


def _all_colors(taught: Looks, seen: Looks) -> float | None:
    return float(_apart(_pooled(taught), _pooled(seen))[0, 0])


def _view_colors(taught: Looks, seen: Looks) -> float | None:
    return _nearest(_apart(taught.colors, seen.colors))


def _chroma(taught: Looks, seen: Looks) -> float | None:
    return float(np.hypot(*(taught.tone[1:3] - seen.tone[1:3])))


def _variety(taught: Looks, seen: Looks) -> float | None:
    return float(np.abs(taught.tone[3:] - seen.tone[3:]).sum())


def _texture(taught: Looks, seen: Looks) -> float | None:
    return _nearest(_apart(taught.textures, seen.textures))


def _vectors(taught: Looks, seen: Looks) -> float | None:
    if taught.vectors is None or seen.vectors is None:
        return None
    return _nearest(1 - taught.vectors @ seen.vectors.T)


def _crops(taught: Looks, seen: Looks) -> float | None:
    if taught.crops is None or seen.crops is None or taught.space != seen.space:
        return None
    first, second = taught.crops.mean(0), seen.crops.mean(0)
    return float(1 - first @ second / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-9))


def _meaning(taught: Looks, seen: Looks) -> float | None:
    if taught.meaning is None or seen.meaning is None:
        return None
    return float(1 - taught.meaning @ seen.meaning)


CUES = (
    Cue("length", _side(0)),
    Cue("width", _side(1)),
    Cue("spread of points", _spread),
    Cue("distances of points", _distances),
    Cue("all colours", _all_colors),
    Cue("colours by view", _view_colors),
    Cue("mean chroma", _chroma),
    Cue("variety of colours", _variety),
    Cue("texture", _texture),
    Cue(LEARNT_LOOK, _crops),
    Cue("network features", _vectors, needs_checkpoint=True),
    Cue("meaning", _meaning, needs_checkpoint=True),
)


def comparable_networks(taught: Looks, seen: Looks) -> bool:
    """Whether vectors of two appearances are of the same network.

    Args:
        taught: Of which it was taught.
        seen: Now.

    Returns:
        False where a checksum is unknown or differs.
    """
    return bool(taught.checkpoint) and taught.checkpoint == seen.checkpoint


def cue_distances(taught: Looks, seen: Looks) -> dict[str, float | None]:
    """Measure all distances between two appearances.

    Args:
        taught: Of a taught object.
        seen: Of an object that is seen.

    Returns:
        By the name of the cue; None where it cannot be compared.
    """
    same_network = comparable_networks(taught, seen)
    return {cue.name: cue.distance(taught, seen) if same_network or not cue.needs_checkpoint else None for cue in CUES}


def likeness(taught: Looks, seen: Looks, weights: Weights) -> Likeness:
    """Say how likely an object is the taught one.

    Args:
        taught: Of the taught object.
        seen: Of the object that is seen.
        weights: Of all cues.

    Returns:
        The probability, and what it rests on.
    """
    measured, asked = cue_distances(taught, seen), weights.cues
    if weights.blind is not None and measured[LEARNT_LOOK] is None:
        weights = weights.blind
    shares = {}
    for name, cue in weights.cues.items():
        distance = measured[name]
        shares[name] = cue.unknown if distance is None else cue.weight * float(np.log1p(distance / cue.scale))
    log_odds = weights.bias + sum(shares.values())
    lacking = tuple(name for name in asked if measured[name] is None)
    ordered = sorted(((name, share) for name, share in shares.items() if name not in lacking), key=lambda pair: pair[1])
    return Likeness(float(1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))), tuple(ordered), lacking)
