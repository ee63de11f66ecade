"""What `pan3d reconstruct` leaves behind: cloud, instances, depth, pictures and a page about them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pan3d_core.gaussians.files import write_scene_file
from pan3d_core.gaussians.scene import scene_of_result
from pan3d_core.language.prompts import name_segments
from pan3d_core.language.text_space import TextSpace
from pan3d_core.pictures import overlays as visualize
from pan3d_core.pictures.cloud_files import Cloud, write_ply, write_reconstruction
from pan3d_core.pictures.clouds import cloud_picture, view_behind, viewpoints_around
from pan3d_core.pictures.overlays import ids_on_image
from pan3d_core.pictures.palette import instance_color, instance_palette
from pan3d_core.runtime.files import written_whole
from pan3d_core.structures import Panoptic3D, PerceptionResult, unit_range
from pan3d_core.views.depth_files import write_depth
from pan3d_core.views.sampling import sample_at_network
from pan3d_core.views.scene_folder import Scene
from pan3d_tools.reports.html import Report

PICTURE_WIDTH = 640
DEPTH_ERROR_LIMIT_M = 0.05
FILES_OF_OLDER = (
    "cloud.ply", "reconstruction.npz", "instances.json", "gaussians.safetensors", "gaussians.ply",
    "report.html", "attention.png", *(f"pictures/{kind}_[0-9]*.png" for kind in ("instances", "depth", "cloud")),
)  # fmt: skip
"""What results had that are not listed yet; names of depth files are those of cameras, which anybody may use."""


def write_files(
    folder: Path, scene: Scene, result: PerceptionResult, model: str, text_space: TextSpace | None = None
) -> list[Path]:
    """Write everything about one result.

    Args:
        folder: Is made where needed.
        scene: That was reconstructed.
        result: Of its views.
        model: Name of the engine.
        text_space: Of the engine's semantics, kept with the 3D Gaussians where the result has some.

    Returns:
        The paths written, the report last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scene = scene.of_cameras(result.views.cameras)  # some may be left out
    names = name_segments(result.panoptic)
    paths = [folder / "cloud.ply", folder / "reconstruction.npz", folder / "instances.json"]
    write_ply(paths[0], Cloud.of(result.panoptic))
    write_reconstruction(paths[1], result.reconstruction, result.panoptic)
    with written_whole(paths[2]) as part:
        part.write_text(json.dumps(instance_list(result, names), indent=1), encoding="utf-8")
    if result.reconstruction.gaussians is not None:
        with_objects = scene_of_result(result, text_space)
        for suffix in (".safetensors", ".ply"):
            paths.append(folder / f"gaussians{suffix}")
            write_scene_file(paths[-1], with_objects)
    if result.is_metric:
        (folder / "depth").mkdir(exist_ok=True)
        for name, depth in zip(file_names(scene), result.reconstruction.depth):
            paths.append(folder / "depth" / f"{name}.png")
            write_depth(paths[-1], depth)
    pictures = {
        "instances": overlays(scene, result, names),
        "depth": depth_pictures(scene, result),
        "cloud": cloud_pictures(result),
    }
    (folder / "pictures").mkdir(exist_ok=True)
    for kind, items in pictures.items():
        for index, picture in enumerate(items):
            paths.append(folder / "pictures" / f"{kind}_{index}.png")
            visualize.save(paths[-1], picture)
    return [*paths, _write_report(folder / "report.html", scene, result, names, pictures, model)]


def file_names(scene: Scene) -> list[str]:
    """Of every view the name of its camera as that of a file, which never leads to another folder; with a number where two would
    be one, as of a camera that moves."""
    names = [view.camera.replace("/", "_") for view in scene.views]
    return names if len(set(names)) == len(names) else [f"{index:02d}_{name}" for index, name in enumerate(names)]


