"""Hands around contact pairs: how deep each may go, and what its pads would touch.

All hands are treated at once. With the grasp frame's z along the approach, a hand that sweeps in from behind meets a point of
the scene exactly when the point lies in the column of a finger (or of the palm) and not further along z than the finger's tip
(the palm's front). So the nearest point of each column gives the greatest free insertion, and no depths need to be tried.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from pan3d_core.config import GraspConfig, GripperConfig
from pan3d_core.grasping.contacts import BOX, ContactPairs
from pan3d_core.grasping.object_cloud import ObjectCloud

_BEHIND_M = 0.25  # points this far behind the contact are out of the hand's way
IGNORED_OWN = 2  # this many own points may be grazed by a finger: noise
_STRAY = 1  # likewise in the palm's way, where surfaces are seen end on
_GRAZED_M = 0.003  # what lies further than this behind a pad's face is in the finger's way, and no noise
_OWN_MARGIN_M = 0.003
_PATCH_M = 0.005
_MIN_PATCH = 3
_MIN_COVER_M = 0.006  # the tips must reach this far beyond the contact
_GOOD_COVER_M = 0.024  # reaching further brings nothing
_VERTICAL_AXIS = 0.95
_HANDS_AT_ONCE = 128  # so that their coordinates stay in the processor's cache


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


def free_depth(hands: Hands, cloud: ObjectCloud, config: GraspConfig, at_least: float, ignored: int = IGNORED_OWN) -> FreeDepth:
    """Find the greatest insertion before a finger or the palm touches the support, another object, or the target with the wrong
    part.

    Args:
        hands: TCP at the middle of the contacts.
        cloud: the object and what is around it.
        config: hand and margins.
        at_least: hands that one of these holds back further than this are not compared with the next: free, for all that is told.
        ignored: so many own points may be grazed by a finger.

    Returns:
        Metres for each hand; infinite where nothing was met.
    """
    table = depth_to_support(hands, cloud, config)
    others, own = np.full(len(hands), np.inf, np.float32), np.full(len(hands), np.inf, np.float32)
    left = np.flatnonzero(table >= at_least)
    others[left] = _depth_to_others(hands[left], cloud.obstacles, config)
    left = left[others[left] >= at_least]
    own[left] = _depth_to_own(hands[left], cloud.body, config.gripper, ignored)
    return FreeDepth(table, others, own)


def least_depth(gripper: GripperConfig) -> float:
    """Insertion in metres, mostly negative, from which the tips get far enough past the contacts."""
    return _MIN_COVER_M - gripper.tip_beyond_tcp_m


def _depth_to_others(hands: Hands, obstacles: np.ndarray, config: GraspConfig) -> np.ndarray:
    gripper, margin = config.gripper, config.collision_margin_m
    near = _swept(hands, obstacles, gripper, margin)
    half_open = hands.opening[near.hand] / 2
    in_palm = (near.aside < gripper.palm_width_m / 2 + margin) & (near.across < gripper.palm_breadth_m / 2 + margin)
    room = near[in_palm].nearest(0) - _palm_front(gripper)
    for part in finger_parts(gripper):
        inside = (near.aside < half_open + part.thickness_m + margin) & (near.across < part.breadth_m / 2 + margin)
        room = np.minimum(room, near[inside].nearest(0) - part.front_m)
    return room - margin


def _depth_to_own(hands: Hands, body: np.ndarray, gripper: GripperConfig, ignored: int) -> np.ndarray:
    near = _swept(hands, body, gripper, 0.0)
    outward = near.aside - hands.opening[near.hand] / 2
    grazed = outward < _GRAZED_M
    in_palm = (near.aside < gripper.palm_width_m / 2) & (near.across < gripper.palm_breadth_m / 2)
    room: np.ndarray = near[in_palm].nearest(_STRAY) - _palm_front(gripper) - _OWN_MARGIN_M
    for part in finger_parts(gripper):
        inside = (outward > 0) & (outward < part.thickness_m) & (near.across < part.breadth_m / 2)
        first = np.minimum(near[inside & grazed].nearest(ignored), near[inside & ~grazed].nearest(0))
        room = np.minimum(room, first - part.front_m)
    return room


@dataclass(frozen=True)
class FingerPart:
    """A box of both fingers that sweeps in from behind; metres."""

    thickness_m: float  # along the closing direction
    breadth_m: float  # across closing and approach
    front_m: float  # where it ends along the approach, from the TCP


def finger_parts(gripper: GripperConfig) -> tuple[FingerPart, ...]:
    """The fingers as boxes: the tips, and where these are slimmer what is behind them."""
    tip = gripper.fingertip
    whole = FingerPart(gripper.finger_thickness_m, gripper.finger_breadth_m, gripper.tip_beyond_tcp_m - tip.length_m)
    return (FingerPart(tip.thickness_m, tip.breadth_m, gripper.tip_beyond_tcp_m), whole) if tip.length_m else (whole,)


def _palm_front(gripper: GripperConfig) -> float:
    return gripper.tip_beyond_tcp_m - gripper.finger_length_m


@dataclass(frozen=True)
class _Beside:
    """Points in the columns that hands sweep, as P pairs of hand and point, by hand."""

    count: int  # of hands
    hand: np.ndarray  # (P,) ascending
    aside: np.ndarray  # (P,) metres from the middle along the closing direction
    across: np.ndarray  # (P,) metres from the middle across closing and approach
    z: np.ndarray  # (P,) along the approach

    def __getitem__(self, rows: np.ndarray) -> _Beside:
        return _Beside(self.count, self.hand[rows], self.aside[rows], self.across[rows], self.z[rows])

    def nearest(self, ignored: int) -> np.ndarray:
        """(H,) smallest z of each hand's points, passing over the `ignored` smallest; infinite when none is left."""
        found = np.full(self.count, np.inf, np.float32)
        first = np.flatnonzero(np.diff(self.hand, prepend=-1))
        if len(first) == 0:
            return found
        owner, z = self.hand[first], self.z
        least = np.minimum.reduceat(z, first)
        for _ in range(ignored):
            found[owner] = least
            z = np.where(z > found[self.hand], z, np.inf)
            least = np.minimum.reduceat(z, first)
        found[owner] = least
        return found


