"""Camera poses against the pictures: places that two views both see must lie where the poses put them.

A verdict needs evidence for something else, not merely the lack of agreement: other poses, near the given ones, of a usual
mistake or free, that many more matches fit. Views without texture or overlap, and things that move, give no such evidence.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pan3d_core.assembly.pose_checks.focal_lengths import focal_doubts
from pan3d_core.assembly.pose_checks.ground_matches import with_ground_matches
from pan3d_core.assembly.pose_checks.measured_scale import scale_doubts
from pan3d_core.assembly.pose_checks.mirrored_pictures import fits_if_mirrored, judge_unseen
from pan3d_core.assembly.pose_checks.portions import Portions, at_once
from pan3d_core.assembly.pose_checks.pose_fit import fit_views, free_fits, motion_size, pair_transforms, ray_errors
from pan3d_core.assembly.pose_checks.pose_hypotheses import Hypothesis, common_mistakes, exchanges, single_mistakes
from pan3d_core.assembly.pose_checks.shared_poses import twin_cameras
from pan3d_core.assembly.pose_checks.support.height import find_support, measured_places, triangulated_places
from pan3d_core.assembly.pose_checks.support.sight import judge_world
from pan3d_core.assembly.pose_checks.support.sweep import SurfaceVote, surface_vote
from pan3d_core.assembly.pose_checks.support.verdict import judge_support
from pan3d_core.assembly.pose_checks.unseen_poses import with_unchecked_poses
from pan3d_core.assembly.pose_checks.view_matches import Array, Features, Indices, ViewMatches, find_features, match_features
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import CameraView, PoseConsistency, Reconstruction

log = logging.getLogger("pan3d.consistency")

Flags = npt.NDArray[np.bool_]
# A mistake is named when it explains this many times what the given poses do.
NAMED_FACTOR = 2.0
# And this share of all matches, most of which may be wrong: by chance one of many mistakes explains some.
EXPLAINED_SHARE = 0.15
# Share of matches that are right between views as far apart as in a cell: a mistake explains no more.
MOST_RIGHT = 0.7
# Six numbers that may move find agreement by chance among few matches: so many times the fewest must be won to refute.
REFUTING_GAIN = 1.25
# Up to so many times the fewest, places that look alike and are not the same may agree on another pose: surfaces outvote them.
WEAK_GAIN = 2.0
# So far off is no drift of a calibration; a shift may be fitted as half a turn, so shares of both count together.
GROSS_M, GROSS_DEG = 0.03, 3.0
# Of two views none says which is right: they stay where at least this share of places fits, and surfaces agree less once moved.
STANDS_FROM = 0.4
# Hardly a place fits below this share: so many times the fewest then refute a camera that is far away.
HARDLY, HARDLY_GAIN = 0.2, 0.8
# A camera that was moved by so many times that would see less than these shares where it should: what fits better then is chance.
CHANCE = ((2.0, 0.65), (5.0, 0.5))
# A camera that is so far off for sure sees less than this share of its places where it should.
FAR_OFF_BELOW = 0.65
# Of two cameras that would both explain a disagreement, the second must explain less than this share.
BLAMED_SHARE = 0.75


@dataclass(frozen=True)
class _Evidence:
    """Matches of all views with the poses as given."""

    matches: ViewMatches
    rays: tuple[Array, Array]
    poses: Array  # (S, 4, 4)
    tolerance: float  # rad
    free: dict[tuple[int, int], int] = field(default_factory=dict)  # what was counted of pairs, see `free_fits`

    def fits(self, poses: Array, lens: Indices | None = None) -> Flags:
        """(N,) whether each match fits other poses."""
        rays = self.rays if lens is None else self.matches.rays(lens)
        return ray_errors(rays, pair_transforms(self.matches, poses)) < self.tolerance

    def within(self, views: Sequence[int]) -> _Evidence:
        """Only what these views see of each other."""
        rows = np.isin(self.matches.first, views) & np.isin(self.matches.second, views)
        return replace(self, matches=self.matches.of(rows), rays=(self.rays[0][rows], self.rays[1][rows]))


@dataclass(frozen=True)
class _Camera:
    """What the matches say of one camera, the others' poses taken as given."""

    name: str
    views: tuple[int, ...]
    given: int  # matches that fit
    possible: int  # matches that would fit if the camera moved a little, or that two pictures alone agree on
    correction: Array  # (4, 4) that movement

    @property
    def gain(self) -> int:
        return self.possible - self.given

    def figure(self, min_matches: int) -> float | None:
        """Share that fits; None where too few could."""
        return None if max(self.given, self.possible) < min_matches else min(1.0, self.given / max(self.possible, 1))

    def movement(self) -> str:
        """By how much it would have to move, in words."""
        degrees, metres = motion_size(self.correction)
        return f"the pictures fit better with it turned by {degrees:.1f} degrees and moved by {metres * 100:.1f} cm"


