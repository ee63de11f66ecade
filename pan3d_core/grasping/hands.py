"""Hands around contact pairs: how deep each may go, and what its pads would touch.

All hands are treated at once. With the grasp frame's z along the approach, a hand that sweeps in from behind meets a point of
the scene exactly when the point lies in the column of a finger (or of the palm) and not further along z than the finger's tip
(the palm's front). So the nearest point of each column gives the greatest free insertion, and no depths need to be tried.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from pan3d_core.config import GraspConfig
from pan3d_core.grasping.contacts import BOX, ContactPairs
from pan3d_core.grasping.object_cloud import ObjectCloud

_BEHIND_M = 0.25  # points this far behind the contact are out of the hand's way
_IGNORED_OWN = 2  # this many own points may lie in a finger's way: noise
_OWN_MARGIN_M = 0.003
_PATCH_M = 0.005
_MIN_PATCH = 3
_MIN_COVER_M = 0.006  # the tips must reach this far beyond the contact
_GOOD_COVER_M = 0.024  # reaching further brings nothing
_VERTICAL_AXIS = 0.95


@dataclass(frozen=True)
class Hands:
    """H hand poses; float32, metres, world frame."""

    rotation: np.ndarray  # (H, 3, 3) world_from_grasp: x closing, z approach
    position: np.ndarray  # (H, 3) TCP
    width: np.ndarray  # (H,) between the contacts
    opening: np.ndarray  # (H,) of the pads before closing
    source: np.ndarray  # (H,) kind of contact pair
    quality: np.ndarray  # (H,) of the contact pair

    def __len__(self) -> int:
        return len(self.width)

    def __getitem__(self, rows: np.ndarray) -> Hands:
        return Hands(*(getattr(self, item.name)[rows] for item in fields(self)))


def hands_around(pairs: ContactPairs, config: GraspConfig) -> Hands:
    """Approach directions around each closing axis, from straight down to the tilt limit; TCP at the contacts' middle."""
    pairs = pairs[np.abs(pairs.axes[:, 2]) < _VERTICAL_AXIS]
    down = np.array([0.0, 0.0, -1.0], np.float32)
    x = pairs.axes
    steepest = down - (x @ down)[:, None] * x
    steepest /= np.linalg.norm(steepest, axis=1, keepdims=True)
    sideways = np.cross(x, steepest)
    limit = np.radians(config.max_tilt_deg)
    angles = np.linspace(-min(limit, np.pi / 2), min(limit, np.pi / 2), 2 * (config.num_directions // 2) + 1).astype(np.float32)
    z = np.cos(angles)[None, :, None] * steepest[:, None] + np.sin(angles)[None, :, None] * sideways[:, None]
    x = np.broadcast_to(x[:, None], z.shape)
    rotation = np.stack([x, np.cross(z, x), z], axis=-1).reshape(-1, 3, 3)
    pair = np.repeat(np.arange(len(pairs)), len(angles))
    allowed = -rotation[:, 2, 2] >= np.cos(limit) - 1e-6
    rotation, pair = rotation[allowed], pair[allowed]
    width = pairs.widths[pair]
    return Hands(rotation, pairs.centers[pair], width, narrow_opening(width, config), pairs.source[pair], pairs.quality[pair])


def narrow_opening(width: np.ndarray, config: GraspConfig) -> np.ndarray:
    """Distance of the pads before closing: the object's width and clearance on both sides, as far as the hand opens."""
    return np.minimum(width + 2 * config.clearance_m, config.gripper.max_width_m)


@dataclass(frozen=True)
class FreeDepth:
    """How far each hand may move along its approach from the contacts' middle; (H,) metres, negative = must stay back."""

    table: np.ndarray
    others: np.ndarray
    own: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """The least of the three."""
        least: np.ndarray = np.minimum(np.minimum(self.table, self.others), self.own)
        return least


def free_depth(hands: Hands, cloud: ObjectCloud, config: GraspConfig) -> FreeDepth:
    """Greatest insertion before a finger or the palm touches the support, another object, or the target with the wrong part."""
    gripper, margin = config.gripper, config.collision_margin_m
    half_open = hands.opening[:, None] / 2
    outer = half_open + gripper.finger_thickness_m
    tip, palm_front = gripper.tip_beyond_tcp_m, gripper.tip_beyond_tcp_m - gripper.finger_length_m
    half_finger, half_palm = gripper.finger_breadth_m / 2, (gripper.palm_width_m / 2, gripper.palm_breadth_m / 2)

    x, y, z = _in_hand_frames(hands, cloud.obstacles)
    ahead = z > -_BEHIND_M
    in_fingers = ahead & (np.abs(x) < outer + margin) & (np.abs(y) < half_finger + margin)
    in_palm = ahead & (np.abs(x) < half_palm[0] + margin) & (np.abs(y) < half_palm[1] + margin)
    others = np.minimum(_nearest(z, in_fingers, 0) - tip, _nearest(z, in_palm, 0) - palm_front) - margin

    x, y, z = _in_hand_frames(hands, cloud.points)
    in_slabs = (np.abs(x) > half_open) & (np.abs(x) < outer) & (np.abs(y) < half_finger)
    in_palm = (np.abs(x) < half_palm[0]) & (np.abs(y) < half_palm[1])
    own = np.minimum(_nearest(z, in_slabs, _IGNORED_OWN) - tip, _nearest(z, in_palm, _IGNORED_OWN) - palm_front - _OWN_MARGIN_M)
    return FreeDepth(depth_to_support(hands, cloud, config), others, own)


def _in_hand_frames(hands: Hands, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates (H, N) x 3 of N points in the frames of H hands."""
    x, y, z = (
        hands.rotation[:, :, axis] @ points.T - np.einsum("hi,hi->h", hands.rotation[:, :, axis], hands.position)[:, None]
        for axis in range(3)
    )
    return x, y, z


def _nearest(z: np.ndarray, inside: np.ndarray, ignored: int) -> np.ndarray:
    """(H,) smallest z among the points inside, passing over the `ignored` smallest; infinite when none is left."""
    if z.shape[1] <= ignored:
        return np.full(len(z), np.inf, np.float32)
    masked = np.where(inside, z, np.inf)
    return masked.min(1) if ignored == 0 else np.partition(masked, ignored, axis=1)[:, ignored]


def depth_to_support(hands: Hands, cloud: ObjectCloud, config: GraspConfig) -> np.ndarray:
    """(H,) insertion at which the lowest corner of fingers or palm reaches the support."""
    if cloud.support_height_m is None:
        return np.full(len(hands), np.inf, np.float32)
    gripper = config.gripper
    palm_front = gripper.tip_beyond_tcp_m - gripper.finger_length_m
    reach = hands.opening / 2 + gripper.finger_thickness_m
    up = np.abs(hands.rotation[:, 2, :])
    falling = -hands.rotation[:, 2, 2]  # height lost per metre of insertion
    room = hands.position[:, 2] - cloud.support_height_m - config.collision_margin_m
    finger_room = room - up[:, 0] * reach - up[:, 1] * gripper.finger_breadth_m / 2 - falling * gripper.tip_beyond_tcp_m
    palm_room = room - up[:, 0] * gripper.palm_width_m / 2 - up[:, 1] * gripper.palm_breadth_m / 2 - falling * palm_front
    room = np.minimum(finger_room, palm_room)
    return np.where(falling > 0.05, room / np.maximum(falling, 0.05), np.where(room > 0, np.inf, -np.inf))


def insert(hands: Hands, free: np.ndarray, config: GraspConfig) -> tuple[Hands, np.ndarray]:
    """Move hands along their approach as deep as is free and useful; also (H,) bool: the tips reach past the contacts."""
    tip = config.gripper.tip_beyond_tcp_m
    depth = np.minimum(free, _GOOD_COVER_M - tip)
    reaches = depth + tip >= _MIN_COVER_M
    depth = np.where(reaches, depth, 0.0).astype(np.float32)
    position = hands.position + depth[:, None] * hands.rotation[:, :, 2]
    return replace(hands, position=position), reaches


@dataclass(frozen=True)
class Contact:
    """What lies between the pads of each hand when they close; (H,) each."""

    low: np.ndarray  # x of the surface on the -x side, metres
    high: np.ndarray  # x of the surface on the +x side
    agreement: np.ndarray  # 0..1 cosine between the worse pad's surface normals and the closing direction
    patch: np.ndarray  # points under the pad that touches fewer
    engaged: np.ndarray  # metres of the object between the pads, along the approach
    both_seen: np.ndarray  # bool: surface was seen under both pads
    past: np.ndarray  # metres that the finger tips are past the middle of the surface under the pads

    def __getitem__(self, rows: np.ndarray) -> Contact:
        return Contact(*(getattr(self, item.name)[rows] for item in fields(self)))


def contact_of(hands: Hands, cloud: ObjectCloud, config: GraspConfig) -> Contact:
    """Surface between the pads, robust to single noisy points."""
    gripper = config.gripper
    x, y, z = _in_hand_frames(hands, cloud.points)
    half_open = hands.opening[:, None] / 2
    back = gripper.tip_beyond_tcp_m - gripper.finger_length_m
    between = (np.abs(x) < half_open) & (np.abs(y) < gripper.finger_breadth_m / 2) & (z > back) & (z < gripper.tip_beyond_tcp_m)
    facing = hands.rotation[:, :, 0] @ cloud.normals.T  # (H, N) x component of the normals
    left, right = between & (facing < -0.35), between & (facing > 0.35)
    low = _robust_end(x, left, -1, -hands.width / 2)
    high = _robust_end(x, right, 1, hands.width / 2)
    under_left = left & (x < low[:, None] + _PATCH_M)
    under_right = right & (x > high[:, None] - _PATCH_M)
    count_left, count_right = under_left.sum(1), under_right.sum(1)
    agree_left = -(facing * under_left).sum(1) / np.maximum(count_left, 1)
    agree_right = (facing * under_right).sum(1) / np.maximum(count_right, 1)
    both = (count_left >= _MIN_PATCH) & (count_right >= _MIN_PATCH)
    either = np.maximum(count_left, count_right) >= _MIN_PATCH
    agreement = np.where(both, np.minimum(agree_left, agree_right), np.where(either, np.maximum(agree_left, agree_right), 0.0))
    patch = np.where(both, np.minimum(count_left, count_right), np.maximum(count_left, count_right))
    engaged = np.where(between.any(1), gripper.tip_beyond_tcp_m - low_end(z, between, 0.1), 0.0).astype(np.float32)
    touched = under_left | under_right
    past = gripper.tip_beyond_tcp_m - (z * touched).sum(1) / np.maximum(touched.sum(1), 1)
    past = np.where(touched.any(1), past, engaged / 2).astype(np.float32)  # nothing seen there: of what is between the pads
    return Contact(low, high, agreement, np.where(either, patch, 0), np.clip(engaged, 0, None), both, np.clip(past, 0, None))


def _robust_end(x: np.ndarray, rows: np.ndarray, sign: int, default: np.ndarray) -> np.ndarray:
    """(H,) the third outermost of the marked x towards `sign`, or the outermost known place when there are fewer."""
    if x.shape[1] < _MIN_PATCH:
        return default
    outward = np.where(rows, sign * x, -np.inf)
    third = -np.partition(-outward, _MIN_PATCH - 1, axis=1)[:, _MIN_PATCH - 1]
    return np.where(np.isfinite(third), sign * third, default)


def low_end(values: np.ndarray, rows: np.ndarray, share: float) -> np.ndarray:
    """Find a quantile of the marked values of every row; `np.nanquantile` goes row by row in Python.

    Args:
        values: (H, N), any unit.
        rows: (H, N) bool, those that count.
        share: The quantile, 0..1.

    Returns:
        (H,) linearly interpolated; 0 where none is marked.
    """
    count = rows.sum(1)
    ordered = np.sort(np.where(rows | (count == 0)[:, None], values, np.inf), axis=1)
    place = share * np.maximum(count - 1, 0)
    below = place.astype(int)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low, high = (np.take_along_axis(ordered, index[:, None], 1)[:, 0] for index in (below, above))
    return np.where(count > 0, low + (high - low) * (place - below), 0.0)


def recenter(hands: Hands, contact: Contact, config: GraspConfig) -> Hands:
    """Put the TCP midway between the surfaces under the pads and take over their distance."""
    seen = contact.both_seen | (hands.source == BOX)
    middle = np.where(seen, (contact.low + contact.high) / 2, 0.0)
    width = np.where(seen, np.maximum(contact.high - contact.low, 0.002), hands.width).astype(np.float32)
    position = (hands.position + middle[:, None] * hands.rotation[:, :, 0]).astype(np.float32)
    return replace(hands, position=position, width=width, opening=narrow_opening(width, config))
