"""The journey as one HTML file with all pictures inside."""

from __future__ import annotations

import html
import json
import math
from pathlib import Path

import numpy as np

from pan3d_ros.demo import conversions, pictures
from pan3d_ros.demo.journey import Journey
from pan3d_ros.demo.measure import sample_at_network

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1340px; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ddd; }
.row { display: flex; flex-wrap: wrap; gap: 10px; } figure { margin: 0; } figcaption { font-size: 13px; color: #555; }
figure img { width: 320px; height: auto; display: block; background: #eee; } figure.wide img { width: 640px; }
table { border-collapse: collapse; margin: .5rem 0; } td, th { border: 1px solid #ddd; padding: 3px 10px; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } .good { color: #1a7f37; } .bad { color: #b42318; }
"""
DEPTH_ERROR_LIMIT_M = 0.05


def write_report(journey: Journey, folder: Path, model: str, *, depth_cameras: bool) -> Path:
    """`folder`/report.html and the same figures as `result.json`; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    verdict = "good" if journey.lifted and journey.found else "bad"
    body = [
        f"<h1>pan3d: “{html.escape(journey.prompt)}”, scene {journey.seed}</h1>",
        f"<p class={verdict}><b>{html.escape(_sentence(journey))}</b></p>",
        f"<p>{len(journey.cameras)} calibrated {'depth ' if depth_cameras else 'colour '}cameras, engine {html.escape(model)}. "
        f"{html.escape(journey.answer.explanation)}</p>",
        *_section("What the cameras see, with instances and names", _overlays(journey)),
        *_section("Depth beside true depth", _depths(journey)),
        *_section("Cloud by instance, best grasp in red, true box of the object in black", _clouds(journey), wide=True),
        *_section("The grasp in the cell", _trial(journey)),
        "<h2>Errors against the simulator's truth</h2>",
        table(("quantity", "value"), error_rows(journey)),
        "<h2>Stages</h2>",
        table(("stage", "ms"), _stage_rows(journey)),
        "<h2>Grasps</h2>",
        table(("rank", "quality", "opening mm", "from above deg"), _grasp_rows(journey)),
        "<h2>Objects</h2>",
        table(("reported", "score", "x y z mm", "sides mm"), _object_rows(journey)),
    ]
    path = folder / "report.html"
    path.write_text(_page("\n".join(body)), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(summary_of(journey), indent=1), encoding="utf-8")
    return path


def write_summary(journeys: list[Journey], folder: Path, model: str, *, depth_cameras: bool) -> Path:
    """`folder`/summary.html and summary.json over several scenes; returns the page's path."""
    rows = [summary_of(journey) for journey in journeys]
    found, lifted = sum(row["found"] for row in rows), sum(row["lifted"] for row in rows)
    content = {
        "model": model,
        "depth_cameras": depth_cameras,
        "scenes": len(rows),
        "found": found,
        "lifted": lifted,
        "found_and_lifted": sum(row["found"] and row["lifted"] for row in rows),
        "rows": rows,
    }
    (folder / "summary.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    columns = (
        "seed", "prompt", "found", "box_iou", "center_error_mm", "lifted", "outcome", "ap50", "depth_abs_rel", "answer_s"
    )  # fmt: skip
    links = [f'<a href="seed_{row["seed"]}/report.html">{row["seed"]}</a>' for row in rows]
    cells = [[link, *(_cell(row[name]) for name in columns[1:])] for link, row in zip(links, rows)]
    body = (
        f"<h1>pan3d: {len(rows)} scenes, {'depth' if depth_cameras else 'colour'} cameras, engine {html.escape(model)}</h1>"
        f"<p>found {found} of {len(rows)}, lifted {lifted} of {len(rows)}</p>" + table(columns, cells)
    )
    path = folder / "summary.html"
    path.write_text(_page(body), encoding="utf-8")
    return path


def summary_of(journey: Journey) -> dict[str, object]:
    """The figures of one scene; None where there is none."""
    errors = journey.target_errors
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
        "ap50": _number(journey.scene.ap50),
        "ap25": _number(journey.scene.ap25),
        "depth_abs_rel": _number(journey.scene.depth.abs_rel),
        "object_depth_abs_rel": _number(journey.scene.object_depth.abs_rel),
        "scale_error": _number(abs(journey.scene.depth.scale_median - 1.0)),
        "camera_error_mm": _camera_error_mm(journey),
        "num_true": journey.scene.num_true,
        "num_seen": journey.scene.num_seen,
        "answer_s": _number(journey.answer_s),
        "latency_s": None if journey.stats is None else _number(journey.stats.latency_seconds),
        "stages_s": {} if journey.stats is None else dict(zip(journey.stats.stages, map(_number, journey.stats.stage_seconds))),
    }


def error_rows(journey: Journey) -> list[list[str]]:
    """Quantity and value, in words."""
    scene, errors = journey.scene, journey.target_errors
    centers = scene.center_errors_mm
    camera_mm = _camera_error_mm(journey)
    rows = [
        ["instances reported / really visible", f"{scene.num_seen} / {scene.num_true}"],
        ["instance AP50 (class-agnostic, one mask over all views)", _fixed(scene.ap50, 2)],
        ["instance AP25", _fixed(scene.ap25, 2)],
        ["depth AbsRel, all pixels", _fixed(scene.depth.abs_rel, 4)],
        ["depth AbsRel, on objects", _fixed(scene.object_depth.abs_rel, 4)],
        ["depth RMSE, mm", _fixed(1000 * scene.depth.rmse_m, 1)],
        ["scale error, %", _fixed(100 * abs(scene.depth.scale_median - 1.0), 2)],
        ["camera error (positions after alignment, RMS), mm", "taken as given" if camera_mm is None else f"{camera_mm:.2f}"],
        ["box centre error of all objects found, mm (mean)", _fixed(float(np.mean(centers)), 1) if centers else "none found"],
    ]
    if errors is not None:
        rows += [
            ["prompted object: box IoU", _fixed(errors.iou, 2)],
            ["prompted object: centre error, mm", _fixed(errors.center_error_mm, 1)],
            ["prompted object: largest side error, mm", _fixed(errors.size_error_mm, 1)],
        ]
    rows.append(["grasp", journey.outcome])
    if journey.trial is not None:
        rows += [[f"trial: {name}", f"{value:.4g}"] for name, value in zip(journey.trial.detail_names, journey.trial.details)]
    return [[html.escape(cell) for cell in row] for row in rows]


def table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """HTML table; cells are HTML already."""
    lines = ["<table><tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in head) + "</tr>"]
    for row in rows:
        first, *rest = row
        lines.append(f"<tr><td>{first}</td>" + "".join(f"<td class=n>{cell}</td>" for cell in rest) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _sentence(journey: Journey) -> str:
    place = "" if journey.target_errors is None else f", {journey.target_errors.center_error_mm:.0f} mm from its true centre"
    if journey.match is None:
        return f"not found: {journey.outcome}"
    found = "found" + place if journey.found or journey.target is None else "a wrong object or place was taken for it"
    return f"{found}; {'lifted' if journey.lifted else 'not lifted: ' + journey.outcome}"


def _section(title: str, figures: list[tuple[np.ndarray, str]], *, wide: bool = False) -> list[str]:
    kind = " class=wide" if wide else ""
    shown = []
    for picture, text in figures:
        words = html.escape(text)
        image = f'<img src="{pictures.data_uri(picture)}" alt="{words}">'
        shown.append(f"<figure{kind}>{image}<figcaption>{words}</figcaption></figure>")
    return [f"<h2>{html.escape(title)}</h2>", "<div class=row>", *(shown or ["<p>none</p>"]), "</div>"]


def _names(journey: Journey) -> dict[int, str]:
    match = journey.match
    names = {item.instance_id: item.name or f"object {item.instance_id}" for item in journey.seen}
    if match is not None and match.instance_id in names:
        names[match.instance_id] = f"> {names[match.instance_id]}"
    return names


def _overlays(journey: Journey) -> list[tuple[np.ndarray, str]]:
    by_name = {camera.name: camera for camera in journey.cameras}
    highlight = journey.match.instance_id if journey.match is not None else 0
    figures = []
    for seen in journey.seen_cameras:
        truth = by_name[seen.name]
        ids = pictures.ids_at_camera(truth, seen)
        figures += [(pictures.overlay(truth.rgb, ids, _names(journey), highlight), seen.name)]
    return figures


def _depths(journey: Journey) -> list[tuple[np.ndarray, str]]:
    by_name = {camera.name: camera for camera in journey.cameras}
    figures = []
    for seen in journey.seen_cameras:
        truth = by_name[seen.name]
        true_depth = sample_at_network(truth.depth, truth.intrinsics, seen)
        valid = true_depth[true_depth > 0]
        near, far = np.quantile(valid, (0.01, 0.85)).tolist() if valid.size else (0.3, 1.5)
        figures += [
            (pictures.depth_picture(seen.depth, near, far), f"{seen.name}: depth, {near:.2f} to {far:.2f} m"),
            (pictures.depth_picture(true_depth, near, far), f"{seen.name}: true depth"),
            (
                pictures.error_picture(seen.depth, true_depth, DEPTH_ERROR_LIMIT_M),
                f"{seen.name}: error, red too far, blue too near, full at {1000 * DEPTH_ERROR_LIMIT_M:.0f} mm",
            ),
        ]
    return figures


def _clouds(journey: Journey) -> list[tuple[np.ndarray, str]]:
    records = journey.points
    points = np.stack([records["x"], records["y"], records["z"]], axis=1).astype(np.float64)
    palette = np.array([(150, 150, 150)] + [pictures.instance_color(k) for k in range(1, 256)], np.uint8)
    colors = palette[np.minimum(records["instance"], 255)]
    lines = []
    if journey.target is not None:
        box = journey.target.box
        lines += pictures.box_lines(box.world_from_box.double().numpy(), box.size_m.double().numpy(), (20, 20, 20))
    if journey.grasp is not None:
        grasp = journey.grasp
        lines += pictures.grasp_lines(conversions.world_from_grasp(grasp), grasp.width, grasp.approach_distance)
    return [(pictures.cloud_picture(points, colors, lines, turn), f"seen from azimuth {turn:.0f} deg") for turn in (-20.0, 70.0)]


def _trial(journey: Journey) -> list[tuple[np.ndarray, str]]:
    return [(picture, phase) for phase, picture in journey.pictures.items()]


def _stage_rows(journey: Journey) -> list[list[str]]:
    if journey.stats is None:
        return [["no statistics were received", ""]]
    stats = journey.stats
    rows = [[html.escape(name), f"{1000 * seconds:.1f}"] for name, seconds in zip(stats.stages, stats.stage_seconds)]
    rows.append(["pipeline", f"{1000 * stats.process_seconds:.1f}"])
    rows.append(["newest image stamp to published", f"{1000 * stats.latency_seconds:.1f}"])
    rows.append(["question to answer, waiting for fresh images included", f"{1000 * journey.answer_s:.1f}"])
    return rows


def _grasp_rows(journey: Journey) -> list[list[str]]:
    rows = []
    for rank, grasp in enumerate(journey.answer.grasps, start=1):
        tilt = math.degrees(math.acos(min(max(-grasp.approach_direction.z, -1.0), 1.0)))
        rows.append([str(rank), f"{grasp.quality:.3f}", f"{1000 * grasp.width:.0f}", f"{tilt:.0f}"])
    return rows or [[html.escape(journey.answer.grasp_message or "none"), "", "", ""]]


def _object_rows(journey: Journey) -> list[list[str]]:
    rows = []
    for item in journey.seen:
        center = " ".join(f"{1000 * float(v):.0f}" for v in item.box.world_from_box[:3, 3])
        sides = " ".join(f"{1000 * float(v):.0f}" for v in item.box.size_m)
        rows.append([html.escape(_names(journey)[item.instance_id]), f"{item.score:.2f}", center, sides])
    return rows


def _camera_error_mm(journey: Journey) -> float | None:
    residual = journey.answer.instances.scale_residual_m
    return None if residual < 0 else _number(1000 * residual)


def _number(value: float) -> float | None:
    """Five digits; None for NaN, which JSON does not know."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _fixed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "none"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<span class={"good" if value else "bad"}>{"yes" if value else "no"}</span>'
    return f"{value:.3g}" if isinstance(value, float) else html.escape(str(value))


def _page(body: str) -> str:
    head = f'<meta charset="utf-8"><title>pan3d</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'