def check_poses(
    views: Sequence[CameraView],
    config: ConsistencyConfig | None = None,
    support_height_m: float | None = None,
    matches: ViewMatches | None = None,
) -> PoseConsistency:
    """Compare the poses of views, and the height of the support, with what pictures and sensor depth show.

    Args:
        views: Of one moment; those without intrinsics or pose are not judged. Views of one name are one moving camera.
        config: Limits; the defaults where none is given.
        support_height_m: World z of the surface that objects stand on, as it was given; None = unknown.
        matches: As `match_views` finds them in the views with intrinsics and pose; None = they are not known yet.

    Returns:
        A figure per view, cameras that are refuted while at least two others agree, or what speaks against all; and where
        the support was seen.
    """
    return at_once(checking(views, config or ConsistencyConfig(), support_height_m, matches))


def checking(
    views: Sequence[CameraView], config: ConsistencyConfig, support_height_m: float | None, matches: ViewMatches | None = None
) -> Portions[PoseConsistency]:
    """Do the work of `check_poses`; a portion is the places in one picture, or what two of them have in common."""
    names = tuple(view.camera for view in views)
    known = [index for index, view in enumerate(views) if view.intrinsics is not None and view.cam_from_world is not None]
    nothing = PoseConsistency(names, (None,) * len(views))
    if not config.enabled or not known:
        return nothing
    posed = [views[index] for index in known]
    poses = np.stack([view.calibration()[1].double().numpy(force=True) for view in posed])
    if len(known) < 2:
        measured = measured_places(posed)
        found = yield from judge_support(nothing, measured, posed, support_height_m, config)
        return judge_world(found, posed, poses, support_height_m)
    if twins := twin_cameras(posed, poses):
        figures = tuple(0.0 if name in twins else None for name in names)
        return replace(nothing, figures=figures, contradiction=f"several cameras share one pose: {', '.join(twins)}")
    features: list[Features] | None = None
    if matches is None:
        features = yield from find_features(posed, config)
        matches = yield from match_features(features, posed)
    matches = yield from with_ground_matches(matches, posed, poses, config)
    evidence = _Evidence(matches, matches.rays(), poses, math.radians(config.tolerance_deg))

    def is_proven(camera: _Camera, alone: bool) -> bool:
        return support_height_m is not None and _is_proven(camera, alone, posed, poses, support_height_m, config)

    found = _judge(evidence, tuple(view.camera for view in posed), config, is_proven)
    by_view = dict(zip(known, found.figures))
    found = replace(found, cameras=names, figures=tuple(by_view.get(index) for index in range(len(views))))
    if found.contradiction:
        return _named_mirrored(found, posed, evidence)
    found = yield from judge_unseen(found, posed, poses, config, features)
    kept = [index for index, view in enumerate(posed) if view.camera not in found.left_out]
    seen = evidence.within(kept)
    off_scale = scale_doubts(posed, seen.matches, poses, evidence.tolerance)
    if off_scale and all(view.camera in off_scale for view in posed if view.depth is not None):
        return replace(found, contradiction="; ".join(off_scale.values()))
    found = replace(found, doubts=(*found.doubts, *off_scale.values()))
    places = measured_places([posed[index] for index in kept if posed[index].camera not in off_scale])
    if find_support(places) is None:
        places = triangulated_places(seen.matches, poses, evidence.tolerance)
    if not found.warnings:
        found = replace(found, doubts=focal_doubts(seen.matches, poses, evidence.tolerance))
    found = yield from judge_support(found, places, [posed[index] for index in kept], support_height_m, config)
    return judge_world(with_unchecked_poses(found, posed), posed, poses, support_height_m)


