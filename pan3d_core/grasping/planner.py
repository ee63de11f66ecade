"""Grasps for a parallel-jaw hand on one object of a labelled cloud.

Pairs of surface points that lie in each other's friction cones are the candidates (antipodal grasps, Nguyen 1988; sampled on
point clouds as ten Pas et al. 2017 do), with pairs across thin walls, over rims, and across the faces of the object's box where
a side was not seen. Hands are placed around each pair, moved in as far as support, neighbours and the object itself allow, and
ranked. The grasp frame: origin between the pads (TCP), +z approach, +x closing direction.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from pan3d_core.config import GraspConfig
from pan3d_core.grasping.contacts import NAMES, find_pairs
from pan3d_core.grasping.hands import Hands, narrow_opening
from pan3d_core.grasping.object_cloud import build_object_cloud
from pan3d_core.grasping.placing import MIN_SCORE, PlacedHands, place_hands
from pan3d_core.structures import GraspTarget, Panoptic3D

REASONS = {
    "found": "grasps were found",
    "not_metric": "the reconstruction has no metric scale, so no grasp can be offered",
    "no_points": "too few points of the object were seen",
    "no_pairs": "no two opposite surfaces of the object lie between the jaws",
    "too_wide": "the object is wider than the hand opens, in every direction that it could be held",
    "table": "the hand would touch the support at every grasp",
    "collision": "other objects are in the way of every grasp",
    "self_collision": "the fingers do not fit around any part of the object",
    "weak": "the surfaces that the pads would touch do not face them at any reachable grasp",
}
_NMS_DISTANCE_M, _NMS_ANGLE_DEG = 0.02, 30.0


@dataclass(frozen=True)
class GraspCounts:
    """What became of everything that a search tried."""

    sampled: int = 0  # pairs of points
    antipodal: int = 0  # of these in each other's friction cones
    too_wide: int = 0  # of these further apart than the hand opens
    hands: int = 0  # around all pairs
    table: int = 0  # hands stopped by the support,
    collision: int = 0  # by other objects,
    self_collision: int = 0  # by the object itself
    weak: int = 0  # hands whose pads touch surfaces that do not face them
    kept: int = 0  # grasps


@dataclass(frozen=True)
class GraspResult:
    """Ranked grasps of one object, or why there are none."""

    targets: tuple[GraspTarget, ...]  # best first
    reason: str  # key of `REASONS`
    counts: GraspCounts = GraspCounts()
    methods: tuple[str, ...] = ()  # per target: antipodal, wall, rim or box (the last one means that a side was not seen)

    @property
    def message(self) -> str:
        """The reason as a sentence, with the counts as far as the search came."""
        counts = list(asdict(self.counts).items())
        reached = 0 if self.reason in ("not_metric", "no_points") else len(counts) if self.counts.hands else 4
        numbers = ", ".join(f"{name} {count}" for name, count in counts[:reached])
        return f"{REASONS[self.reason]} ({numbers})" if numbers else REASONS[self.reason]


def select_grasps(
    panoptic: Panoptic3D,
    instance_id: int,
    config: GraspConfig | None = None,
    support_height_m: float | None = None,
    *,
    is_metric: bool = True,
) -> GraspResult:
    """Search grasps of one instance.

    Args:
        panoptic: the scene; points and normals in metres, world z up.
        instance_id: the object to hold.
        config: hand, directions and limits of the search.
        support_height_m: world z of the surface that objects stand on; None = unknown, the hand is then not kept off it.
        is_metric: `Reconstruction.is_metric`; without metric scale nothing is offered.

    Returns:
        Grasps best first, or none and the reason, with what became of everything that was tried.

    Raises:
        KeyError: the instance is not in the scene.
    """
    config = config or GraspConfig()
    if not is_metric:
        return GraspResult((), "not_metric")
    cloud = build_object_cloud(panoptic, instance_id, support_height_m)
    if len(cloud.points) == 0:
        return GraspResult((), "no_points")
    pairs, counts = find_pairs(cloud, config)
    placed = place_hands(pairs, cloud, config)
    found = GraspCounts(counts.sampled, counts.antipodal, counts.too_wide, placed.tried)
    if placed.tried == 0:
        return GraspResult((), "too_wide" if counts.too_wide else "no_pairs", found)
    kept = _suppress(placed.hands, placed.scores, config.max_targets)
    found = replace(
        found,
        table=placed.table,
        collision=placed.collision,
        self_collision=placed.self_collision,
        weak=placed.weak,
        kept=len(kept),
    )
    targets = tuple(_target(placed, row, panoptic, instance_id, config) for row in kept)
    methods = tuple(NAMES[placed.hands.source[row]] for row in kept)
    return GraspResult(targets, "found" if targets else _reason(found), found, methods)


def _suppress(hands: Hands, scores: np.ndarray, at_most: int) -> list[int]:
    """Rows of the best hands, none close to a better one in place and orientation (the closing direction has no sign)."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if scores[row] <= MIN_SCORE or len(kept) == at_most:
            break
        if kept:
            near = np.linalg.norm(hands.position[kept] - hands.position[row], axis=1) < _NMS_DISTANCE_M
            approach = hands.rotation[kept][:, :, 2] @ hands.rotation[row, :, 2]
            closing = np.abs(hands.rotation[kept][:, :, 0] @ hands.rotation[row, :, 0])
            same = np.minimum(approach, closing) > np.cos(np.radians(_NMS_ANGLE_DEG))
            if (near & same).any():
                continue
        kept.append(int(row))
    return kept


def _reason(counts: GraspCounts) -> str:
    """What stopped most hands."""
    stopped = {name: getattr(counts, name) for name in ("table", "collision", "self_collision", "weak")}
    most = max(stopped, key=lambda name: stopped[name])
    if counts.too_wide and not counts.collision and most == "self_collision":
        return "too_wide"
    return most


def _target(placed: PlacedHands, row: int, panoptic: Panoptic3D, instance_id: int, config: GraspConfig) -> GraspTarget:
    hands, segment = placed.hands, panoptic.segment(instance_id)
    world_from_grasp = torch.eye(4)
    world_from_grasp[:3, :3] = torch.from_numpy(_orthonormal(hands.rotation[row]))
    world_from_grasp[:3, 3] = torch.from_numpy(hands.position[row])
    return GraspTarget(
        instance_id=instance_id,
        class_id=segment.class_id,
        score=min(float(placed.scores[row]), 1.0),
        world_from_grasp=world_from_grasp,
        width_m=float(narrow_opening(hands.width[row], config)),
        pregrasp_distance_m=config.approach_distance_m,
        box=segment.box,
        stamp_ns=panoptic.stamp_ns,
        world_frame_id=panoptic.world_frame_id,
        opening_m=float(hands.opening[row]),
        object_width_m=float(hands.width[row]),
        depth_m=float(placed.contact.past[row]),
    )


def _orthonormal(rotation: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(rotation.astype(np.float64))
    nearest: np.ndarray = (left @ right).astype(np.float32)
    return nearest
