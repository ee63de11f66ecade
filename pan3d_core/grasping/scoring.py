"""How good a hand is where it stands: one number from what its pads touch, where it holds the object, and from which side."""

from __future__ import annotations

import numpy as np

from pan3d_core.config import GripperConfig
from pan3d_core.grasping.contacts import PRIOR, RIM
from pan3d_core.grasping.hands import Contact, Hands
from pan3d_core.grasping.object_cloud import ObjectCloud

# All assumed, and tuned together on simulated cells.
MIN_AGREEMENT = 0.6  # cosine of the worse pad's normals; below, a hand is worth nothing
MIN_RIM_AGREEMENT = 0.3  # at rims: between pads that are upright, a plate's sloping one is held by its edge
AGREEMENT_SHARE = 0.75  # of the score that rises from there to a cosine of 1
ASIDE_M = 0.09  # horizontal lever of the object's weight at which a factor of e is lost, squared
LEVER_M = 0.4  # vertical lever that loses a factor of e
PATCH_POINTS = 3.0  # points under a pad: the share 1 - 1/e is reached at so many
ENGAGED_M = 0.02  # of the object between the pads, beyond which more is no better
ENGAGED_SHARE = 0.6  # of the score that rises up to there
TILT_COST = 0.3  # share lost by a horizontal approach
ONE_SIDED = 0.8  # factor where the surface was seen under one pad alone
ROOMY_WIDTH = 0.8  # share of the opening up to which an object is not too tight
TIGHT_FALL = 0.25  # in shares of the opening: how fast wider ones lose
MIN_WIDTH_FACTOR = 0.3
COVERED_COST = 0.6  # share lost by an object that others lie on all over: they come along or fall


def hand_scores(hands: Hands, contact: Contact, cloud: ObjectCloud, gripper: GripperConfig) -> np.ndarray:
    """Score H hands by the product of how well normals, place, size of the patches, direction and width suit.

    Args:
        hands: poses and widths.
        contact: what is between the pads of each.
        cloud: of which the centre of mass counts, and how much lies on it.
        gripper: of which the largest opening counts.

    Returns:
        (H,) float32, 0..1.
    """
    lever = cloud.center - hands.position
    aside = np.linalg.norm(lever[:, :2], axis=1)
    agreement = np.clip((contact.agreement - MIN_AGREEMENT) / (1 - MIN_AGREEMENT), 0, 1)
    width = hands.width / gripper.max_width_m
    least = np.where(hands.source == RIM, MIN_RIM_AGREEMENT, MIN_AGREEMENT)
    score = PRIOR[hands.source] * ((1 - AGREEMENT_SHARE) + AGREEMENT_SHARE * agreement) * (contact.agreement > least)
    score = score * np.exp(-((aside / ASIDE_M) ** 2)) * np.exp(-np.abs(lever[:, 2]) / LEVER_M)
    engaged = (1 - ENGAGED_SHARE) + ENGAGED_SHARE * np.clip(contact.engaged / ENGAGED_M, 0, 1)
    score = score * (1 - np.exp(-contact.patch / PATCH_POINTS)) * engaged
    tilt = np.arccos(np.clip(-hands.rotation[:, 2, 2], -1, 1))
    score = score * (1 - TILT_COST * tilt / (np.pi / 2))
    score = score * np.where(contact.both_seen, 1.0, ONE_SIDED)
    score = score * (1 - COVERED_COST * cloud.covered)
    scores: np.ndarray = (score * np.clip(1 - (width - ROOMY_WIDTH) / TIGHT_FALL, MIN_WIDTH_FACTOR, 1)).astype(np.float32)
    return scores
