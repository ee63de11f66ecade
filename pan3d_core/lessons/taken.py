"""The pixels of the one object that was taken away between two looks, or why that cannot be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy import ndimage

from pan3d_core.config import LessonConfig
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.lessons.differences import Difference, Floats, Mask, difference, outlined
from pan3d_core.lessons.looks import Look, moved_camera
from pan3d_core.lessons.volumes import Evidence, box_volume, changed_volume

SAME_PIXELS = 0.5  # intrinsics that differ by more pixels are of another lens or size
CLOSE_PX, FARTHER_PX = 2, 3
BESIDE_PX = 12  # what changed farther from the object makes its mask no worse,
MOST_ELSEWHERE = 2.0  # as long as it is not so many times the object's pixels: then shadows of all things went elsewhere
THICK = 0.5  # share of a mask that is left of it without its rim, at least
NEARER_M = 0.01  # a guessed surface that is nearer by more has come nearer


class Shown(str, Enum):
    """What two looks show."""

    ONE_OBJECT = "one_object"
    NO_CHANGE = "no_change"  # it was looked, and the place looks as before
    SEVERAL_MOVED = "several_moved"  # more than one object is elsewhere than before
    LIGHT_CHANGED = "light_changed"  # most of the pictures look otherwise
    COULD_NOT_LOOK = "could_not_look"  # the two cannot be compared


@dataclass(frozen=True)
class Taken:
    """What was taken. Masks are per view of the earlier look, (H, W) each, and empty unless one object is shown."""

    shown: Shown
    message: str
    masks: tuple[Mask, ...] = ()  # the object
    doubt: tuple[Mask, ...] = ()  # the object or something else
    points: Floats | None = None  # (N, 3) metres, world: space that it took up at most


def object_taken(
    before: Look, after: Look, taken: OrientedBox, put: OrientedBox | None = None, config: LessonConfig | None = None
) -> Taken:
    """Find the pixels of an object that was taken away.

    Args:
        before: The look before.
        after: The look after, by the same cameras from the same places.
        taken: Where the object was believed to be; it may hold neighbours, too.
        put: Where it was put, if it was put in sight.
        config: None = the defaults.

    Returns:
        Its masks, or why there are none. Nothing is raised for looks that cannot be compared: the answer says what came.
    """
    config = config or LessonConfig()
    if problem := _not_comparable(before, after, config):
        return Taken(Shown.COULD_NOT_LOOK, problem)
    usable = [_usable(before, after, index) for index in range(len(before.views))]
    place = box_volume(taken, config.around_m, _lowest(before, config))
    in_sight = [place.seen_in(view) & free for view, free in zip(before.views, usable)]
    seeing = sum(mask.sum() >= config.min_pixels for mask in in_sight)
    if seeing < config.min_views:
        words = (
            f"the object's place is in sight of {seeing} views, of at least {config.min_views}: it is outside or behind the robot"
        )
        return Taken(Shown.COULD_NOT_LOOK, words)
    compared = zip(before.views, after.views, usable, map(before.ground_pixels, range(len(usable))))
    seen = [difference(first, second, free, ground, config) for first, second, free, ground in compared]
    if (share := float(np.median([item.share for item in seen]))) > config.changed_share:
        words = f"{share:.0%} of the pictures look otherwise than before: another light, or cameras or table were moved"
        return Taken(Shown.LIGHT_CHANGED, words)
    elsewhere = [_put_pixels(before, index, put, config) for index in range(len(seen))]
    return _of_changes(before, after, seen, elsewhere, taken, config)


def _of_changes(
    before: Look, after: Look, seen: Sequence[Difference], put: Sequence[Mask], taken: OrientedBox, config: LessonConfig
) -> Taken:
    views = before.views
    solid = [_solid(item.changed & ~item.shaded) & ~item.shadow for item in seen]
    changed = [_solid(item.changed) | inside for item, inside in zip(seen, solid)]
    evidence = [
        Evidence(view, one, item.usable & ~away, surface)
        for view, one, item, away, surface in zip(views, changed, seen, put, before.surface_m)
    ]
    volume = changed_volume(evidence, taken, config.around_m, _lowest(before, config), config.min_views)
    behind = [volume.seen_in(view) for view in views]
    masks = [outlined(where & one & ~away, item) for where, one, away, item in zip(behind, solid, put, seen)]
    masks = [mask if mask.sum() >= config.min_pixels else np.zeros_like(mask) for mask in masks]
    count = sum(mask.any() for mask in masks)
    far = [one & ~_grown(where, FARTHER_PX) & ~away for one, where, away in zip(solid, behind, put)]
    if count < config.min_views:
        moved = sum(int(mask.sum()) for mask in far)
        words = f"the object's place looks as before in all but {count} views; {moved} pixels changed elsewhere"
        return Taken(Shown.NO_CHANGE, words)
    if problem := _several(masks, far, before, after, seen, config):
        return Taken(Shown.SEVERAL_MOVED, problem)
    doubt = tuple(
        (_grown(mask | (where & one), 1) & ~_core(mask)) | _grown(other, 1)
        for where, one, mask, other in zip(behind, changed, masks, far)
    )
    words = f"{count} of {len(views)} views show the object, {sum(int(mask.sum()) for mask in masks)} pixels"
    return Taken(Shown.ONE_OBJECT, words, tuple(masks), doubt, volume.points)


def _several(
    masks: Sequence[Mask], far: Sequence[Mask], before: Look, after: Look, seen: Sequence[Difference], config: LessonConfig
) -> str:
    """Why more than one object moved; empty = it is one as far as can be seen."""
    shares = [float((other & _grown(mask, BESIDE_PX)).sum() / mask.sum()) for mask, other in zip(masks, far) if mask.any()]
    if (share := float(np.median(shares))) > config.elsewhere_share:
        return f"beside the object so much changed as {share:.0%} of its pixels: something else moved, too"
    everywhere = float(np.median([other.sum() / mask.sum() for mask, other in zip(masks, far) if mask.any()]))
    if everywhere > MOST_ELSEWHERE:
        return f"elsewhere {everywhere:.1f} times as many pixels changed as show the object: another light, or other things moved"
    nearer = []
    for index, mask in enumerate(masks):
        first, second = before.surface_m[index], after.surface_m[index]
        if not mask.any() or first is None or second is None:
            continue
        known = mask & (first > 0) & (second > 0)
        measured = before.views[index].depth is not None and after.views[index].depth is not None
        came = seen[index].nearer if measured else second - first < -NEARER_M
        nearer.append(float((came & known).sum() / max(int(known.sum()), 1)))
    if nearer and (share := float(np.median(nearer))) > config.nearer_share:
        return f"in {share:.0%} of the changed pixels something is nearer than before: something else came there"
    return ""


def _not_comparable(before: Look, after: Look, config: LessonConfig) -> str:
    """What keeps two looks from being compared; empty = nothing."""
    if len(before.views) != len(after.views):
        return f"views: expected as many after as before, {len(before.views)}, got {len(after.views)}"
    if len(before.views) < config.min_views:
        return f"views: expected at least {config.min_views}, got {len(before.views)}"
    for first, second in zip(before.views, after.views):
        if first.camera != second.camera:
            return f"views: expected the same cameras in the same order, got {first.camera} before and {second.camera} after"
        if first.hw != second.hw:
            was, now = (f"{width} x {height}" for height, width in (first.hw, second.hw))
            return f"camera {first.camera}: image: expected the size that it had before, {was}, got {now}"
        for name in ("intrinsics", "cam_from_world"):
            if getattr(first, name) is None or getattr(second, name) is None:
                return f"camera {first.camera}: {name}: expected it before and after, got none"
        lens = float((first.calibration()[0] - second.calibration()[0]).abs().max())
        if lens > SAME_PIXELS:
            return f"camera {first.camera}: intrinsics: expected those of before, got others by {lens:.1f} pixels"
        metres, degrees = moved_camera(first, second)
        if metres > config.camera_step_m or degrees > config.camera_turn_deg:
            return f"camera {first.camera} moved by {1000 * metres:.0f} mm and {degrees:.1f} degrees between the two looks"
    return ""


def _usable(before: Look, after: Look, index: int) -> Mask:
    free = np.ones(before.views[index].hw, bool)
    for look in (before, after):
        if (robot := look.robot[index]) is not None:
            free &= ~_grown(robot, 2)
    return free


def _lowest(before: Look, config: LessonConfig) -> float:
    return -np.inf if before.support_height_m is None else before.support_height_m + config.above_support_m


def _put_pixels(before: Look, index: int, put: OrientedBox | None, config: LessonConfig) -> Mask:
    view = before.views[index]
    if put is None:
        return np.zeros(view.hw, bool)
    return _grown(box_volume(put, config.around_m / 2, -np.inf).seen_in(view), 1)


def _solid(mask: Mask) -> Mask:
    """Without holes and specks: an object has places that look like what is behind it."""
    padded = np.pad(mask, 2 * CLOSE_PX)
    closed = ndimage.binary_closing(padded, np.ones((3, 3), bool), iterations=CLOSE_PX)
    closed = ndimage.binary_fill_holes(closed)[2 * CLOSE_PX : -2 * CLOSE_PX, 2 * CLOSE_PX : -2 * CLOSE_PX]
    opened: Mask = ndimage.binary_opening(closed, np.ones((2, 2), bool))
    return opened


def _core(mask: Mask) -> Mask:
    """Without its rim, where it is not all rim: pixels at an outline show two things."""
    inner: Mask = ndimage.binary_erosion(mask)
    return inner if inner.sum() > THICK * mask.sum() else mask


def _grown(mask: Mask, pixels: int) -> Mask:
    grown: Mask = ndimage.binary_dilation(mask, iterations=pixels)
    return grown
