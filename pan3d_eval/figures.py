"""The figures of an evaluation, each with the rule by which it was taken."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pan3d_eval.metrics.average_precision import DEFAULT_MIN_POINTS, THRESHOLDS, instance_ap
from pan3d_eval.metrics.calibration import expected_calibration_error
from pan3d_eval.metrics.objects import FOUND_IOU, ObjectErrors, recall_of_small
from pan3d_eval.runner import FAR_M, MIN_PIXELS, MIN_PIXELS_IN_VIEW, Evaluation, SceneEvaluation

SMALL_PIXELS = 60.0  # objects that are hardest to see
CHI_SQUARE_95 = 7.815  # three degrees of freedom
BANDS = ((MIN_PIXELS_IN_VIEW, SMALL_PIXELS), (SMALL_PIXELS, 150.0), (150.0, math.inf))

AP_RULES = (
    "Average precision follows the ScanNet 3D instance benchmark, with the pixels of all views of a scene (at the network's "
    "size) in place of vertices: an instance has one mask over all views and must keep its identity through them; predictions "
    f"are walked by falling score; a match needs an IoU strictly above the threshold ({THRESHOLDS[0]:.2f} to "
    f"{THRESHOLDS[-1]:.2f} in steps of 0.05, 0.95 is not among them, and 0.25 on its own); a second prediction on a claimed "
    f"instance is a false positive; true instances under {MIN_PIXELS} pixels (the benchmark: {DEFAULT_MIN_POINTS} vertices) do "
    "not count, and predictions that lie mostly on such are not held against the engine. Every pixel belongs to one segment "
    "at most. All true instances and all segments form one class, unless a figure says with names."
)


@dataclass(frozen=True)
class Figure:
    """One measured value."""

    name: str
    value: float | int
    protocol: str  # how it was taken


def figure_table(evaluation: Evaluation) -> list[Figure]:
    """All figures, NaN where there was nothing to measure; those of the cameras only where poses were withheld, and those of
    objects only of engines that look for objects.

    Args:
        evaluation: Of any number of scenes.

    Returns:
        Name, value and the rule by which it was taken, in the order of the tables.
    """
    looked = not evaluation.scenes or any(scene.finds_objects for scene in evaluation.scenes)
    of_objects = (_instance_figures, _mesh_figures, _object_figures, _naming_figures) if looked else ()
    makers = (_scene_figures, *of_objects, _depth_figures, _camera_figures, _cost_figures)
    return [figure for make in makers for figure in make(evaluation)]


def _scene_figures(evaluation: Evaluation) -> list[Figure]:
    count = f"{len(evaluation.failures)} failed" if evaluation.failures else "all that were given"
    return [Figure("scenes", len(evaluation.scenes), count)]


def _instance_figures(evaluation: Evaluation) -> list[Figure]:
    scenes = evaluation.scenes
    calibration = expected_calibration_error(*scores_and_hits(scenes))
    rule = "AP rules, class-agnostic, one mask over all views"
    return [
        Figure("AP50", evaluation.ap.ap50, f"{rule}; IoU > 0.50"),
        Figure("AP25", evaluation.ap.ap25, f"{rule}; IoU > 0.25"),
        Figure("AP", evaluation.ap.ap, f"{rule}; mean of IoU > 0.50 to 0.90"),
        Figure("AP50 with names", evaluation.ap_named.ap50, "AP rules, class names must agree; mean over classes with instances"),
        Figure(
            "AP50 in each view",
            evaluation.ap_in_view.ap50,
            f"AP rules, each view a scene of its own, instances of {MIN_PIXELS_IN_VIEW} pixels or more: no identity across views",
        ),
        Figure("scene PQ", _mean(s.pq for s in scenes), "one class of objects, all views as one picture, mean over scenes"),
        Figure(
            "score ECE",
            calibration.ece,
            f"scores of all segments against mask IoU > {FOUND_IOU}; ten bins of equal width, weighted by count",
        ),
    ]


def _mesh_figures(evaluation: Evaluation) -> list[Figure]:
    """AP on the vertices of scans, as the data sets' benchmarks take it; one block per transfer."""
    figures = []
    for transfer in ("posed", "unposed"):
        plain = [s for s in (getattr(scene.mesh, transfer) for scene in evaluation.scenes) if s is not None]
        named = [s for s in (getattr(scene.mesh, f"{transfer}_named") for scene in evaluation.scenes) if s is not None]
        # Scans with and without over-segmentation are different protocols.
        for protocol in sorted({overlaps.protocol for overlaps in plain}):
            own = [overlaps for overlaps in plain if overlaps.protocol == protocol]
            ap = instance_ap(own)
            ap_named = instance_ap([o for o in named if o.protocol == protocol], class_aware=True)
            rule = f"on the vertices of {len(own)} scans ({protocol}), instances of {DEFAULT_MIN_POINTS} vertices or more"
            figures += [
                Figure(f"mesh AP50, {protocol}", ap.ap50, f"{rule}; class-agnostic"),
                Figure(f"mesh AP25, {protocol}", ap.ap25, f"{rule}; class-agnostic"),
                Figure(f"mesh AP, {protocol}", ap.ap, f"{rule}; class-agnostic, mean of IoU > 0.50 to 0.90"),
                Figure(f"mesh AP50 with names, {protocol}", ap_named.ap50, f"{rule}; mean over the data set's classes"),
            ]
    return figures