def _swept(hands: Hands, points: np.ndarray, gripper: GripperConfig, margin: float) -> _Beside:
    """Points within `margin` of where fingers and palm of each hand can get, seen along the approach."""
    boxes = finger_parts(gripper)
    thickness_m, breadth_m = max(part.thickness_m for part in boxes), max(part.breadth_m for part in boxes)
    aside = np.maximum(gripper.palm_width_m / 2, hands.opening / 2 + thickness_m) + margin
    across, ahead = max(gripper.palm_breadth_m, breadth_m) / 2 + margin, _GOOD_COVER_M + margin
    axes = hands.rotation.transpose(0, 2, 1)
    frames = np.concatenate([axes, -np.einsum("hij,hj->hi", axes, hands.position)[:, :, None]], axis=2)  # hand_from_world
    homogeneous = np.concatenate([points.T, np.ones((1, len(points)))]).astype(np.float32)
    parts = []
    for start in range(0, len(hands), _HANDS_AT_ONCE):
        rows = slice(start, start + _HANDS_AT_ONCE)
        x, y, z = (frames[rows, axis] @ homogeneous for axis in range(3))
        np.abs(x, out=x)
        np.abs(y, out=y)
        beside = np.flatnonzero((y < across) & (x < aside[rows, None]) & (z > -_BEHIND_M) & (z < ahead))
        parts.append((beside // len(points) + start, *(values.ravel()[beside] for values in (x, y, z))))
    columns = [np.concatenate(column) for column in zip(*parts)] if parts else [np.zeros(0, int), *[np.zeros(0, np.float32)] * 3]
    return _Beside(len(hands), *columns)


def _in_hand_frames(hands: Hands, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates (H, N) x 3 of N points in the frames of H hands."""
    x, y, z = (
        hands.rotation[:, :, axis] @ points.T - np.einsum("hi,hi->h", hands.rotation[:, :, axis], hands.position)[:, None]
        for axis in range(3)
    )
    return x, y, z


def depth_to_support(hands: Hands, cloud: ObjectCloud, config: GraspConfig) -> np.ndarray:
    """(H,) insertion at which the lowest corner of fingers or palm reaches the support."""
    if cloud.support_height_m is None:
        return np.full(len(hands), np.inf, np.float32)
    gripper = config.gripper
    up = np.abs(hands.rotation[:, 2, :])
    falling = -hands.rotation[:, 2, 2]  # height lost per metre of insertion
    room = hands.position[:, 2] - cloud.support_height_m - config.collision_margin_m
    left = room - up[:, 0] * gripper.palm_width_m / 2 - up[:, 1] * gripper.palm_breadth_m / 2 - falling * _palm_front(gripper)
    for part in finger_parts(gripper):
        reach = hands.opening / 2 + part.thickness_m
        left = np.minimum(left, room - up[:, 0] * reach - up[:, 1] * part.breadth_m / 2 - falling * part.front_m)
    return np.where(falling > 0.05, left / np.maximum(falling, 0.05), np.where(left > 0, np.inf, -np.inf))


def insert(hands: Hands, free: np.ndarray, config: GraspConfig) -> tuple[Hands, np.ndarray]:
    """Move hands along their approach as deep as is free and useful; also (H,) bool: the tips reach past the contacts."""
    tip = config.gripper.tip_beyond_tcp_m
    depth = np.minimum(free, _GOOD_COVER_M - tip)
    reaches = depth >= least_depth(config.gripper)
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
    tip = finger_parts(gripper)[0]
    back = tip.front_m - (gripper.fingertip.length_m or gripper.finger_length_m)
    between = (np.abs(x) < half_open) & (np.abs(y) < tip.breadth_m / 2) & (z > back) & (z < tip.front_m)
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
