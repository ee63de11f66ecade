"""Scene folders: views of one scene with cameras and, where known, the truth about it.

    scene/
      scene.json        cameras (see `camera_files`), labels, objects
      images/NAME.png   8-bit RGB
      depth/NAME.png    16-bit, z-depth in units of 0.1 mm, 0 = no measurement (also beyond 6.5535 m)
      instances/NAME.png  16-bit instance ids, 0 = none; the id of an object "void" without a class = unknown

A cameras file for plain photographs is the same `scene.json` with the `views` list alone, and of each view `image` and
`intrinsics` suffice: `cam_from_world` (4x4, metres), `depth`, `distortion` and the rest may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pan3d_core.config import ImageLimits
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.distortion import undistort
from pan3d_core.labels import LabelSpace
from pan3d_core.runtime.files import inside, named_file
from pan3d_core.settings import refuse_unknown
from pan3d_core.structures import CameraView, unit_range
from pan3d_core.views.camera_files import CameraEntry, CameraFile, entries_of, read_camera_file, write_camera_file
from pan3d_core.views.image_files import DEFAULT_LIMITS, read_16_bit, read_image, write_16_bit, write_image
from pan3d_core.views.scan_truth import MeshTruth, RegionTruth

DEPTH_UNIT_M = 1e-4
SCENE_FILE = "scene.json"
VOID_NAME = "void"  # of the entry whose pixels nobody has said anything about
OBJECT_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "instance_id": int,
    "name": str,
    "class_id": int,
    "box": (dict, type(None)),
}


@dataclass(frozen=True)
class SceneObject:
    """One true object."""

    instance_id: int  # value in the instance images
    name: str  # for people: "red mug"
    class_id: int = -1  # index into `SceneTruth.labels`, -1 = none
    box: OrientedBox | None = None  # world, metres

    @property
    def is_void(self) -> bool:
        """Whether it is no object, but what nobody has said anything about."""
        return self.name == VOID_NAME and self.class_id < 0


@dataclass(frozen=True)
class SceneTruth:
    """What is known about a scene beyond its images."""

    instance_ids: tuple[Tensor, ...]  # per view (H, W) int64, 0 = none
    depth: tuple[Tensor | None, ...]  # per view (H, W) z-depth, metres, 0 = none
    objects: tuple[SceneObject, ...] = ()
    labels: LabelSpace = field(default_factory=lambda: LabelSpace.things(()))
    mesh: MeshTruth | None = None  # where the data set publishes a scan; scene folders do not hold it
    regions: RegionTruth | None = None  # where the data set names more than objects; scene folders do not hold it either

    def of_rows(self, rows: Sequence[int]) -> SceneTruth:
        """Of these views, in their order; a scan keeps the depth of all views."""
        ids, depth = tuple(self.instance_ids[row] for row in rows), tuple(self.depth[row] for row in rows)
        regions = self.regions and replace(self.regions, ids=tuple(self.regions.ids[row] for row in rows))
        return replace(self, instance_ids=ids, depth=depth, regions=regions)

    @property
    def void_ids(self) -> tuple[int, ...]:
        """Values of the instance images where nobody has said what is there."""
        return tuple(item.instance_id for item in self.objects if item.is_void)


@dataclass(frozen=True)
class Scene:
    """Views of one scene; `truth` is None for photographs."""

    name: str
    views: tuple[CameraView, ...]
    truth: SceneTruth | None = None
    support_height_m: float | None = None  # world z of the surface that objects stand on

    def without_depth(self) -> Scene:
        """The same scene as colour cameras see it; the truth keeps its depth."""
        return replace(self, views=tuple(replace(view, depth=None) for view in self.views))

    def of_cameras(self, cameras: Sequence[str]) -> Scene:
        """The scene as these cameras see it, in its own order; the truth of other views goes, too."""
        return self.of_rows([index for index, view in enumerate(self.views) if view.camera in cameras])

    def of_rows(self, rows: Sequence[int]) -> Scene:
        """The scene in these of its views, in their order, and the truth of them."""
        truth = None if self.truth is None else self.truth.of_rows(rows)
        return replace(self, views=tuple(self.views[row] for row in rows), truth=truth)

    def known_truth(self) -> SceneTruth:
        """What `truth` holds. Raises `ValueError` for a scene without."""
        if self.truth is None:
            raise ValueError(f"scene {self.name}: expected instances in {SCENE_FILE} to measure against, got none")
        return self.truth

    def cameras(self) -> Tensor | None:
        """(S, 4, 4) `cam_from_world` of the views, None where one of them has none."""
        poses = [view.cam_from_world for view in self.views if view.cam_from_world is not None]
        return torch.stack(poses) if poses and len(poses) == len(self.views) else None


def read_depth(path: Path | str) -> Tensor:
    """(H, W) metres of a 16-bit depth PNG in 0.1 mm; errors as `read_image`."""
    return torch.from_numpy(read_16_bit(path).astype(np.float64) * DEPTH_UNIT_M).float()


def write_depth(path: Path, depth: Tensor) -> None:
    """Write depth as 16-bit PNG in 0.1 mm; what does not fit (NaN, negative, beyond 6.5535 m) becomes 0.

    Args:
        path: Of the file.
        depth: (H, W) metres.
    """
    units = (depth.double() / DEPTH_UNIT_M).round()
    usable = torch.isfinite(units) & (units > 0) & (units <= 65535)
    write_16_bit(path, torch.where(usable, units, 0.0))


def write_scene(folder: Path | str, scene: Scene) -> Path:
    """Write a scene folder, made where needed.

    Args:
        folder: May exist; files of the same names are written over.
        scene: Views with intrinsics; depth and instance ids of its truth where they are known.

    Returns:
        The path of `scene.json`.
    """
    folder = Path(folder)
    for part in ("images", "depth", "instances"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    entries = []
    for index, view in enumerate(scene.views):
        name = f"{index:02d}_{view.camera}.png".replace("/", "_")
        image, depth_file, instances = f"images/{name}", None, None
        depth = view.depth if scene.truth is None else scene.truth.depth[index]
        write_image(folder / image, unit_range(view.image))
        if depth is not None:
            depth_file = f"depth/{name}"
            write_depth(folder / depth_file, depth)
        if scene.truth is not None:
            instances = f"instances/{name}"
            write_16_bit(folder / instances, scene.truth.instance_ids[index])
        where = (view.camera, view.frame_id, view.stamp_ns)
        entries.append(CameraEntry(*where, image, view.intrinsics, view.cam_from_world, depth_file, instances))
    path = folder / SCENE_FILE
    truth = {} if scene.truth is None else truth_json(scene.truth)
    frame = scene.views[0].world_frame_id
    write_camera_file(path, CameraFile(tuple(entries), scene.name, frame, scene.support_height_m, truth))
    return path


def read_scene(folder: Path | str, limits: ImageLimits = DEFAULT_LIMITS) -> Scene:
    """Read a scene folder. Raises `FileNotFoundError` or `ValueError` naming file and field.

    Args:
        folder: Holds `scene.json` and the files that it names.
        limits: Of the pictures' sizes and number.

    Returns:
        The scene; its truth as far as the folder has some.
    """
    folder = Path(folder)
    path = folder / SCENE_FILE
    cameras = read_camera_file(path)
    _require_number(f"{path}: views", len(cameras.views), limits)
    views, instances = [], []
    for entry in cameras.views:
        if entry.image is None:
            raise ValueError(f"{path}: image: expected in every entry of a scene folder, got none for camera {entry.camera!r}")
        views.append(_read_view(entry, inside(folder, entry.image, f"{path}: image"), path, cameras.world_frame_id, limits))
        if entry.instances is not None:
            instances.append(inside(folder, entry.instances, f"{path}: instances"))
    truth = None
    if len(instances) == len(views):
        with named_file(path, "labels and objects"):
            truth = _read_truth(cameras.more, instances, views)
    return Scene(folder.name if cameras.name is None else cameras.name, tuple(views), truth, cameras.support_height_m)


def read_photographs(
    images: Sequence[Path | str], cameras: Path | str | None = None, limits: ImageLimits = DEFAULT_LIMITS
) -> Scene:
    """Image files and an optional cameras file -> a scene without truth.

    Args:
        images: Of any format that Pillow reads; at least one.
        cameras: Its entries belong to the images of the same file name, or in order when none of them names an image. Without
            a file nothing is known but the pictures. Distorted images are undistorted.
        limits: Of the pictures' sizes and number.

    Returns:
        The scene, one view per image.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: There are no images, one of them or the cameras cannot be read or do not belong together; names file and key.
    """
    paths = [Path(image) for image in images]
    if not paths:
        raise ValueError("images: expected at least one file, got none")
    _require_number("images", len(paths), limits)
    name = paths[0].parent.name or "images"
    if cameras is None:
        stems = [path.stem for path in paths]
        names = stems if len(set(stems)) == len(stems) else [f"{path.parent.name}/{path.stem}" for path in paths]
        if len(set(names)) < len(names):
            raise ValueError(f"images: expected different files, got {next(n for n in names if names.count(n) > 1)} twice")
        pictures = ((read_image(path, limits=limits), camera) for path, camera in zip(paths, names))
        return Scene(name, tuple(CameraView(image=image, camera=camera, frame_id=camera) for image, camera in pictures))
    known = read_camera_file(cameras)
    entries = entries_of(paths, known.views, cameras)
    views = tuple(_read_view(entry, path, Path(cameras), known.world_frame_id, limits) for entry, path in zip(entries, paths))
    return Scene(name, views, support_height_m=known.support_height_m)


def _require_number(name: str, count: int, limits: ImageLimits) -> None:
    if count > limits.max_views:
        raise ValueError(f"{name}: expected at most limits.max_views = {limits.max_views}, got {count}")


def _read_view(entry: CameraEntry, image_path: Path, cameras: Path, world_frame_id: str, limits: ImageLimits) -> CameraView:
    """The view of an entry of the file `cameras`, which every error names."""
    with named_file(cameras, "what is known of a picture"):
        return _view_of(entry, image_path, cameras, world_frame_id, limits)


def _view_of(entry: CameraEntry, image_path: Path, cameras: Path, world_frame_id: str, limits: ImageLimits) -> CameraView:
    # What a file says of a camera is of the pixels as they are stored; a picture that is only shown is turned upright.
    known = (entry.intrinsics, entry.cam_from_world, entry.depth, entry.instances)
    image = read_image(image_path, upright=all(item is None for item in known), limits=limits)
    if entry.image_hw is not None and entry.image_hw != tuple(image.shape[1:]):
        given, found = (f"{hw[1]} x {hw[0]}" for hw in (entry.image_hw, image.shape[1:]))
        raise ValueError(f"{image_path.name}: image_hw: expected the picture's height and width, {found}, got {given}")
    depth = None
    if entry.depth is not None:
        depth_path = inside(cameras.parent, entry.depth, f"{cameras}: depth")
        if not depth_path.is_file():
            raise FileNotFoundError(f"{cameras}: depth: expected a file, got {entry.depth!r}, which does not exist")
        depth = read_depth(depth_path)
    if entry.distortion is not None:
        if entry.intrinsics is None:
            raise ValueError(f"{image_path.name}: intrinsics: expected a 3x3 matrix beside the distortion, got none")
        image, depth = undistort(image, entry.intrinsics, entry.distortion.model, entry.distortion.coefficients, depth)
    try:
        return CameraView(
            image=image,
            intrinsics=entry.intrinsics,
            cam_from_world=entry.cam_from_world,
            depth=depth,
            stamp_ns=entry.stamp_ns,
            frame_id=image_path.stem if entry.frame_id is None else entry.frame_id,
            world_frame_id=world_frame_id,
            camera=image_path.stem if entry.camera is None else entry.camera,
        )
    except ValueError as error:
        raise ValueError(f"{image_path.name}: {error}") from error


def truth_json(truth: SceneTruth) -> dict[str, Any]:
    """The keys of a `scene.json` beyond its cameras, as `read_scene` takes them."""
    labels = [{"name": name, "is_thing": thing} for name, thing in zip(truth.labels.names, truth.labels.is_thing)]
    return {"labels": labels, "objects": [_object_json(item) for item in truth.objects]}


def _object_json(item: SceneObject) -> dict[str, Any]:
    entry: dict[str, Any] = {"instance_id": item.instance_id, "name": item.name, "class_id": item.class_id}
    if item.box is not None:
        entry["box"] = {"world_from_box": item.box.world_from_box.double().tolist(), "size_m": item.box.size_m.double().tolist()}
    return entry


def _check_fields(entry: object, kinds: Mapping[str, type | tuple[type, ...]], where: str) -> None:
    """`ValueError` unless an entry has exactly these fields of these kinds."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where}: expected {', '.join(kinds)} with values, got {entry!r}")
    refuse_unknown(entry, kinds, f"{where}: ")
    for name, kind in kinds.items():
        value = entry.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{where}: {name}: expected {kind}, got {value!r}")


