"""The journey as one HTML file with all pictures inside, and as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from pan3d_core.pictures import overlays
from pan3d_core.pictures.clouds import cloud_picture, viewpoints_around
from pan3d_core.pictures.palette import instance_color, instance_palette
from pan3d_core.runtime.files import written_whole
from pan3d_ros.messages.manipulation.grasps import grasp_from_message
from pan3d_tools.demo.journey import Journey
from pan3d_tools.demo.measure import ids_at_camera, sample_at_network
from pan3d_tools.reports.html import Report

TRUE_BOX_COLOR = (20, 20, 20)
DEPTH_ERROR_LIMIT_M = 0.03
PICTURE_WIDTH = 420


def write_report(journey: Journey, folder: Path, model: str, *, depth_cameras: bool) -> Path:
    """`folder`/report.html and the same figures as result.json; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = Report(f"pan3d: “{journey.prompt}”, scene {journey.seed}")
    page.text(_sentence(journey))
    cameras = f"{len(journey.cameras)} calibrated {'depth' if depth_cameras else 'colour'} cameras"
    page.text(f"{cameras}, engine {model}. {journey.answer.explanation}", note=True)
    _show_instances(page, journey)
    _show_depth(page, journey)
    _show_cloud(page, journey)
    _show_trial(page, journey)
    page.section("Errors against the simulator's truth")
    page.table(("quantity", "value"), error_rows(journey))
    page.section("Stages of perception")
    page.table(("stage", "ms"), _stage_rows(journey))
    page.section("Grasps, best first")
    page.table(("rank", "quality", "opening mm", "tilt from above deg"), _grasp_rows(journey))
    page.section("Objects reported")
    colors = [instance_color(item.instance_id) for item in journey.seen]
    page.table(("object", "score", "centre x y z mm", "sides mm"), _object_rows(journey), colors)
    with written_whole(folder / "result.json") as part:
        part.write_text(json.dumps(summary_of(journey), indent=1), encoding="utf-8")
    return page.write(folder / "report.html")


def write_summary(journeys: list[Journey], folder: Path, model: str, *, depth_cameras: bool) -> Path:
    """`folder`/summary.html and summary.json over several scenes; returns the page's path."""
    rows = [summary_of(journey) for journey in journeys]
    content = {
        "model": model,
        "depth_cameras": depth_cameras,
        "scenes": len(rows),
        "found": sum(bool(row["found"]) for row in rows),
        "lifted": sum(bool(row["lifted"]) for row in rows),
        "found_and_lifted": sum(bool(row["found"] and row["lifted"]) for row in rows),
        "rows": rows,
    }
    with written_whole(folder / "summary.json") as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    page = Report(f"pan3d: {len(rows)} scenes, {'depth' if depth_cameras else 'colour'} cameras, engine {model}")
    page.text(f"Found {content['found']} of {len(rows)}; of these lifted {content['found_and_lifted']}.")
    columns = ("seed", "prompt", "found", "box_iou", "center_error_mm", "lifted", "outcome", "ap50", "depth_abs_rel", "answer_s")
    page.table(columns, [[_cell(row[name]) for name in columns] for row in rows])
    page.text("Each scene has its own page: seed_<number>/report.html.", note=True)
    return page.write(folder / "summary.html")


def summary_of(journey: Journey) -> dict[str, object]:
    """The figures of one scene; None where there is none."""
    errors, scene, stats = journey.target_errors, journey.scene, journey.stats
    return {
        "seed": journey.seed,
        "prompt": journey.prompt,
        "found": journey.found,
        "lifted": journey.lifted,
        "outcome": journey.outcome,
        "box_iou": None if errors is None else _number(errors.iou),
        "center_error_mm": None if errors is None else _number(errors.center_error_mm),
        "size_error_mm": None if errors is None else _number(errors.size_error_mm),
        "grasps": len(journey.answer.grasps),
        "ap50": _number(scene.ap50),
        "ap25": _number(scene.ap25),
        "depth_abs_rel": _number(scene.depth.abs_rel),
        "object_depth_abs_rel": _number(scene.object_depth.abs_rel),
        "scale_error": _number(abs(scene.depth.scale_median - 1.0)),
        "camera_error_mm": _camera_error_mm(journey),
        "num_true": scene.num_true,
        "num_seen": scene.num_seen,
        "answer_s": _number(journey.answer_s),
        "latency_s": None if stats is None else _number(stats.latency_seconds),
        "stages_s": {} if stats is None else dict(zip(stats.stages, map(_number, stats.stage_seconds))),
    }


