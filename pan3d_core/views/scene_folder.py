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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pan3d_core.config import ImageLimits
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.camera_checks import CameraFault, CameraRefused, used_of
from pan3d_core.labels import LabelSpace
from pan3d_core.runtime.files import named_file
from pan3d_core.settings import refuse_unknown
from pan3d_core.structures import CameraView, unit_range
from pan3d_core.views.camera_files import CameraEntry, CameraFile, entries_of, read_camera_entries, write_camera_file
from pan3d_core.views.depth_files import write_depth
from pan3d_core.views.entry_views import EntryFiles, read_views
from pan3d_core.views.image_files import DEFAULT_LIMITS, write_16_bit, write_image
from pan3d_core.views.scan_truth import MeshTruth, RegionTruth

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
    left_out: tuple[CameraFault, ...] = ()  # cameras that could not be used

    def used(self, count: int | None = None) -> str:
        """Say how many of all cameras are used, `count` of them in the end, and why others could not be; "" where all could."""
        given = len(self.views) + len(self.left_out)
        return used_of(len(self.views) if count is None else count, given, self.left_out) if self.left_out else ""

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
    """Read a scene folder whose cameras can all be used. Raises `FileNotFoundError` or `ValueError` naming file and field.

    Args:
        folder: Holds `scene.json` and the files that it names.
        limits: Of the pictures' sizes and number.

    Returns:
        The scene; its truth as far as the folder has some.
    """
    scene, errors = _read_folder(Path(folder), limits)
    return _whole(scene, errors)


def read_usable_scene(folder: Path | str, limits: ImageLimits = DEFAULT_LIMITS) -> Scene:
    """Read a scene folder without the cameras that cannot be used: arguments, result and errors as `read_scene`.

    Only the faults of a file as a whole are errors, and that no camera is left. What is wrong with the others is the scene's
    `left_out`.
    """
    scene, errors = _read_folder(Path(folder), limits)
    return _not_empty(scene, errors)


def _read_folder(folder: Path, limits: ImageLimits) -> tuple[Scene, tuple[Exception, ...]]:
    """The scene as far as it can be read, and for each camera that is left out the error."""
    path = folder / SCENE_FILE
    cameras = read_camera_entries(path)
    _require_number(f"{path}: views", len(cameras.views), limits)
    files = [EntryFiles.of(entry, path) for entry in cameras.views]
    found = read_views(cameras.views, files, path, cameras.world_frame_id, limits)
    truth = None
    ids = [item for item in found.instance_ids if item is not None]
    if found.views and len(ids) == len(found.views):
        with named_file(path, "labels and objects"):
            truth = _read_truth(cameras.more, ids, found.views)
    name = folder.name if cameras.name is None else cameras.name
    return Scene(name, found.views, truth, cameras.support_height_m, found.faults), found.errors


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
    scene, errors = _read_files([Path(image) for image in images], cameras, limits)
    return _whole(scene, errors)


def read_usable_photographs(
    images: Sequence[Path | str], cameras: Path | str | None = None, limits: ImageLimits = DEFAULT_LIMITS
) -> Scene:
    """Read image files without those that cannot be used: arguments, result and errors as `read_photographs`.

    Only the faults of a file of cameras as a whole are errors, pictures that do not belong to it, and that none is left. What is
    wrong with the others is the scene's `left_out`; so is that a picture of the file is not there at all.
    """
    paths = [Path(image) for image in images]
    scene, errors = _read_files(paths, cameras, limits)
    scene = _not_empty(scene, errors)
    return scene if cameras is None else replace(scene, left_out=(*scene.left_out, *_gone(paths, Path(cameras))))


def _gone(paths: Sequence[Path], file: Path) -> Iterator[CameraFault]:
    """Cameras whose pictures are neither among these nor beside them or the file: a pattern of names does not tell of them."""
    given, folders = {path.name for path in paths}, {path.parent for path in paths}
    for entry in read_camera_entries(file).views:
        name = Path(entry.image or "").name
        places = [file.parent / (entry.image or ""), *(folder / name for folder in folders)]
        if name and name not in given and not any(place.exists() for place in places):
            words = f"image: expected a file, got {entry.image!r}, which does not exist"
            yield CameraFault(entry.camera or Path(name).stem, CameraRefused.code, words, name)


def _read_files(paths: Sequence[Path], cameras: Path | str | None, limits: ImageLimits) -> tuple[Scene, tuple[Exception, ...]]:
    if not paths:
        raise ValueError("images: expected at least one file, got none")
    _require_number("images", len(paths), limits)
    known, file = CameraFile(()), None if cameras is None else Path(cameras)
    if file is None:
        entries = [CameraEntry(camera=name, frame_id=name) for name in _names_of(paths)]
        files = [EntryFiles(path) for path in paths]
    else:
        known = read_camera_entries(file)
        entries = entries_of(paths, known.views, file)
        files = [EntryFiles.of(replace(entry, instances=None), file, path) for entry, path in zip(entries, paths)]
    found = read_views(entries, files, file, known.world_frame_id, limits)
    name = paths[0].parent.name or "images"
    return Scene(name, found.views, None, known.support_height_m, found.faults), found.errors


def _names_of(paths: Sequence[Path]) -> list[str]:
    """What cameras are called of which only the pictures are known."""
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [f"{path.parent.name}/{path.stem}" for path in paths]
    if len(set(names)) < len(names):
        raise ValueError(f"images: expected different files, got {next(n for n in names if names.count(n) > 1)} twice")
    return names


def _whole(scene: Scene, errors: Sequence[Exception]) -> Scene:
    if errors:
        raise errors[0]
    return scene


def _not_empty(scene: Scene, errors: Sequence[Exception]) -> Scene:
    if not scene.views:
        raise errors[0] if len(errors) == 1 else ValueError("; ".join(map(str, errors)))
    return scene


def _require_number(name: str, count: int, limits: ImageLimits) -> None:
    if count > limits.max_views:
        raise ValueError(f"{name}: expected at most limits.max_views = {limits.max_views}, got {count}")


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
    objects: list[SceneObject] = []
    for index, entry in enumerate(facts.get("objects", [])):
        _check_fields({"name": "", "class_id": -1, "box": None, **entry}, OBJECT_FIELDS, f"objects[{index}]")
        box = entry.get("box")
        made = None if box is None else _box_of(box, f"objects[{index}]: box")
        item = SceneObject(entry["instance_id"], entry.get("name", ""), entry.get("class_id", -1), made)
        if item.instance_id in [other.instance_id for other in objects] or not -1 <= item.class_id < len(facts.get("labels", [])):
            numbers = f"instance_id {item.instance_id} and class_id {item.class_id}"
            raise ValueError(f"objects[{index}]: expected an instance_id of its own and the place of a label, got {numbers}")
        objects.append(item)
    return tuple(objects)


def labels_of(facts: Mapping[str, Any]) -> LabelSpace:
    """Read the classes of a `scene.json`; errors as `objects_of`."""
    labels = facts.get("labels", [])
    for index, entry in enumerate(labels):
        _check_fields(entry, {"name": str, "is_thing": bool}, f"labels[{index}]")
    return LabelSpace(tuple(item["name"] for item in labels), tuple(item["is_thing"] for item in labels))


def _read_truth(facts: Mapping[str, Any], instance_ids: Sequence[Tensor], views: Sequence[CameraView]) -> SceneTruth:
    labels, depth = labels_of(facts), tuple(view.depth for view in views)
    return SceneTruth(tuple(instance_ids), depth, objects_of(facts), labels)
