"""The support's height and level by what pictures agree on: whole surfaces instead of the few places that are recognised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pan3d_core.assembly.pose_checks.portions import Portions
from pan3d_core.assembly.pose_checks.support.height import SeenPlaces
from pan3d_core.assembly.pose_checks.support.plane_sweep import (
    CELLS,
    Grid,
    SweepPictures,
    overall,
    plane_agreement,
    sweep_pictures,
    swept,
)
from pan3d_core.assembly.pose_checks.support.surface_tilt import plane_through
from pan3d_core.assembly.pose_checks.view_matches import Array
from pan3d_core.structures import CameraView

# Heights that are tried lie so far from the given one and from each other, as fractions of the distance; so many make a portion.
RANGE, STEP, AT_ONCE = 0.25, 0.008, 32
# Pictures that agree less than this on every plane say nothing.
LEAST_AGREEMENT = 0.25
# The same without straight edges.
FIRM_AGREEMENT = 0.15
# Where they agree at least so well, as shares of the best, the support may be; where less, it is not for sure.
MAY_BE, IS_NOT = 0.85, 0.65
# A cell speaks for one height against another where pictures agree so much there, and so much more than at the other.
AGREES, MORE = 0.6, 0.25
# A surface shows in the middle and along three of the four sides of the ground, two where it is the lower one, with such shares
# of the cells there: the top of a box shows in the middle, a floor beside a plain table around it. Cells that speak for the other
# height are so many times fewer.
SHOWN, SHOWN_ASIDE, ASIDE, FEWER = 0.08, 0.06, CELLS // 8, 4.0
# Places of a surface that leans: pictures agree at one height only, by so much more than at those so many steps away and more.
ONE_HEIGHT, APART = 0.15, 4
# Every so many of them are asked which plane they share, which explains so many times what the best level one does.
THINNED, LEANS = 3, 1.25
# A camera agrees as well as the others from this share of what they do on, nearly as well from the second, worse where it is
# moved up to the third, and far worse up to the last; pictures that agree on less than `SAYS` show no pattern that could tell.
AS_WELL, NEARLY, WORSE, FAR_WORSE = 0.85, 0.7, 0.9, 0.75
# Two views alone agree worse up to this share: there are no others that could say how well they should.
WORSE_OF_TWO = 0.8
SAYS = 0.1
# Where they agree on nothing, planes near the one that leans are tried once more, so many steps around it; steeper ones (by their
# cosine) are none.
ROUNDS, NEAR_STEPS, STEEPEST = 2, 12, 0.4


@dataclass(frozen=True)
class SupportSweep:
    """Where pictures agree on a level plane, and how well they do at the given height."""

    height_m: float  # at which they agree most
    lowest_m: float  # the support may be from here
    highest_m: float  # to here
    agreement: float  # 0..1 at `height_m`
    given: float  # 0..1 at the given height
    cells: int  # in which they agree at `height_m`
    shows: bool  # cells speak for `height_m` in the middle and around it, and few for the given height
    tilt_deg: float | None = None  # of a plane that leans, on which they agree far more

    @property
    def may_be(self) -> bool:
        """Whether the support may be at the given height."""
        return self.agreement >= LEAST_AGREEMENT and self.given >= MAY_BE * self.agreement

    def tells(self, within_m: float) -> bool:
        """Whether a support that is farther off than this would have been seen."""
        return self.agreement >= LEAST_AGREEMENT and self.highest_m - self.lowest_m <= 2 * within_m

    @property
    def refutes(self) -> bool:
        """Whether the given height is wrong for sure."""
        return self.doubts and self.given <= IS_NOT * self.agreement

    @property
    def doubts(self) -> bool:
        """Whether pictures agree far better elsewhere."""
        return self.agreement >= LEAST_AGREEMENT and self.shows and self.given < MAY_BE * self.agreement


def sweep_support(views: Sequence[CameraView], poses: Array, given_m: float) -> Portions[SupportSweep | None]:
    """Compare pictures on planes around the support; a portion is `AT_ONCE` planes.

    Args:
        views: S with intrinsics.
        poses: (S, 4, 4) `cam_from_world`, metres.
        given_m: World z of the support as it was given.

    Returns:
        Where they agree; None where fewer than two cameras look down at it.
    """
    pictures = sweep_pictures(views, poses, given_m) if len(views) > 1 else None
    yield
    if pictures is None:
        return None
    count = int(RANGE / STEP)
    heights = _around(given_m, pictures, count)
    layers = yield from swept(pictures, heights, AT_ONCE)
    scores = np.maximum(layers, 0.0).mean((1, 2))
    best = int(scores.argmax())
    likely = heights[scores >= MAY_BE * scores[best]]
    shows = _shows(layers[best], layers[count], sides=3 if best > count else 2)
    tilt = yield from _tilt(pictures, heights, layers)
    return SupportSweep(
        float(heights[best]), float(likely.min()), float(likely.max()), float(scores[best]), float(scores[count]),
        int((layers[best] >= AGREES).sum()), shows, tilt,
    )  # fmt: skip


@dataclass(frozen=True)
class SurfaceVote:
    """How well a camera's pictures agree with the others' on the support, 0..1; zeros where they cannot be laid on it."""

    here: float  # as its poses are given
    there: float  # where it is moved to
    rest: float  # the others with each other

    @property
    def stands_right(self) -> bool:
        """Whether surfaces speak for the given poses, however many places speak against them."""
        return self.rest >= LEAST_AGREEMENT and self.here >= AS_WELL * self.rest and self.there < WORSE * self.here

    @property
    def far_worse_moved(self) -> bool:
        """Whether surfaces, however little they show, speak far more for the given poses than for the others."""
        return self.here >= max(SAYS, NEARLY * self.rest) and self.there < FAR_WORSE * self.here

    @property
    def worse_moved(self) -> bool:
        """Whether surfaces that two views show speak more for the given poses than for the others."""
        return self.here >= SAYS and self.there < WORSE_OF_TWO * self.here


def surface_vote(views: Sequence[CameraView], poses: Array, moved: Array, group: Sequence[int], height_m: float) -> SurfaceVote:
    """Compare a camera's pictures with the others' on the support.

    Args:
        views: S with intrinsics.
        poses: (S, 4, 4) as they are given.
        moved: (S, 4, 4) with other poses of the camera.
        group: Its views; where these are all, they are compared with each other.
        height_m: World z of the support.

    Returns:
        How well they agree.
    """
    given, other = (sweep_pictures(views, tried, height_m) for tried in (poses, moved))
    if given is None or other is None:
        return SurfaceVote(0.0, 0.0, 0.0)
    own = group if len(group) < len(views) else ()
    here, there = (best_near(pictures, height_m, own) for pictures in (given, other))
    return SurfaceVote(here, there, best_near(given.without(group), height_m))


def level_agrees_more(views: Sequence[CameraView], poses: Array, plane: tuple[Array, float], height_m: float) -> bool:
    """Tell whether pictures agree more on the level support than on a plane that leans.

    Args:
        views: S with intrinsics.
        poses: (S, 4, 4) of them.
        plane: Its unit normal (3,), that points up, and its distance from the origin along it.
        height_m: World z of the support.

    Returns:
        Whether they do; not where pictures cannot be laid on either.
    """
    normal, offset = plane
    pictures = sweep_pictures(views, poses, height_m)
    if pictures is None or normal[2] < STEEPEST:
        return False
    leaning = overall(plane_agreement(pictures, *_leaning(pictures, normal, offset)))
    return best_near(pictures, height_m) >= max(SAYS, leaning)


def best_near(pictures: SweepPictures, height_m: float, views: Sequence[int] = ()) -> float:
    """Give the agreement of pictures at a height, or a step above or below it, 0..1; `views` as `plane_agreement` has it."""
    return max(overall(plane_agreement(pictures, height, views=views)) for height in _around(height_m, pictures, 1).tolist())


def _leaning(pictures: SweepPictures, normal: Array, offset: float) -> tuple[float, tuple[float, float]]:
    """Height of a plane at the middle of the ground, and by which it rises along x and along y."""
    slope = float(-normal[0] / normal[2]), float(-normal[1] / normal[2])
    return float((offset - normal[:2] @ pictures.middle) / normal[2]), slope


def _around(height_m: float, pictures: SweepPictures, steps: int) -> Array:
    return np.asarray(height_m + STEP * pictures.distance_m * np.arange(-steps, steps + 1), np.float64)


def _shows(there: Grid, given: Grid, sides: int) -> bool:
    """Whether cells speak for one plane against another in the middle and on so many sides."""
    speaking, against = (_speak(a, b) for a, b in ((there, given), (given, there)))
    mid = slice(CELLS // 4, -(CELLS // 4))  # without the corners: the one straight edge of a plain table is on one side then
    strips = speaking[:ASIDE, mid], speaking[-ASIDE:, mid], speaking[mid, :ASIDE], speaking[mid, -ASIDE:]
    around = sum(bool(strip.mean() >= SHOWN_ASIDE) for strip in strips) >= sides
    return bool(around and speaking[mid, mid].mean() >= SHOWN and FEWER * against.sum() <= speaking.sum())


def _speak(one: Grid, other: Grid) -> npt.NDArray[np.bool_]:
    """Cells that speak for one plane. Where pictures show no pattern on the other, it may be right: lines agree on many."""
    return np.asarray((one >= AGREES) & (one - other >= MORE) & (other != 0))


def _tilt(pictures: SweepPictures, heights: Array, layers: Grid) -> Portions[float | None]:
    """Degrees by which a plane leans that the pictures agree on far more than on any level one."""
    scores = np.maximum(layers, 0.0).mean((1, 2))
    level, level_m, slope = float(scores.max()), float(heights[scores.argmax()]), (0.0, 0.0)
    for _ in range(ROUNDS):
        shared = plane_through(_places(pictures, heights, slope, layers))
        if shared is None or shared[0][2] < STEEPEST:
            return None
        normal, offset = shared
        height, slope = _leaning(pictures, normal, offset)
        if overall(plane_agreement(pictures, height, slope)) >= max(LEAST_AGREEMENT, LEANS * level):
            tilted, flat = (plane_agreement(pictures.firm(), *plane) for plane in ((height, slope), (level_m, (0.0, 0.0))))
            if overall(tilted) < max(FIRM_AGREEMENT, LEANS * overall(flat)):
                return None
            return float(np.degrees(np.arccos(min(1.0, float(normal[2])))))
        if level >= LEAST_AGREEMENT:
            return None
        heights = _around(height, pictures, NEAR_STEPS)
        layers = yield from swept(pictures, heights, AT_ONCE, slope)
    return None


def _places(pictures: SweepPictures, heights: Array, slope: tuple[float, float], layers: Grid) -> SeenPlaces:
    """Where pictures agree at one height only."""
    best = layers.argmax(0)
    top = layers.max(0)
    steps = np.abs(np.arange(len(heights))[:, None, None] - best)
    elsewhere = np.where(steps > APART, layers, -1.0).max(0)
    clear = (top >= AGREES) & (top - elsewhere >= ONE_HEIGHT) & (best > 0) & (best < len(heights) - 1)
    x, y = (side[clear] for side in pictures.cells())
    z = heights[best[clear]] + slope[0] * x + slope[1] * y
    points = np.stack([x + pictures.middle[0], y + pictures.middle[1], z], axis=1)
    return SeenPlaces(points[::THINNED], pictures.distance_m, by_depth=False)
