"""Scene folders in the layout of BOP (Hodan et al. 2018), with boxes where BOP has models.

    OUT/
      models/models_info.json     of every class: diameter, min_*, size_* of its largest object, millimetres; and its name
      train/000000/
        rgb/000000.png  depth/000000.png       16 bit, times `depth_scale` = millimetres
        mask_visib/000000_000000.png           image and row of `scene_gt.json`
        scene_camera.json   cam_K, depth_scale, cam_R_w2c, cam_t_w2c
        scene_gt.json       obj_id (the class), cam_R_m2c, cam_t_m2c: pose of the object's box, whose middle is the origin
        scene_gt_info.json  bbox_visib, px_count_visib, px_count_valid
        scene_pan3d.json    what BOP has no place for; below
        mask_void/000000_000006.png            image and id of void

Beyond BOP, entries of `scene_gt.json` have `instance_id` (the same in all images), `name` and `size`, millimetres along the axes
of the box. There are no meshes, and no `visib_fract`: nobody knows what is hidden.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labelling.review.pixels import ScenePixels, box_of, world_points
from pan3d_core.runtime.files import written_whole
from pan3d_core.structures import unit_range
from pan3d_core.views.depth_files import DEPTH_UNIT_M, write_depth
from pan3d_core.views.image_files import write_image
from pan3d_core.views.scene_folder import Scene, SceneObject, read_scene, truth_json

CAMERA_FILE, GT_FILE, INFO_FILE, MORE_FILE = "scene_camera.json", "scene_gt.json", "scene_gt_info.json", "scene_pan3d.json"
MODELS_FILE = Path("models", "models_info.json")
SPLIT = "train"
MM_PER_M = 1000.0


def write_bop(folders: Sequence[Path], out: Path) -> Path:
    """Write the scenes of some folders as one data set.

    Args:
        folders: Scene folders with truth, calibrated views and, for every object, a box or depth to make one of.
        out: Folder of the data set.

    Returns:
        The folder of the scenes.

    Raises:
        FileNotFoundError: There is no scene in a folder.
        ValueError: A scene lacks truth, a view intrinsics or a pose, an object its class or any box, or a class is stuff; names
            scene and field.
    """
    kinds: dict[str, int] = {}
    sizes: dict[str, Tensor] = {}
    for number, folder in enumerate(folders):
        scene = _with_boxes(read_scene(folder), folder)
        for item in _objects(scene):
            name = _kind(scene, item)
            kinds.setdefault(name, len(kinds) + 1)
            assert item.box is not None, "every object has one now"
            sizes[name] = torch.maximum(sizes.get(name, item.box.size_m), item.box.size_m)
        _write_scene(out / SPLIT / f"{number:06d}", scene, kinds)
    models = {str(number): {**_model(sizes[name]), "name": name} for name, number in kinds.items()}
    _write_json(out / MODELS_FILE, models)
    return out / SPLIT


def _objects(scene: Scene) -> list[SceneObject]:
    return [item for item in scene.known_truth().objects if not item.is_void]


def _kind(scene: Scene, item: SceneObject) -> str:
    return scene.known_truth().labels.name(item.class_id)


def _with_boxes(scene: Scene, folder: Path) -> Scene:
    """The scene with a box for each object; what has no place in the layout is refused."""
    truth, where = scene.known_truth(), f"scene {folder}"
    for view in scene.views:
        for field, value in (("intrinsics", view.intrinsics), ("cam_from_world", view.cam_from_world)):
            if value is None:
                raise ValueError(f"{where}: {field}: expected it for every view, got none for camera {view.camera!r}")
    pixels = ScenePixels(truth.instance_ids, world_points(scene))
    made = []
    for item in truth.objects:
        if item.is_void:
            made.append(item)
            continue
        named = f"object {item.instance_id} {item.name!r}"
        if item.class_id < 0 or not truth.labels.is_thing[item.class_id]:
            raise ValueError(f"{where}: class_id: expected a class of things for {named}, got {_kind(scene, item) or 'none'}")
        box = item.box or box_of(pixels, item.instance_id)
        if box is None:
            raise ValueError(f"{where}: box: expected one for {named}, or depth to make it of, got neither")
        made.append(replace(item, box=box))
    return replace(scene, truth=replace(truth, objects=tuple(made)))


def _write_scene(folder: Path, scene: Scene, kinds: Mapping[str, int]) -> None:
    truth = scene.known_truth()
    for part in ("rgb", "depth", "mask_visib", "mask_void"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    cameras, gt, info = {}, {}, {}
    for row, (view, ids, depth) in enumerate(zip(scene.views, truth.instance_ids, truth.depth, strict=True)):
        write_image(folder / "rgb" / f"{row:06d}.png", unit_range(view.image))
        if depth is not None:
            write_depth(folder / "depth" / f"{row:06d}.png", depth)
        intrinsics, cam_from_world = view.calibration()
        cameras[str(row)] = {
            "cam_K": intrinsics.double().reshape(-1).tolist(), "depth_scale": DEPTH_UNIT_M * MM_PER_M,
            **_pose(cam_from_world, "w2c"),
        }  # fmt: skip
        boxed = [_Boxed(item, item.box, _kind(scene, item)) for item in _objects(scene) if item.box is not None]
        gt[str(row)] = [item.entry(cam_from_world, kinds) for item in boxed]
        info[str(row)] = [_seen(ids == entry.item.instance_id, depth) for entry in boxed]
        for number, entry in enumerate(boxed):
            _write_mask(folder / "mask_visib" / f"{row:06d}_{number:06d}.png", ids == entry.item.instance_id)
        for value in truth.void_ids:
            if bool((ids == value).any()):
                _write_mask(folder / "mask_void" / f"{row:06d}_{value:06d}.png", ids == value)
    void = tuple(item for item in truth.objects if item.is_void)
    more = {
        "name": scene.name, "world_frame_id": scene.views[0].world_frame_id, "support_height_m": scene.support_height_m,
        "views": [{"camera": v.camera, "frame_id": v.frame_id, "stamp_ns": v.stamp_ns} for v in scene.views],
        "void": truth_json(replace(truth, objects=void))["objects"],
    }  # fmt: skip
    for name, content in ((CAMERA_FILE, cameras), (GT_FILE, gt), (INFO_FILE, info), (MORE_FILE, more)):
        _write_json(folder / name, content)


@dataclass(frozen=True)
class _Boxed:
    """An object that has a box."""

    item: SceneObject
    box: OrientedBox
    kind: str

    def entry(self, cam_from_world: Tensor, kinds: Mapping[str, int]) -> dict[str, Any]:
        """Its line of one image."""
        cam_from_box = cam_from_world.double() @ self.box.world_from_box.double()
        return {
            "obj_id": kinds[self.kind], **_pose(cam_from_box, "m2c"), "instance_id": self.item.instance_id,
            "name": self.item.name, "size": (MM_PER_M * self.box.size_m.double()).tolist(),
        }  # fmt: skip


def _pose(pose: Tensor, name: str) -> dict[str, list[float]]:
    pose = pose.double()
    return {f"cam_R_{name}": pose[:3, :3].reshape(-1).tolist(), f"cam_t_{name}": (MM_PER_M * pose[:3, 3]).tolist()}


def _seen(mask: Tensor, depth: Tensor | None) -> dict[str, Any]:
    rows, columns = mask.nonzero(as_tuple=True)
    box = [-1, -1, -1, -1]
    if len(rows):
        box = [int(columns.min()), int(rows.min()), int(np.ptp(columns.numpy())) + 1, int(np.ptp(rows.numpy())) + 1]
    valid = 0 if depth is None else int((mask & (depth > 0)).sum())
    return {"bbox_visib": box, "px_count_visib": len(rows), "px_count_valid": valid}


def _model(size_m: Tensor) -> dict[str, float]:
    size = MM_PER_M * size_m.double()
    sides = dict(zip("xyz", size.tolist(), strict=True))
    return {
        "diameter": float(size.norm()),
        **{f"min_{axis}": -side / 2 for axis, side in sides.items()},
        **{f"size_{axis}": side for axis, side in sides.items()},
    }


def _write_mask(path: Path, mask: Tensor) -> None:
    with written_whole(path) as part:
        Image.fromarray(mask.to(torch.uint8).mul(255).numpy(force=True)).save(part)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with written_whole(path) as part:
        part.write_text(json.dumps(content), encoding="utf-8")
