"""A page on which a person sees how good an engine is, and what went wrong where it was worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pan3d_core.pictures.palette import instance_color
from pan3d_core.structures import PerceptionResult
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.comparison_pictures import view_rows
from pan3d_eval.execution import Failure
from pan3d_eval.figures import AP_RULES, Figure, counted_objects, figure_table, scores_and_hits
from pan3d_eval.metrics.calibration import expected_calibration_error
from pan3d_eval.metrics.objects import FOUND_IOU, ObjectErrors
from pan3d_eval.runner import MIN_PIXELS, Evaluation, SceneEvaluation
from pan3d_tools.reports.html import Report

TILE_WIDTH = 300


@dataclass(frozen=True)
class Shown:
    """A scene that is shown with pictures, and what became of it."""

    scene: Scene
    result: PerceptionResult
    measured: SceneEvaluation


def badness(scene: SceneEvaluation) -> tuple[float, float, float]:
    """Lowest for the worst scene, by what a robot would miss most: found share, then AP50, then depth."""
    found, count = found_of(scene)
    return found / count if count else 1.0, _or(scene.ap50, 1.0), -_or(scene.depth.abs_rel, 0.0)


def found_of(scene: SceneEvaluation) -> tuple[int, int]:
    """Found and all true objects that are large enough for AP."""
    counted = scene.overlaps.true_sizes >= MIN_PIXELS
    return int(np.any(scene.overlaps.ious > FOUND_IOU, axis=0)[counted].sum()), int(counted.sum())


def write_scene_report(path: Path, title: str, facts: Sequence[str], evaluation: Evaluation, shown: Sequence[Shown]) -> Path:
    """Write the page about evaluated scenes.

    Args:
        path: Of the HTML file.
        title: Of the page.
        facts: Sentences about the run (engine, input, machine, command).
        evaluation: Of all scenes.
        shown: Scenes that are shown with pictures, the worst.

    Returns:
        The path.
    """
    report = Report(title)
    for sentence in facts:
        report.text(sentence, note=True)
    add_failures(report, evaluation.failures)
    report.section("Figures")
    add_figures(report, figure_table(evaluation))
    report.text(AP_RULES, note=True)
    _add_calibration(report, evaluation)
    if shown:
        report.section(f"The {len(shown)} worst scenes")
        report.text(
            "A predicted segment has the colour of the true object that it is (mask IoU > 0.5); the others have colours that "
            "no true object has. The number is the segment's score."
        )
    for item in shown:
        _add_scene(report, item)
    report.section("All scenes, worst first")
    head = ("scene", "AP50", "found", "objects", "PQ", "depth AbsRel", "centre error (mm)", "ms")
    report.table(head, [_scene_row(item) for item in sorted(evaluation.scenes, key=badness)])
    return report.write(path)


def add_failures(report: Report, failures: Sequence[Failure]) -> None:
    """A table of what could not be evaluated, if anything."""
    if failures:
        report.section(f"{len(failures)} could not be evaluated")
        report.table(("name", "why"), [(item.name, item.message) for item in failures])


def add_figures(report: Report, figures: Sequence[Figure]) -> None:
    """Each figure with its rule; what could not be measured is named below the table."""
    known = [item for item in figures if not math.isnan(item.value)]
    report.table(("figure", "value", "how it is taken"), [(item.name, item.value, item.protocol) for item in known])
    absent = [item.name for item in figures if math.isnan(item.value)]
    if absent:
        report.text(f"Not measured, because there was nothing to measure it on: {', '.join(absent)}.", note=True)


def what_went_wrong(measured: SceneEvaluation) -> str:
    """One sentence about a scene."""
    counted = counted_objects([measured])
    missed = [item for item in counted if not item.found]
    misnamed = [item for item in counted if item.named_right is False]
    found, count = found_of(measured)
    parts = [f"{found} of {count} objects found"]
    if missed:
        parts.append("missed " + ", ".join(_described_miss(item) for item in missed))
    spurious = int((~(measured.overlaps.ious > FOUND_IOU).any(axis=1)).sum())
    if spurious > 0:
        parts.append(f"{spurious} segment{'s' if spurious > 1 else ''} that {'are' if spurious > 1 else 'is'} no true object")
    if misnamed:
        parts.append(f"{len(misnamed)} of the found with a wrong name")
    if measured.poses is not None:
        parts.append(f"cameras off by {measured.poses.rotation_deg:.0f} degrees")
    parts.append(f"depth off by {100 * _or(measured.depth.abs_rel, 0.0):.1f} %")
    return "; ".join(parts) + "."


def _described_miss(item: ObjectErrors) -> str:
    best = f"best mask IoU {item.mask_iou:.2f}" if item.mask_iou > 0 else "no mask touches it"
    return f"object {item.instance_id} ({item.pixels_per_view:.0f} pixels per view, {best})"


def _add_scene(report: Report, shown: Shown) -> None:
    measured, scene = shown.measured, shown.scene
    report.section(f"{measured.name}: AP50 {_or(measured.ap50, 0.0):.2f}")
    report.text(what_went_wrong(measured))
    rows = view_rows(scene, shown.result, measured.objects, TILE_WIDTH)
    report.pictures(rows, [view.camera for view in scene.views], width=rows[0].shape[1])
    objects = list(measured.objects)
    head = ("object", "pixels per view", "mask IoU", "predicted as", "score", "centre (mm)", "extent (mm)", "box IoU", "verdict")
    report.table(head, [_object_row(item, shown) for item in objects], [instance_color(item.instance_id) for item in objects])


def _object_row(item: ObjectErrors, shown: Shown) -> tuple[object, ...]:
    truth, panoptic = shown.scene.known_truth(), shown.result.panoptic
    true = next(entry for entry in truth.objects if entry.instance_id == item.instance_id)
    segment = next((entry for entry in panoptic.segments if entry.instance_id == item.segment_id), None) if item.found else None
    verdict = "missed" if not item.found else "wrong name" if item.named_right is False else "right"
    return (
        f"{item.instance_id} {truth.labels.name(true.class_id) or true.name}",
        round(item.pixels_per_view),
        float(item.mask_iou),
        "" if segment is None else panoptic.labels.name(segment.class_id) or "object",
        "" if segment is None else float(segment.score),
        *("" if value is None else float(value) for value in (item.center_mm, item.extent_mm, item.box_iou)),
        verdict,
    )


def _scene_row(scene: SceneEvaluation) -> tuple[object, ...]:
    centers = sorted(item.center_mm for item in scene.objects if item.center_mm is not None)
    center = centers[len(centers) // 2] if centers else ""
    total_ms = round(scene.timings_ms["total"])
    return scene.name, scene.ap50, *found_of(scene), scene.pq, scene.depth.abs_rel, center, total_ms


def _add_calibration(report: Report, evaluation: Evaluation) -> None:
    scores, hits = scores_and_hits(evaluation.scenes)
    if len(scores):
        found = expected_calibration_error(scores, hits)
        report.section("Scores against how often they were right")
        rows = [(float(s), float(r), int(n)) for s, r, n in zip(found.mean_score, found.share_right, found.count)]
        report.table(("mean score", "share that is a true object", "segments"), rows)


def _or(value: float, otherwise: float) -> float:
    return otherwise if math.isnan(value) else value
