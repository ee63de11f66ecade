"""What a search of grasps answers: grasps, or why there are none, with what became of everything that was tried."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from pan3d_core.structures import GraspTarget

REASONS = {
    "found": "grasps were found",
    "not_metric": "the reconstruction has no metric scale, so no grasp can be offered",
    "no_points": "too few points of the object were seen",
    "no_pairs": "no two opposite surfaces of the object lie between the jaws",
    "too_wide": "the object is wider than the hand opens, in every direction that it could be held",
    "too_thin": "the object is thinner than the hand closes, in every direction that it could be held",
    "table": "the hand would touch the support at every grasp",
    "collision": "other objects are in the way of every grasp",
    "self_collision": "the fingers do not fit around any part of the object",
    "weak": "the surfaces that the pads would touch do not face them at any reachable grasp",
    "too_small": "the suction cup is larger than any face of the object that was seen",
    "uneven": "nothing that was seen of the object is flat enough for the suction cup to seal",
    "tilted": "what is flat enough for the suction cup faces too far away from above",
    "inside": "the object itself is in the suction cup's way",
    "heavy": "the suction cup would not hold the object's weight at any place where it seals",
}
ORDERS = {
    "analytic": "",
    "learnt": "their order is learnt: scores are probabilities of a lift that moves nothing else",
    "other hand": "their order is not learnt, since nothing was learnt of such a hand",
}
_NMS_DISTANCE_M, _NMS_ANGLE_DEG = 0.02, 30.0


@dataclass(frozen=True)
class GraspCounts:
    """What became of everything that a search for two jaws tried."""

    sampled: int = 0  # pairs of points
    antipodal: int = 0  # of these in each other's friction cones
    too_wide: int = 0  # of these further apart than the hand opens
    too_thin: int = 0  # closer together than the hand closes; told where there are some
    hands: int = 0  # around all pairs
    table: int = 0  # hands stopped by the support,
    collision: int = 0  # by other objects,
    self_collision: int = 0  # by the object itself
    weak: int = 0  # hands whose pads touch surfaces that do not face them
    kept: int = 0  # grasps

    def told(self) -> dict[str, int]:
        """By name, as far as the search came."""
        counts = asdict(self) if self.too_thin else {key: count for key, count in asdict(self).items() if key != "too_thin"}
        return counts if self.hands else dict(list(counts.items())[: list(counts).index("hands") + 1])


@dataclass(frozen=True)
class SuctionCounts:
    """What became of everything that a search for a suction cup tried; each place counts once, at what stops it first."""

    sampled: int = 0  # places on the surface that was seen
    edge: int = 0  # where the lip would reach beyond what was seen of the surface
    uneven: int = 0  # where it would leak
    tilted: int = 0  # that face too far away from above
    table: int = 0  # at which the cup would touch the support,
    collision: int = 0  # other objects,
    inside: int = 0  # another part of the object
    heavy: int = 0  # at which it would not hold
    kept: int = 0  # grasps

    def told(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


@dataclass(frozen=True)
class GraspResult:
    """Ranked grasps of one object, or why there are none."""

    targets: tuple[GraspTarget, ...]  # best first
    reason: str  # key of `REASONS`
    counts: GraspCounts | SuctionCounts = GraspCounts()
    methods: tuple[str, ...] = ()  # per target: suction, antipodal, wall, rim or box (a side was not seen)
    order: str = "analytic"  # key of `ORDERS`: what the scores are

    @property
    def message(self) -> str:
        """The reason as a sentence, with the counts as far as the search came, and what they are ordered by if that is learnt."""
        reached = {} if self.reason in ("not_metric", "no_points") else self.counts.told()
        numbers = ", ".join(f"{name} {count}" for name, count in reached.items())
        order = f"; {ORDERS[self.order]}" if self.targets and ORDERS[self.order] else ""
        return (f"{REASONS[self.reason]} ({numbers})" if numbers else REASONS[self.reason]) + order


def best_apart(
    position: np.ndarray, approach: np.ndarray, closing: np.ndarray | None, scores: np.ndarray, least: float, at_most: int
) -> list[int]:
    """Choose the best grasps of which none is close to a better one in place and orientation.

    Args:
        position: (H, 3) metres.
        approach: (H, 3) unit.
        closing: (H, 3) unit, of which the sign does not count; None = turns about the approach do not count at all.
        scores: (H,).
        least: Scores up to this are no grasps.
        at_most: Grasps.

    Returns:
        Rows, best first.
    """
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if scores[row] <= least or len(kept) == at_most:
            break
        if kept:
            near = np.linalg.norm(position[kept] - position[row], axis=1) < _NMS_DISTANCE_M
            same = approach[kept] @ approach[row]
            if closing is not None:
                same = np.minimum(same, np.abs(closing[kept] @ closing[row]))
            if (near & (same > np.cos(np.radians(_NMS_ANGLE_DEG)))).any():
                continue
        kept.append(int(row))
    return kept