def instance_list(result: PerceptionResult, names: dict[int, str]) -> dict[str, Any]:
    """Instances as plain values; lengths in metres when `is_metric`, otherwise in the reconstruction's own unit."""
    panoptic = result.panoptic
    instances = [
        {
            "instance_id": item.instance_id,
            "name": names[item.instance_id],
            "class": panoptic.labels.name(item.class_id),
            "class_score": item.class_score,
            "score": item.score,
            "num_points": item.num_points,
            "num_views": item.num_views,
            "centroid": item.centroid.tolist(),
            "box": {"world_from_box": item.box.world_from_box.tolist(), "size": item.box.size_m.tolist()},
            "color_rgb": item.color_rgb.tolist(),
        }
        for item in panoptic.segments
    ]
    return {
        "is_metric": result.is_metric,
        "world_frame_id": panoptic.world_frame_id,
        "warnings": list(result.warnings),
        "cameras": camera_list(result),
        "not_checked": [] if result.consistency is None else list(result.consistency.unchecked),
        "left_out": [asdict(fault) for fault in result.left_out],
        "instances": instances,
    }


def camera_list(result: PerceptionResult) -> list[dict[str, Any]]:
    """Each given camera: how well its pose agrees with the pictures (0..1, null = unknown), whether and why it was left out."""
    found = result.consistency
    if found is None:
        return []
    why = dict(zip(found.left_out, found.reasons))
    return [
        {"camera": name, "consistency": figure, "left_out": why.get(name)} for name, figure in zip(found.cameras, found.figures)
    ]


def overlays(scene: Scene, result: PerceptionResult, names: dict[int, str]) -> list[np.ndarray]:
    """Each photograph with instances, names and, for metric results with known cameras, boxes drawn on."""
    pictures = []
    for index, view in enumerate(scene.views):
        ids = result.panoptic.instance_id[index].cpu()
        original = ids_on_image(ids, result.views.network_from_original[index], view.hw)
        picture = visualize.to_picture(unit_range(view.image))
        width = max(PICTURE_WIDTH, min(picture.shape[1], 1280))
        factor = width / picture.shape[1]
        picture = visualize.enlarge(picture, width)
        original = visualize.enlarge(original.astype(np.uint8), width, smooth=False).astype(np.int64)
        boxes = []
        if view.cam_from_world is not None and view.intrinsics is not None and result.is_metric:
            zoom = np.array([[factor, 0, 0.5 * factor - 0.5], [0, factor, 0.5 * factor - 0.5], [0, 0, 1]])
            lines = [
                line
                for item in result.panoptic.segments
                for line in visualize.box_lines(item.box, instance_color(item.instance_id))
            ]
            intrinsics = zoom @ view.intrinsics.double().numpy(force=True)
            boxes = visualize.project_lines(lines, intrinsics, view.cam_from_world.double().numpy(force=True))
        pictures.append(visualize.overlay(picture, original, names, boxes))
    return pictures


