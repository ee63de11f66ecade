"""Outlines by clicks on pictures: an object grows from what a person showed of it, over all views.

Pictures that were clicked on are cut first. What the object gained and lost there is carried into the other views by the
points of the pixels, nearest views first, and cut out anew in each, so that the object grows around its sides.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import binary_opening
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import invert_rigid, transform_points
from pan3d_core.labelling.review.cuts import FEWEST, Mask, Picture, Trimap, alike, connected, cut_out, depth_within, trimap_of
from pan3d_core.labelling.review.marks import Click, Shown
from pan3d_core.labelling.review.pixels import ScenePixels, ViewMasks
from pan3d_core.pictures.overlays import to_picture
from pan3d_core.structures import CameraView, unit_range

HIDDEN_M = 0.02  # behind what a view measures, from which on a place is hidden there
STANDING_M, GAP_M = 0.01, 0.01  # above the support, and between neighbouring pixels, of what a click takes as one
DOT_PX = 2  # around a click, that is as sure as the click
BAND_PX = 3  # on both sides of an outline, in which it is looked for anew
_WIDTH = 320  # of a picture that dot and band are meant for
_AROUND = 2.0  # of how far a click is from what was known: so far around it that is asked anew
_HOLE_PX = 3  # between the places that a view is shown
Points = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def outlined(
    views: Sequence[CameraView],
    pixels: ScenePixels,
    shown: Shown,
    object_id: int = 0,
    solid: Collection[int] = (),
    support_height_m: float | None = None,
) -> ViewMasks:
    """Give an object the outline that a person showed.

    Args:
        views: V with images and, for views to learn from others, intrinsics and poses.
        pixels: Of the scene, as they are.
        shown: At least a click inside or a frame where the object is new.
        object_id: Whose outline is mended; 0 = a new object.
        solid: Ids of objects that lose no pixels but those which were clicked on.
        support_height_m: World z of what objects stand on, metres; None = not known.

    Returns:
        (H, W) bool of every view: all that the object is.

    Raises:
        ValueError: Nothing was shown, a place is outside its picture, nothing is found there, or nothing of this or of another
            object stays; names what was expected.
    """
    shown.check(pixels.ids, is_new=not object_id)
    grower = _Grower(views, pixels, shown, object_id, np.nan if support_height_m is None else support_height_m)
    grower.keep_off(frozenset(solid) - {object_id})
    for row in shown.views:
        grower.cut_shown(row)
    if not any(bool(grower.masks[row].any()) for row in shown.views) and not object_id:
        raise ValueError("outline: expected an object that stands out at the places shown, got none")
    for row in grower.by_nearness(shown.views):
        grower.cut_carried(row)
    if not any(mask.any() for mask in grower.masks):
        raise ValueError(f"outline: expected something of object {object_id} to stay, got nothing; reject it instead")
    for other in set(solid) - {object_id}:
        if grower.takes_all_of(other):
            raise ValueError(f"outline: expected something of object {other} to stay, got all of it; merge the two instead")
    return tuple(torch.from_numpy(mask) for mask in grower.masks)


class _Grower:
    """Masks of all views, which change as views are cut out."""

    def __init__(self, views: Sequence[CameraView], pixels: ScenePixels, shown: Shown, object_id: int, support_m: float) -> None:
        self._views, self._ids, self._shown, self._support_m = views, [ids.numpy() for ids in pixels.ids], shown, support_m
        self.masks: list[Mask] = [(ids == object_id) & (object_id > 0) for ids in self._ids]
        self._solid: list[Mask] = [np.zeros_like(mask) for mask in self.masks]
        self._points: list[Points] = [item.numpy() for item in pixels.points]
        self._depth = [_depth_of(view, points) for view, points in zip(views, self._points, strict=True)]
        self._gained: list[Points] = []
        self._lost: list[Points] = []

    def keep_off(self, solid: Collection[int]) -> None:
        """Take no pixels of these objects but of those that were clicked on, or of their rims."""
        clicks = [item for item in self._shown.clicks if item.inside]
        taken = {int(self._ids[item.view][item.row, item.column]) for item in clicks if self._is_far(item)}
        self._solid = [np.isin(ids, list(set(solid) - taken)) for ids in self._ids]
        for item in clicks:
            if not self._is_far(item):
                self._solid[item.view] &= ~self._disc(item.view, item.row, item.column, self._reach(item))

    def _wrong(self, click: Click) -> float:
        """How far within what it contradicts a click is, pixels; 0 = it contradicts nothing."""
        mask = self.masks[click.view]
        return depth_within(~mask if click.inside else mask, click.row, click.column)

    def _is_far(self, click: Click) -> bool:
        """Whether a click shows more of the object than its rim."""
        mask = self.masks[click.view]
        return click.inside and (not mask.any() or self._wrong(click) > 2 * self._band(click.view))

    def _reach(self, click: Click) -> int:
        """How far around a click all is asked anew, pixels."""
        return self._band(click.view) + round(_AROUND * self._wrong(click))

    def takes_all_of(self, other: int) -> bool:
        """Whether an object that has pixels would keep none."""
        owned = [ids == other for ids in self._ids]
        return any(mask.any() for mask in owned) and not any((mask & ~own).any() for mask, own in zip(owned, self.masks))

    def by_nearness(self, known: Sequence[int]) -> list[int]:
        """The other views that can be carried into, nearest cameras first."""
        centres = {row: centre for row, view in enumerate(self._views) if (centre := _centre(view)) is not None}
        sources = [centres[row] for row in known if row in centres]
        others = [row for row in centres if row not in known] if sources else []
        return sorted(others, key=lambda row: min(float(torch.dist(centres[row], source)) for source in sources))

    def cut_shown(self, row: int) -> None:
        """Cut the object out of a picture that was clicked or drawn on."""
        picture, before, shown = _picture(self._views[row]), self.masks[row], self._shown.of_view(row)
        inside, outside = self._dots(row, [(item.row, item.column, item.inside) for item in shown.clicks])
        framed, asked = np.zeros_like(before), np.zeros_like(before)
        for item in shown.frames:
            framed[item.top : item.bottom + 1, item.left : item.right + 1] = True
        guess = before | framed
        for click in shown.clicks:
            if before.any() and self._wrong(click):
                asked |= self._disc(row, click.row, click.column, self._reach(click))
            if self._is_far(click) and not guess[click.row, click.column]:
                guess |= alike(picture, click.row, click.column) | self._standing(row, self._dot(row, click.row, click.column))
        guess &= ~self._solid[row]
        trimap = self._trimap(row, guess, asked, inside, outside | self._solid[row])
        if shown.frames:
            trimap[~framed & (trimap != cv2.GC_FGD)] = cv2.GC_BGD
        found = connected(cut_out(picture, trimap), inside | (before & ~outside), else_largest=bool(shown.frames))
        self._take(row, found, is_shown=True)

    def _trimap(self, row: int, guess: Mask, asked: Mask, inside: Mask, outside: Mask) -> Trimap:
        """Of an object of which something was known: that stays but for its outline and what is asked anew."""
        made, before, band = trimap_of(guess, inside, outside, None), self.masks[row], self._band(row)
        if before.any():
            known = trimap_of(before, inside, outside, band)
            made[(known == cv2.GC_FGD) & ~asked] = cv2.GC_FGD
            near = trimap_of(guess, inside, outside, band) != cv2.GC_BGD
            made[~(near | asked) & ~guess] = cv2.GC_BGD
        return made

    def _standing(self, row: int, seeds: Mask) -> Mask:
        """What stands out of the support and is connected to places of a view."""
        points = self._points[row]
        free = (points[..., 2] - self._support_m > STANDING_M) & ~self._solid[row]
        seeds = seeds & free
        if not seeds.any():
            return seeds
        depth = self._depth[row]
        across, down = (np.abs(np.diff(depth, axis=axis)) < GAP_M for axis in (1, 0))
        # Neighbours without a step between them are one: a graph of the pixels that stand out.
        number = np.arange(free.size).reshape(free.shape)
        pairs = [
            (number[:, :-1], number[:, 1:], across & free[:, :-1] & free[:, 1:]),
            (number[:-1], number[1:], down & free[:-1] & free[1:]),
        ]
        first, second = (np.concatenate([pair[side][pair[2]] for pair in pairs]) for side in (0, 1))
        graph = coo_matrix((np.ones(len(first), bool), (first, second)), shape=(free.size, free.size))
        group = connected_components(graph, directed=False)[1].reshape(free.shape)
        found: Mask = np.isin(group, np.unique(group[seeds])) & free
        return found

    def cut_carried(self, row: int) -> None:
        """Cut the object out of another picture, from what was gained and lost so far."""
        before = self.masks[row]
        lost, gained = self._splatted(row, self._lost), self._splatted(row, self._gained)
        prior = (before | gained | self._standing(row, gained & ~lost)) & ~lost & ~self._solid[row]
        if prior.sum() < FEWEST:
            self._take(row, before & prior, is_shown=False)
            return
        inside, outside = self._dots(row, self._carried(row))
        trimap = trimap_of(prior, inside, outside | self._solid[row], self._band(row))
        self._take(row, connected(cut_out(_picture(self._views[row]), trimap), inside | prior), is_shown=False)

    def _take(self, row: int, mask: Mask, *, is_shown: bool) -> None:
        """Change a view's mask; what is more than another outline is carried into the next ones. Only a person takes away."""
        before, points = self.masks[row], self._points[row]
        known = np.isfinite(points[..., 0])
        self._gained.append(points[binary_opening(mask & ~before, iterations=self._band(row)) & known])
        if is_shown:
            self._lost.append(points[binary_opening(before & ~mask, iterations=self._band(row)) & known])
        self.masks[row] = mask

    def _splatted(self, row: int, cloud: Sequence[Points]) -> Mask:
        """Where a view shows places of a cloud that nothing hides."""
        made = np.zeros(self.masks[row].shape, np.uint8)
        y, x, z = self._projected(row, np.concatenate([np.zeros((0, 3), np.float32), *cloud]))
        shown = ~(z > self._depth[row][y, x] + HIDDEN_M)  # also where no depth is known
        made[y[shown], x[shown]] = 1
        closed: Mask = cv2.morphologyEx(made, cv2.MORPH_CLOSE, np.ones((_HOLE_PX,) * 2, np.uint8)).astype(bool)
        return closed

    def _projected(self, row: int, places: Points) -> tuple[Ints, Ints, Points]:
        """Row and column of the pixels in which a view may show places (N, 3), and how far before it they are."""
        intrinsics, cam_from_world = self._views[row].calibration()
        pixel, depth = project(transform_points(cam_from_world.float(), torch.from_numpy(places)), intrinsics.float())
        height, width = self.masks[row].shape
        column, line = pixel.round().to(torch.int64).unbind(-1)
        seen = (depth > 0) & (column >= 0) & (line >= 0) & (column < width) & (line < height)
        return line[seen].numpy(), column[seen].numpy(), depth[seen].numpy()

    def _scale(self, row: int) -> float:
        return max(1.0, int(self.masks[row].shape[1]) / _WIDTH)

    def _band(self, row: int) -> int:
        return round(BAND_PX * self._scale(row))

    def _dot(self, row: int, line: int, column: int) -> Mask:
        return self._disc(row, line, column, round(DOT_PX * self._scale(row)))

    def _disc(self, row: int, line: int, column: int, radius: int) -> Mask:
        made = np.zeros(self.masks[row].shape, np.uint8)
        cv2.circle(made, (column, line), radius, (1,), -1)
        return made.astype(bool)

    def _dots(self, row: int, clicks: Sequence[tuple[int, int, bool]]) -> tuple[Mask, Mask]:
        """Around the clicks inside, and around those outside."""
        made = [np.zeros_like(self.masks[row]) for _ in range(2)]
        for line, column, is_inside in clicks:
            made[not is_inside] |= self._dot(row, line, column)
        return made[0] & ~made[1], made[1]

    def _carried(self, row: int) -> list[tuple[int, int, bool]]:
        """Clicks on other pictures where this view shows the same place."""
        found = []
        for item in self._shown.clicks:
            place = self._points[item.view][item.row, item.column]
            for line, column, _ in zip(*self._projected(row, place[None]), strict=True):
                if np.linalg.norm(self._points[row][line, column] - place) < HIDDEN_M:
                    found.append((int(line), int(column), item.inside))
        return found


def _centre(view: CameraView) -> Tensor | None:
    if view.intrinsics is None or view.cam_from_world is None:
        return None
    centre: Tensor = invert_rigid(view.cam_from_world)[:3, 3]
    return centre


def _depth_of(view: CameraView, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(H, W) along the optical axis, NaN where no point is known."""
    if view.cam_from_world is None:
        return points[..., 2]
    axis = view.cam_from_world[2].numpy()
    depth: npt.NDArray[np.float32] = points @ axis[:3] + axis[3]
    return depth


def _picture(view: CameraView) -> Picture:
    return np.ascontiguousarray(to_picture(unit_range(view.image)))