def _box_of(box: Mapping[str, Any], where: str) -> OrientedBox:
    _check_fields(box, {"world_from_box": list, "size_m": list}, where)
    pose, size = torch.tensor(box["world_from_box"], dtype=torch.float64), torch.tensor(box["size_m"], dtype=torch.float64)
    if pose.shape != (4, 4) or size.shape != (3,) or not bool(torch.isfinite(pose).all() and torch.isfinite(size).all()):
        raise ValueError(f"{where}: expected 4x4 finite numbers and 3 sizes, got {box!r}")
    return OrientedBox(pose.float(), size.float())


def objects_of(facts: Mapping[str, Any]) -> tuple[SceneObject, ...]:
    """Read the objects of a `scene.json` from its keys beyond cameras; `ValueError` names entry and field."""
    objects = []
    for index, entry in enumerate(facts.get("objects", [])):
        _check_fields({"name": "", "class_id": -1, "box": None, **entry}, OBJECT_FIELDS, f"objects[{index}]")
        box = entry.get("box")
        made = None if box is None else _box_of(box, f"objects[{index}]: box")
        objects.append(SceneObject(entry["instance_id"], entry.get("name", ""), entry.get("class_id", -1), made))
    return tuple(objects)


def labels_of(facts: Mapping[str, Any]) -> LabelSpace:
    """Read the classes of a `scene.json`; errors as `objects_of`."""
    labels = facts.get("labels", [])
    for index, entry in enumerate(labels):
        _check_fields(entry, {"name": str, "is_thing": bool}, f"labels[{index}]")
    return LabelSpace(tuple(item["name"] for item in labels), tuple(item["is_thing"] for item in labels))


def _read_truth(facts: Mapping[str, Any], instances: Sequence[Path], views: Sequence[CameraView]) -> SceneTruth:
    return SceneTruth(
        instance_ids=tuple(torch.from_numpy(read_16_bit(path).astype(np.int64)) for path in instances),
        depth=tuple(view.depth for view in views),
        objects=objects_of(facts),
        labels=labels_of(facts),
    )
