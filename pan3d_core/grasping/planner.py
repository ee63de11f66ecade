"""Grasps of one object of a labelled cloud: for two jaws here, for a suction cup in `suction`.

Pairs of surface points that lie in each other's friction cones are the candidates (antipodal grasps, Nguyen 1988; sampled on
point clouds as ten Pas et al. 2017 do), with pairs across thin walls, over rims, and across the faces of the object's box where
a side was not seen. Hands are placed around each pair, moved in as far as support, neighbours and the object itself allow, and
ranked. The grasp frame: origin between the pads (TCP), +z approach, +x closing direction.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pan3d_core.config import GraspConfig
from pan3d_core.grasping.answers import REASONS, GraspCounts, GraspResult, best_apart
from pan3d_core.grasping.contacts import NAMES, find_pairs
from pan3d_core.grasping.hand_views import hand_views
from pan3d_core.grasping.hands import narrow_opening
from pan3d_core.grasping.object_cloud import BODY_POINTS, ObjectCloud, build_object_cloud
from pan3d_core.grasping.placing import MIN_SCORE, PlacedHands, place_hands
from pan3d_core.grasping.scorer import knows_hand, shipped_scorer
from pan3d_core.grasping.suction import SUCTION_POINTS, suction_grasps
from pan3d_core.structures import GraspTarget, Panoptic3D

__all__ = ["REASONS", "GraspCounts", "GraspResult", "select_grasps"]

LEARNT = "learnt"


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
    suction = config.gripper.kind == "suction"
    cloud = build_object_cloud(panoptic, instance_id, support_height_m, SUCTION_POINTS if suction else BODY_POINTS)
    if len(cloud.points) == 0:
        return GraspResult((), "no_points")
    if suction:
        return suction_grasps(cloud, panoptic, instance_id, config)
    pairs, counts = find_pairs(cloud, config)
    placed = place_hands(pairs, cloud, config)
    found = GraspCounts(counts.sampled, counts.antipodal, counts.too_wide, counts.too_thin, placed.tried)
    if placed.tried == 0:
        return GraspResult((), "too_wide" if counts.too_wide else "too_thin" if counts.too_thin else "no_pairs", found)
    placed, order = _in_order(placed, cloud, config)
    rotation = placed.hands.rotation
    least = MIN_SCORE if order != LEARNT else 0.0
    kept = best_apart(placed.hands.position, rotation[:, :, 2], rotation[:, :, 0], placed.scores, least, config.max_targets)
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
    return GraspResult(targets, "found" if targets else _reason(found), found, methods, order)


def _in_order(placed: PlacedHands, cloud: ObjectCloud, config: GraspConfig) -> tuple[PlacedHands, str]:
    """Hands that are worth something, with the scores that they shall be ordered by, and what these are."""
    if config.order == "analytic":
        return placed, config.order
    if not knows_hand(config.gripper):
        return placed, "other hand"
    rows = np.flatnonzero(placed.scores > MIN_SCORE)
    hands, contact, scores = placed.hands[rows], placed.contact[rows], placed.scores[rows]
    likely = shipped_scorer()(hand_views(hands, contact, scores, cloud, config.gripper))
    return replace(placed, hands=hands, contact=contact, scores=likely), LEARNT


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
