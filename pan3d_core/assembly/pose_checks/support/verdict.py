"""What speaks against the given height of the support: measured depth, else recognised places together with whole surfaces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pan3d_core.assembly.pose_checks.portions import Portions
from pan3d_core.assembly.pose_checks.support.height import SeenPlaces, find_support, height_words, support_doubt
from pan3d_core.assembly.pose_checks.support.surface_tilt import plane_through, scatter_doubt, tilt_doubt
from pan3d_core.assembly.pose_checks.support.sweep import SupportSweep, level_agrees_more, sweep_support
from pan3d_core.assembly.pose_checks.view_matches import Array
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import CameraView, PoseConsistency, SupportHeight


@dataclass(frozen=True)
class _Verdict:
    """Of the given height."""

    support: SupportHeight | None  # as seen
    words: str = ""  # against the given height; empty where nothing speaks against it
    refuted: bool = False
    checked: bool = True  # a height that is wrong would have been seen


def judge_support(
    found: PoseConsistency,
    places: SeenPlaces,
    views: Sequence[CameraView],
    support_height_m: float | None,
    config: ConsistencyConfig,
) -> Portions[PoseConsistency]:
    """Say where the support was seen, and what that says of the height that was given.

    Args:
        found: So far.
        places: By matches or by depth, of these views.
        views: With intrinsics and pose, whose poses are not refuted.
        support_height_m: World z as it was given; None = unknown.
        config: Limits.

    Returns:
        The same with the support, and with a contradiction, a doubt, or that the height could not be checked.
    """
    sweep, support = None, find_support(places)
    poses = np.stack([view.calibration()[1].double().numpy(force=True) for view in views])
    words, refuted = tilt_doubt(places, support_height_m)
    is_outvoted = bool(words) and support_height_m is not None and _outvoted(places, views, poses, support_height_m)
    if is_outvoted:
        words, refuted = "", False
    if support_height_m is not None and not words and (support is None or not support.by_depth):
        sweep = yield from sweep_support(views, poses, support_height_m)
        is_level = support is not None and support.wide and abs(support.height_m - support_height_m) <= config.support_warn_m
        if sweep is not None and sweep.tilt_deg is not None and not is_level:
            words, refuted = tilt_doubt(places, support_height_m, sweep.tilt_deg)
    may_be = is_outvoted or (sweep is not None and sweep.may_be)
    if support_height_m is not None and not refuted and not may_be:
        scattered = scatter_doubt(places, support_height_m)
        words, refuted = (words or scattered), bool(scattered)
    found = replace(found, support=support)
    if words:
        found = found if support_height_m is not None else replace(found, support=None)  # it would be of no level surface
        return replace(found, contradiction=words) if refuted else replace(found, doubts=(*found.doubts, words))
    if support_height_m is None:
        return found
    verdict = _verdict(places, support, sweep, support_height_m, config)
    found = replace(found, support=verdict.support)
    if verdict.refuted:
        return replace(found, contradiction=verdict.words)
    if verdict.words:
        return replace(found, doubts=(*found.doubts, verdict.words))
    return found if verdict.checked else replace(found, unchecked=(*found.unchecked, _unchecked(support_height_m)))


def _outvoted(places: SeenPlaces, views: Sequence[CameraView], poses: Array, height_m: float) -> bool:
    """Whether recognised places share a plane that leans, and pictures agree more on the level support at the given height."""
    shared = None if places.by_depth else plane_through(places)
    return shared is not None and level_agrees_more(views, poses, shared, height_m)


def _verdict(
    places: SeenPlaces, support: SupportHeight | None, sweep: SupportSweep | None, given_m: float, config: ConsistencyConfig
) -> _Verdict:
    """What recognised places say, where whole surfaces do not say that they are of something else."""
    if sweep is not None and sweep.tells(config.support_refuse_m):
        near = support is not None and (
            sweep.lowest_m - config.support_warn_m <= support.height_m <= sweep.highest_m + config.support_warn_m
        )
        if sweep.doubts or (sweep.may_be and not near):
            support = support if near else _as_support(sweep)
        off = 0.0 if support is None else abs(support.height_m - given_m)
        if sweep.doubts and off > config.support_warn_m and support is not None:
            return _Verdict(support, height_words(support.height_m, given_m), sweep.refutes and off >= config.support_refuse_m)
        if sweep.may_be and not near:
            return _Verdict(support)
    if support is None:
        return _Verdict(None, checked=False)
    words, refuted = support_doubt(places, support, given_m, config)
    is_seen = abs(support.height_m - given_m) <= max(config.support_warn_m, 3 * support.sigma_m)
    is_seen = is_seen or (sweep is not None and sweep.may_be and sweep.tells(config.support_refuse_m))
    return _Verdict(support, words, refuted, checked=is_seen)


def _as_support(sweep: SupportSweep) -> SupportHeight:
    spread = (sweep.highest_m - sweep.lowest_m) / math.sqrt(12)  # of a height that may be anywhere between
    return SupportHeight(sweep.height_m, spread, sweep.cells, by_depth=False, wide=True)


def _unchecked(given_m: float) -> str:
    return f"the pictures do not show whether the support is at {given_m:.3f} m (workspace.support_height_m): it was not checked"
