"""Hands placed around contact pairs: as deep as is free, ranked, then the best ones settled on what their pads touch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pan3d_core.config import GraspConfig
from pan3d_core.grasping.contacts import ContactPairs
from pan3d_core.grasping.hands import (
    Contact,
    FreeDepth,
    Hands,
    contact_of,
    depth_to_support,
    free_depth,
    hands_around,
    insert,
    least_depth,
    recenter,
)
from pan3d_core.grasping.object_cloud import ObjectCloud
from pan3d_core.grasping.scoring import hand_scores

MIN_SCORE = 0.05  # hands that are worth no more are no grasps
_FINALISTS = 160  # so many are settled
_WIDE_MARGIN_M = 0.006  # more than the collision margin that jaws need to open wider than the object asks for
_MAX_BACK_M = 0.004  # hands that must go back further after they were centred do not hold what they were meant to


@dataclass(frozen=True)
class PlacedHands:
    """Hands that hold the object, and what became of the others."""

    hands: Hands
    contact: Contact
    scores: np.ndarray  # (H,) 0..1
    tried: int
    table: int  # hands stopped first by the support,
    collision: int  # by other things,
    self_collision: int  # by the object itself
    weak: int  # hands that reach their contacts but hold nothing well


def place_hands(pairs: ContactPairs, cloud: ObjectCloud, config: GraspConfig) -> PlacedHands:
    """Place hands around all pairs and settle the best of those that are free.

    Args:
        pairs: places for the two pads, world frame.
        cloud: the object and what is around it.
        config: hand, directions and margins.

    Returns:
        The settled hands with their scores, some of which may be below `MIN_SCORE`.
    """
    hands = hands_around(pairs, config)
    free = free_depth(hands, cloud, config, least_depth(config.gripper))
    placed, reaches = insert(hands, free.total, config)
    hands = placed[reaches]
    contact = contact_of(hands, cloud, config)
    scores = hand_scores(hands, contact, cloud, config.gripper)
    best = np.argsort(-scores, kind="stable")[:_FINALISTS]
    best = best[scores[best] > MIN_SCORE]
    hands, contact = _settled(hands[best], contact[best], cloud, config)
    scores = hand_scores(hands, contact, cloud, config.gripper)
    weak = int(reaches.sum()) - int((scores > MIN_SCORE).sum())
    return PlacedHands(hands, contact, scores, len(placed), *_stopped_by(free, reaches), weak)


def _stopped_by(free: FreeDepth, reaches: np.ndarray) -> tuple[int, int, int]:
    """How many of the hands that do not reach were stopped by the support, by others and by the object itself."""
    first = np.stack([free.table, free.others, free.own]).argmin(0)[~reaches]
    table, others, own = np.bincount(first, minlength=3).tolist()
    return table, others, own


def _settled(hands: Hands, contact: Contact, cloud: ObjectCloud, config: GraspConfig) -> tuple[Hands, Contact]:
    """Centre the hands on what their pads will touch, and check them again where they then are, with what they touch there."""
    hands = recenter(hands, contact, config)
    gripper = config.gripper
    hands = hands[(hands.width <= gripper.max_width_m * config.max_width_fraction) & (hands.width >= gripper.min_width_m)]
    free = free_depth(hands, cloud, config, -_MAX_BACK_M).total
    hands, free = hands[free >= -_MAX_BACK_M], free[free >= -_MAX_BACK_M]
    back = np.minimum(free, 0.0).astype(np.float32)
    hands = replace(hands, position=hands.position + back[:, None] * hands.rotation[:, :, 2])
    # Measured surfaces end a little before the true ones, so the jaws open as wide as there is room.
    wide = replace(hands, opening=np.full_like(hands.width, gripper.max_width_m))
    careful = replace(config, collision_margin_m=min(config.collision_margin_m + _WIDE_MARGIN_M, 0.1))
    room = free_depth(wide, replace(cloud, support_height_m=None), careful, 0.0, ignored=0)
    has_room = (room.total >= 0) & (depth_to_support(wide, cloud, config) >= 0)
    hands = replace(hands, opening=np.where(has_room, wide.opening, hands.opening))
    return hands, contact_of(hands, cloud, config)