def depth_pictures(scene: Scene, result: PerceptionResult) -> list[np.ndarray]:
    """Depth of each view on one scale; where the truth is known, true depth and the error beside it."""
    depths = list(result.reconstruction.depth.numpy(force=True))
    truths = _truth_at_network(scene, result)
    near, far = visualize.depth_range(*depths, *truths)
    pictures = []
    for index, depth in enumerate(depths):
        row = [visualize.depth_picture(depth, near, far)]
        if truths and result.is_metric:
            row.append(visualize.depth_picture(truths[index], near, far))
            row.append(visualize.error_picture(depth, truths[index], DEPTH_ERROR_LIMIT_M))
        tiles = [visualize.enlarge(tile, PICTURE_WIDTH // 2) for tile in row]
        joined = visualize.montage(
            tiles, len(tiles), ("depth", "true depth", f"error, +-{DEPTH_ERROR_LIMIT_M * 100:.0f} cm")[: len(row)]
        )
        scale = visualize.depth_scale(near, far, joined.shape[1], "m" if result.is_metric else "")
        pictures.append(np.concatenate([joined, scale]))
    return pictures


def cloud_pictures(result: PerceptionResult) -> list[np.ndarray]:
    """The cloud in its own colours and by instance, each from two viewpoints."""
    panoptic = result.panoptic
    points, normals = panoptic.points.double().numpy(force=True), panoptic.point_normals.double().numpy(force=True)
    if len(points) == 0:
        return []
    colors = (panoptic.point_colors.numpy(force=True) * 255).astype(np.uint8)
    ids = panoptic.point_instance_id.numpy(force=True)
    ground = None
    if result.is_metric and result.views.cam_from_world is not None:
        ground = result.views.support_height_m
        near = _around(points, points[ids > 0], margin_m=0.2)
        points, normals, colors, ids = points[near], normals[near], colors[near], ids[near]
        aim = points[_around(points, points[ids > 0], margin_m=0.03)]
        cameras: list[np.ndarray] = [viewpoint.cam_from_world for viewpoint in viewpoints_around(aim)]
    else:
        first = result.reconstruction.cam_from_world[0].double().numpy(force=True)
        cameras = [view_behind(first, points, azimuth) for azimuth in (-20.0, 25.0)]
    by_instance = instance_palette(int(ids.max(initial=0)))[ids]
    lines = [] if ground is None else [line for item in panoptic.segments for line in visualize.box_lines(item.box, (90, 90, 90))]
    size = 0.004 if result.is_metric else 0.006 * float(np.median(result.reconstruction.depth.numpy(force=True)))
    return [
        cloud_picture(points, paint, camera, normals=shading, lines=drawn, grid_height=ground, point_size=size)
        for paint, shading, drawn in ((colors, None, []), (by_instance, normals, lines))
        for camera in cameras
    ]


def _around(points: np.ndarray, objects: np.ndarray, margin_m: float) -> np.ndarray:
    """(N,) bool: the points near the objects, which pictures should show rather than the whole room; all without objects."""
    if len(objects) < 100:
        return np.ones(len(points), dtype=bool)
    low, high = np.percentile(objects, 1, axis=0) - margin_m, np.percentile(objects, 99, axis=0) + margin_m
    return ((points >= low) & (points <= high)).all(axis=1)


def _truth_at_network(scene: Scene, result: PerceptionResult) -> list[np.ndarray]:
    depths = [] if scene.truth is None else [depth for depth in scene.truth.depth if depth is not None]
    if len(depths) < len(scene.views):
        return []
    hw = result.views.hw
    mappings = result.views.network_from_original
    return [sample_at_network(depth, mapping, hw).numpy() for depth, mapping in zip(depths, mappings)]


def _write_report(
    path: Path, scene: Scene, result: PerceptionResult, names: dict[int, str], pictures: dict[str, list[np.ndarray]], model: str
) -> Path:
    panoptic = result.panoptic
    report = Report(f"{scene.name}: {len(panoptic.segments)} objects in {len(scene.views)} views")
    report.text(
        f"{model}; {result.views.hw[1]} x {result.views.hw[0]} pixels per view; {len(panoptic.points)} points.", note=True
    )
    metric = "Lengths are metres in the frame of the given cameras."
    report.text(metric if result.is_metric else "Lengths have no known unit.")
    for warning in result.warnings:
        report.text(f"Warning: {warning}.")
    report.section("Instances and names")
    report.pictures(pictures["instances"], [view.camera for view in scene.views])
    rows = [_segment_row(panoptic, item.instance_id, names) for item in panoptic.segments]
    colors = [instance_color(item.instance_id) for item in panoptic.segments]
    unit = "cm" if result.is_metric else "units"
    report.section("Objects")
    report.table(
        ("id", "name", "name score", "object score", f"size ({unit})", f"centre ({unit})", "points", "views"), rows, colors
    )
    report.section("Cloud: own colours, and by instance")
    report.pictures(pictures["cloud"])
    report.section("Depth")
    report.pictures(pictures["depth"], [view.camera for view in scene.views], width=pictures["depth"][0].shape[1])
    report.section("Time")
    report.table(("stage", "ms"), [(name, round(value, 1)) for name, value in result.timings_ms.items()])
    return report.write(path)


def _segment_row(panoptic: Panoptic3D, instance_id: int, names: dict[int, str]) -> tuple[object, ...]:
    item = panoptic.segment(instance_id)
    size, center = (" x ".join(f"{100 * x:.1f}" for x in v.tolist()) for v in (item.box.size_m, item.box.world_from_box[:3, 3]))
    named = f"{item.class_score:.2f}" if item.class_id >= 0 else "unnamed"
    return instance_id, names[instance_id], named, round(item.score, 2), size, center, item.num_points, item.num_views