def _named_mirrored(found: PoseConsistency, posed: Sequence[CameraView], evidence: _Evidence) -> PoseConsistency:
    """The same contradiction, with mirrored pictures as its reason where these explain what the given ones do not."""
    given, least = int(evidence.fits(evidence.poses).sum()), EXPLAINED_SHARE * len(evidence.matches)
    explained = fits_if_mirrored(evidence.matches, evidence.poses, [view.hw for view in posed], evidence.tolerance)
    is_named = "look like" in found.contradiction or explained < max(least, NAMED_FACTOR * given, 1)
    return found if is_named else replace(found, contradiction="the pictures of all cameras look mirrored")


def refuse_metres(reconstruction: Reconstruction, consistency: PoseConsistency) -> Reconstruction:
    """Take the metres from a reconstruction whose poses or support height are refuted; `alignment` says why."""
    if not consistency.contradiction:
        return reconstruction
    return replace(
        reconstruction, is_metric=False, alignment=f"none: the pictures contradict what was given: {consistency.contradiction}"
    )


def _judge(
    evidence: _Evidence, names: tuple[str, ...], config: ConsistencyConfig, is_proven: Callable[[_Camera, bool], bool]
) -> PoseConsistency:
    """Figures of all views; cameras are taken out from the worst on, until the rest agrees.

    One that few places would have elsewhere stays where whole surfaces prove its pose.
    """
    figures: dict[str, float | None] = {}
    left_out: dict[str, str] = {}
    doubts: list[str] = []
    active = list(dict.fromkeys(names))
    while True:
        part = evidence.within([index for index, name in enumerate(names) if name in active])
        if (mistake := _common_mistake(part, names)) is not None:
            words = f"the camera poses look like {mistake}"
            return PoseConsistency(names, tuple(figures.get(name, 0.0) for name in names), contradiction=words)
        cameras = [_measure(part, name, names, config) for name in active]
        figures |= {camera.name: camera.figure(config.min_matches) for camera in cameras}
        bad = [camera for camera in cameras if _is_doubtful(camera, config)]
        bad = [camera for camera in bad if not is_proven(camera, len(bad) == 1)]
        if not bad:
            break
        worst = max(bad, key=lambda camera: camera.gain)
        others = [camera.gain for camera in cameras if camera is not worst]
        refuted = _is_refuted(worst, config)
        if len(active) < 3 or max(others) > BLAMED_SHARE * worst.gain:
            words = f"the poses of {', '.join(camera.name for camera in bad)} do not fit together"
            if refuted:
                return PoseConsistency(names, tuple(figures[name] for name in names), contradiction=words)
            doubts.append(words)
            break
        reason = _single_mistake(part, worst) or worst.movement()
        if refuted:
            left_out[worst.name] = reason
        else:
            doubts.append(f"{worst.name} disagrees with the others: {reason}")
        active.remove(worst.name)
    agreeing = [name for name in active if figures[name] is not None]
    result = PoseConsistency(
        names, tuple(figures[name] for name in names), tuple(left_out), tuple(left_out.values()), "", tuple(doubts)
    )
    if left_out and len(agreeing) < 2:
        words = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        return replace(result, left_out=(), reasons=(), contradiction=f"too few cameras agree ({words})")
    return result


def _is_proven(
    camera: _Camera, alone: bool, posed: Sequence[CameraView], poses: Array, support_height_m: float, config: ConsistencyConfig
) -> bool:
    """Whether whole surfaces speak for the pose of a doubtful camera, which few places or a far move speak against."""
    is_weak = camera.gain < WEAK_GAIN * config.min_matches

    def vote() -> SurfaceVote:
        moved, own = poses.copy(), list(camera.views)
        moved[own] = camera.correction @ moved[own]
        return surface_vote(posed, poses, moved, own, support_height_m)

    if len(posed) == 2:
        return is_weak and (camera.figure(config.min_matches) or 0.0) >= STANDS_FROM and vote().worse_moved
    is_far = alone and _times_gross(camera.correction) > 1
    if not (is_far or is_weak):
        return False
    found = vote()
    return (is_far and found.stands_right) or (is_weak and found.far_worse_moved)