def _object_figures(evaluation: Evaluation) -> list[Figure]:
    objects = [item for scene in evaluation.scenes for item in scene.objects]
    counted = counted_objects(evaluation.scenes)
    found = [item for item in objects if item.found]
    figures = [
        Figure("objects", len(objects), "true objects with a visible pixel"),
        Figure("found", _mean(item.found for item in objects), f"of all true objects; mask IoU > {FOUND_IOU} over all views"),
    ]
    small = [item for item in counted if item.pixels_per_view < SMALL_PIXELS]
    rule = f"of {len(small)} true objects that show so few in the mean of the views that see them; mask IoU over all views"
    figures.append(Figure(f"found, under {SMALL_PIXELS:.0f} pixels per view", recall_of_small(counted, SMALL_PIXELS), rule))
    for low, high in BANDS:
        hits = hits_in_views(evaluation.scenes, low, high)
        rule = f"of {len(hits)} sightings of one object in one view; mask IoU > {FOUND_IOU} in that view"
        figures.append(Figure(f"found in a view, {band_name(low, high)} pixels", _mean(hits.tolist()), rule))
    metric = "of found objects in metric scenes; axis-aligned with the object"
    return figures + [
        Figure("centre error (mm)", _median(item.center_mm for item in found), f"median {metric}: distance of box centres"),
        Figure("extent error (mm)", _median(item.extent_mm for item in found), f"median {metric}: mean over the three sides"),
        Figure("box IoU", _mean(item.box_iou for item in found), f"mean {metric}"),
        Figure("place NEES", _mean(item.place_nees for item in found), "mean of objects with a covariance; 3 where it is right"),
        Figure(
            "place coverage",
            _mean(_within(item.place_nees) for item in found),
            "share in the ellipsoid that shall hold 95 %",
        ),
    ]


def _naming_figures(evaluation: Evaluation) -> list[Figure]:
    found = [item for scene in evaluation.scenes for item in scene.objects if item.found]
    prompts = [item for scene in evaluation.scenes for item in scene.prompts]
    asked = f"{len(prompts)} descriptions that were never trained on, of classes with a found object"
    return [
        Figure("naming top-1", _mean(item.named_right for item in found), "of found objects: the segment's class name is right"),
        Figure("paraphrase top-1", _mean(p.right for p in prompts), f"{asked}: the likeliest segment is of that class"),
        Figure(
            "paraphrase answered",
            _mean(p.right and p.answered for p in prompts),
            f"{asked}: and it fits well enough to be handed to a robot",
        ),
    ]


