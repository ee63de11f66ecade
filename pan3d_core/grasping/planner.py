"""Grasps for a parallel-jaw hand on one object of a labelled cloud.

Pairs of surface points that lie in each other's friction cones are the candidates (antipodal grasps, Nguyen 1988; sampled on
point clouds as ten Pas et al. 2017 do), with pairs across thin walls, over rims, and across the faces of the object's box where
a side was not seen. Hands are placed around each pair, moved in as far as support, neighbours and the object itself allow, and
ranked. The grasp frame: origin between the pads (TCP), +z approach, +x closing direction.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from pan3d_core.config import GraspConfig
from pan3d_core.grasping.contacts import NAMES, PRIOR, find_pairs
from pan3d_core.grasping.hands import Contact, FreeDepth, Hands, contact_of, free_depth, hands_around, insert, recenter
from pan3d_core.grasping.object_cloud import ObjectCloud, build_object_cloud
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
_FINALISTS = 160
_MIN_SCORE = 0.05
_NMS_DISTANCE_M, _NMS_ANGLE_DEG = 0.02, 30.0
_MIN_AGREEMENT = 0.6
_WIDE_MARGIN_M = 0.006


@dataclass(frozen=True)
class GraspResult:
    """Ranked grasps of one object, or why there are none."""

    targets: tuple[GraspTarget, ...]  # best first
    reason: str  # key of `REASONS`
    counters: dict[str, int] = field(
        default_factory=dict
    )  # sampled, antipodal, too_wide, hands, table, collision, self_collision, weak, kept
    methods: tuple[str, ...] = ()  # per target: antipodal, wall, rim or box (the last one means that a side was not seen)

    @property
    def message(self) -> str:
        """The reason as a sentence, with the counters."""
        numbers = ", ".join(f"{name} {count}" for name, count in self.counters.items())
        return f"{REASONS[self.reason]} ({numbers})" if numbers else REASONS[self.reason]


def select_grasps(
    panoptic: Panoptic3D,
    instance_id: int,
    config: GraspConfig | None = None,
    support_height_m: float | None = None,
    *,
    is_metric: bool = True,
) -> GraspResult:
    """Grasps of one instance, best first.

    Args:
        panoptic: the scene; points and normals in metres, world z up.
        support_height_m: world z of the surface that objects stand on; None = unknown, the hand is then not kept off it.
        is_metric: `Reconstruction.is_metric`; without metric scale nothing is offered.

    Raises `KeyError` when the instance is not in the scene.
    """
    config = config or GraspConfig()
    if not is_metric:
        return GraspResult((), "not_metric")
    cloud = build_object_cloud(panoptic, instance_id, support_height_m)
    if len(cloud.points) == 0:
        return GraspResult((), "no_points")
    pairs, counts = find_pairs(cloud, config)
    counters = {"sampled": counts.sampled, "antipodal": counts.antipodal, "too_wide": counts.too_wide}
    hands = hands_around(pairs, config)
    counters["hands"] = len(hands)
    if len(hands) == 0:
        return GraspResult((), "too_wide" if counts.too_wide else "no_pairs", counters)
    hands, rejected = _fit(hands, cloud, config)
    counters |= rejected
    contact = contact_of(hands, cloud, config)
    scores = _scores(hands, contact, cloud, config)
    best = np.argsort(-scores, kind="stable")[:_FINALISTS]
    hands, scores = _settle(hands[best[scores[best] > _MIN_SCORE]], cloud, config)
    kept = _suppress(hands, scores, config.max_targets)
    counters |= {"weak": rejected["free"] - int((scores > _MIN_SCORE).sum()), "kept": len(kept)}
    del counters["free"]
    targets = tuple(_target(hands, row, float(scores[row]), panoptic, instance_id, config) for row in kept)
    methods = tuple(NAMES[hands.source[row]] for row in kept)
    return GraspResult(targets, "found" if targets else _reason(counters), counters, methods)


def _fit(hands: Hands, cloud: ObjectCloud, config: GraspConfig) -> tuple[Hands, dict[str, int]]:
    """Insert the hands, drop those that cannot reach their contacts, and count what stopped them."""
    free = free_depth(hands, cloud, config)
    placed, reaches = insert(hands, free.total, config)
    return placed[reaches], {**_blockers(free, reaches), "free": int(reaches.sum())}


def _blockers(free: FreeDepth, reaches: np.ndarray) -> dict[str, int]:
    first = np.stack([free.table, free.others, free.own]).argmin(0)[~reaches]
    return {name: int((first == index).sum()) for index, name in enumerate(("table", "collision", "self_collision"))}


def _settle(hands: Hands, cloud: ObjectCloud, config: GraspConfig) -> tuple[Hands, np.ndarray]:
    """Centre the hands on what their pads will touch, and check and score them again where they then are."""
    hands = recenter(hands, contact_of(hands, cloud, config), config)
    hands = hands[hands.width <= config.gripper.max_width_m * config.max_width_fraction]
    free = free_depth(hands, cloud, config).total
    hands, free = hands[free >= -0.004], free[free >= -0.004]
    back = np.minimum(free, 0.0).astype(np.float32)
    hands = replace(hands, position=hands.position + back[:, None] * hands.rotation[:, :, 2])
    # Measured surfaces end a little before the true ones, so the jaws open as wide as there is room.
    wide = replace(hands, opening=np.full_like(hands.width, config.gripper.max_width_m))
    careful = replace(config, collision_margin_m=min(config.collision_margin_m + _WIDE_MARGIN_M, 0.1))
    room = free_depth(wide, cloud, careful)
    has_room = (room.others >= 0) & (room.own >= 0) & (free_depth(wide, cloud, config).table >= 0)
    hands = replace(hands, opening=np.where(has_room, wide.opening, hands.opening))
    return hands, _scores(hands, contact_of(hands, cloud, config), cloud, config)


def _scores(hands: Hands, contact: Contact, cloud: ObjectCloud, config: GraspConfig) -> np.ndarray:
    """(H,) 0..1: product of how well the normals, the place, the size of the patches, the direction and the width suit."""
    lever = cloud.center - hands.position
    aside = np.linalg.norm(lever[:, :2], axis=1)
    agreement = np.clip((contact.agreement - _MIN_AGREEMENT) / (1 - _MIN_AGREEMENT), 0, 1)
    width = hands.width / config.gripper.max_width_m
    score = PRIOR[hands.source] * (0.25 + 0.75 * agreement) * (contact.agreement > _MIN_AGREEMENT)
    score = score * np.exp(-((aside / 0.09) ** 2)) * np.exp(-np.abs(lever[:, 2]) / 0.4)
    score = score * (1 - np.exp(-contact.patch / 3.0)) * (0.4 + 0.6 * np.clip(contact.engaged / 0.02, 0, 1))
    tilt = np.arccos(np.clip(-hands.rotation[:, 2, 2], -1, 1))
    score = score * (1 - 0.3 * tilt / (np.pi / 2))
    score = score * np.where(contact.both_seen, 1.0, 0.8)
    return (score * np.clip(1 - (width - 0.8) / 0.25, 0.3, 1)).astype(np.float32)


def _suppress(hands: Hands, scores: np.ndarray, at_most: int) -> list[int]:
    """Rows of the best hands, none close to a better one in place and orientation (the closing direction has no sign)."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if scores[row] <= _MIN_SCORE or len(kept) == at_most:
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


def _reason(counters: dict[str, int]) -> str:
    """What stopped most hands."""
    stopped = {name: counters[name] for name in ("table", "collision", "self_collision", "weak")}
    most = max(stopped, key=lambda name: stopped[name])
    if counters["too_wide"] and not counters["collision"] and most == "self_collision":
        return "too_wide"
    return most


def _target(hands: Hands, row: int, score: float, panoptic: Panoptic3D, instance_id: int, config: GraspConfig) -> GraspTarget:
    segment = panoptic.segment(instance_id)
    world_from_grasp = torch.eye(4)
    world_from_grasp[:3, :3] = torch.from_numpy(_orthonormal(hands.rotation[row]))
    world_from_grasp[:3, 3] = torch.from_numpy(hands.position[row])
    return GraspTarget(
        instance_id=instance_id,
        class_id=segment.class_id,
        score=min(score, 1.0),
        world_from_grasp=world_from_grasp,
        width_m=float(hands.opening[row]),
        pregrasp_distance_m=config.approach_distance_m,
        box=segment.box,
        stamp_ns=panoptic.stamp_ns,
        world_frame_id=panoptic.world_frame_id,
    )


def _orthonormal(rotation: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(rotation.astype(np.float64))
    return (left @ right).astype(np.float32)