def _is_doubtful(camera: _Camera, config: ConsistencyConfig) -> bool:
    figure = camera.figure(config.min_matches)
    if figure is None or figure >= config.warn_below or camera.gain < config.min_matches // 2:
        return False
    size = _times_gross(camera.correction)
    return not any(size >= times and figure >= share for times, share in CHANCE)


def _times_gross(correction: Array) -> float:
    """Size of a movement, where 1 is more than a calibration drifts."""
    degrees, metres = motion_size(correction)
    return degrees / GROSS_DEG + metres / GROSS_M


def _is_refuted(doubtful: _Camera, config: ConsistencyConfig) -> bool:
    """Whether a doubtful camera's pose is wrong for sure: much speaks for another one, or less for one that is far away."""
    figure = doubtful.figure(config.min_matches) or 0.0
    if doubtful.gain >= REFUTING_GAIN * config.min_matches and figure < config.refuse_below:
        return True
    if _times_gross(doubtful.correction) <= 1:
        return False
    enough = doubtful.gain >= config.min_matches and figure < FAR_OFF_BELOW
    return enough or (doubtful.gain >= HARDLY_GAIN * config.min_matches and figure < HARDLY)


def _measure(evidence: _Evidence, name: str, names: tuple[str, ...], config: ConsistencyConfig) -> _Camera:
    """Count what fits one camera as it is, and at its best."""
    views = tuple(index for index, other in enumerate(names) if other == name)
    touched = np.isin(evidence.matches.first, views) | np.isin(evidence.matches.second, views)
    own = replace(evidence, matches=evidence.matches.of(touched), rays=(evidence.rays[0][touched], evidence.rays[1][touched]))
    given = int(own.fits(own.poses).sum())
    if len(own.matches) < config.min_matches:
        return _Camera(name, views, given, given, np.eye(4))
    correction = fit_views(own.matches, own.rays, own.poses, np.array(views))
    moved = own.poses.copy()
    moved[list(views)] = correction @ moved[list(views)]
    possible = int(own.fits(moved).sum())
    if possible < NAMED_FACTOR * config.min_matches or given < possible * config.refuse_below:
        possible = max(possible, free_fits(own.matches, own.rays, own.tolerance, own.free))
        if len(views) == 1:
            mended = max(int(own.fits(item.cam_from_world).sum()) for item in single_mistakes(own.poses, views[0]))
            possible = max(possible, mended if mended >= EXPLAINED_SHARE * len(own.matches) else 0)
    return _Camera(name, views, given, possible, correction)


def _common_mistake(evidence: _Evidence, names: tuple[str, ...]) -> str | None:
    """The usual mistake that explains what the given poses do not, if one does."""
    given = int(evidence.fits(evidence.poses).sum())
    if NAMED_FACTOR * given > MOST_RIGHT * len(evidence.matches):
        return None
    found: list[Hypothesis] = list(common_mistakes(evidence.poses))
    if len(set(names)) == len(names):
        found += exchanges(evidence.poses, names)
    return _best(evidence, found, given)


def _single_mistake(evidence: _Evidence, camera: _Camera) -> str:
    """The usual mistake with one camera's pose, if one explains it."""
    if len(camera.views) > 1:
        return ""
    touched = (evidence.matches.first == camera.views[0]) | (evidence.matches.second == camera.views[0])
    own = replace(evidence, matches=evidence.matches.of(touched), rays=(evidence.rays[0][touched], evidence.rays[1][touched]))
    fault = _best(own, list(single_mistakes(own.poses, camera.views[0])), max(camera.given, int(camera.possible / NAMED_FACTOR)))
    return f"its pose looks like {fault}" if fault else ""


def _best(evidence: _Evidence, hypotheses: list[Hypothesis], given: int) -> str | None:
    counts = [int(evidence.fits(item.cam_from_world, item.lens).sum()) for item in hypotheses]
    log.debug("matches %d, given %d, mistakes %s", len(evidence.matches), given, counts)
    best = int(np.argmax(counts))
    enough = max(NAMED_FACTOR * given, 12, EXPLAINED_SHARE * len(evidence.matches))
    return hypotheses[best].fault if counts[best] >= enough else None