def error_rows(journey: Journey) -> list[tuple[str, object]]:
    """Quantity and value, in words."""
    scene, errors = journey.scene, journey.target_errors
    centers, camera_mm = scene.center_errors_mm, _camera_error_mm(journey)
    rows: list[tuple[str, object]] = [
        ("instances reported / really visible", f"{scene.num_seen} / {scene.num_true}"),
        ("instance AP50 (class-agnostic, one mask over all views)", _fixed(scene.ap50, 2)),
        ("instance AP25", _fixed(scene.ap25, 2)),
        ("depth AbsRel, all pixels", _fixed(scene.depth.abs_rel, 4)),
        ("depth AbsRel, on objects", _fixed(scene.object_depth.abs_rel, 4)),
        ("depth RMSE, mm", _fixed(1000 * scene.depth.rmse_m, 1)),
        ("scale error, %", _fixed(100 * abs(scene.depth.scale_median - 1.0), 2)),
        ("camera error (positions after alignment, RMS), mm", "not aligned" if camera_mm is None else f"{camera_mm:.2f}"),
        ("box centre error of all objects found, mm (mean)", _fixed(float(np.mean(centers)), 1) if centers else "none found"),
    ]
    if errors is not None:
        rows += [
            ("prompted object: box IoU", _fixed(errors.iou, 2)),
            ("prompted object: centre error, mm", _fixed(errors.center_error_mm, 1)),
            ("prompted object: largest side error, mm", _fixed(errors.size_error_mm, 1)),
        ]
    rows.append(("grasp", journey.outcome))
    if journey.trial is not None:
        rows += [(f"trial: {name}", f"{value:.4g}") for name, value in zip(journey.trial.detail_names, journey.trial.details)]
    return rows


def _sentence(journey: Journey) -> str:
    errors = journey.target_errors
    if journey.match is None:
        return f"Not found: {journey.outcome}"
    if journey.target is None:
        found = "An object was found (the prompt names no single object of the cell, so its place is not judged)"
    elif errors is not None and errors.found:
        found = f"Found, {errors.center_error_mm:.0f} mm from its true centre"
    else:
        found = "A wrong object or place was taken for it"
    return f"{found}; {'lifted' if journey.lifted else 'not lifted: ' + journey.outcome}."


def _names(journey: Journey) -> dict[int, str]:
    names = {item.instance_id: item.name or f"object {item.instance_id}" for item in journey.seen}
    match = journey.match
    if match is not None and match.instance_id in names:
        names[match.instance_id] = f"» {names[match.instance_id]}"
    return names


def _show_instances(page: Report, journey: Journey) -> None:
    by_name = {camera.name: camera for camera in journey.cameras}
    true_box = [] if journey.target is None else overlays.box_lines(journey.target.box, (255, 255, 255))
    page.section("What the cameras see, with instances and names; the true box of the prompted object in white")
    shown = []
    for seen in journey.seen_cameras:
        truth = by_name[seen.name]
        lines = overlays.project_lines(true_box, truth.intrinsics, np.linalg.inv(truth.world_from_cam))
        shown.append(overlays.overlay(truth.rgb, ids_at_camera(truth, seen), _names(journey), lines))
    page.pictures(shown, [camera.name for camera in journey.seen_cameras], width=640)


