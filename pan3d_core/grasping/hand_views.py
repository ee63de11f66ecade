"""What a hand has before it, as a learnt scorer reads it: points around it in its own frame, and what the search knows of it.

Nothing here depends on where in the world the scene lies or how it is turned.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.spatial import cKDTree

from pan3d_core.config import GripperConfig
from pan3d_core.grasping.contacts import NAMES
from pan3d_core.grasping.hands import Contact, Hands
from pan3d_core.grasping.object_cloud import ObjectCloud

OWN_POINTS, OTHER_POINTS = 96, 64
# Of the hand's frame (x closing, z approach): half sizes along x and y, from and to along z, metres.
_OWN_ROOM = (0.060, 0.030, -0.060, 0.035)
_OTHER_ROOM = (0.100, 0.070, -0.120, 0.060)
_BESIDE_M = 0.008  # of an object's surface to something else: they touch, or nearly
_HIGH_M = 0.20  # further above the support than this is no different
TERMS = (
    "score", "quality", "width", "opening", "agreement", "patch", "engaged", "both_seen", "past", "covered", "beside", "seen",
    "height", "supported", "up_x", "up_y", "up_z", "lever_x", "lever_y", "lever_z", "size_long", "size_middle", "size_short",
    "own_count", "other_count", *NAMES,
)  # fmt: skip


@dataclass(frozen=True)
class HandViews:
    """What H hands have before them; float32, metres, each in its hand's own frame; rows of no point are 0."""

    own: np.ndarray  # (H, OWN_POINTS, 7) of the object: place, outward normal, 1 = seen and 0 = guessed
    other: np.ndarray  # (H, OTHER_POINTS, 3) of everything else but the support
    own_count: np.ndarray  # (H,) rows of `own` that are points
    other_count: np.ndarray  # (H,) likewise
    terms: np.ndarray  # (H, len(TERMS))

    def __len__(self) -> int:
        return len(self.terms)

    def __getitem__(self, rows: np.ndarray) -> HandViews:
        return HandViews(*(getattr(self, item.name)[rows] for item in fields(self)))


def hand_views(hands: Hands, contact: Contact, scores: np.ndarray, cloud: ObjectCloud, gripper: GripperConfig) -> HandViews:
    """Cut out what lies around each hand.

    Args:
        hands: H poses and widths.
        contact: What is between the pads of each.
        scores: (H,) of the analytic ranking.
        cloud: The object and what is around it.
        gripper: Of which the largest opening counts.

    Returns:
        One row for each hand.
    """
    own, own_count = _around(hands, cloud.body, _OWN_ROOM, OWN_POINTS)
    other, other_count = _around(hands, cloud.obstacles, _OTHER_ROOM, OTHER_POINTS)
    normals = np.concatenate([cloud.body_normals, np.zeros((1, 3), np.float32)])[own]
    seen = np.append(np.arange(len(cloud.body)) < cloud.body_seen, False)[own]
    normals = np.einsum("hki,hij->hkj", normals, hands.rotation)
    return HandViews(
        np.concatenate([_in_hand(hands, cloud.body, own), normals, seen[:, :, None]], axis=2).astype(np.float32),
        _in_hand(hands, cloud.obstacles, other),
        own_count,
        other_count,
        _terms(hands, contact, scores, cloud, gripper, (own_count, other_count)),
    )


def _around(
    hands: Hands, points: np.ndarray, room: tuple[float, float, float, float], most: int
) -> tuple[np.ndarray, np.ndarray]:
    """(H, most) rows of `points` in the room before each hand, evenly chosen, `len(points)` where there are no more; (H,) how
    many."""
    if len(points) == 0 or len(hands) == 0:
        return np.full((len(hands), most), len(points)), np.zeros(len(hands), int)
    reach = float(np.linalg.norm([room[0], room[1], max(-room[2], room[3])]))
    near = np.flatnonzero((points > hands.position.min(0) - reach).all(1) & (points < hands.position.max(0) + reach).all(1))
    x, y, z = (
        hands.rotation[:, :, axis] @ points[near].T - np.einsum("hi,hi->h", hands.rotation[:, :, axis], hands.position)[:, None]
        for axis in range(3)
    )
    inside = (np.abs(x) < room[0]) & (np.abs(y) < room[1]) & (z > room[2]) & (z < room[3])
    count = inside.sum(1)
    first = np.cumsum(count) - count
    slot = np.arange(most)[None]
    step = np.where(count[:, None] > most, slot * count[:, None] // most, slot)
    flat = np.append(np.flatnonzero(inside.ravel()) % max(len(near), 1), 0)
    rows = near[flat[np.minimum(first[:, None] + step, len(flat) - 1)]] if len(near) else np.zeros((len(hands), most), int)
    kept = np.minimum(count, most)
    return np.where(slot < kept[:, None], rows, len(points)), kept


def _in_hand(hands: Hands, points: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(H, K, 3) chosen points in the frames of their hands; zeros where a row is no point."""
    world = np.concatenate([points, np.zeros((1, 3), np.float32)])[rows]
    local = np.einsum("hki,hij->hkj", world - hands.position[:, None], hands.rotation)
    placed: np.ndarray = np.where((rows < len(points))[:, :, None], local, 0.0).astype(np.float32)
    return placed


def _terms(
    hands: Hands,
    contact: Contact,
    scores: np.ndarray,
    cloud: ObjectCloud,
    gripper: GripperConfig,
    counts: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """(H, T) numbers of about the same size, in the order of `TERMS`."""
    ones = np.ones(len(hands), np.float32)
    support = cloud.support_height_m
    height = ones if support is None else np.clip((hands.position[:, 2] - support) / _HIGH_M, 0, 1)
    lever = np.einsum("hi,hij->hj", cloud.center - hands.position, hands.rotation) / 0.1
    size = np.sort(cloud.box.size_m.cpu().numpy())[::-1] / 0.1
    columns = (
        scores, hands.quality, hands.width / gripper.max_width_m, hands.opening / gripper.max_width_m, contact.agreement,
        np.minimum(contact.patch / 10.0, 2.0), contact.engaged / 0.05, contact.both_seen, contact.past / 0.03,
        cloud.covered * ones, _beside(cloud) * ones, cloud.body_seen / max(len(cloud.body), 1) * ones,
        height, (support is not None) * ones, *hands.rotation[:, 2, :].T, *lever.T, *(value * ones for value in size),
        counts[0] / OWN_POINTS, counts[1] / OTHER_POINTS,
        *(hands.source == index for index in range(len(NAMES))),
    )  # fmt: skip
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def _beside(cloud: ObjectCloud) -> float:
    """Share of the object's surface that something else touches, or nearly."""
    if len(cloud.body) == 0 or len(cloud.obstacles) == 0:
        return 0.0
    apart = np.asarray(cKDTree(cloud.obstacles).query(cloud.body, distance_upper_bound=_BESIDE_M)[0])
    return float((apart < _BESIDE_M).mean())