def _depth_figures(evaluation: Evaluation) -> list[Figure]:
    scenes = evaluation.scenes
    near = f"pixels whose truth is nearer than {FAR_M} m (all, where there is a scan), mean over scenes"
    return [
        Figure("depth AbsRel", _mean(s.depth.abs_rel for s in scenes), f"as predicted (metric where the scene is); {near}"),
        Figure("depth AbsRel on objects", _mean(s.depth_objects.abs_rel for s in scenes), "as predicted; pixels of objects"),
        Figure(
            "depth AbsRel, scale fitted", _mean(s.depth.abs_rel_median for s in scenes), f"one ratio of medians per scene; {near}"
        ),
        Figure("depth AbsRel, L1 scale", _mean(s.depth.abs_rel_l1 for s in scenes), f"one L1-optimal factor per scene; {near}"),
        Figure("depth delta < 1.25", _mean(s.depth.delta1 for s in scenes), f"as predicted; {near}"),
        Figure("depth RMSE (m)", _mean(s.depth.rmse_m for s in scenes), f"as predicted; {near}"),
        Figure("metric scenes", sum(s.is_metric for s in scenes), "results that the pipeline calls metric"),
    ]


def _camera_figures(evaluation: Evaluation) -> list[Figure]:
    posed = [scene for scene in evaluation.scenes if scene.poses is not None]
    if not posed:
        return []
    poses = [scene.poses for scene in posed if scene.poses is not None]
    withheld = "poses withheld, intrinsics given"
    ate_mm = _median(1000 * scene.trajectory_m for scene in posed)
    return [
        Figure("camera rotation (deg)", _median(p.rotation_deg for p in poses), f"{withheld}; mean of pairs, median of scenes"),
        Figure("camera direction (deg)", _median(p.direction_deg for p in poses), f"{withheld}; mean of pairs, median of scenes"),
        Figure("camera AUC at 30 deg", _mean(p.auc30 for p in poses), f"{withheld}; mean over scenes"),
        Figure("camera ATE (mm)", ate_mm, f"{withheld}; RMSE of the centres after Sim(3), median of scenes"),
    ]


def _cost_figures(evaluation: Evaluation) -> list[Figure]:
    scenes = evaluation.scenes
    seconds = _median(scene.timings_ms["total"] / 1000 for scene in scenes)
    memory = max((scene.peak_memory_mb for scene in scenes), default=math.nan)
    return [
        Figure(
            "seconds per scene", seconds, "median wall time of the pipeline, images to objects; reading and measuring excluded"
        ),
        Figure(
            "processor seconds per scene",
            _median(scene.processor_s for scene in scenes),
            "likewise, time of the processor over all threads: other load on the machine hardly changes it",
        ),
        Figure("peak memory (MB)", memory, "high-water mark of the largest process, libraries and text encoder included"),
    ]


def counted_objects(scenes: Iterable[SceneEvaluation]) -> list[ObjectErrors]:
    """The true objects that are large enough for AP."""
    counted = []
    for scene in scenes:
        large = set(scene.overlaps.true_ids[scene.overlaps.true_sizes >= MIN_PIXELS].tolist())
        counted += [item for item in scene.objects if item.instance_id in large]
    return counted


def scores_and_hits(scenes: Iterable[SceneEvaluation]) -> tuple[np.ndarray, np.ndarray]:
    """Score of every segment, and whether its mask is that of a true object."""
    overlaps = [scene.overlaps for scene in scenes]
    scores = [item.scores for item in overlaps]
    hits = [(item.ious > FOUND_IOU).any(axis=1) for item in overlaps]
    return np.concatenate([*scores, np.zeros(0)]), np.concatenate([*hits, np.zeros(0, bool)])


def hits_in_views(scenes: Iterable[SceneEvaluation], low: float, high: float) -> np.ndarray:
    """(N,) bool: every sighting of a true object at `low` to `high` pixels in one view, and whether a mask there is its own."""
    hits = [np.zeros(0, dtype=bool)]
    for view in (view for scene in scenes for view in scene.view_overlaps):
        band = (view.true_sizes >= low) & (view.true_sizes < high)
        hits.append(np.any(view.ious > FOUND_IOU, axis=0)[band])
    return np.concatenate(hits)


def band_name(low: float, high: float) -> str:
    """A band of sizes in words."""
    return f"{low:.0f} to {high:.0f}" if math.isfinite(high) else f"{low:.0f} or more"


def _within(nees: float | None) -> bool | None:
    """Whether an error is within the ellipsoid that shall hold 95 % of them."""
    return None if nees is None else nees <= CHI_SQUARE_95


def _mean(values: Iterable[float | bool | None]) -> float:
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _median(values: Iterable[float | None]) -> float:
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    return statistics.median(known) if known else math.nan