def _show_depth(page: Report, journey: Journey) -> None:
    by_name = {camera.name: camera for camera in journey.cameras}
    page.section("Depth beside true depth")
    for seen in journey.seen_cameras:
        truth = by_name[seen.name]
        true_depth = sample_at_network(truth.depth, truth.intrinsics, seen)
        near, far = overlays.depth_range(true_depth)
        shown = [
            overlays.depth_picture(seen.depth, near, far),
            overlays.depth_picture(true_depth, near, far),
            overlays.error_picture(seen.depth, true_depth, DEPTH_ERROR_LIMIT_M),
        ]
        captions = [
            f"{seen.name}: depth, {near:.2f} to {far:.2f} m",
            f"{seen.name}: true depth",
            f"{seen.name}: error, red too far, blue too near, full colour at {1000 * DEPTH_ERROR_LIMIT_M:.0f} mm",
        ]
        enlarged = [overlays.enlarge(picture, PICTURE_WIDTH, smooth=False) for picture in shown]
        page.pictures(enlarged, captions, width=PICTURE_WIDTH)


def _show_cloud(page: Report, journey: Journey) -> None:
    records = journey.points
    points = np.stack([records["x"], records["y"], records["z"]], axis=1).astype(np.float64)
    colors = instance_palette(int(records["instance"].max(initial=0)))[records["instance"]]
    lines = [] if journey.target is None else overlays.box_lines(journey.target.box, TRUE_BOX_COLOR)
    if journey.grasp is not None:
        lines += overlays.grasp_lines(grasp_from_message(journey.grasp))
    page.section("Cloud by instance, the best grasp in red, the true box of the prompted object in black")
    viewpoints = viewpoints_around(points)
    shown = [cloud_picture(points, colors, view.cam_from_world, lines=lines, grid_height=0.0) for view in viewpoints]
    page.pictures(shown, [f"seen from azimuth {view.azimuth_deg:.0f} degrees" for view in viewpoints], width=640)


def _show_trial(page: Report, journey: Journey) -> None:
    page.section("The grasp in the cell, before and after")
    if journey.pictures:
        page.pictures(list(journey.pictures.values()), list(journey.pictures), width=PICTURE_WIDTH)
    else:
        page.text(f"No grasp was executed: {journey.outcome}")


def _stage_rows(journey: Journey) -> list[tuple[str, str]]:
    stats = journey.stats
    if stats is None:
        return [("no statistics were received", "")]
    rows = [(name, f"{1000 * seconds:.1f}") for name, seconds in zip(stats.stages, stats.stage_seconds)]
    rows.append(("all stages", f"{1000 * stats.process_seconds:.1f}"))
    rows.append(("newest image stamp to published", f"{1000 * stats.latency_seconds:.1f}"))
    rows.append(("question to answer, waiting for fresh images included", f"{1000 * journey.answer_s:.1f}"))
    return rows


def _grasp_rows(journey: Journey) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for rank, grasp in enumerate(journey.answer.grasps, start=1):
        tilt = math.degrees(math.acos(min(max(-grasp.approach_direction.z, -1.0), 1.0)))
        rows.append((rank, f"{grasp.quality:.3f}", f"{1000 * grasp.opening:.0f}", f"{tilt:.0f}"))
    return rows or [(journey.answer.grasp_message or "none", "", "", "")]


def _object_rows(journey: Journey) -> list[tuple[str, str, str, str]]:
    names = _names(journey)
    rows = []
    for item in journey.seen:
        center = " ".join(f"{1000 * float(v):.0f}" for v in item.box.world_from_box[:3, 3])
        sides = " ".join(f"{1000 * float(v):.0f}" for v in item.box.size_m)
        rows.append((names[item.instance_id], f"{item.score:.2f}", center, sides))
    return rows


def _camera_error_mm(journey: Journey) -> float | None:
    residual = journey.answer.instances.scale_residual_m
    return None if residual < 0 else _number(1000 * residual)


def _number(value: float) -> float | None:
    """Five digits; None for NaN, which JSON does not know."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _fixed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "none"


def _cell(value: object) -> object:
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else value
